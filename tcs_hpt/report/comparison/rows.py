"""A study of a comparison as one tidy row. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, TypeAlias

from tcs_hpt.compare import Recorded
from tcs_hpt.records import Metrics, finished, ordered, score
from tcs_hpt.report.tables import summarize_study
from tcs_hpt.spec import Direction, Frozen, Objective

State: TypeAlias = Literal["complete", "unfinished", "failed"]


class Row(Frozen):
    """One study of a comparison; everything that its tables are computed from."""

    comparison: str
    study: str
    task: str
    profile: str = ""
    metric: str
    direction: Direction
    method: str
    analysis_model: str = ""
    optimizer_model: str = ""
    start: str
    seed: int
    budget: int
    """Trials it was given."""
    trials: int = 0
    """Trials that consumed budget."""
    state: State
    """`failed`: it could not go on; `unfinished`: the same command goes on with it."""
    ended: str = ""
    """Why it ended the last time; empty when it did not."""
    reason: str = ""
    """Why it failed."""
    best: float | None = None
    best_trial: int | None = None
    test: Metrics = {}
    """Test metrics of the best trial, which no proposer saw."""
    mean: float | None = None
    """Of the objective over all trials with a score."""
    values: tuple[float | None, ...] = ()
    """The objective of each trial that consumed budget, in order; None where it failed or breaks the objective's bounds."""
    seconds: tuple[float, ...] = ()
    """Choosing and training of each of them [s]."""
    failures: Mapping[str, int] = {}
    """Failed trials by kind."""
    infeasible: int = 0
    """Trials with a score that break the objective's bounds."""
    last_failure: str = ""
    interrupted: int = 0
    sources: Mapping[str, int] = {}
    """Trials by who proposed them."""
    rejected: int = 0
    fallbacks: int = 0
    """Trials that somebody else had to propose."""
    analysis_fallbacks: int = 0
    """Trials without an analysis by the agents."""
    deviations: int = 0
    """Trials whose change departs from its analysis."""
    predictions: int = 0
    """Outcomes that the analysis predicted and the trial measured."""
    hits: int = 0
    improved: int = 0
    """Those of them that improved: what always predicting so would have hit."""
    sizes: int = 0
    """Predictions that also said how large the difference would be."""
    size_hits: int = 0
    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    thinking_seconds: float = 0.0
    model_seconds: float = 0.0
    """Those of them in which a language model answered."""
    thinking_cpu_seconds: float | None = None
    """Processor time of the process that chose, other studies' in it included; None where it was not counted."""
    thinking_gpu_seconds: float = 0.0
    thinking_gpu_joules: float = 0.0
    model_memory_mb: float | None = None
    """The most that a language model held; None where none was asked, or none knew."""
    training_seconds: float = 0.0
    training_cpu_seconds: float = 0.0
    """Processor time of all trials."""
    training_gpu_seconds: float = 0.0
    training_gpu_joules: float = 0.0
    peak_memory_mb: float = 0.0
    """Of the largest trial."""

    @property
    def counts(self) -> bool:
        """Whether the numbers of its method include it."""
        return self.state == "complete" and self.best is not None

    @property
    def label(self) -> str:
        """The method, with its model or models if it has some."""
        return label(self.method, self.analysis_model, self.optimizer_model)

    @property
    def objective(self) -> Objective:
        """What better means."""
        return Objective(metric=self.metric, direction=self.direction)


def label(method: str, analysis_model: str, optimizer_model: str) -> str:
    """A method as tables name it: `coin`, `tcs-paper (embedded:smollm2-135m)`."""
    models = list(dict.fromkeys(filter(None, (analysis_model, optimizer_model))))
    return f"{method} ({' + '.join(models)})" if models else method


def row_of(study: Recorded, failure: str = "") -> Row:
    """What a study amounts to.

    Args:
        study: The study.
        failure: Why it could not go on, if that is known; a complete study has not failed.
    """
    spec = study.spec
    objective = spec.task.objective
    summary = summarize_study(spec, study.trials)
    counted = ordered(study.trials)
    scores = [score(t) for t in finished(study.trials)]
    failed = [t.failure.message for t in counted if t.failure is not None]
    state: State = "complete" if study.complete else "failed" if failure else "unfinished"
    return Row(
        comparison=spec.comparison,
        study=spec.name,
        task=spec.task.name,
        profile=spec.profile or "",
        metric=objective.metric,
        direction=objective.direction,
        method=spec.method,
        analysis_model=spec.analysis_model,
        optimizer_model=spec.optimizer_model,
        start=spec.start,
        seed=spec.seed,
        budget=spec.trials,
        trials=len(counted),
        state=state,
        ended=study.ended or "",
        reason=failure if state == "failed" else "",
        best=summary.best.value if summary.best else None,
        best_trial=summary.best.number if summary.best else None,
        test=summary.test_metrics,
        mean=math.fsum(s / len(scores) for s in scores) if scores else None,
        values=tuple(t.value if t.feasible else None for t in counted),
        seconds=tuple(t.proposal.seconds + t.usage.wall_seconds for t in counted),
        failures={kind: len(numbers) for kind, numbers in summary.failures.items()},
        infeasible=len(summary.infeasible),
        last_failure=failed[-1] if failed else "",
        interrupted=summary.interrupted,
        sources=summary.sources,
        rejected=summary.rejected,
        fallbacks=sum(map(len, summary.fallbacks.values())),
        analysis_fallbacks=sum(map(len, summary.analysis_fallbacks.values())),
        deviations=len(summary.deviations),
        predictions=len(summary.predictions),
        hits=summary.hits,
        improved=sum(p.measured == "improves" for p in summary.predictions),
        sizes=sum(p.size_hit is not None for p in summary.predictions),
        size_hits=sum(p.size_hit is True for p in summary.predictions),
        calls=summary.calls,
        prompt_tokens=summary.prompt_tokens,
        completion_tokens=summary.completion_tokens,
        thinking_seconds=summary.thinking_seconds,
        model_seconds=summary.model_seconds,
        thinking_cpu_seconds=summary.thinking_cpu_seconds,
        thinking_gpu_seconds=summary.thinking_gpu_seconds,
        thinking_gpu_joules=summary.thinking_gpu_joules,
        model_memory_mb=summary.model_memory_mb,
        training_seconds=summary.training_seconds,
        training_cpu_seconds=summary.training_cpu_seconds,
        training_gpu_seconds=summary.training_gpu_seconds,
        training_gpu_joules=summary.training_gpu_joules,
        peak_memory_mb=summary.peak_memory_mb,
    )
