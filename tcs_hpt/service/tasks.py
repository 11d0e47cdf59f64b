"""What can be tuned."""

from __future__ import annotations

import os
import stat
from functools import lru_cache
from pathlib import Path as Folder
from typing import Annotated, Any

from fastapi import APIRouter, Path

from tcs_hpt.catalog import LoadedTask
from tcs_hpt.errors import TaskError, UserError
from tcs_hpt.experiments.extras import missing_extras, requirements
from tcs_hpt.experiments.task_folder import needed_extra
from tcs_hpt.service import views
from tcs_hpt.service.context import Here
from tcs_hpt.service.offer_shapes import TaskDetail, Tasks, TaskShape
from tcs_hpt.service.problems import Refused, responses
from tcs_hpt.service.task_folders import Source

router = APIRouter(tags=["tasks"])

README = "README.md"
README_BYTES = 64 * 1024

TaskName = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$",
        max_length=64,
        description="Name of the task, or of its folder.",
        examples=["mlp_digits"],
    ),
]


@router.get("/tasks", summary="What can be tuned", responses=responses())
def tasks(here: Here) -> Tasks:
    """The built-in tasks, and those in the folders that the service was started with. One that cannot be used says why."""
    return Tasks(items=[_listed(here, name, source) for name, source in here.folders.names().items()])


@router.get("/tasks/{name}", summary="One task", responses=responses(404))
def task(here: Here, name: TaskName) -> TaskDetail:
    """A task with its parameters and its README."""
    source = here.folders.names().get(name)
    if source is None:
        known = ", ".join(here.folders.names())
        raise Refused(404, f"there is no task {name!r} here", hint=f"Tasks: {known}.")
    loaded = here.folders.load(name)
    return TaskDetail.model_validate({**_fields(name, loaded, source), "readme": _readme(loaded.folder)})


def _listed(here: Here, name: str, source: Source) -> TaskShape:
    """A line of the list; one broken task must not hide the others."""
    try:
        return TaskShape.model_validate(_fields(name, here.folders.load(name), source))
    except (TaskError, UserError) as error:
        nothing: dict[str, Any] = dict.fromkeys(("description", "metric", "missing_extra", "install"), "")
        unknown: dict[str, Any] = {"direction": "maximize", "target": None, "params": [], "profiles": []}
        return TaskShape.model_validate(
            {**nothing, **unknown, "name": name, "title": name, "source": source, "problem": error.message}
        )


def _fields(name: str, loaded: LoadedTask, source: Source) -> dict[str, Any]:
    spec = loaded.spec
    # A stranger's script asks for its own packages; only the built-in ones name extras of ours.
    extra = _missing_extra(loaded.folder) if source == "built-in" else ""
    return {
        "name": name,
        "title": spec.title or spec.name,
        "description": spec.description,
        "metric": spec.objective.metric,
        "direction": spec.objective.direction,
        "target": spec.objective.target,
        "params": [views.parameter(n, p) for n, p in spec.params.items()],
        "profiles": list(spec.profiles),
        "source": source,
        "missing_extra": extra,
        "install": f"pip install 'tcs-hpt[{extra}]'" if extra else "",
        "problem": "",
    }


@lru_cache
def _missing_extra(folder: Folder) -> str:
    """What a built-in task lacks here; what is installed later is noticed when the service is started again."""
    from tcs_hpt.catalog import load_task

    extra = needed_extra(load_task(folder))
    return extra if extra in missing_extras(requirements()) else ""


def _readme(folder: Folder) -> str:
    """The README of a task; one that is a link, and so may lead anywhere, is left out."""
    try:
        handle = os.open(folder / README, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return ""
        return os.pread(handle, README_BYTES, 0).decode("utf-8", "replace")
    finally:
        os.close(handle)
