"""`tcs-hpt serve`: studies over HTTP, with a dashboard, and workers on this machine."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tcs_hpt.cli._shared import termination_interrupts
from tcs_hpt.cli.options import DevicesOption, SlotsOption, StoreOption, TasksDirOption, checked_devices
from tcs_hpt.errors import UserError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from tcs_hpt.service.settings import ServiceSettings

USUAL_PORT = 8765


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on. Others than this machine need a token.")
    ] = ("127.0.0.1"),
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = USUAL_PORT,
    workers: Annotated[
        int, typer.Option(min=0, max=64, help="Worker processes on this machine that train what is entered.")
    ] = 1,
    no_worker: Annotated[
        bool,
        typer.Option("--no-worker", help="Train nothing here; `tcs-hpt worker` does it, here or elsewhere."),
    ] = False,
    slots: SlotsOption = 1,
    devices: DevicesOption = "",
    tasks_dir: TasksDirOption = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Requests must show the token in it; TCS_HPT_TOKEN does the same.",
            show_default=False,
        ),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="A further name of this service. May be repeated.", show_default=False
        ),
    ] = None,
    model_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A host whose OpenAI-compatible server a study may name as its model. May be repeated.",
            show_default=False,
        ),
    ] = None,
    store: StoreOption = "",
) -> None:
    """Serve studies over HTTP, with a dashboard; Ctrl-C ends it, and what runs goes on when it is started again."""
    _require_extra()
    from tcs_hpt.service.app import create_app
    from tcs_hpt.service.settings import TOKEN_VARIABLE, ServiceSettings, read_token

    settings = ServiceSettings(
        store=store,
        host=host,
        token=read_token(token_file)
        if token_file is not None
        else os.environ.get(TOKEN_VARIABLE, "").strip(),
        allowed_hosts=tuple(allowed_host or ()),
        model_hosts=tuple(model_host or ()),
        tasks_dirs=tuple(tasks_dir or ()),
    )
    _run(create_app(settings), settings, port, 0 if no_worker else workers, slots, checked_devices(devices))


def _require_extra() -> None:
    """Check that the service's packages are here.

    Raises:
        UserError: One of them is not.
    """
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UserError(
            f"the service needs FastAPI and uvicorn, which cannot be imported: {error}",
            hint="Run `pip install 'tcs-hpt[service]'`.",
        ) from error


def _run(
    app: FastAPI, settings: ServiceSettings, port: int, workers: int, slots: int, devices: tuple[str, ...]
) -> None:
    from tcs_hpt.service.server import Server, bound_socket, url_of
    from tcs_hpt.service.settings import TOKEN_VARIABLE
    from tcs_hpt.service.supervisor import start_workers

    service = app.state.service
    with service.store, bound_socket(settings.host, port) as listening, termination_interrupts():
        workforce = (
            start_workers(
                workers,
                store=service.store.url,
                slots=slots,
                devices=devices,
                task_folders=settings.tasks_dirs,
                environment={
                    n: v for n, v in os.environ.items() if n != TOKEN_VARIABLE
                },  # scripts need no token
            )
            if workers
            else nullcontext()
        )
        with workforce:
            print(f"serving studies at {url_of(listening)} (Ctrl-C ends it)", flush=True)
            if not workers:
                print("nobody trains here: start `tcs-hpt worker` with the same --store", flush=True)
            try:
                Server(app).run(sockets=[listening])
            except KeyboardInterrupt:
                print(
                    "ending" if not workers else "ending the workers; their studies go on later", flush=True
                )
