"""Learning-curve features of one trial and the diagnosis they support.

Pure: no clock, no random numbers, no I/O. The rules are heuristics of ours; each threshold is named below, so that a
reader can argue with it. They read what scripts commonly report (`train_loss`, `val_loss`, `train_X` beside a
`val_X` objective) and make do with whatever part of it is there.

Not covered: extrapolation of unfinished curves.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tcs_hpt.records import EpochRecord, Trial
from tcs_hpt.spec import Objective

Label: TypeAlias = Literal[
    "diverged",
    "unstable",
    "overfitting",
    "underfitting",
    "still improving",
    "plateaued",
    "healthy",
    "unknown",
]

GAP = 0.05
"""Train ahead of validation by this share of the training score counts as overfitting."""
RISE = 0.05
"""Validation loss above its minimum by this share of what it had fallen counts as overfitting."""
LATE = 0.05
"""Share of the total improvement that the last quarter must bring to count as still improving."""
FLAT = 0.02
"""A curve whose later epochs add less than this share of the total improvement has plateaued."""
SHORTFALL = 0.01
"""Training score below the reference by this share counts as underfitting."""
SMALL_FALL = 0.03
"""Training loss that falls by less than this share of its first value counts as underfitting."""
SETBACKS = 0.3
"""Share of backward movement in the second half of a curve that counts as unstable."""
SHAKES = 0.03
"""Mean movement per epoch, as a share of the value's size, below which a curve is not called unstable."""
VISIBLE = 0.01
"""Movements smaller than this share of the value's size are noise, whatever their pattern."""

_VALIDATION_LOSS = ("val_loss", "valid_loss", "validation_loss", "eval_loss")
_LOWER_IS_BETTER = re.compile(r"(loss|error|err|rmse|mse|mae|nll|perplexity|ppl|cost|time|latency)(_|$|\d)")


_NOTHING_TO_JUDGE = ("no curve", "too few epochs to judge", "no validation curve")


@dataclass(frozen=True)
class Curve:
    """One metric over the epochs of a trial; non-finite epochs are left out of `points`."""

    name: str
    lower_is_better: bool
    points: tuple[tuple[int, float], ...]
    """(epoch, value), by epoch."""

    @property
    def values(self) -> list[float]:
        """The finite values, by epoch; shape [N]."""
        return [value for _, value in self.points]

    def costs(self) -> list[float]:
        """Values turned so that smaller is better; shape [N]."""
        sign = 1.0 if self.lower_is_better else -1.0
        return [sign * value for _, value in self.points]


@dataclass(frozen=True)
class Diagnosis:
    """What the curves of one trial support, most serious label first."""

    labels: tuple[Label, ...]
    epochs: int
    best_epoch: int | None = None
    """Epoch of the best objective."""
    onset_epoch: int | None = None
    """First epoch of overfitting."""
    plateau_since: int | None = None
    gap: float | None = None
    """Training score minus validation score at the best epoch, in the objective's unit; positive is overfitting."""

    @property
    def main(self) -> Label:
        """The label to act on."""
        return self.labels[0]

    def sentence(self) -> str:
        """The diagnosis in a few words, for people and models."""
        parts: list[str] = []
        for label in self.labels:
            if label == "overfitting" and self.onset_epoch is not None:
                parts.append(f"overfitting from epoch {self.onset_epoch}")
            elif label == "plateaued" and self.plateau_since is not None:
                parts.append(f"plateaued since epoch {self.plateau_since}")
            elif label == "still improving":
                parts.append("still improving at the end")
            elif label == "unknown":
                parts.append(_NOTHING_TO_JUDGE[min(self.epochs, 2)])
            else:
                parts.append(label)
        return ", ".join(parts)


def lower_is_better(metric: str, objective: Objective) -> bool:
    """Whether a metric falls when training goes well: the objective says so, else the metric's name."""
    if metric == objective.metric or _suffix(metric) == _suffix(objective.metric):
        return objective.direction == "minimize"
    return bool(_LOWER_IS_BETTER.search(metric.lower()))


def _suffix(metric: str) -> str:
    return re.sub(r"^(train|training|val|valid|validation|eval|dev)_", "", metric)


def curve(epochs: Sequence[EpochRecord], metric: str, objective: Objective) -> Curve:
    """One metric over the epochs, by epoch number; a repeated epoch keeps its last value."""
    latest = {e.epoch: e.metrics.get(metric) for e in epochs}
    points = tuple((n, v) for n, v in sorted(latest.items()) if v is not None and math.isfinite(v))
    return Curve(metric, lower_is_better(metric, objective), points)


