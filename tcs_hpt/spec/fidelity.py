"""Fewer epochs first: the rungs of a study that trains new configurations shortly and the best of them again for longer.

The terms are those of successive halving (Jamieson and Talwalkar, 2016; Li et al., Hyperband, 2018): the *fidelity* of a trial is the
number of epochs that it was given, a *rung* is one of the fidelities of the study, and of the configurations on a rung one in
`reduction` (eta) goes on to the next.
"""

from __future__ import annotations

from pydantic import Field, model_validator

from tcs_hpt.spec._base import Frozen, Name
from tcs_hpt.spec.task import TaskSpec

REDUCTION = 3
"""The usual eta."""
RUNGS = 3
"""Rungs of a study that says nothing else: a ninth, a third, and the full number."""


class Fidelity(Frozen):
    """The schedule of a study that begins with few epochs."""

    parameter: Name
    """What counts the epochs; a fixed value of the task, at the full number."""
    rungs: tuple[int, ...] = Field(min_length=2)
    """Numbers of epochs, rising; the last is the full number."""
    reduction: int = Field(default=REDUCTION, ge=2)
    """Of so many configurations on a rung one goes on."""

    @model_validator(mode="after")
    def _check_rungs(self) -> Fidelity:
        if self.rungs[0] < 1 or any(a >= b for a, b in zip(self.rungs, self.rungs[1:], strict=False)):
            raise ValueError(f"`rungs` must be above 0 and rise, got {list(self.rungs)}")
        return self

    @property
    def lowest(self) -> int:
        """What a new configuration is trained with."""
        return self.rungs[0]

    @property
    def full(self) -> int:
        """The number that decides: scores of other rungs only choose who goes on."""
        return self.rungs[-1]

    def on(self, task: TaskSpec, epochs: int | None) -> TaskSpec:
        """The task as a trial of this fidelity runs it; None is the full number."""
        fixed = {**task.fixed, self.parameter: self.full if epochs is None else epochs}
        return task.model_copy(update={"fixed": fixed})

    def brackets(self, configurations: int) -> list[int]:
        """How many configurations are compared with each other at a time, first to last: about `reduction` to the number of promotions.

        A bracket of nine with three rungs sends three on, and one of those to the full number. The sizes differ by at most one and
        add up to the number of configurations.
        """
        wanted = self.reduction ** (len(self.rungs) - 1)
        count = max(1, (configurations + wanted // 2) // wanted)
        each, more = divmod(configurations, count)
        return [each + (place < more) for place in range(count)]

    def places(self, configurations: int) -> list[int]:
        """How many of a bracket's configurations go on to each rung above the lowest: at least one."""
        found: list[int] = []
        for _ in self.rungs[1:]:
            configurations = max(1, configurations // self.reduction)
            found.append(configurations)
        return found

    def runs(self, configurations: int) -> int:
        """Trials of a study in which nothing fails: configurations, those that go on, and the start in full."""
        if configurations == 1:
            return 2
        return 1 + configurations + sum(sum(self.places(size)) for size in self.brackets(configurations))


def rungs_up_to(full: int, *, at_least: int, count: int | None = RUNGS, step: int = 1) -> tuple[int, ...]:
    """The full number and its parts by `REDUCTION`, rising.

    Args:
        full: The full number.
        at_least: No rung is below it.
        count: Most rungs; None for as many as there are.
        step: Rungs are the full number less a multiple of it.
    """
    found = [full]
    while count is None or len(found) < count:
        part = full / REDUCTION ** len(found)
        rung = full - step * round((full - part) / step)
        if rung < max(1, at_least) or rung >= found[-1]:
            break
        found.append(rung)
    return tuple(reversed(found))
