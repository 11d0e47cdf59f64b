"""What a study and a trial are as MLflow runs. Pure: nothing here knows MLflow's client.

Names with a slash are ours (`tcs_hpt/score`, `final/val_accuracy`), which a script's metrics cannot have.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, NamedTuple, TypeAlias

from tcs_hpt.records import Trial, TrialState, incumbent, score
from tcs_hpt.report.tables import exact
from tcs_hpt.spec import StudySpec

Status: TypeAlias = Literal["RUNNING", "FINISHED", "FAILED", "KILLED"]

STATUS: Mapping[TrialState, Status] = {
    "running": "RUNNING",
    "finished": "FINISHED",
    "failed": "FAILED",
    "interrupted": "KILLED",
}
FORM = 1
"""Raised when runs look different, so that an export writes them anew."""
LONGEST = 5000
"""Characters of a text: what MLflow servers of all versions keep of a tag."""

STUDY, CREATED, TRIAL, DIGEST, EPOCHS = (
    f"tcs_hpt.{name}" for name in ("study", "created", "trial", "digest", "epochs")
)
"""Tags by which a later export finds a run and what of it is there already."""


class Point(NamedTuple):
    """One value of a metric."""

    name: str
    value: float
    milliseconds: int
    step: int


@dataclass(frozen=True)
class Run:
    """A run as it shall be."""

    name: str
    status: Status
    started: int
    """Milliseconds since 1970."""
    ended: int
    parameters: dict[str, str]
    tags: dict[str, str]
    epochs: tuple[tuple[Point, ...], ...]
    """Values by epoch, in the order in which they were reported; a later export adds those that are new."""
    final: tuple[Point, ...]
    """Values that are there once the run has ended."""


def study_run(study: StudySpec, trials: Sequence[Trial], *, created: str, version: str, now: datetime) -> Run:
    """The run above the trials' runs; its steps are trials.

    Args:
        study: The study.
        trials: Its trials by number.
        created: When it was created, ISO 8601.
        version: Of tcs_hpt.
        now: Start of what has no time of its own.
    """
    objective = study.task.objective
    best = incumbent(trials, objective)
    running = any(t.state == "running" for t in trials)
    models = list(dict.fromkeys(call.model for t in trials for call in t.proposal.calls))
    tags = {
        STUDY: study.name,
        CREATED: created,
        "tcs_hpt.kind": "study",
        "tcs_hpt.version": version,
        "tcs_hpt.budget": str(study.trials),
        "tcs_hpt.model": ", ".join(models),
        "tcs_hpt.prompts": ", ".join(_prompts(trials)),
        "tcs_hpt.description": study.description,
        "tcs_hpt.comparison": study.comparison,
        "mlflow.note.content": "\n\n".join(filter(None, (study.task.description, study.description))),
    }
    if best is not None:
        tags |= {"tcs_hpt.best_trial": str(best.number), "tcs_hpt.best_config": json.dumps(best.config)}
    parameters = {
        "task": study.task.name,
        "profile": study.profile or "",
        "method": study.method,
        "start": study.start,
        "seed": str(study.seed),
        "metric": objective.metric,
        "direction": objective.direction,
    }
    return Run(
        name=study.name,
        status="RUNNING" if running else "FINISHED",
        started=_milliseconds(_time(created, now)),
        ended=max((_milliseconds(_end(t, now)) for t in trials), default=_milliseconds(_time(created, now))),
        parameters=parameters,
        tags=_texts(tags),
        epochs=tuple(_progress(study, trials, now)),
        final=(),
    )


def _progress(study: StudySpec, trials: Iterable[Trial], now: datetime) -> Iterable[tuple[Point, ...]]:
    """The score and the best score so far, up to the first trial that still runs: it may yet be the best.

    Without trials that had fewer epochs than all: their scores are of another kind.
    """
    seen: list[Trial] = []
    for trial in trials:
        if trial.state == "running":
            return
        seen.append(trial)
        best = incumbent(seen, study.task.objective)
        if trial.state == "finished" and trial.value is not None and not trial.partial and best is not None:
            when = _milliseconds(_end(trial, now))
            yield (
                Point("tcs_hpt/score", trial.value, when, trial.number),
                Point("tcs_hpt/best_score", score(best), when, trial.number),
            )


def trial_run(
    study: StudySpec, trial: Trial, *, version: str, now: datetime, reported: Mapping[int, datetime]
) -> Run:
    """The run of one trial; its steps are epochs.

    Args:
        study: The study.
        trial: The trial.
        version: Of tcs_hpt.
        now: Start of what has no time of its own.
        reported: When each epoch was reported, by its number; times of others are spread over the trial's.
    """
    proposal, failure = trial.proposal, trial.failure
    analysis = proposal.analysis
    tags = {
        TRIAL: str(trial.number),
        DIGEST: _digest(study, trial, version),
        EPOCHS: str(len(trial.epochs)),
        STUDY: study.name,
        "tcs_hpt.kind": "trial",
        "tcs_hpt.version": version,
        "tcs_hpt.task": study.task.name,
        "tcs_hpt.method": study.method,
        "tcs_hpt.seed": str(trial.seed),
        "tcs_hpt.state": trial.state,
        "tcs_hpt.source": proposal.source,
        "tcs_hpt.change": proposal.change,
        "tcs_hpt.promoted_from": "" if trial.promoted_from is None else str(trial.promoted_from),
        "tcs_hpt.base_trial": "" if proposal.base_trial is None else str(proposal.base_trial),
        "tcs_hpt.model": ", ".join(dict.fromkeys(call.model for call in proposal.calls)),
        "tcs_hpt.prompts": ", ".join(_prompts([trial])),
        "tcs_hpt.diagnosis": analysis.problem_diagnosis if analysis else "",
        "tcs_hpt.recommendation": analysis.specific_recommendation if analysis else "",
        "tcs_hpt.expected": (analysis.expected_outcome or "") if analysis else "",
        "tcs_hpt.reasoning": analysis.reasoning if analysis else "",
        "tcs_hpt.reason": proposal.reason,
        "tcs_hpt.fallback": proposal.fallback,
        "tcs_hpt.failure": failure.kind if failure else "",
        "tcs_hpt.failure_message": failure.message if failure else "",
        "mlflow.note.content": _note(trial),
    }
    when = [_milliseconds(at) for at in _epoch_times(trial, now, reported)]
    epochs = tuple(
        tuple(
            # MLflow shows NaN as such; that it was infinity is not recorded.
            Point(name, math.nan if value is None else value, at, epoch.epoch)
            for name, value in epoch.metrics.items()
        )
        for at, epoch in zip(when, trial.epochs, strict=True)
    )
    ended = _milliseconds(_end(trial, now))
    return Run(
        name=f"trial {trial.number}",
        status=STATUS[trial.state],
        started=_milliseconds(_time(trial.started_at, now)),
        ended=ended,
        parameters={
            name: exact(value)
            for name, value in {**study.task_at(trial.fidelity).fixed, **trial.config}.items()
        },
        tags=_texts(tags),
        epochs=epochs,
        final=tuple(_final(trial, ended)) if trial.state != "running" else (),
    )


def _final(trial: Trial, ended: int) -> Iterable[Point]:
    for name, value in trial.metrics.items():
        yield Point(f"final/{name}", math.nan if value is None else value, ended, 0)
    if trial.value is not None:
        yield Point("tcs_hpt/score", trial.value, ended, 0)
    yield Point("tcs_hpt/wall_seconds", trial.usage.wall_seconds, ended, 0)
    yield Point("tcs_hpt/peak_memory_mb", trial.usage.peak_memory_mb, ended, 0)
    yield Point("tcs_hpt/thinking_seconds", trial.proposal.seconds, ended, 0)


def _note(trial: Trial) -> str:
    """What MLflow shows at the head of the run, in Markdown."""
    proposal = trial.proposal
    parts = [f"`{proposal.change}`" if proposal.change else "", proposal.reason]
    if proposal.analysis:
        parts.insert(0, proposal.analysis.problem_diagnosis)
    return "\n\n".join(filter(None, parts))


def _prompts(trials: Iterable[Trial]) -> list[str]:
    used = (call for t in trials for call in t.proposal.calls)
    return list(dict.fromkeys(f"{call.template} {call.template_sha256[:12]}" for call in used))


def _digest(study: StudySpec, trial: Trial, version: str) -> str:
    """Differs when anything of the run does. Of the study: what trials' runs repeat, not its budgets."""
    parts = (FORM, version, study.method, dict(study.task.fixed), trial.model_dump())
    return hashlib.sha256(json.dumps(parts, default=repr).encode()).hexdigest()


def _texts(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags that hold something, as any server takes them."""
    clean = {name: _storable(text) for name, text in tags.items() if text}
    return {n: t if len(t) <= LONGEST else f"{t[: LONGEST - 4]} ..." for n, t in clean.items()}


def _storable(text: str) -> str:
    # A model or a script may have written lone surrogates, which no encoding has, and NUL, which PostgreSQL refuses.
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def _time(written: str, otherwise: datetime) -> datetime:
    return datetime.fromisoformat(written) if written else otherwise


def _end(trial: Trial, now: datetime) -> datetime:
    return _time(trial.started_at, now) + timedelta(seconds=trial.usage.wall_seconds)


def _epoch_times(trial: Trial, now: datetime, reported: Mapping[int, datetime]) -> list[datetime]:
    start, seconds, count = _time(trial.started_at, now), trial.usage.wall_seconds, len(trial.epochs)
    return [
        reported.get(epoch.epoch, start + timedelta(seconds=seconds * place / count))
        for place, epoch in enumerate(trial.epochs, start=1)
    ]


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
