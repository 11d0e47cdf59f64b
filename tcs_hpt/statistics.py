"""How sure a comparison is: spread, paired intervals, a paired test, the noise floor, and regret. Pure.

Methods are compared in pairs (same task, same seed), because the seed alone moves a score by more than most methods
differ. All inputs must be finite; the same inputs and seed give the same result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tcs_hpt.spec import Direction

EXACT_PAIRS = 12
"""Up to this many pairs every assignment of signs is counted (4,096 of them); above it they are drawn."""


class MeanStd(NamedTuple):
    """What tables write as `mean +- std`."""

    mean: float
    std: float | None
    """Sample standard deviation (divided by n - 1); None for a single value, whose spread is unknown."""


@dataclass(frozen=True)
class Interval:
    """A mean difference and where it plausibly lies."""

    mean: float
    low: float
    high: float
    n: int
    """Number of pairs."""


def mean_std(values: Sequence[float]) -> MeanStd:
    """Mean and sample standard deviation, `sqrt(sum((x - mean)^2) / (n - 1))`; exactly 0 for equal values.

    Raises:
        ValueError: There are no values, or one is not finite.
    """
    array = _finite("values", values)
    if len(array) == 1:
        return MeanStd(float(array[0]), None)
    if np.ptp(array) == 0:  # rounding of the mean would leave a spread of 1e-17
        return MeanStd(float(array[0]), 0.0)
    return MeanStd(float(array.mean()), float(array.std(ddof=1)))


def paired_difference(
    a: Sequence[float], b: Sequence[float], *, confidence: float = 0.95, resamples: int = 9999, seed: int = 0
) -> Interval:
    """Mean of `a[i] - b[i]` with a percentile bootstrap interval over the pairs.

    Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13. Percentile rather than BCa, which is
    undefined when all pairs but one are equal. With fewer than about ten pairs such an interval is too narrow: decide
    by `sign_flip_test`. The interval always contains the mean. Swapping `a` and `b` mirrors it at 0.

    Args:
        a: Scores of one method.
        b: Scores of the other, in the same order of pairs.
        confidence: Share of intervals that should contain the true difference; above 0 and below 1.
        resamples: Number of bootstrap samples.
        seed: Of their drawing.

    Returns:
        The interval; from minus to plus infinity for a single pair, which says nothing about the spread, and of
        length 0 when all differences are equal.

    Raises:
        ValueError: The lengths differ, there are no pairs, a value is not finite, or `confidence` is out of range.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` must be between 0 and 1, got {confidence}")
    differences = _differences(a, b)
    count = len(differences)
    if count == 1:
        return Interval(float(differences[0]), -math.inf, math.inf, 1)
    if np.ptp(differences) == 0:
        only = float(differences[0])
        return Interval(only, only, only, count)
    from scipy import stats  # takes most of a second to import

    bootstrap = stats.bootstrap(
        (differences,),
        np.mean,
        n_resamples=resamples,
        batch=1000,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    mean = float(differences.mean())
    low, high = (float(end) for end in bootstrap.confidence_interval)
    return Interval(mean, min(low, mean), max(high, mean), count)


def sign_flip_test(a: Sequence[float], b: Sequence[float], *, resamples: int = 9999, seed: int = 0) -> float:
    """Two-sided p-value of "neither of `a` and `b` is better", by swapping the members of pairs.

    Fisher's paired permutation test ("The Design of Experiments", 1935, section 21): the share of all sign
    assignments of the differences whose mean is at least as far from 0 as the observed one. Exact when all 2^n of them
    are at most `resamples`, and always up to `EXACT_PAIRS` pairs; else twice the smaller one-sided estimate
    `(1 + hits) / (1 + resamples)`. The smallest possible value is `2 / 2^n`, so fewer than six pairs cannot fall below
    0.05. It is 1 for a single pair and for equal values, and swapping `a` and `b` does not change it.

    Args:
        a: Scores of one method.
        b: Scores of the other, in the same order of pairs.
        resamples: Number of sign assignments drawn when there are too many to count.
        seed: Of their drawing.

    Raises:
        ValueError: The lengths differ, there are no pairs, or a value is not finite.
    """
    differences = _differences(a, b)
    if not differences.any() or len(differences) == 1:
        return 1.0
    from scipy import stats  # takes most of a second to import

    exact = len(differences) <= EXACT_PAIRS
    result = stats.permutation_test(
        (differences,),
        np.mean,
        permutation_type="samples",  # of one sample: the signs are flipped
        vectorized=True,
        n_resamples=np.inf if exact else resamples,
        batch=1000,
        alternative="two-sided",
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def pareto_front(points: Sequence[Sequence[float]], directions: Sequence[Direction]) -> set[int]:
    """Places of the points that no other dominates: as good in every coordinate and better in one. Equal points stay together.

    Args:
        points: N points, each with one value per direction.
        directions: Which way each coordinate is better.
    """
    if not points:
        return set()
    signs = np.array([1.0 if d == "maximize" else -1.0 for d in directions])
    values = np.asarray(points, dtype=np.float64) * signs
    return {
        place
        for place, mine in enumerate(values)
        if not np.any(np.all(values >= mine, axis=1) & np.any(values > mine, axis=1))
    }


def noise_floor(runs: Sequence[Sequence[float]]) -> float:
    """Standard deviation of the scores of a configuration over training seeds, pooled over configurations.

    The square root of the variances' mean, each weighted by its degrees of freedom. Differences between single trials below about
    twice this are not evidence of anything.

    Args:
        runs: The scores of each configuration; those with one score say nothing.

    Raises:
        ValueError: No configuration has two scores, or one is not finite.
    """
    spreads = [(len(scores) - 1, std) for scores in runs if (std := mean_std(scores).std) is not None]
    if not spreads:
        raise ValueError("the noise floor needs at least two runs of a configuration")
    return math.sqrt(sum(n * std * std for n, std in spreads) / sum(n for n, _ in spreads))


def normalized_regret(best: float, best_known: float, median_random: float, direction: Direction) -> float:
    """`(best_known - best) / (best_known - median_random)`: 0 is the best known score, 1 a median random one.

    Below 0 when the best known score is beaten, above 1 when random is better. Unlike the min-max regret of HPO-B
    (Pineda Arango et al., 2021), the far end is a median random configuration: the worst one of a table says little.

    Raises:
        ValueError: A value is not finite, or the best known score is not better than the median random one.
    """
    _finite("best, best_known, median_random", (best, best_known, median_random))
    sign = 1.0 if direction == "maximize" else -1.0
    scale = sign * (best_known - median_random)
    if scale <= 0:
        raise ValueError(
            f"`best_known` must be better than `median_random` ({direction}), got {best_known} and {median_random}"
        )
    return sign * (best_known - best) / scale


def _differences(a: Sequence[float], b: Sequence[float]) -> NDArray[np.float64]:
    if len(a) != len(b):
        raise ValueError(f"pairs need equally many values, got {len(a)} and {len(b)}")
    return _finite("a", a) - _finite("b", b)


def _finite(name: str, values: Sequence[float]) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        raise ValueError(f"{name}: there must be at least one value")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: all values must be finite, got {list(values)}")
    return array
