"""What the service knows of a study: its line, its declaration, and what its trials amount to. Pure.

Small whatever the number of trials: their records stay in the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from tcs_hpt.events import StopReason
from tcs_hpt.records import Metrics, Trial
from tcs_hpt.report.tables import summarize_study
from tcs_hpt.service.shapes import Progress
from tcs_hpt.spec import Config, StudySpec
from tcs_hpt.store import StudyRow


@dataclass(frozen=True)
class Facts:
    """What the trials of a study amount to."""

    best: int | None
    """Number of the best trial."""
    best_config: Config | None
    best_test: Metrics
    """The best trial's metrics that no proposer ever saw."""
    start_value: float | None
    hits: int
    """Expected outcomes that were right."""
    judged: int
    thinking_seconds: float
    training_seconds: float
    mean: float | None
    """Of the scores of all trials that were trained in full; None without one."""
    progress: Progress

    @classmethod
    def of(cls, spec: StudySpec, trials: Sequence[Trial]) -> Facts:
        """The facts of a study.

        Args:
            spec: The study.
            trials: All its trials by number; epochs and model calls are not looked at.
        """
        found = summarize_study(spec, trials)
        best = found.best
        scores = [t.value for t in trials if t.state == "finished" and t.value is not None and not t.partial]
        return cls(
            best=best.number if best is not None else None,
            best_config=dict(best.config) if best is not None else None,
            best_test=dict(found.test_metrics),
            start_value=found.first.value if found.first is not None else None,
            hits=found.hits,
            judged=len(found.predictions),
            thinking_seconds=found.thinking_seconds,
            training_seconds=found.training_seconds,
            mean=fmean(scores) if scores else None,
            progress=_progress(spec, trials),
        )


@dataclass(frozen=True)
class KnownStudy:
    """A study at one moment."""

    row: StudyRow
    spec: StudySpec
    changed: int = 0
    """The event after which its trials, or their states, were last different; 0 before the first."""
    model_reason: str = ""
    ended: StopReason | None = None
    """Why its last run ended; None while it may go on."""

    @property
    def over(self) -> bool:
        """Whether no trial will follow unless a person wants it so."""
        if self.row.entry is not None and self.row.entry.state == "queued":
            return False
        return self.ended is not None and self.ended != "interrupted"


def _progress(spec: StudySpec, trials: Sequence[Trial]) -> Progress:
    objective = spec.task.objective
    best: float | None = None
    bests = []
    for trial in trials:
        counts = trial.state == "finished" and trial.feasible and not trial.partial
        value = trial.value if counts else None
        if value is not None and (best is None or objective.better(value, best)):
            best = value
        bests.append(best)
    return Progress(
        numbers=[t.number for t in trials],
        values=[t.value for t in trials],
        best=bests,
        states=[t.state for t in trials],
        params={name: [t.config.get(name) for t in trials] for name in spec.task.params},
    )
