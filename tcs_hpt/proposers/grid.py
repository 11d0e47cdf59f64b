"""Grid search that makes sense at ten trials: coarse, spread from its first point on, and finer when it is used up."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np

from tcs_hpt.evidence.candidates import tested_keys
from tcs_hpt.proposers._base import ProposalContext
from tcs_hpt.proposers.classical import drawn
from tcs_hpt.proposers.expert import given_start, guarded
from tcs_hpt.proposers.untested import configurations
from tcs_hpt.records import Proposal, ordered
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import CategoricalParameter, Config, Scalar

POINTS = 512
"""Most grid points that are compared for a trial; of a larger grid, so many are drawn by the seed."""
FINEST = 1024
"""Levels of a parameter at which a grid ends and the rest of the space is drawn at random."""

_SHUFFLE, _POINTS = 6, 7  # purposes of random numbers


class GridProposer:
    """Method `grid`: a full factorial grid, its points taken in an order that spreads them.

    All numbers have the same number of levels, in the middles of equal parts of their own scale (2 levels: at a quarter and three
    quarters); ordered choices likewise, unordered choices all. A conditional parameter has levels only where it is active. The
    levels are as few as give the grid a point for every trial of the study, at least 2. The next point is the one
    farthest from everything tried so far, failed and running trials included (farthest-first traversal; Gonzalez, 1985), so
    any first part of the grid is spread, and the start counts as tried; ties are settled by the seed. When every point was tried
    the levels double.
    """

    def propose(self, context: ProposalContext) -> Proposal | None:
        """The farthest untested grid point; None when the space is exhausted."""
        if context.is_start and (start := given_start(context)) is not None:
            return start
        levels = first_levels(context.space, context.study.trials)
        while levels <= FINEST:
            point = self._farthest(context, levels)
            if point is not None:
                reason = f"Farthest from all trials on a grid of {levels} levels a parameter."
                return guarded(context, Proposal(config=point, source="grid", reason=reason))
            levels *= 2
        return drawn(context, "grid", f"Drawn at random, since the grid of {FINEST} levels is used up.")

    def _farthest(self, context: ProposalContext, levels: int) -> Config | None:
        space = context.space
        tested = tested_keys(space, context.trials)
        points = [p for p in self._points(context, levels) if space.key(p) not in tested]
        if not points:
            return None
        order = context.random(_SHUFFLE).permutation(len(points))
        tried = [t.config for t in ordered(context.trials)]
        return max(
            (points[int(i)] for i in order),
            key=lambda p: round(min((space.distance(p, c) for c in tried), default=0.0), 9),
        )

    def _points(self, context: ProposalContext, levels: int) -> list[Config]:
        """Points of the grid: all of them, or some of a large one."""
        space = context.space
        values = {name: level_values(space, name, levels) for name in space.names}
        points = list(itertools.islice(configurations(space, values.__getitem__), POINTS + 1))
        if len(points) <= POINTS:
            return points
        # The draw depends on the study's seed alone: other points for every trial would undo the spread.
        random = np.random.default_rng([context.study.seed, levels, _POINTS])
        drawn_points = (_one(space, values, random) for _ in range(POINTS))
        return list({space.key(p): p for p in drawn_points}.values())


def _one(space: SearchSpace, values: Mapping[str, Sequence[Scalar]], random: np.random.Generator) -> Config:
    """A grid point at random."""
    some = {name: (listed[int(random.integers(len(listed)))],) for name, listed in values.items()}
    return next(configurations(space, some.__getitem__))


def first_levels(space: SearchSpace, trials: int) -> int:
    """About the fewest levels, at least 2, with which a grid has a point for every trial, or one level for each."""
    levels = 2
    while levels < min(trials, FINEST):
        values = {name: level_values(space, name, levels) for name in space.names}
        points = itertools.islice(configurations(space, values.__getitem__), trials)
        if sum(1 for _ in points) >= trials:
            break
        levels += max(1, levels // 4)
    return min(levels, FINEST)


def level_values(space: SearchSpace, name: str, levels: int) -> Sequence[Scalar]:
    """The values of a parameter on a grid; fewer than `levels` where there are no more."""
    parameter = space.params[name]
    if isinstance(parameter, CategoricalParameter):
        count = len(parameter.choices)
        if not parameter.ordered or count <= levels:
            return parameter.choices
        return tuple(parameter.choices[math.floor((i + 0.5) / levels * count)] for i in range(levels))
    middles = [space.from_unit(name, (i + 0.5) / levels) for i in range(levels)]
    return tuple({space.round(name, value): value for value in middles}.values())
