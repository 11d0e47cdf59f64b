"""What a study amounts to: start against best, the path between them, who proposed, what it cost, what went wrong.

Pure: everything is computed from a `StudySpec` and its `Trial`s, in any order.
"""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tcs_hpt.execution.isolated import FUNCTION
from tcs_hpt.records import (
    Analysis,
    FailureKind,
    Metrics,
    Outcome,
    Proposal,
    Size,
    Trial,
    by_number,
    effect,
    incumbent,
    measured_outcome,
    measured_size,
    ordered,
    origin,
)
from tcs_hpt.spec import Objective, Scalar, StudySpec, same_scalar

K = TypeVar("K", bound=str)


@dataclass(frozen=True)
class Step:
    """One accepted change on the way from the start to the best trial."""

    number: int
    change: str
    reason: str
    source: str
    base_trial: int
    value: float | None
    effect: float | None
    """Improvement over the base in the metric's unit; positive is better, None when one of them failed."""


@dataclass(frozen=True)
class Prediction:
    """What the analysis expected of the change that was then tried, and what happened."""

    number: int
    expected: Outcome
    measured: Outcome
    expected_size: Size | None = None
    """None where the analysis was not asked."""
    measured_size: Size | None = None

    @property
    def hit(self) -> bool:
        """Whether the analysis was right."""
        return self.expected == self.measured

    @property
    def size_hit(self) -> bool | None:
        """Whether it was as large as expected; None where the analysis did not say."""
        return None if self.expected_size is None else self.expected_size == self.measured_size


@dataclass(frozen=True)
class ConfigRow:
    """One parameter at the start and in the best trial."""

    name: str
    start: Scalar | None
    """None where the parameter is not active."""
    best: Scalar | None
    changed: bool


@dataclass(frozen=True)
class StudySummary:
    """The facts of a study. Trial counts leave interrupted trials out; costs include them."""

    trials: int
    """Trials that consumed budget."""
    interrupted: int
    configurations: int
    """Different ones; fewer than trials where some were trained again with more epochs."""
    first: Trial | None
    """The start: the first trial that consumed budget, whatever became of it; the first with all epochs where others had fewer."""
    best: Trial | None
    gain: float | None
    """Improvement of the best over the start in the metric's unit; None when either has no score."""
    path: tuple[Step, ...]
    """From the earliest change to the best trial; empty when the best is a start or was chosen as a whole.

    Where it had fewer epochs first, the values are those: its path was chosen by them."""
    sources: Mapping[str, int]
    """Trials by who proposed them."""
    fallbacks: Mapping[str, tuple[int, ...]]
    """Numbers of trials that somebody else had to propose, by reason."""
    analysis_fallbacks: Mapping[str, tuple[int, ...]]
    """Numbers of trials whose analysis is the deterministic diagnosis, by why the agent's could not be used."""
    rejected: int
    """Attempts that did not become a trial."""
    failures: Mapping[FailureKind, tuple[int, ...]]
    """Numbers of failed trials, by kind."""
    early: int
    """Trials with a score that were given fewer epochs than the full number."""
    infeasible: tuple[int, ...]
    """Numbers of trials with a score that break the objective's bounds."""
    calls: int
    """Requests to a language model."""
    repairs: int
    """Those of them that asked again because the first answer could not be used."""
    prompt_tokens: int
    completion_tokens: int
    thinking_seconds: float
    """Wall-clock time of all proposals."""
    model_seconds: float
    """Those of them in which a language model answered."""
    thinking_cpu_seconds: float | None
    """Processor time of the engine's process in them; None where a proposal did not count it."""
    thinking_gpu_seconds: float
    """Time in which GPUs computed in them; 0 where nobody counted."""
    thinking_gpu_joules: float
    """Energy of those GPUs, where they count it."""
    model_memory_mb: float | None
    """The most that a language model held; None where none was asked, or none knew."""
    training_seconds: float
    """Wall-clock time of all trials."""
    training_cpu_seconds: float
    """Processor time of all trials."""
    training_gpu_seconds: float
    """Time in which GPUs computed for trials; 0 where nobody counted."""
    training_gpu_joules: float
    """Energy of those GPUs, where they count it."""
    peak_memory_mb: float
    """Of the largest trial."""
    analyses: int
    """Changes that the method's own optimizer chose with an analysis to follow."""
    deviations: tuple[int, ...]
    """Numbers of trials whose proposal departed from its analysis."""
    predictions: tuple[Prediction, ...]
    """Expected against measured outcomes, wherever both are known."""
    test_metrics: Metrics
    """The best trial's metrics that no proposer ever saw."""

    @property
    def hits(self) -> int:
        """How many predictions were right."""
        return sum(p.hit for p in self.predictions)

    @property
    def hit_rate(self) -> float | None:
        """Share of right predictions; None without any."""
        return self.hits / len(self.predictions) if self.predictions else None

    @property
    def improved(self) -> bool:
        """Whether a later trial beat the start."""
        return self.gain is not None and self.gain > 0


