"""The problems by name, and how good a score is on each."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from benchmarks.dev import tables, trained
from benchmarks.dev._base import Problem
from tcs_hpt.errors import UserError
from tcs_hpt.statistics import normalized_regret

FIGURES = Path(__file__).with_name("figures.json")
"""Best known and median random score of each problem, as `python -m benchmarks.dev figures` measured them."""

WORST = 2.0
"""Regret at which every trial is cut off, and that of a failed one: a score of 1e7 instead of 0.1 must not outweigh all others."""


@dataclass(frozen=True)
class Scale:
    """What the regret of a score is measured against."""

    best_known: float
    median_random: float


@lru_cache
def problems() -> dict[str, Problem]:
    """All problems by name, tables first."""
    return {p.name: p for p in (*tables.PROBLEMS, *trained.PROBLEMS)}


def chosen(names: Sequence[str]) -> list[Problem]:
    """Problems by name; all of them for no names.

    Raises:
        UserError: There is no such problem.
    """
    known = problems()
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UserError(f"there is no problem {unknown[0]!r}", hint=f"Problems: {', '.join(known)}.")
    return [known[name] for name in names] if names else list(known.values())


@lru_cache
def scales(path: Path = FIGURES) -> dict[str, tuple[Scale, ...]]:
    """The scales of each problem, one for each of its instances."""
    found = json.loads(path.read_text(encoding="utf-8"))
    return {
        name: tuple(
            Scale(best, median)
            for best, median in zip(figures["best_known"], figures["median_random"], strict=True)
        )
        for name, figures in found.items()
    }


def regret(problem: Problem, seed: int, value: float | None, scale: Scale | None = None) -> float:
    """How far a score is from the best: 0 is the best known, 1 a median random configuration, at most `WORST`.

    A score of several orders of magnitude is measured by its logarithm. Below 0 when a trained problem's best known score is
    beaten; a table's cannot be.

    Args:
        problem: Where it was scored.
        seed: Of the study.
        value: The score; None for a failed trial.
        scale: In place of the recorded one.
    """
    if value is None:
        return WORST
    if scale is None:
        instances = scales()[problem.name]
        scale = instances[seed % len(instances)]
    unit = math.log if problem.log_score else float
    numbers = unit(value), unit(scale.best_known), unit(scale.median_random)
    return min(WORST, normalized_regret(*numbers, problem.task.objective.direction))
