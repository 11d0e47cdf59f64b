"""The state report as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from tcs_hpt.records import FailureKind
from tcs_hpt.space import Change
from tcs_hpt.spec import Scalar
from tcs_hpt.trajectory import Diagnosis

Trend: TypeAlias = Literal["first", "improving", "stagnating", "worsening", "recovering"]


@dataclass(frozen=True)
class Situation:
    """Where the study stands."""

    metric: str
    direction: str
    target: float | None
    best: float | None
    best_trial: int | None
    gap: float | None
    """How much is missing to the target, in the metric's unit; 0 or less when it is reached."""
    trend: Trend
    since_best: int
    """Trials after the incumbent."""
    trials: int
    total: int
    formula: str = ""
    """What the metric is made of where several are weighted; empty otherwise."""
    bounds: tuple[str, ...] = ()
    """What a trial has to keep to."""


@dataclass(frozen=True)
class Experiment:
    """One trial, with what its learning curve says."""

    number: int
    value: float | None
    diagnosis: Diagnosis
    curve: tuple[tuple[int, float], ...]
    """First, best and last point (epoch, objective); empty without a curve."""
    failure: FailureKind | None
    failure_message: str
    metrics: tuple[tuple[str, float], ...]
    """Other final metrics that may be shown."""
    stopped_early: bool = False
    """Whether it was asked to stop before its last epoch."""
    violations: tuple[str, ...] = ()
    """The bounds that it breaks."""


@dataclass(frozen=True)
class Comparison:
    """Two trials side by side."""

    number: int
    other: int
    relation: Literal["base", "previous"]
    changes: tuple[Change, ...]
    """From the other to this one."""
    gain: float | None
    """Improvement over the other, in the metric's unit; None when one has no score."""


@dataclass(frozen=True)
class TestedValue:
    """One value of a parameter and the best it was part of."""

    value: Scalar
    score: float | None
    """Best score of any trial with this value; None when all of them failed."""
    trials: int


@dataclass(frozen=True)
class ParameterAnalysis:
    """One parameter over the whole history."""

    name: str
    scale: str
    """Its range or choices, as people write them."""
    current: Scalar | None
    """Value in the base; None while inactive there."""
    tested: tuple[TestedValue, ...]
    """Best first."""
    unexplored: tuple[str, ...]
    """Regions of its own scale, or choices, without any trial; widest first."""
    choices: bool = False
    """Whether it has choices rather than a range."""


@dataclass(frozen=True)
class FailureNote:
    """One failed trial."""

    number: int
    kind: FailureKind
    message: str
    changes: tuple[Change, ...]
    """Against its base; empty for a start."""


@dataclass(frozen=True)
class StateReport:
    """The state of a study, as values; `text` renders it."""

    situation: Situation
    incumbent: Experiment | None
    latest: Experiment | None
    comparisons: tuple[Comparison, ...]
    parameters: tuple[ParameterAnalysis, ...]
    failures: tuple[FailureNote, ...]
    """Newest first."""

    @property
    def diagnosis(self) -> Diagnosis:
        """What the next change should answer to: the incumbent's curve, else the latest trial's."""
        shown = self.incumbent or self.latest
        return shown.diagnosis if shown is not None else Diagnosis(("unknown",), 0)
