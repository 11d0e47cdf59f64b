"""Studies: the list, a new one, one of them, what a person wants of it, and its end."""

from __future__ import annotations

import threading
from typing import Annotated

from fastapi import APIRouter, Query, Response

from tcs_hpt.errors import UserError
from tcs_hpt.service import views
from tcs_hpt.service.bodies import StudyCreate
from tcs_hpt.service.context import Here, StudyName, printable
from tcs_hpt.service.known import Facts
from tcs_hpt.service.manifests import external_task
from tcs_hpt.service.models import require_allowed
from tcs_hpt.service.planned import planned_study
from tcs_hpt.service.problems import Refused, responses
from tcs_hpt.service.shapes import State, StudyDetail, StudyPage
from tcs_hpt.store import QueueState, Wanted
from tcs_hpt.tuning.launch import enter_study, remove_study

router = APIRouter(prefix="/studies", tags=["studies"])

_PLACES: dict[State, tuple[str, ...]] = {
    "queued": ("queued", "running"),
    "running": ("running", ""),
    "paused": ("paused", "external"),
    "stopped": ("stopped", "external"),
    "finished": ("ended", ""),
    "failed": ("failed",),
    "external": ("external",),
    "idle": ("",),
}
"""Where in the queue a study of a state can be; "" is not in it."""

_entering = threading.Lock()
"""Names made of the time are free until somebody else has one."""


@router.get("", summary="All studies", responses=responses())
def studies(
    here: Here,
    limit: Annotated[int, Query(ge=1, le=200, description="Most studies of the answer.")] = 50,
    after: Annotated[
        str, Query(pattern=r"^\d{0,9}$", description="What `next` of the part before was.")
    ] = "",
    q: Annotated[
        str, Query(max_length=200, description="Text that name, task, title or method contain.")
    ] = "",
    state: Annotated[State | None, Query(description="Only studies in this state.")] = None,
) -> StudyPage:
    """Studies, newest first, also those that were made in a terminal. A part may hold fewer than `limit` though more follow."""
    places = _PLACES[state] if state is not None else ()
    while True:
        page = here.store.study_rows(limit=limit, after=after, query=printable(q), states=places)
        lines = [views.summary(row, here.now()) for row in page.rows]
        items = [line for line in lines if state is None or line.state == state]
        if items or not page.next:
            return StudyPage(items=items, next=page.next or None)
        after = page.next


@router.post(
    "",
    summary="A new study",
    status_code=201,
    responses={
        201: {
            "description": "Entered; a worker takes it when it is its turn.",
            "headers": {"Location": {"description": "The study.", "schema": {"type": "string"}}},
        },
        200: {"description": "What would run (`dry_run`); nothing was entered.", "model": StudyDetail},
        **responses(403, 409, 413, 415),
    },
)
def create(here: Here, body: StudyCreate, response: Response) -> StudyDetail:
    """Enter a study at the end of the queue.

    With `task` a worker trains it. With `manifest` nobody here trains: ask for configurations and tell what came of them. A
    manifest that comes over the network never runs a command.
    """
    if bool(body.task) == (body.manifest is not None):
        raise Refused(
            422,
            "a study needs either `task` or `manifest`, got " + ("both" if body.task else "neither"),
            hint="GET /api/v1/tasks lists the tasks.",
            pointer="/task",
        )
    for field in ("model", "analysis_model", "optimizer_model"):
        require_allowed(getattr(body, field), here.settings, f"/{field}")
    where: QueueState = "queued"
    if body.manifest is not None:
        loaded, where = external_task(body.manifest), "external"
        launch = body.launch(loaded.spec.name)
    else:
        if body.task not in here.folders.names():
            known = ", ".join(here.folders.names())
            raise Refused(
                422, f"there is no task {body.task!r} here", hint=f"Tasks: {known}.", pointer="/task"
            )
        loaded, launch = here.folders.load(body.task), body.launch(body.task)
    if body.dry_run:
        response.status_code = 200
        planned = planned_study(here, launch, loaded, where)
        return views.detail(planned, Facts.of(planned.spec, []), here.now())
    with _entering:
        try:
            spec = enter_study(launch, loaded, here.store, now=here.now(), state=where)
        except UserError as error:
            if launch.name and here.store.has_study(launch.name):
                raise Refused(409, error.message, hint=error.hint, pointer="/name") from error
            raise
    response.headers["Location"] = f"/api/v1/studies/{spec.name}"
    return _detail(here, spec.name)


@router.get("/{name}", summary="One study", responses=responses(404))
def study(here: Here, name: StudyName) -> StudyDetail:
    """A study with everything but its trials."""
    return _detail(here, name)


@router.post(
    "/{name}/pause", summary="Pause a study", status_code=202, responses=responses(403, 404, 409, 413, 415)
)
def pause(here: Here, name: StudyName) -> StudyDetail:
    """End the running trial as interrupted and wait; resuming tries it again. An external study gives out nothing meanwhile."""
    return _want(here, name, "pause")


@router.post(
    "/{name}/resume", summary="Resume a study", status_code=202, responses=responses(403, 404, 409, 413, 415)
)
def resume(here: Here, name: StudyName) -> StudyDetail:
    """Let a study go on that was paused, stopped, or failed: at the end of the queue."""
    return _want(here, name, "run")


@router.post(
    "/{name}/stop", summary="Stop a study", status_code=202, responses=responses(403, 404, 409, 413, 415)
)
def stop(here: Here, name: StudyName) -> StudyDetail:
    """End the running trial as interrupted and the study with it. What it found stays."""
    return _want(here, name, "stop")


def _want(here: Here, name: str, wanted: Wanted) -> StudyDetail:
    here.shelf.row(name)
    here.store.want(name, wanted, now=here.now())
    return _detail(here, name)


def _detail(here: Here, name: str) -> StudyDetail:
    study = here.shelf.study(name)
    return views.detail(study, here.shelf.facts(study), here.now())


@router.delete("/{name}", summary="Delete a study", status_code=204, responses=responses(403, 404, 409, 413))
def delete(here: Here, name: StudyName) -> None:
    """Delete a study with its records and its files. It must not be running; stop an external one first if somebody trains."""
    entry = here.shelf.row(name).entry
    with here.desks.closed_for(name):
        if entry is not None and entry.state == "external" and entry.wanted == "stop":
            here.desks.at(entry).abandon()
        remove_study(here.store, name)
