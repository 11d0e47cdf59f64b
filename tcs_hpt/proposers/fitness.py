"""What a genetic algorithm's tournaments compare: one score, or the place among trade-offs. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from tcs_hpt.errors import UserError
from tcs_hpt.records import Trial
from tcs_hpt.spec import Objective

Fitness: TypeAlias = tuple[float, ...]
"""Compared from left to right; higher is better."""

Judge: TypeAlias = Callable[[Sequence[Trial], Objective], list[Fitness]]
"""The fitness of every member of a population, in its order."""

WORST = -math.inf
"""For a trial without a score, or one that breaks bounds."""


def by_score(members: Sequence[Trial], objective: Objective) -> list[Fitness]:
    """The objective's score; of several metrics it is the weighted one."""
    sign = 1.0 if objective.direction == "maximize" else -1.0
    return [(sign * value,) if (value := _value(t)) is not None else (WORST,) for t in members]


def by_front(members: Sequence[Trial], objective: Objective) -> list[Fitness]:
    """The front that a trial lies on (0 for the best, minus one for the next), then how lonely it is there.

    The crowded comparison of NSGA-II (Deb et al. 2002, section III-B), with DEAP's sorting and crowding distance: a lower front wins, and
    on the same front the trial with more room around it. Weights have no part.

    Raises:
        UserError: The objective has a single metric, so there is nothing to trade.
    """
    from deap import base, tools

    directions = objective.directions
    if len(directions) < 2:
        raise UserError(
            f"`ga:pareto` needs two metrics to trade against each other, and {objective.metric} decides alone",
            hint="Take `ga`, or declare several [[objectives]] in task.toml.",
        )

    class Values(base.Fitness):  # type: ignore[misc]
        weights = tuple(1.0 if d == "maximize" else -1.0 for d in directions.values())

    class Point:
        """What DEAP sorts."""

        def __init__(self, place: int, values: Sequence[float]) -> None:
            self.place = place
            self.fitness = Values(values)

    points = []
    for place, trial in enumerate(members):
        values = [trial.metrics.get(name) for name in directions] if _value(trial) is not None else []
        known = [v for v in values if v is not None]
        if len(known) == len(directions):
            points.append(Point(place, known))
    found: list[Fitness] = [(WORST, 0.0)] * len(members)
    for rank, front in enumerate(tools.sortNondominated(points, len(points)) if points else []):
        tools.emo.assignCrowdingDist(front)
        for point in front:
            found[point.place] = (-float(rank), float(point.fitness.crowding_dist))
    return found


def _value(trial: Trial) -> float | None:
    return trial.value if trial.state == "finished" and trial.feasible else None
