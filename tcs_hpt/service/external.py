"""Ask and tell: external studies, whose trials somebody else trains."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated

import anyio.to_thread
from fastapi import APIRouter, Depends

from tcs_hpt.errors import UserError
from tcs_hpt.loop import Told
from tcs_hpt.records import Trial
from tcs_hpt.report.live import STOPPED
from tcs_hpt.service.bodies import AskBody, EpochBody, TellBody
from tcs_hpt.service.context import Here, StudyName, TrialNumber
from tcs_hpt.service.problems import Refused, responses
from tcs_hpt.service.shapes import Number, Shape, Text, Value
from tcs_hpt.service.trial_shapes import TrialStory
from tcs_hpt.service.trials import story
from tcs_hpt.store import LeaseLost, QueueEntry, WrongState

router = APIRouter(prefix="/studies/{name}", tags=["ask and tell"])

RETRY_SECONDS = 5


class Given(Shape):
    """A configuration to train."""

    trial: int
    """Its number; tell what came of it under this number."""
    config: dict[str, Value]
    """The tuned parameters and their values."""
    fixed: dict[str, Value]
    """What else belongs to the task and is not tuned."""
    seed: int
    """For the training."""
    lease_seconds: Number
    """Without a word of you for so long, somebody else gets the configuration."""
    reason: Text
    """Why this one."""


class Verdict(Shape):
    """Whether to go on."""

    should_stop: bool
    reason: Text
    """Why to stop; empty to go on."""


def _external(here: Here, name: StudyName) -> QueueEntry:
    """The entry of a study whose trials are asked for and told; one that has ended may be told late."""
    entry = here.shelf.row(name).entry
    if entry is None or entry.state not in ("external", "ended"):
        raise Refused(
            409,
            f"the trials of study {name!r} are trained by the service itself",
            hint="Enter a study with `manifest` in place of `task` to train its trials elsewhere.",
        )
    return entry


External = Annotated[QueueEntry, Depends(_external)]


@router.post(
    "/ask",
    summary="The next configuration",
    status_code=201,
    responses={
        201: {"description": "Train this, report its epochs if you like, and tell what came of it."},
        **responses(403, 404, 409, 410, 413, 415),
        409: {
            **responses(409)[409],
            "description": "Nothing can be given out now: what is left of the budget is being trained, the study is paused, or "
            "another configuration is being worked out. Ask again after `Retry-After` seconds.",
            "headers": {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer"}}},
        },
    },
)
async def ask(here: Here, entry: External, body: AskBody | None = None) -> Given:
    """Ask for a configuration. Takes as long as the study's method thinks: milliseconds, or a minute with a large model."""
    name = entry.name
    if entry.state == "ended" or entry.wanted == "stop":
        said = STOPPED.get(entry.message, entry.message) if entry.state == "ended" else "It was stopped."
        raise Refused(410, f"study {name!r} is over. {said}".strip(), hint="What it found stays.")
    if entry.wanted == "pause":
        raise _not_now(f"study {name!r} is paused", "Resume it, or ask again later.")
    seconds = (body or AskBody()).lease_seconds
    found = await anyio.to_thread.run_sync(
        partial(here.desks.ask, entry, seconds), limiter=here.desks.limiter
    )
    if found is None:
        raise _not_now(
            f"study {name!r} has nothing to give out now: what is left of its budget is being trained, or a configuration is "
            "being worked out",
            "Ask again later.",
        )
    if not isinstance(found, Trial):
        raise Refused(410, f"study {name!r} is over. {STOPPED[found]}", hint="What it found stays.")
    fixed = dict(here.desks.at(entry).task_of(found).fixed)
    return Given(
        trial=found.number,
        config=dict(found.config),
        fixed=fixed,
        seed=found.seed,
        lease_seconds=seconds,
        reason=found.proposal.reason,
    )


@router.post(
    "/trials/{number}/epochs",
    summary="Report an epoch",
    responses=responses(403, 404, 409, 413, 415),
)
def report_epoch(here: Here, entry: External, number: TrialNumber, body: EpochBody) -> Verdict:
    """Report one epoch of a running trial, and hear whether the rest is worth its time. Renews the lease; the same epoch twice is one."""
    with _known_trial():
        reason = here.desks.at(entry).report(number, body.epoch, body.metrics)
    if not reason and entry.wanted == "stop":
        reason = "the study was stopped"
    return Verdict(should_stop=bool(reason), reason=reason)


@router.post(
    "/trials/{number}/tell",
    summary="Tell how a trial ended",
    responses=responses(403, 404, 409, 413, 415),
)
def tell(here: Here, entry: External, number: TrialNumber, body: TellBody) -> TrialStory:
    """Tell the final metrics of a trial, or why there are none. The same words twice are answered alike, others with 409."""
    if (body.metrics is None) == (body.failure is None):
        raise Refused(
            422,
            "tell either `metrics` or `failure`, got " + ("neither" if body.metrics is None else "both"),
            hint='For example {"metrics": {"val_accuracy": 0.83}}.',
            pointer="/metrics",
        )
    failure = body.failure
    told = Told(
        metrics=body.metrics,
        failure=failure.kind if failure is not None else None,
        message=failure.message if failure is not None else "",
    )
    with _known_trial():
        here.desks.at(entry).tell(number, told)
    return story(here, entry.name, number)


@contextmanager
def _known_trial() -> Iterator[None]:
    """A trial that does not exist is a 404."""
    try:
        yield
    except (WrongState, LeaseLost):
        raise
    except UserError as error:
        raise Refused(404, error.message, hint=error.hint) from error


def _not_now(message: str, hint: str) -> Refused:
    return Refused(409, message, hint=hint, headers={"Retry-After": str(RETRY_SECONDS)})
