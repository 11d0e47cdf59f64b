"""What happens in studies, as pages and as streams (server-sent events)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent

from tcs_hpt.errors import StoreError, TcsHptError, UserError
from tcs_hpt.service import views
from tcs_hpt.service.context import MOST, Here, StudyName
from tcs_hpt.service.problems import responses
from tcs_hpt.service.pulse import EVERYTHING, Versions
from tcs_hpt.service.shapes import EventPage, EventShape, StudyChange
from tcs_hpt.store import StoredEvent, StudyRow

router = APIRouter(tags=["events"])

AT_ONCE = 200
"""Events read at one go."""

After = Annotated[int, Query(ge=0, le=MOST, description="The newest event that you know, by its number.")]


@router.get(
    "/studies/{name}/events.json",
    summary="What happened in a study",
    responses=responses(404),
)
def events(
    here: Here,
    name: StudyName,
    after: After = 0,
    limit: Annotated[int, Query(ge=1, le=1000, description="Most events of the answer.")] = 100,
) -> EventPage:
    """Events in the order in which they happened. Test metrics are left out."""
    here.shelf.row(name)
    found = here.store.events(name, after, limit=limit + 1)
    shown = [views.event(stored) for stored in found[:limit]]
    return EventPage(items=shown, next=shown[-1].seq if len(found) > limit else None)


def _existing(here: Here, name: StudyName) -> StudyRow:
    """Found before the stream begins, while the answer can still be a 404."""
    return here.shelf.row(name)


async def _seen(
    after: After = 0,
    last_event_id: Annotated[
        str, Header(description="The last event that was seen; goes before `after`.", max_length=20)
    ] = "",
) -> int:
    text = last_event_id.strip()
    return min(int(text), MOST) if text.isascii() and text.isdigit() else after


@router.get(
    "/studies/{name}/events",
    summary="Follow a study",
    response_class=EventSourceResponse,
    responses=responses(404),
)
async def follow(
    here: Here, row: Annotated[StudyRow, Depends(_existing)], seen: Annotated[int, Depends(_seen)]
) -> AsyncIterator[ServerSentEvent]:
    """A stream of events: first those after `Last-Event-ID` (or `after`), then each as it happens.

    `id` is the event's number, `event` its kind, `data` the same object as an item of `events.json`. It ends once the study
    has ended and is no longer in the queue to run; a comment every 15 seconds keeps it open.
    """
    name = row.name
    async with here.pulse.listening(name) as changed:
        while not here.pulse.closed:
            changed.clear()
            try:
                found = await anyio.to_thread.run_sync(_read, here, name, seen)
            except (UserError, StoreError):  # it was deleted, or cannot be read now: who wants it asks again
                return
            for stored, shape in found:
                seen = stored.seq
                yield ServerSentEvent(id=str(stored.seq), event=shape.kind, data=shape)
            if len(found) == AT_ONCE:
                continue
            if await anyio.to_thread.run_sync(_is_over, here, name, seen):
                return
            await changed.wait()


def _read(here: Here, name: str, after: int) -> list[tuple[StoredEvent, EventShape]]:
    return [(stored, views.event(stored)) for stored in here.store.events(name, after, limit=AT_ONCE)]


def _is_over(here: Here, name: str, seen: int) -> bool:
    """Whether the last event was the study's end, and nobody is going to go on."""
    try:
        study = here.shelf.study(name)
    except TcsHptError:
        return True
    shown = views.state(study.row, here.now())
    return study.ended is not None and study.newest <= seen and shown not in _GOING_ON


_GOING_ON = ("queued", "running", "external")


def _baseline(here: Here) -> Versions:
    """How things stand before the stream begins, so that no change falls between a list that is read now and the stream."""
    return here.pulse.look([EVERYTHING])


@router.get(
    "/events",
    summary="Follow all studies",
    response_class=EventSourceResponse,
    responses=responses(),
)
async def follow_all(
    here: Here, known: Annotated[Versions, Depends(_baseline)]
) -> AsyncIterator[ServerSentEvent]:
    """A stream that names every study in which something has changed since it began, with its line of the list.

    `event` is `study`, `data` is `{"study": NAME, "summary": StudySummary}`; `summary` is null for a study that was deleted. Nothing is
    replayed: read the list once more after a break.
    """
    async with here.pulse.listening() as changed:
        while True:
            await changed.wait()
            if here.pulse.closed:
                return
            changed.clear()
            now = here.pulse.versions
            names = [n for n in {**known, **now} if known.get(n) != now.get(n)]
            known = now
            try:
                changes = await anyio.to_thread.run_sync(_changes, here, names)
            except StoreError:
                return
            for change in changes:
                yield ServerSentEvent(event="study", data=change)


def _changes(here: Here, names: list[str]) -> list[StudyChange]:
    found = []
    for name in names:
        page = here.store.study_rows(limit=1, name=name)
        line = views.summary(page.rows[0], here.now()) if page.rows else None
        found.append(StudyChange(study=name, summary=line))
    return found