def prediction(trial: Trial, trials: Mapping[int, Trial], objective: Objective) -> Prediction | None:
    """The agents' prediction for a trial, checked; None when there is nothing to check.

    A prediction counts only if it is the agents' own and speaks of the change that was tried: not when the
    optimizer departed from the analysis, when somebody else proposed, or when the diagnosis stood in.
    """
    proposal = trial.proposal
    if proposal.analysis is None or proposal.analysis.by != "agents":
        return None
    if proposal.deviation or proposal.fallback:
        return None
    expected = proposal.analysis.expected_outcome
    measured = measured_outcome(trial, trials, objective)
    if expected is None or measured is None:
        return None
    sizes = proposal.analysis.expected_size, measured_size(trial, trials, objective)
    return Prediction(trial.number, expected, measured, *sizes)


def path_to(trial: Trial, trials: Mapping[int, Trial], objective: Objective) -> tuple[Step, ...]:
    """The changes that led to a trial, earliest first, found by following `base_trial` back."""
    steps: list[Step] = []
    seen: set[int] = set()
    here: Trial | None = trial
    while here is not None and here.proposal.base_trial is not None and here.number not in seen:
        seen.add(here.number)
        proposal = here.proposal
        base = here.proposal.base_trial
        steps.append(
            Step(
                here.number,
                proposal.change,
                proposal.reason,
                proposal.source,
                base,
                here.value,
                effect(here, trials, objective),
            )
        )
        here = trials.get(base)
    return tuple(reversed(steps))


def compare_configs(study: StudySpec, start: Trial | None, best: Trial) -> tuple[ConfigRow, ...]:
    """Every parameter that is active at the start or in the best trial, in the task's order."""
    old = dict(start.config) if start is not None else {}
    names = [n for n in study.task.params if n in old or n in best.config]
    names += [n for n in {**old, **best.config} if n not in study.task.params]
    rows = []
    for name in names:
        a, b = old.get(name), best.config.get(name)
        changed = start is not None and not same_scalar(a, b)
        rows.append(ConfigRow(name, a, b, changed))
    return tuple(rows)


