"""What to do when changes stop helping: take larger steps, then start from another good configuration.

Pure and deterministic. The rule that agents change one parameter stays: what moves is the base that they change. The weights and
waiting times are ours; `benchmarks/LOG.md` has what they were worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tcs_hpt.records import Trial, incumbent, ordered
from tcs_hpt.space import Change, SearchSpace
from tcs_hpt.spec import CategoricalParameter, Config, Objective, Scalar

FARTHER_AFTER = 3
"""Trials without a new best after which larger steps are preferred."""
ELSEWHERE_AFTER = 6
"""Trials without a new best after which every second change starts from another good trial."""
APART = 2
"""Parameters in which another base must differ from the incumbent."""
STEP_WEIGHT = 0.4
"""What a step over the whole scale is worth in the ranking, once larger steps are preferred."""


@dataclass(frozen=True)
class Stagnation:
    """How long nothing has helped, and what follows."""

    since: int
    """Ended trials after the incumbent."""

    @property
    def farther(self) -> bool:
        """Whether larger steps are preferred."""
        return self.since >= FARTHER_AFTER

    @property
    def elsewhere(self) -> bool:
        """Whether the next change starts from another good trial; every second one does."""
        return self.since >= ELSEWHERE_AFTER and (self.since - ELSEWHERE_AFTER) % 2 == 0


def stagnation(trials: Sequence[Trial], objective: Objective) -> Stagnation:
    """How long nothing has helped: trials that ended after the incumbent; without an incumbent, none."""
    best = incumbent(trials, objective)
    done = [t for t in ordered(trials) if t.state != "running"]
    return Stagnation(sum(t.number > best.number for t in done) if best is not None else 0)


def bonus(space: SearchSpace, change: Change) -> float:
    """What the size of a step adds to a change's rank when larger steps are preferred."""
    parameter = space.params[change.parameter]
    if change.old is None or isinstance(parameter, CategoricalParameter):
        return 0.0
    there, here = (space.to_unit(change.parameter, v) for v in (change.new, change.old))
    return STEP_WEIGHT * abs(there - here)


def elsewhere(
    space: SearchSpace,
    found: Sequence[tuple[Trial | None, Config]],
) -> list[tuple[Trial | None, Config]]:
    """The same bases, with the best that lies apart from the incumbent first; unchanged when there is none.

    Args:
        space: Where the configurations live.
        found: Bases, the incumbent first.
    """
    first: Mapping[str, Scalar] = found[0][1] if found else {}
    for place, (base, config) in enumerate(found):
        if base is not None and base.value is not None and len(space.differences(first, config)) >= APART:
            return [found[place], *found[:place], *found[place + 1 :]]
    return list(found)
