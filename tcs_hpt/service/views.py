"""Records to what the API says. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from tcs_hpt.records import Metrics, Trial, by_number, measured_outcome
from tcs_hpt.report.live import STOPPED
from tcs_hpt.service.known import Facts, KnownStudy
from tcs_hpt.service.shapes import (
    Action,
    EventShape,
    ParameterShape,
    Prediction,
    Seconds,
    State,
    StudyDetail,
    StudySummary,
)
from tcs_hpt.service.trial_shapes import (
    AnalysisShape,
    CallMessage,
    Calls,
    CallShape,
    CurvePoint,
    FailureShape,
    GuardDecision,
    LogTail,
    RejectedShape,
    TrialStory,
    TrialSummary,
    UsageShape,
)
from tcs_hpt.spec import ParameterSpec
from tcs_hpt.store import QueueEntry, StoredEvent, StudyRow, Wanted

HIDDEN = "test_"
"""What a metric begins with that nobody shall tune on."""


def parameter(name: str, spec: ParameterSpec) -> ParameterShape:
    """A hyperparameter."""
    return ParameterShape.model_validate({"name": name, **spec.model_dump()})


# -- studies ------------------------------------------------------------------------------------------------


def state(row: StudyRow, now: float) -> State:
    """In which state a study is, for people.

    Args:
        row: The study.
        now: Seconds since 1970, UTC.
    """
    entry = row.entry
    if entry is None:
        if row.engine_until > now:
            return "running"
        return "finished" if row.done >= row.trials else "idle"
    if entry.state == "ended":
        return "finished"
    if entry.state == "external":
        wishes: dict[Wanted, State] = {"run": "external", "pause": "paused", "stop": "stopped"}
        return wishes[entry.wanted]
    if entry.state == "running" and not entry.live(now):
        return "queued"  # its worker is gone, and the next one takes it
    return entry.state


def actions(row: StudyRow, now: float) -> list[Action]:
    """What a person may want of a study now."""
    shown, entry = state(row, now), row.entry
    busy = row.engine_until > now
    if shown == "running":
        if entry is None:
            return []
        wishes: dict[Wanted, list[Action]] = {
            "run": ["pause", "stop"],
            "pause": ["resume", "stop"],
            "stop": ["resume"],
        }
        return wishes[entry.wanted]
    possible: dict[State, list[Action]] = {
        "queued": ["pause", "stop", "delete"],
        "paused": ["resume", "stop", "delete"],
        "stopped": ["resume", "delete"],
        "failed": ["resume", "delete"],
        "finished": ["delete"],
        "external": ["pause", "stop", "delete"],
        "idle": ["delete"],
    }
    if not busy or (shown == "stopped" and entry is not None and entry.state == "external"):
        return possible[shown]
    return [action for action in possible[shown] if action != "delete"]


def message(entry: QueueEntry | None) -> str:
    """Why a study ended or failed, in a sentence; empty when there is nothing to say."""
    if entry is None or entry.message == "interrupted":  # by the person who paused it, or with its worker
        return ""
    return STOPPED.get(entry.message, entry.message)


def summary(row: StudyRow, now: float) -> StudySummary:
    """One line of the list."""
    return StudySummary.model_validate(_summary(row, now))


def _summary(row: StudyRow, now: float) -> dict[str, Any]:
    return {
        "name": row.name,
        "task": row.task,
        "title": row.title or row.task,
        "method": row.method,
        "model": row.model,
        "state": state(row, now),
        "metric": row.metric,
        "direction": row.direction,
        "target": row.target,
        "best": row.best,
        "best_trial": row.best_trial,
        "trend": list(row.trend),
        "trials_done": row.done,
        "trials_total": row.trials,
        "failures": row.failed,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "message": message(row.entry),
    }


def is_over(study: KnownStudy, now: float) -> bool:
    """Whether the test metrics of the best trial may be seen: nobody can tune on them any more."""
    return study.over or state(study.row, now) in ("finished", "stopped")


def detail(study: KnownStudy, facts: Facts, now: float) -> StudyDetail:
    """A study with everything but its trials.

    Args:
        study: The study.
        facts: What its trials amount to.
        now: Seconds since 1970, UTC.
    """
    row, spec = study.row, study.spec
    entry = row.entry
    return StudyDetail.model_validate(
        {
            **_summary(row, now),
            "start": spec.start,
            "seed": spec.seed,
            "profile": spec.profile,
            "description": spec.description,
            "params": [parameter(name, p) for name, p in spec.task.params.items()],
            "fixed": dict(spec.task.fixed),
            "best_config": facts.best_config,
            "best_test": facts.best_test if facts.best is not None and is_over(study, now) else None,
            "start_value": facts.start_value,
            "prediction": Prediction(right=facts.hits, judged=facts.judged) if facts.judged else None,
            "seconds": Seconds(thinking=facts.thinking_seconds, training=facts.training_seconds),
            "actions": actions(row, now),
            "external": entry is not None and entry.state == "external",
            "last_event": row.last_event,
            "worker": entry.worker if entry is not None else "",
            "device": entry.device if entry is not None else "",
            "model_reason": study.model_reason,
        }
    )


# -- trials -------------------------------------------------------------------------------------------------


def trial_summaries(
    study: KnownStudy, trials: Sequence[Trial], bases: Sequence[Trial], epochs: Mapping[int, int]
) -> list[TrialSummary]:
    """Some trials of a study, as lines of a list.

    Args:
        study: The study.
        trials: Which.
        bases: The trials that these are measured against; more do no harm.
        epochs: How many epochs each has reported; 0 where it is not named.
    """
    known = by_number(bases)
    return [TrialSummary.model_validate(_trial(study, t, known, epochs.get(t.number, 0))) for t in trials]


def _trial(study: KnownStudy, trial: Trial, bases: Mapping[int, Trial], epochs: int) -> dict[str, Any]:
    proposal, failure = trial.proposal, trial.failure
    return {
        "number": trial.number,
        "state": trial.state,
        "value": trial.value,
        "config": dict(trial.config),
        "source": proposal.source,
        "change": proposal.change,
        "base_trial": proposal.base_trial,
        "expected": proposal.analysis.expected_outcome if proposal.analysis is not None else None,
        "actual": measured_outcome(trial, bases, study.spec.task.objective),
        "failure": FailureShape(kind=failure.kind, message=failure.message) if failure is not None else None,
        "seconds": trial.usage.wall_seconds,
        "epochs": epochs,
        "stopped_early": trial.stopped_early,
        "is_best": trial.number == study.row.best_trial,
        "fidelity": trial.fidelity,
        "promoted_from": trial.promoted_from,
    }


def trial_story(
    study: KnownStudy, trial: Trial, bases: Sequence[Trial], log_tail: LogTail | None, now: float
) -> TrialStory:
    """Everything about one trial.

    Args:
        study: Its study.
        trial: The whole trial.
        bases: The trial that it is measured against, if there is one.
        log_tail: The end of what its script printed.
        now: Seconds since 1970, UTC.
    """
    proposal = trial.proposal
    shown = trial.number == study.row.best_trial and is_over(study, now)
    return TrialStory.model_validate(
        {
            **_trial(study, trial, by_number(bases), len(trial.epochs)),
            "report": proposal.report,
            "analysis": _analysis(trial),
            "options": list(proposal.options),
            "reason": proposal.reason,
            "deviation": proposal.deviation,
            "fallback": proposal.fallback,
            "decision": GuardDecision(
                accepted=proposal.decision.accepted, reasons=list(proposal.decision.reasons)
            ),
            "rejected": [
                RejectedShape(attempt=r.attempt, config=dict(r.config), reasons=list(r.reasons))
                for r in proposal.rejected
            ],
            "metrics": _visible(trial.metrics, everything=shown),
            "curve": [
                CurvePoint(epoch=e.epoch, metrics=_visible(e.metrics, everything=shown)) for e in trial.epochs
            ],
            "usage": UsageShape(
                wall_seconds=trial.usage.wall_seconds,
                cpu_seconds=trial.usage.cpu_seconds,
                peak_memory_mb=trial.usage.peak_memory_mb,
                gpu_seconds=trial.usage.gpu_seconds,
                gpu_memory_mb=trial.usage.gpu_memory_mb,
            ),
            "log_tail": log_tail,
            "started_at": trial.started_at or None,
            "thinking_seconds": proposal.seconds,
            "calls": len(proposal.calls),
        }
    )


def _analysis(trial: Trial) -> AnalysisShape | None:
    analysis = trial.proposal.analysis
    if analysis is None:
        return None
    return AnalysisShape.model_validate(
        {**analysis.model_dump(), "impact_assessment": dict(analysis.impact_assessment)}
    )


def _visible(metrics: Metrics, *, everything: bool) -> Metrics:
    return {n: v for n, v in metrics.items() if everything or not n.startswith(HIDDEN)}


def calls(trial: Trial) -> Calls:
    """The requests to a language model for a trial."""
    return Calls(
        items=[
            CallShape(
                role=call.role,
                model=call.model,
                template=call.template,
                messages=[CallMessage(role=m.role, content=m.content) for m in call.messages],
                reply=call.reply,
                thoughts=call.thoughts,
                prompt_tokens=call.prompt_tokens,
                completion_tokens=call.completion_tokens,
                seconds=call.seconds,
                seed=call.seed,
                temperature=call.temperature,
                attempt=call.attempt,
                problems=list(call.problems),
            )
            for call in trial.proposal.calls
        ]
    )


# -- events -------------------------------------------------------------------------------------------------


def event(stored: StoredEvent) -> EventShape:
    """An event. Test metrics and the script's environment, which may hold secrets, stay here."""
    fields = stored.event.model_dump(by_alias=True)
    if "epoch" in fields and isinstance(fields["epoch"], dict):
        _hide_test(fields["epoch"])
    if "trial" in fields:
        _hide_test(fields["trial"])
    if "study" in fields:
        fields["study"]["task"]["env"] = {}
    return EventShape(seq=stored.seq, at=at(stored.at), kind=stored.event.kind, event=fields)


def _hide_test(record: dict[str, Any]) -> None:
    """Take the test metrics out of an epoch or a trial."""
    record["metrics"] = {n: v for n, v in record["metrics"].items() if not n.startswith(HIDDEN)}
    if "non_finite" in record:
        record["non_finite"] = [n for n in record["non_finite"] if not n.startswith(HIDDEN)]


def at(text: str) -> datetime:
    """A time as records write it; one without a zone is UTC."""
    time = datetime.fromisoformat(text)
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)
