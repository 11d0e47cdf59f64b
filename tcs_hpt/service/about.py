"""Whether the service lives, and what it offers."""

from __future__ import annotations

from functools import lru_cache
from typing import get_args

from fastapi import APIRouter

from tcs_hpt import __version__
from tcs_hpt.catalog import list_tasks, load_task
from tcs_hpt.proposers import METHODS, needs_model
from tcs_hpt.service.context import Here
from tcs_hpt.service.offer_shapes import Alive, Info, MethodShape, Ready
from tcs_hpt.service.problems import responses
from tcs_hpt.spec import Start

probes = APIRouter(tags=["probes"])
router = APIRouter(tags=["about"])


@probes.get("/healthz", summary="Does the process answer?")
async def healthz() -> Alive:
    """Always `ok`; needs no token."""
    return Alive(status="ok")


@probes.get("/readyz", summary="Does the database answer?", responses=responses())
def readyz(here: Here) -> Ready:
    """Ready when the database answers; 503 when it does not. Needs no token."""
    waiting = here.store.queue(states=("queued", "running"))
    now = here.now()
    running = sum(entry.live(now) for entry in waiting)
    return Ready(
        status="ok", workers=len(here.store.workers(now)), queued=len(waiting) - running, running=running
    )


@router.get("/info", summary="What this service is", responses=responses())
def info(here: Here) -> Info:
    """Version, methods, sizes and ways to start, for whoever fills in a new study."""
    return Info(
        version=__version__,
        store=here.store.label,
        methods=[
            MethodShape(name=name, what=what, needs_model=needs_model(name)) for name, what in METHODS.items()
        ],
        profiles=list(_profiles()),
        starts=list(get_args(Start)),
        tasks_dirs=[folder.name for folder in here.folders.folders],
        auth=bool(here.settings.token),
    )


@lru_cache
def _profiles() -> tuple[str, ...]:
    """The sizes of the built-in tasks; others may have more."""
    return tuple(dict.fromkeys(p for name in list_tasks() for p in load_task(name).spec.profiles))
