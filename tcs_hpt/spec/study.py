"""A study: how a task is tuned."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, StringConstraints

from tcs_hpt.spec._base import Frozen
from tcs_hpt.spec.fidelity import Fidelity
from tcs_hpt.spec.limits import StopRules
from tcs_hpt.spec.task import ProfileName, TaskSpec

Start: TypeAlias = Literal["defaults", "knowledge", "cold"]
AnswerStyle: TypeAlias = Literal["choice", "free"]

Keep: TypeAlias = Literal["best", "all", "none"]
"""Whose artifacts are kept."""

PruneRule: TypeAlias = Literal["none", "diagnosis", "median", "hyperband"]
"""What ends a trial before its last epoch."""


class StudySpec(Frozen):
    """How a task is studied. Fixed when the study begins; only `BUDGETS` may change when it is continued."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=120)]
    """Also the name of its folder."""
    task: TaskSpec
    profile: ProfileName | None = None
    method: str = "tcs"
    trials: int = Field(default=10, ge=1)
    """The total of the study: trials that consumed budget, whatever became of them. With `fidelity`, configurations: what is
    trained again with more epochs does not count."""
    stop: StopRules = StopRules()
    keep: Keep = "best"
    seed: int = Field(default=0, ge=0)
    """Drives samplers and models; also the training seed of every trial."""
    start: Start = "defaults"
    answers: AnswerStyle = "choice"
    """`choice`: from a list of single changes; `free`: the optimizer writes numbers."""
    description: str = ""
    """What the user said about model, data and goal; travels into every prompt."""
    report_tokens: int = Field(default=600, ge=200)
    """Upper bound of the state report's length, in estimated tokens."""
    memory: bool = True
    """Whether earlier studies in the same store may offer their values; never within a comparison."""
    analysis_model: str = ""
    optimizer_model: str = ""
    prune: PruneRule = "none"
    """Whether trials that are not worth their time are asked to stop, and by which rule."""
    fidelity: Fidelity | None = None
    """The rungs of a study that trains new configurations with fewer epochs first; None for all epochs at once."""
    comparison: str = ""
    """Name of the comparison that this study belongs to; empty for a study of its own."""

    @property
    def runs(self) -> int:
        """How often the script runs if nothing fails: once for each trial, and again for those that go on with more epochs."""
        return self.trials if self.fidelity is None else self.fidelity.runs(self.trials)

    def task_at(self, fidelity: int | None) -> TaskSpec:
        """The task as a trial runs it that was given so many epochs; None for all of them."""
        return self.task if self.fidelity is None else self.fidelity.on(self.task, fidelity)


BUDGETS = frozenset({"trials", "stop", "keep"})
"""Fields of a `StudySpec` that may change when a study is continued."""
