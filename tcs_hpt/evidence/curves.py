"""What a learning curve says about more epochs: where it goes, whether the run can still win, and how many it needs.

Pure and deterministic. `tcs_hpt.trajectory` names what a curve shows; this looks ahead. The numbers of a fit differ a little from
machine to machine, so what reaches a prompt is rounded outwards to the size of its own uncertainty.

**Model.** A curve is a level, a trend, and noise. The trend has one of a few shapes: exponential and power-law approach to a limit
with several speeds, logarithm, straight line, or none. The noise is partly independent from epoch to epoch and partly
a random walk, so that a forecast starts where the curve is and grows less sure with distance. Every combination of shape, size of trend and
kind of noise is a linear Gaussian model whose forecast is exact (a Student t, for the level is free and the size of the noise has an inverse
gamma prior); they are averaged by how well they explain the curve. The idea is that of Domhan, Springenberg and Hutter, "Speeding Up
Automatic Hyperparameter Optimization of Deep Neural Networks by Extrapolation of Learning Curves" (IJCAI 2015).
Ours needs no sampling, and its random walk has the last value carried forward as a special case, which is hard to beat on short curves.

`benchmarks/learning_curves.py` measures it on curves that really occurred; `benchmarks/LOG.md` has the figures, and those of least-squares
fits of the same shapes, which were worse.

Not covered: restarts and schedules of the learning rate, which bend a curve at an epoch that its past does not tell.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, median
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from tcs_hpt.evidence.roles import role_of
from tcs_hpt.records import NEGLIGIBLE, EpochRecord, Trial, incumbent, score
from tcs_hpt.spec import Objective
from tcs_hpt.trajectory import LATE, RISE, VISIBLE, Curve, Diagnosis, curve, diagnose

Floats: TypeAlias = NDArray[np.float64]
Advice: TypeAlias = Literal["helps", "adds nothing", "unclear"]
Length: TypeAlias = Literal["too short", "too long", "right", "unclear"]

FEWEST = 3
"""Points of a curve below which nothing is forecast."""
INTERVAL = 0.8
"""Share of forecasts that should fall between `low` and `high`."""
EARLIEST = 0.25
"""Share of its epochs that a run must have had before it is called dominated: some curves start flat."""
UNLIKELY = 0.05
"""Chance of beating the best trial below which a run is dominated."""
PROBABLE = 0.8
"""Chance from which more epochs are said to help, or to add nothing."""
FURTHER = 1.5
"""How much longer a run the advice looks at, as a multiple of its epochs."""
SLACK = 0.9
"""A run that ended before this share of its epochs ended by itself."""
ENOUGH = 0.6
"""A plateau that begins before this share of the epochs makes them too many."""

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

_UNIT_RANGE = re.compile(
    r"(^|_)(acc|accuracy|auc|auroc|f1|precision|recall|r2|iou|dice|map|ndcg|rouge\w*)(_|$)"
)
"""Metrics that end at 1."""


@dataclass(frozen=True)
class Forecast:
    """Where a curve will probably be, in the metric's unit."""

    epoch: int
    value: float
    """The middle: above and below are equally likely."""
    low: float
    high: float
    """`INTERVAL` of all outcomes lie between."""


@dataclass(frozen=True)
class Outlook:
    """What more epochs would do."""

    advice: Advice
    forecast: Forecast
    gain: float
    """Expected improvement over the best epoch so far, in the metric's unit; negative when none is expected."""


@dataclass(frozen=True)
class EarlyBest:
    """A run whose best epoch lies well before its end."""

    epoch: int
    last: int
    lost: float
    """How much worse its last epochs are than the best, in the metric's unit; positive."""


@dataclass(frozen=True)
class Verdict:
    """Whether a running trial can still become the best."""

    dominated: bool
    chance: float | None
    """Of beating the best finished trial; None when that cannot be judged."""
    reason: str
    """In words, without a full stop."""


@dataclass(frozen=True)
class Setting:
    """What a curve says of the parameter that sets its length."""

    parameter: str
    length: Length
    reason: str
    """In words, without a full stop; empty when there is nothing to say."""
    ended_early: bool = False
    """Whether training ended by itself before the epochs were used up."""


def forecast(line: Curve, epoch: int) -> Forecast | None:
    """Where the curve will be at a later epoch; None when that cannot be said.

    It cannot for fewer than `FEWEST` points, for an epoch that is past, and for a curve of zeros or of enormous values. Turning the direction of the metric and the signs of its values turns the forecast's signs and nothing else.
    """
    belief = _belief(line, epoch)
    return None if belief is None else _read(belief, line, epoch)