def _find(epochs: Sequence[EpochRecord], *names: str) -> str | None:
    seen = {name for e in epochs for name in e.metrics}
    return next((name for name in names if name in seen), None)


def diagnose(trial: Trial, objective: Objective, *, reference: float | None = None) -> Diagnosis:
    """What the trial's curves say.

    Args:
        trial: Any trial, with or without curves.
        objective: Metric and direction.
        reference: A score known to be reachable (target or incumbent), in the objective's unit; without it,
            underfitting is judged by the training loss alone.
    """
    epochs = trial.epochs
    count = len({e.epoch for e in epochs})
    suffix = _suffix(objective.metric)
    score_curve = curve(epochs, objective.metric, objective)
    if not score_curve.points and (stand_in := _find(epochs, *_VALIDATION_LOSS)) is not None:
        score_curve = curve(epochs, stand_in, objective)  # the objective comes only at the end
    train_score = _find(epochs, f"train_{suffix}", f"training_{suffix}")
    train_loss = _find(epochs, "train_loss", "training_loss", "loss")
    val_loss = _find(epochs, *_VALIDATION_LOSS)

    labels: list[Label] = []
    if (trial.failure is not None and trial.failure.kind == "diverged") or _blew_up(
        epochs, objective, train_loss, val_loss
    ):
        labels.append("diverged")
    if count < 2 or len(score_curve.points) < 2:
        best = score_curve.points[0][0] if score_curve.points else None
        return Diagnosis(tuple(labels) or ("unknown",), count, best_epoch=best)

    best_epoch = score_curve.points[_argmin(score_curve.costs())][0]
    if _unstable(score_curve):
        labels.append("unstable")

    gap = _gap(epochs, objective, train_score, score_curve, best_epoch)
    rising = _still_improving(score_curve)
    plateau = _plateau_since(score_curve)
    onset = None
    if (
        "unstable" not in labels and not rising
    ):  # the turn of a curve that jumps, or of a loss alone, means little
        onset = _turning_point(epochs, objective, train_score or train_loss, val_loss, score_curve)
    if onset is not None:
        labels.append("overfitting")
    elif "diverged" not in labels and _underfits(
        epochs, objective, train_score, train_loss, score_curve, best_epoch, reference
    ):
        labels.append("underfitting")
    if plateau is not None and onset is None:
        labels.append("plateaued")
    elif rising and onset is None:
        labels.append("still improving")
    if onset is None and not rising and "underfitting" not in labels:
        onset = _gap_opens(epochs, objective, train_score, score_curve)
        if onset is not None:
            labels.append("overfitting")  # last: a gap without harm to validation is the weaker sign
    return Diagnosis(
        tuple(labels) or ("healthy",),
        count,
        best_epoch=best_epoch,
        onset_epoch=onset,
        plateau_since=plateau,
        gap=gap,
    )


def _argmin(values: Sequence[float]) -> int:
    return min(range(len(values)), key=lambda i: (values[i], i))


def _blew_up(
    epochs: Sequence[EpochRecord], objective: Objective, train_loss: str | None, val_loss: str | None
) -> bool:
    """A loss that was not finite, or a training loss that ends above twice its first value."""
    watched = {objective.metric, train_loss, val_loss}
    if any(watched & set(e.non_finite) for e in epochs):
        return True
    values = curve(epochs, train_loss, objective).values if train_loss is not None else []
    return len(values) >= 2 and values[0] > 0 and values[-1] > 2 * values[0]


