"""What dead engines left behind, and what has to be tried again. The rules are those of ARCHITECTURE.md, "Resume"."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Sequence
from datetime import datetime

from tcs_hpt.execution import RunResult
from tcs_hpt.records import Failure, Trial
from tcs_hpt.space import SearchSpace
from tcs_hpt.store import StoredEvent

OUTSIDE = frozenset({-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP})
"""Exit codes of a script that somebody ended, rather than one that fell over."""


def interrupted(trial: Trial) -> Trial:
    """The record of a trial whose engine died before it ended."""
    failure = Failure(
        kind="interrupted", message="The engine ended while this trial was running.", origin="engine"
    )
    return trial.model_copy(update={"state": "interrupted", "failure": failure})


def ended(trial: Trial, result: RunResult) -> Trial:
    """The record of a trial that ended."""
    return trial.model_copy(
        update={
            "state": result.state,
            "value": result.value,
            "metrics": result.metrics,
            "epochs": result.epochs,
            "failure": result.failure,
            "usage": result.usage,
        }
    )


def judged(trial: Trial, trials: Sequence[Trial], space: SearchSpace) -> Trial:
    """A crash by a signal from outside is an interruption once, and a crash the second time.

    Args:
        trial: The record as the executor gave it.
        trials: All trials of the study.
        space: For the identity of configurations.
    """
    if trial.failure is None:
        return trial
    if trial.state == "interrupted":
        person = trial.failure.model_copy(update={"origin": trial.failure.origin or "person"})
        return trial.model_copy(update={"failure": person})
    if trial.failure.kind != "crashed" or trial.usage.exit_code not in OUTSIDE:
        return trial
    if ended_outside_before(trial, trials, space):
        return trial
    failure = Failure(
        kind="interrupted",
        message=f"Something outside ended the script: {trial.failure.message}",
        stderr=trial.failure.stderr,
        origin="outside",
    )
    return trial.model_copy(update={"state": "interrupted", "failure": failure})


def ended_outside_before(trial: Trial, trials: Iterable[Trial], space: SearchSpace) -> bool:
    """Whether something outside ended an earlier trial of the same configuration."""
    key = space.key(trial.config)
    return any(
        t.failure is not None
        and t.failure.origin == "outside"
        and space.key(t.config) == key
        and t.fidelity == trial.fidelity
        for t in trials
    )


def to_retry(trials: Iterable[Trial]) -> Trial | None:
    """The first interrupted trial whose configuration was not started again since."""
    everything = sorted(trials, key=lambda t: t.number)
    again = {t.retry_of for t in everything}
    return next((t for t in everything if t.state == "interrupted" and t.number not in again), None)


def earlier_seconds(events: Iterable[StoredEvent]) -> float:
    """Wall-clock seconds of all earlier runs of a study, from their events; a clock set back counts as nothing."""
    total = 0.0
    began: datetime | None = None
    last: datetime | None = None
    for stored in events:
        at = datetime.fromisoformat(stored.at)
        if stored.event.kind == "study_started":
            if began is not None and last is not None:
                total += max(0.0, (last - began).total_seconds())
            began = at
        last = at
    if began is not None and last is not None:
        total += max(0.0, (last - began).total_seconds())
    return total
