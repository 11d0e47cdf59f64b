"""What the service knows of a study: its line, its declaration, and what its trials amount to. Pure.

Small whatever the number of trials: their records stay in the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from tcs_hpt.events import StopReason
from tcs_hpt.records import Metrics, Trial, by_number, incumbent, ordered
from tcs_hpt.report.tables import distinct_proposals, prediction, start_of, unseen_metrics
from tcs_hpt.service.shapes import Progress, finite, plain
from tcs_hpt.spec import Config, Scalar, StudySpec
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
        objective = spec.task.objective
        counted, known = ordered(trials), by_number(trials)
        best = incumbent(counted, objective)
        scores = [t.value for t in counted if t.state == "finished" and t.value is not None and not t.partial]
        checked = [p for t in counted if (p := prediction(t, known, objective)) is not None]
        return cls(
            best=best.number if best is not None else None,
            best_config=dict(best.config) if best is not None else None,
            best_test=unseen_metrics(best) if best is not None else {},
            start_value=start.value if (start := start_of(counted)) is not None else None,
            hits=sum(p.hit for p in checked),
            judged=len(checked),
            thinking_seconds=sum(p.seconds for p in distinct_proposals(trials)),
            training_seconds=sum(t.usage.wall_seconds for t in trials),
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
    newest: int = 0
    """The newest event that any of this rests on; it may have come after the line was read."""

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
    return Progress.model_construct(  # no validation: thousands of values that are what they should be
        numbers=[t.number for t in trials],
        values=[finite(t.value) for t in trials],
        best=[finite(b) for b in bests],
        states=[t.state for t in trials],
        params={name: [_shown(t.config.get(name)) for t in trials] for name in spec.task.params},
    )


def _shown(value: Scalar | None) -> Scalar | None:
    if isinstance(value, str):
        shown: str = plain(value)
        return shown
    return finite(value) if isinstance(value, float) else value