def _unstable(line: Curve) -> bool:
    values = line.values
    tail = values[len(values) // 2 :] if len(values) >= 6 else values
    if len(tail) < 3:
        return False
    steps = [b - a for a, b in itertools.pairwise(tail)]
    size = max(abs(v) for v in values) or 1.0
    costs = line.costs()
    if costs[-1] - costs[0] > SHAKES * size and _argmin(costs) > 0:
        return True  # it had learned something and lost all of it
    backward = sum(s for s in steps if s > 0) if line.lower_is_better else -sum(s for s in steps if s < 0)
    travelled = sum(abs(s) for s in steps)
    turns = sum(a * b < 0 for a, b in itertools.pairwise(steps))
    return turns >= 2 and backward > SETBACKS * travelled and travelled / len(steps) > SHAKES * size


def _gap(
    epochs: Sequence[EpochRecord],
    objective: Objective,
    train_score: str | None,
    score_curve: Curve,
    best_epoch: int,
) -> float | None:
    if train_score is None:
        return None
    train = dict(curve(epochs, train_score, objective).points)
    validation = dict(score_curve.points)
    if best_epoch not in train:
        return None
    return objective.gain(train[best_epoch], validation[best_epoch])


def _turning_point(
    epochs: Sequence[EpochRecord],
    objective: Objective,
    train: str | None,
    val_loss: str | None,
    score_curve: Curve,
) -> int | None:
    """First epoch of overfitting by the validation curve turning while training goes on."""
    turned = _turn(curve(epochs, val_loss, objective) if val_loss is not None else score_curve)
    if turned is None or (
        train is not None and not _keeps_improving(curve(epochs, train, objective), turned)
    ):
        return None
    return turned


def _gap_opens(
    epochs: Sequence[EpochRecord], objective: Objective, train_score: str | None, score_curve: Curve
) -> int | None:
    """First epoch from which training stays far ahead of validation."""
    if train_score is None:
        return None
    ahead = dict(curve(epochs, train_score, objective).points)
    wide = [
        (epoch, epoch in ahead and objective.gain(ahead[epoch], value) > GAP * max(abs(ahead[epoch]), 1e-12))
        for epoch, value in score_curve.points
    ]
    if len(wide) < 3 or not wide[-1][1] or not wide[-2][1]:
        return None
    onset = wide[-1][0]
    for epoch, is_wide in reversed(wide):
        if not is_wide:
            break
        onset = epoch
    return onset


def _turn(line: Curve) -> int | None:
    """Epoch after the minimum from which the curve stays clearly above it, noise taken into account."""
    costs = line.costs()
    lowest = _argmin(costs)
    after = costs[lowest + 1 :]
    if len(after) < (2 if len(costs) < 6 else 3):
        return None
    late = after[-max(2, len(after) // 2) :]
    rise = sum(late) / len(late) - costs[lowest]
    fallen = costs[0] - costs[lowest]
    if rise <= max(RISE * fallen, VISIBLE * abs(costs[lowest])) + 3 * _noise(costs):
        return None
    return line.points[lowest + 1][0]


def _noise(costs: Sequence[float]) -> float:
    """Standard deviation of the scatter around a smooth curve, from its second differences (their median / 1.65)."""
    bends = sorted(abs(a - 2 * b + c) for a, b, c in zip(costs, costs[1:], costs[2:], strict=False))
    return bends[(len(bends) - 1) // 2] / 1.65 if bends else 0.0


def _keeps_improving(line: Curve, since: int) -> bool:
    """Whether the training curve ends at least as good as it was at that epoch."""
    costs = line.costs()
    at = [i for i, (epoch, _) in enumerate(line.points) if epoch <= since]
    return bool(at) and costs[-1] <= costs[at[-1]]


def _underfits(
    epochs: Sequence[EpochRecord],
    objective: Objective,
    train_score: str | None,
    train_loss: str | None,
    score_curve: Curve,
    best_epoch: int,
    reference: float | None,
) -> bool:
    """Even the better of training and validation misses the reference, or the training loss hardly moves.

    With augmentation or dropout training scores below validation, so the better of the two is what was learned.
    """
    if train_score is not None and reference is not None and score_curve.name == objective.metric:
        at_best = dict(curve(epochs, train_score, objective).points).get(best_epoch)
        if at_best is not None:
            learned = dict(score_curve.points)[best_epoch]
            learned = at_best if objective.better(at_best, learned) else learned
            return objective.gain(reference, learned) > SHORTFALL * max(abs(reference), 1e-12)
    if train_loss is None:
        return False
    values = curve(epochs, train_loss, objective).values
    return len(values) >= 2 and values[0] > 0 and values[0] - values[-1] < SMALL_FALL * values[0]


def _plateau_since(line: Curve) -> int | None:
    """First epoch whose successors, at least three and a fifth of all, add next to nothing; None when they do."""
    costs = line.costs()
    total = costs[0] - min(costs)
    if total <= 0:
        return line.points[0][0] if len(costs) >= 4 else None
    best_so_far = math.inf
    for index, cost in enumerate(costs):
        best_so_far = min(best_so_far, cost)
        if best_so_far - min(costs) <= FLAT * total:
            return line.points[index][0] if len(costs) - 1 - index >= max(3, len(costs) // 5) else None
    return None


def _still_improving(line: Curve) -> bool:
    costs = line.costs()
    quarter = max(1, len(costs) // 4)
    earlier, late = min(costs[:-quarter]), min(costs[-quarter:])
    total = costs[0] - min(costs)
    return total > 0 and earlier - late >= LATE * total