def exact(value: Scalar) -> str:
    """A value as text that reads back as exactly the same value."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


def reproduce_command(study: StudySpec, trial: Trial, *, task_ref: str, store_url: str = "") -> str:
    """One shell command that trains a trial's configuration again, with the same training seed.

    Every value is fixed, those of the task's fixed set too: a study does not tell which of them came from the
    manifest and which from the user's `--fix` or `--only`.

    Args:
        study: The study the trial belongs to.
        trial: Any of its trials.
        task_ref: The task as the user would name it, a name or a folder.
        store_url: Database to record into; empty for the default one.

    For a task that is a Python function, it is the call of that function.
    """
    if study.task.command == FUNCTION:
        params = {**study.task.fixed, **trial.config}
        return f"{task_ref}({params!r}, trial)  # trial.seed is {trial.seed}"
    words = ["tcs-hpt", "tune", task_ref, "--method", "expert", "--trials", "1", "--seed", str(trial.seed)]
    if study.profile is not None:
        words += ["--profile", study.profile]
    for name, value in {**trial.config, **study.task.fixed}.items():
        words += ["--fix", f"{name}={exact(value)}"]
    if store_url:
        words += ["--store", store_url]
    return shlex.join(words)


def start_of(counted: Sequence[Trial]) -> Trial | None:
    """The start: the first trial with all epochs, else the first.

    Args:
        counted: Trials that consumed budget, by number.
    """
    full = (t for t in counted if not t.partial)
    return next(full, counted[0]) if counted else None


def unseen_metrics(trial: Trial) -> dict[str, float | None]:
    """Its metrics that no proposer sees."""
    return {n: v for n, v in trial.metrics.items() if n.startswith("test_")}


def summarize_study(study: StudySpec, trials: Iterable[Trial]) -> StudySummary:
    """The facts of a study, from its trials in any order."""
    everything = sorted(trials, key=lambda t: t.number)
    objective = study.task.objective
    counted = ordered(everything)
    known = by_number(everything)
    best = incumbent(everything, objective)
    first = start_of(counted)
    gain = None
    if first is not None and best is not None and first.value is not None and best.value is not None:
        gain = objective.gain(best.value, first.value)
    proposals = distinct_proposals(everything)
    calls = [call for proposal in proposals for call in proposal.calls]
    analysed = [t for t in counted if t.proposal.analysis is not None]
    stand_ins = [
        (_stand_in(t.proposal.analysis), t.number)
        for t in analysed
        if t.proposal.analysis is not None and t.proposal.analysis.by != "agents"
    ]
    followable = [t for t in analysed if t.proposal.change and not t.proposal.fallback]
    checks = [prediction(t, known, objective) for t in counted]
    return StudySummary(
        trials=len(counted),
        interrupted=len(everything) - len(counted),
        configurations=sum(t.promoted_from is None for t in counted),
        first=first,
        best=best,
        gain=gain,
        path=path_to(origin(best, known), known, objective) if best is not None else (),
        sources=dict(Counter(t.proposal.source for t in counted)),
        fallbacks=_grouped([(t.proposal.fallback, t.number) for t in counted if t.proposal.fallback]),
        analysis_fallbacks=_grouped(stand_ins),
        rejected=sum(len(p.rejected) for p in proposals),
        failures=_grouped([(t.failure.kind, t.number) for t in counted if t.failure is not None]),
        early=sum(t.value is not None and t.partial for t in counted),
        infeasible=tuple(t.number for t in counted if t.value is not None and not t.feasible),
        calls=len(calls),
        repairs=sum(c.attempt > 1 for c in calls),
        prompt_tokens=sum(c.prompt_tokens for c in calls),
        completion_tokens=sum(c.completion_tokens for c in calls),
        thinking_seconds=sum(p.seconds for p in proposals),
        model_seconds=sum(c.seconds for c in calls),
        thinking_cpu_seconds=_sum_if_known(
            [None if p.seconds and p.cpu_seconds is None else p.cpu_seconds or 0.0 for p in proposals]
        ),
        thinking_gpu_seconds=sum(p.gpu_seconds for p in proposals),
        thinking_gpu_joules=sum(p.gpu_joules or 0.0 for p in proposals),
        model_memory_mb=max((c.memory_mb for c in calls if c.memory_mb is not None), default=None),
        training_seconds=sum(t.usage.wall_seconds for t in everything),
        training_cpu_seconds=sum(t.usage.cpu_seconds for t in everything),
        training_gpu_seconds=sum(t.usage.gpu_seconds for t in everything),
        training_gpu_joules=sum(t.usage.gpu_joules or 0.0 for t in everything),
        peak_memory_mb=max((t.usage.peak_memory_mb for t in everything), default=0.0),
        analyses=len(followable),
        deviations=tuple(t.number for t in followable if t.proposal.deviation),
        predictions=tuple(c for c in checks if c is not None),
        test_metrics=unseen_metrics(best) if best else {},
    )


def _sum_if_known(parts: Sequence[float | None]) -> float | None:
    known = [part for part in parts if part is not None]
    return math.fsum(known) if len(known) == len(parts) else None


def _stand_in(analysis: Analysis) -> str:
    """Why the agents' own analysis is missing, and what took its place."""
    reason = analysis.failure or "the agents gave none"
    return f"{reason}; the deterministic diagnosis stood in" if analysis.by == "diagnosis" else reason


def _grouped(pairs: Sequence[tuple[K, int]]) -> dict[K, tuple[int, ...]]:
    groups: dict[K, list[int]] = {}
    for key, value in pairs:
        groups.setdefault(key, []).append(value)
    return {key: tuple(values) for key, values in groups.items()}


def distinct_proposals(trials: Sequence[Trial]) -> list[Proposal]:
    """Each proposal once: an interrupted trial's is carried over when its configuration is tried again."""
    found: list[Proposal] = []
    pending: list[Proposal] = []
    for trial in trials:
        if trial.proposal in pending:
            continue
        found.append(trial.proposal)
        if trial.state == "interrupted":
            pending.append(trial.proposal)
    return found
