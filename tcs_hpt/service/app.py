"""The web process: the API under `/api/v1`, and the dashboard at `/`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response
from starlette.types import Scope

from tcs_hpt import __version__
from tcs_hpt.service import (
    about,
    answers,
    comparisons,
    events,
    external,
    models,
    problems,
    studies,
    tasks,
    trials,
)
from tcs_hpt.service.context import Service
from tcs_hpt.service.desks import Desks
from tcs_hpt.service.pulse import Pulse
from tcs_hpt.service.read_ahead import read_ahead
from tcs_hpt.service.safety import Safety
from tcs_hpt.service.settings import ServiceSettings
from tcs_hpt.service.shelf import Shelf
from tcs_hpt.service.task_folders import TaskFolders
from tcs_hpt.store import Store

PREFIX = "/api/v1"
DASHBOARD = Path(__file__).resolve().parent / "dashboard"

_DESCRIPTION = """Studies of hyperparameters over HTTP.

A study is entered with `POST /api/v1/studies`. Workers train its trials, or, in an *external* study, whoever asks
(`POST .../ask`) and tells (`POST .../tell`). Errors are `application/problem+json` with a `hint`. Times are UTC, numbers that
are not finite are null.
"""
_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def create_app(settings: ServiceSettings, *, store: Store | None = None) -> FastAPI:
    """The app, ready to be served.

    Args:
        settings: How it is run.
        store: A database that is open already and stays open; without one, that of the settings is opened, and closed when the
            app shuts down.

    Raises:
        UserError: A folder with tasks does not exist, or the database's URL cannot be.
        StoreError: The database cannot be opened.
    """
    folders = TaskFolders(settings.tasks_dirs)
    database = Store.open(settings.store or None) if store is None else store
    service = Service(
        settings=settings,
        store=database,
        shelf=Shelf(database),
        folders=folders,
        pulse=Pulse(database, settings.poll_seconds),
        desks=Desks(database, clock=settings.clock),
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        closing = asyncio.Event()
        reading = asyncio.create_task(read_ahead(database, service.shelf, closing))
        yield
        closing.set()
        await asyncio.wait([reading])  # a look that has begun ends before the database is closed
        service.pulse.close()
        await anyio.to_thread.run_sync(service.desks.close)
        if store is None:
            database.close()

    app = FastAPI(
        title="tcs-hpt",
        version=__version__,
        description=_DESCRIPTION,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # it would fetch its scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.service = service
    problems.install(app)
    app.include_router(about.probes)
    for part in (about, tasks, models, studies, trials, events, external, answers, comparisons):
        app.include_router(part.router, prefix=PREFIX)
    app.mount("/", _Pages(directory=DASHBOARD, html=True), name="dashboard")
    app.add_middleware(Safety, settings=settings)
    app.openapi = partial(_openapi, app)  # type: ignore[method-assign]
    return app


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The description, with what FastAPI cannot see: errors have a shape too, and there may be a token."""
    if app.openapi_schema is None:
        described = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        parts = described.setdefault("components", {})
        problem = problems.Problem.model_json_schema(ref_template="#/components/schemas/{model}")
        parts.setdefault("schemas", {}).update({**problem.pop("$defs", {}), "Problem": problem})
        parts["securitySchemes"] = {
            "token": {
                "type": "http",
                "scheme": "bearer",
                "description": "Only where the service was started with one.",
            }
        }
        described["security"] = [{}, {"token": []}]
        app.openapi_schema = described
    return app.openapi_schema


class _Pages(StaticFiles):
    """The dashboard's files, under the types that browsers insist on whatever the machine's own table says."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """One file."""
        response = await super().get_response(path, scope)
        kind = _TYPES.get(Path(path).suffix)
        if kind is not None and isinstance(response, FileResponse):
            response.headers["Content-Type"] = f"{kind}; charset=utf-8"
        return response