def more_epochs(
    epochs: Sequence[EpochRecord], objective: Objective, *, factor: float = FURTHER
) -> Outlook | None:
    """Whether `factor` times as many epochs would improve on the best epoch so far; None when that cannot be judged."""
    line = curve(epochs, objective.metric, objective)
    if not line.points:
        return None
    last = line.points[-1][0]
    later = max(last + 1, round(last * factor))
    belief = _belief(line, later)
    if belief is None:
        return None
    ahead = _read(belief, line, later)
    costs = line.costs()
    best = min(costs)
    little = NEGLIGIBLE * abs(best)
    advice: Advice = "unclear"
    if belief.below(best - little) >= PROBABLE:
        advice = "helps"
    elif belief.below(best - max(little, LATE * (costs[0] - best))) <= 1 - PROBABLE:
        advice = "adds nothing"
    sign = 1.0 if line.lower_is_better else -1.0
    return Outlook(advice, ahead, best - sign * ahead.value)


def early_best(epochs: Sequence[EpochRecord], objective: Objective) -> EarlyBest | None:
    """The best epoch, if it lies in the first three quarters and what followed is clearly worse, noise taken into account."""
    line = curve(epochs, objective.metric, objective)
    costs = line.costs()
    if len(costs) < 4 or max(map(abs, costs)) >= HUGE:
        return None
    lowest = min(range(len(costs)), key=lambda i: (costs[i], i))
    after = costs[lowest + 1 :]
    if len(after) < 3 or lowest > 0.75 * (len(costs) - 1):
        return None
    lost = median(after[-max(3, len(after) // 2) :]) - costs[lowest]
    shaking = fmean(abs(b - a) for a, b in itertools.pairwise(after))
    fallen = max(costs[: lowest + 1]) - costs[lowest]
    if lost <= max(VISIBLE * abs(costs[lowest]), RISE * fallen, 4 * shaking):
        return None
    return EarlyBest(line.points[lowest][0], line.points[-1][0], lost)


def dominated(
    partial: Sequence[EpochRecord], finished: Sequence[Trial], objective: Objective, *, total_epochs: int
) -> Verdict:
    """Whether a run has next to no chance left of beating the best finished trial.

    Made for runs that keep their best epoch and for runs that keep their last. In doubt the answer is no: without a finished trial, with
    fewer than `FEWEST` epochs or less than a quarter of them, and while the run is not behind the best trial at the same epoch.

    Args:
        partial: The epochs so far, in any order.
        finished: Trials to compare with, in any order; those without a score are passed over.
        objective: Metric and direction.
        total_epochs: How many the run will have.
    """
    best = incumbent(finished, objective)
    if best is None:
        return Verdict(False, None, "there is no finished trial to compare with")
    line = curve(partial, objective.metric, objective)
    newest = max(partial, key=lambda e: e.epoch, default=None)
    if newest is not None and objective.metric in newest.non_finite:
        return Verdict(False, None, f"{objective.metric} is not finite")
    if len(line.points) < FEWEST:
        return Verdict(False, None, "there are too few epochs to judge")
    epoch, now = line.points[-1]
    end = total_epochs - 1 if line.points[0][0] == 0 else total_epochs
    if epoch >= end:
        return Verdict(False, None, "the run is at its end")
    if epoch < EARLIEST * end:
        return Verdict(False, None, "it is too early to judge")
    rival = curve(best.epochs, objective.metric, objective)
    bar = _bar(best, rival, objective)
    if not objective.better(bar, min(line.points, key=lambda p: objective.gain(0.0, p[1]))[1]):
        return Verdict(False, 1.0, f"it is already as good as trial {best.number}")
    then = [value for e, value in rival.points if e <= epoch]
    if then and not objective.better(then[-1], now):
        return Verdict(False, None, f"it is not behind trial {best.number} at the same epoch")
    target = bar if line.lower_is_better else -bar
    ahead = sorted({epoch + max(1, round((end - epoch) * part)) for part in (0.25, 0.5, 1.0)})
    beliefs = [b for b in (_belief(line, e) for e in ahead) if b is not None]
    if len(beliefs) < len(ahead):
        return Verdict(False, None, "the curve cannot be extrapolated")
    chance = max(b.below(target) for b in beliefs)
    expected = f"{objective.metric} {_between(_read(beliefs[-1], line, end))} is expected at epoch {end}"
    if chance >= UNLIKELY:
        return Verdict(False, chance, f"{expected}, and it may still beat trial {best.number}")
    return Verdict(True, chance, f"{expected}, and trial {best.number} reached {bar:.4g}")


def epochs_setting(trial: Trial, objective: Objective) -> Setting | None:
    """Whether the tuned number of epochs (or trees, steps) looks too short, too long or right; None when none is tuned.

    Only a curve that is counted in the parameter's own unit is judged: one that ends about where the parameter says, or earlier for a
    parameter that is named after epochs.
    """
    names = [n for n in trial.config if role_of(n, trial.config) == "duration"]
    limit = trial.config[names[0]] if names else None
    if not names or isinstance(limit, bool) or not isinstance(limit, int | float):
        return None
    name = names[0]
    line = curve(trial.epochs, objective.metric, objective)
    if len(line.points) < FEWEST:
        return Setting(name, "unclear", "")
    last = line.points[-1][0] + (line.points[0][0] == 0)
    if last > limit / SLACK or (
        last < SLACK * limit and not (trial.value is not None and "epoch" in name.lower())
    ):
        return Setting(name, "unclear", "")
    if last < SLACK * limit:
        reason = f"training ended by itself at epoch {last}, so more of {name} changes nothing"
        return Setting(name, "right", reason, ended_early=True)
    seen = diagnose(trial, objective)
    early = early_best(trial.epochs, objective)
    if early is not None:
        return Setting(name, "too long", f"{name} {limit:g} looks too long; the best epoch was {early.epoch}")
    outlook = more_epochs(trial.epochs, objective)
    if outlook is not None and outlook.advice == "helps" and _steady(seen):
        return Setting(name, "too short", f"{name} {limit:g} looks too short")
    plateau = seen.plateau_since
    if plateau is not None and plateau < ENOUGH * last:
        return Setting(
            name, "too long", f"{name} {limit:g} is more than needed; little was gained after epoch {plateau}"
        )
    if outlook is not None and outlook.advice == "adds nothing":
        return Setting(name, "right", f"{name} {limit:g} looks long enough")
    return Setting(name, "unclear", "")


def notes(trial: Trial, objective: Objective) -> tuple[str, ...]:
    """What the trial's curve says about more or fewer epochs: at most three short sentences, none where nothing is clear."""
    found = []
    setting = epochs_setting(trial, objective)
    early = early_best(trial.epochs, objective)
    outlook = more_epochs(trial.epochs, objective)
    stopped = setting is not None and setting.ended_early
    if (
        outlook is not None
        and outlook.advice == "helps"
        and not stopped
        and _steady(diagnose(trial, objective))
    ):
        values = curve(trial.epochs, objective.metric, objective).costs()
        amount = "clearly" if outlook.gain > 2 * LATE * (values[0] - min(values)) else "a little"
        verb = "raise" if objective.direction == "maximize" else "lower"
        found.append(
            f"More epochs would probably {verb} {objective.metric} {amount}: {_between(outlook.forecast)} at epoch "
            f"{outlook.forecast.epoch}."
        )
    if early is not None:
        found.append(
            f"{objective.metric} was best at epoch {early.epoch} of {early.last} and then got worse by {early.lost:.2g}."
        )
    if setting is not None and setting.reason:
        found.append(f"{setting.reason[0].upper() if stopped else setting.reason[0]}{setting.reason[1:]}.")
    return tuple(found)


def _steady(seen: Diagnosis) -> bool:
    """Whether a curve may be extrapolated in words."""
    return not {"diverged", "unstable", "overfitting"} & set(seen.labels)


def _bar(best: Trial, rival: Curve, objective: Objective) -> float:
    """What a curve must beat: the trial's score, or its best epoch where the score is better than any epoch was.

    Some scripts score another way than they report epochs, e.g. with averaged weights; a running curve would gain by that too.
    """
    value = score(best)
    if not rival.points:
        return value
    top = max((v for _, v in rival.points), key=lambda v: objective.gain(v, 0.0))
    return top if objective.better(value, top) else value


def _read(belief: _Belief, line: Curve, epoch: int) -> Forecast:
    """A distribution of costs as a forecast in the metric's unit, within the metric's limits."""
    tail, limit = (1 - INTERVAL) / 2, _limit(line)
    best, middle, worst = (max(belief.quantile(p), limit) for p in (tail, 0.5, 1 - tail))
    sign = 1.0 if line.lower_is_better else -1.0
    low, high = sorted((sign * best, sign * worst))
    return Forecast(epoch, sign * middle, low, high)


def _limit(line: Curve) -> float:
    """The lowest cost that the metric can have, as far as its name and values tell."""
    costs = line.costs()
    if min(costs) >= 0:
        return 0.0
    if min(costs) >= -1 and max(costs) <= 0 and _UNIT_RANGE.search(line.name.lower()):
        return -1.0
    return -math.inf


def _between(ahead: Forecast) -> str:
    """An interval, rounded outwards to the size of its width: a fit differs a little from machine to machine."""
    width = ahead.high - ahead.low
    size = max(abs(ahead.low), abs(ahead.high))
    if width <= max(1e-6 * size, 1e-300):
        return f"{ahead.value:.4g}"
    digits = -math.floor(math.log10(width))
    unit = 10.0**-digits
    low, high = (f(v / unit) * unit for f, v in ((math.floor, ahead.low), (math.ceil, ahead.high)))
    return f"{low:.4g} to {high:.4g}"


# -- the model --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Belief:
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


def _belief(line: Curve, epoch: int) -> _Belief | None:
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
    return _Belief((float(costs[-1]) + centre * scale) * size, spread, weight, freedom)


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
