"""What a learning curve says about more epochs: where it goes, whether the run can still win, and how many it needs.

Pure and deterministic. `tcs_hpt.trajectory` names what a curve shows; this looks ahead. The numbers of a fit differ a little from
machine to machine, so what reaches a prompt is rounded outwards to the size of its own uncertainty.

The model behind the forecasts is in `extrapolation.py`. `benchmarks/learning_curves.py` measures it on curves that really occurred; `benchmarks/LOG.md` has the figures, and those of least-squares
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

from tcs_hpt.evidence.extrapolation import FEWEST, HUGE, Belief, believed
from tcs_hpt.evidence.roles import role_of
from tcs_hpt.records import NEGLIGIBLE, EpochRecord, Trial, incumbent, score
from tcs_hpt.spec import Objective
from tcs_hpt.trajectory import LATE, RISE, VISIBLE, Curve, Diagnosis, curve, diagnose

Floats: TypeAlias = NDArray[np.float64]
Advice: TypeAlias = Literal["helps", "adds nothing", "unclear"]
Length: TypeAlias = Literal["too short", "too long", "right", "unclear"]

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
    belief = believed(line, epoch)
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
    belief = believed(line, later)
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
    beliefs = [b for b in (believed(line, e) for e in ahead) if b is not None]
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


def _read(belief: Belief, line: Curve, epoch: int) -> Forecast:
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
