"""What a watcher of a study sees while it happens; the store keeps the same events with sequence numbers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from tcs_hpt.records import Analysis, EpochRecord, Proposal, Role, Trial
from tcs_hpt.spec import Config, Frozen, StudySpec

StopReason: TypeAlias = Literal[
    "trials", "seconds", "target", "patience", "converged", "failures", "exhausted", "interrupted"
]
"""`exhausted`: the space has nothing left to try. The others are the rules of `StopRules`, and Ctrl-C."""


class StudyStarted(Frozen):
    """A study begins or goes on."""

    kind: Literal["study_started"] = "study_started"
    study: StudySpec
    finished_trials: int = 0
    """Trials that were already there; above 0 when a study is resumed."""
    model: str = ""
    model_reason: str = ""
    """Why this model was chosen; empty for methods without one."""
    store: str = ""
    folder: str = ""
    task_reference: str = ""
    """The task as a command line names it."""


class Thinking(Frozen):
    """A language model is about to be asked."""

    kind: Literal["thinking"] = "thinking"
    number: int
    role: Role
    attempt: int = 1


class Analysed(Frozen):
    """The analysis for the coming trial is there."""

    kind: Literal["analysed"] = "analysed"
    number: int
    analysis: Analysis


class Proposed(Frozen):
    """The coming trial's configuration is decided."""

    kind: Literal["proposed"] = "proposed"
    number: int
    proposal: Proposal


class TrialStarted(Frozen):
    """The training script is started."""

    kind: Literal["trial_started"] = "trial_started"
    number: int
    config: Config


class EpochReported(Frozen):
    """The running script reported an epoch."""

    kind: Literal["epoch_reported"] = "epoch_reported"
    number: int
    epoch: EpochRecord


class StopAsked(Frozen):
    """The running script was asked to stop early; it may take its time, or not listen."""

    kind: Literal["stop_asked"] = "stop_asked"
    number: int
    epoch: int
    """Its last epoch so far."""
    reason: str


class TrialEnded(Frozen):
    """A trial finished, failed or was interrupted."""

    kind: Literal["trial_ended"] = "trial_ended"
    trial: Trial


class StudyEnded(Frozen):
    """No further trial will be started in this run."""

    kind: Literal["study_ended"] = "study_ended"
    reason: StopReason


Event: TypeAlias = Annotated[
    StudyStarted
    | Thinking
    | Analysed
    | Proposed
    | TrialStarted
    | EpochReported
    | StopAsked
    | TrialEnded
    | StudyEnded,
    Field(discriminator="kind"),
]

Watcher: TypeAlias = Callable[[Event], None]
"""Called for one event at a time, in the order of the store; from any of the engine's threads. Must return quickly."""
