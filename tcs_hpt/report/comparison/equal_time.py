"""Methods at equal time: what each had when the quickest one was done. Pure.

Ten trials of a method whose model thinks for a minute are not ten trials of one that draws at random: here both get the same seconds of
choosing and training together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from statistics import fmean

from tcs_hpt.report.comparison.means import TaskResult
from tcs_hpt.report.comparison.rows import Row
from tcs_hpt.statistics import MeanStd, mean_std


@dataclass(frozen=True)
class AtEqualTime:
    """A method within the time of the quickest."""

    trials: float
    """That were over by then, mean over seeds."""
    best: MeanStd
    """Their best score, over seeds."""


@dataclass(frozen=True)
class EqualTime:
    """All methods on one task."""

    seconds: float
    """Mean over seeds of what the quickest method took."""
    seeds: int
    """On which every method has a score by then."""
    methods: Mapping[str, AtEqualTime]


def at_equal_time(result: TaskResult) -> EqualTime | None:
    """Cut every study where the quickest study of its seed ended; None when no seed has times and scores of all methods.

    A trial counts when it was over by then; the first counts always, since no method can do with less.
    """
    if len(result.methods) < 2:
        return None
    by_seed = [{row.seed: row for row in method.counted if row.seconds} for method in result.methods]
    limits: list[float] = []
    cut: dict[str, list[tuple[int, float]]] = {method.label: [] for method in result.methods}
    for seed in sorted(set.intersection(*map(set, by_seed))):
        rows = [rows_of[seed] for rows_of in by_seed]
        limit = min(sum(row.seconds) for row in rows)
        found = [_within(row, limit) for row in rows]
        if all(best is not None for _, best in found):
            limits.append(limit)
            for method, (trials, best) in zip(result.methods, found, strict=True):
                cut[method.label].append((trials, best or 0.0))
    if not limits:
        return None
    return EqualTime(
        seconds=fmean(limits),
        seeds=len(limits),
        methods={
            label: AtEqualTime(fmean(n for n, _ in pairs), mean_std([best for _, best in pairs]))
            for label, pairs in cut.items()
        },
    )


def _within(row: Row, limit: float) -> tuple[int, float | None]:
    """How many trials were over after so many seconds, and the best of them; None without a score."""
    slack = 1e-9 * limit  # sums of the same numbers in another order
    trials = max(1, sum(total <= limit + slack for total in accumulate(row.seconds)))
    best: float | None = None
    for value in row.values[:trials]:
        if value is not None and (best is None or row.objective.better(value, best)):
            best = value
    return trials, best
