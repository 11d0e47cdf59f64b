"""The model behind the forecasts of learning curves: a mixture of exact linear Gaussian models.

A curve is a level, a trend, and noise. The trend has one of a few shapes: exponential and power-law approach to a limit
with several speeds, logarithm, straight line, or none. The noise is partly independent from epoch to epoch and partly
a random walk, so that a forecast starts where the curve is and grows less sure with distance. Every combination of shape, size of trend and
kind of noise is a linear Gaussian model whose forecast is exact (a Student t, for the level is free and the size of the noise has an inverse
gamma prior); they are averaged by how well they explain the curve. The idea is that of Domhan, Springenberg and Hutter, "Speeding Up
Automatic Hyperparameter Optimization of Deep Neural Networks by Extrapolation of Learning Curves" (IJCAI 2015).
Ours needs no sampling, and its random walk has the last value carried forward as a special case, which is hard to beat on short curves.

Pure and deterministic; `curves.py` says what its forecasts mean.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tcs_hpt.trajectory import Curve

Floats: TypeAlias = NDArray[np.float64]

FEWEST = 3
"""Points of a curve below which nothing is forecast."""
WINDOW, NEWEST = 0.6, 5
"""Share of a curve that is fitted, its newest part, and the fewest points of it: the start of a training tells little of its end."""
MOST = 40
"""Points that are fitted; a longer curve is thinned evenly."""
EXPONENTIAL = (0.15, 0.3, 0.6, 1.2, 3.0)
"""Epochs in which an exponential approach shrinks by `e`, as multiples of the epochs so far."""
POWER = (0.3, 0.7, 1.2)
"""Exponents of a power-law approach."""
TRENDS = (1.0, 4.0)
"""Prior spreads of what a trend adds to the spread of the fitted part, as multiples of the noise."""
WALKS = (0.0, 0.3, 0.9, 1.0)
"""Shares of the noise that is a random walk."""
QUIET, QUIET_WEIGHT = 0.07, 0.5
"""Noise assumed beforehand, as a share of the range of the fitted part, and how much that counts (in half points)."""
FLAT = 0.01
"""Smallest range that a curve is taken to have, as a share of the size of its values: a flat one may yet move."""
HUGE = 1e100
"""Size of values from which nothing is forecast: the training has blown up, and sums would overflow."""


@dataclass(frozen=True)
class Belief:
    """A cost at one epoch: a mixture of Student t distributions. Shapes [M]."""

    centre: Floats
    spread: Floats
    weight: Floats
    freedom: float

    def below(self, cost: float) -> float:
        """Probability that the cost will be lower."""
        from scipy.special import stdtr

        with np.errstate(over="ignore"):  # infinitely many spreads away is an answer too
            return float(self.weight @ stdtr(self.freedom, (cost - self.centre) / self.spread))

    def quantile(self, share: float) -> float:
        """The cost that lies above this share of the distribution, by bisection."""
        from scipy.special import stdtrit

        each = self.centre + self.spread * stdtrit(self.freedom, share)
        low, high = float(each.min()), float(each.max())
        for _ in range(50):
            middle = low / 2 + high / 2
            low, high = (middle, high) if self.below(middle) < share else (low, middle)
        return low / 2 + high / 2


def believed(line: Curve, epoch: int) -> Belief | None:
    """The distribution of the cost at a later epoch."""
    if len(line.points) < FEWEST or epoch <= line.points[-1][0]:
        return None
    first = line.points[0][0]
    x = np.array([float(e - min(first, 1) + 1) for e, _ in line.points] + [float(epoch - min(first, 1) + 1)])
    kept = max(NEWEST, math.ceil(WINDOW * len(line.points)))
    costs, x = np.array(line.costs()[-kept:]), x[-kept - 1 :]
    if len(costs) > MOST:
        chosen = np.linspace(0, len(costs) - 1, MOST).round().astype(int)
        costs, x = costs[chosen], x[[*chosen, -1]]
    size = float(np.abs(costs).max())
    if not 0 < size < HUGE or not np.all(np.diff(x) > 0):
        return None
    costs = costs / size
    scale = max(float(np.ptp(costs)), FLAT)
    centre, spread, weight, freedom = _mixture(x, (costs - costs[-1]) / scale)
    spread = spread * scale * size
    if spread.min() <= 0:  # numbers too small to be divided
        return None
    return Belief((float(costs[-1]) + centre * scale) * size, spread, weight, freedom)


def _shapes(x: Floats, now: float) -> list[Floats]:
    """Trends over the epochs, not yet scaled."""
    approaches = [np.exp(-x / (t * now)) for t in EXPONENTIAL] + [x**-p for p in POWER]
    return [*approaches, np.log(x), x]


def _mixture(x: Floats, y: Floats) -> tuple[Floats, Floats, Floats, float]:
    """Forecasts of all models at the last of `x`, their weights, and the degrees of freedom.

    Args:
        x: Epochs, the last of them in the future. [N + 1]
        y: Values at all but the last, measured from the newest. [N]
    """
    count = len(y)
    # Every model is of differences: of neighbours, which are seen, and of the future from the newest. So the level drops out.
    steps = np.eye(count + 1)[1:] - np.eye(count + 1)[:-1]
    walk = np.minimum.outer(x, x) * (count - 1) / (x[-2] - x[0])
    noises = [w * walk + (1 - w) * np.eye(count + 1) for w in WALKS]
    trends = [(s - s[-2]) / (s[:-1].std() or 1.0) for s in _shapes(x, float(x[-2]))]
    models = [(n, 1.0) for n in noises]
    models += [(n + t * t * np.outer(s, s), 1 / len(trends)) for n in noises for t in TRENDS for s in trends]
    covariance = steps @ np.array([m for m, _ in models]) @ steps.T
    seen, cross, ahead = covariance[:, :-1, :-1], covariance[:, :-1, -1:], covariance[:, -1, -1]
    root = np.linalg.cholesky(seen + 1e-9 * np.eye(count - 1))
    changes = np.broadcast_to(np.diff(y)[:, None], cross.shape)
    solved = np.linalg.solve(root, np.concatenate([changes, cross], axis=2))
    data, link = solved[:, :, 0], solved[:, :, 1]
    shape = QUIET_WEIGHT + (count - 1) / 2
    rate = QUIET_WEIGHT * QUIET**2 + (data**2).sum(axis=1) / 2
    evidence = -np.log(np.diagonal(root, axis1=1, axis2=2)).sum(axis=1) - shape * np.log(rate)
    evidence += np.log([prior for _, prior in models])
    weight = np.exp(evidence - evidence.max())
    variance = np.maximum(ahead - (link**2).sum(axis=1), 1e-12) * rate / shape
    return (link * data).sum(axis=1), np.sqrt(variance), weight / weight.sum(), 2 * shape
