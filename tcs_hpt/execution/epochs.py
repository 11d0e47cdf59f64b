"""Puts together epochs from single numbers, as an unchanged script writes them."""

from __future__ import annotations

import math

from tcs_hpt.client import METRIC_NAME
from tcs_hpt.execution.metrics import DENSE, HIGHEST_EPOCH, MOST_NAMES
from tcs_hpt.records import EpochRecord, Metrics
from tcs_hpt.spec import Objective, Score

_NOT_A_NUMBER = frozenset({"null", "none", "na", "n/a"})


def number_of(value: object) -> float | None:
    """A number as a script has written it: also as text, also as a percentage, which is taken as it is printed.

    Returns:
        NaN for what stands for a missing number, e.g. `null` or `NA`; None for what is no number at all.
    """
    if value is None:
        return math.nan
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    if not isinstance(value, str):
        return None
    text = value.strip().removesuffix("%").rstrip()
    if text.lower() in _NOT_A_NUMBER:
        return math.nan
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None


def epoch_number(value: object) -> int | None:
    """The number of an epoch; None for what cannot be one. Half an epoch belongs to the one that has begun: 0.5 to 1."""
    number = number_of(value)
    if number is None or not 0 <= number <= HIGHEST_EPOCH:  # NaN is neither
        return None
    return math.ceil(number - 1e-6)


class EpochBuilder:
    """Merges numbers that belong to one epoch, and keeps epochs as `MetricsTail` does: of thousands some, and the last.

    Numbers that come with the number of an epoch belong to it; another number than before opens the next epoch. Numbers
    without one belong to the open epoch, and open the next when one of them is there already, unless what is there was
    overwritten (as in a progress bar). An epoch is told when the next one opens, or at the end, so that it is whole.

    Args:
        objective: What decides.
        score: Which epoch counts.
    """

    def __init__(self, objective: Objective, score: Score) -> None:
        self.epochs: list[EpochRecord] = []
        """What was kept so far."""
        self.deciding: EpochRecord | None = None
        """The epoch that counts: the last with the objective or its best, also when it was not kept."""
        self._objective = objective
        self._score = score
        self._number: int | None = None
        """Of the open epoch."""
        self._open: dict[str, float | None] = {}
        self._provisional: set[str] = set()
        self._last = 0
        self._closed = 0
        self._held: EpochRecord | None = None

    def add(
        self, numbers: dict[str, float], epoch: int | None = None, *, overwritten: bool = False
    ) -> EpochRecord | None:
        """Add what was read together, e.g. in one line.

        Args:
            numbers: Metrics by name. Names that no metric can have are left out, and more than 256 in an epoch.
            epoch: The number that stood with them; None for none.
            overwritten: The line was overwritten on the screen.

        Returns:
            The epoch that is whole by that, if there is one and it is kept.
        """
        whole = None
        if epoch is None:
            firm = self._open.keys() & numbers.keys() - self._provisional
            if self._number is None or firm:
                following = self._last + 1 if self._number is None else self._number + 1
                whole = self._close()
                self._number = min(following, HIGHEST_EPOCH)
        elif epoch != self._number:
            whole = self._close()
            self._number = epoch
        for name, number in numbers.items():
            known = name in self._open or len(self._open) < MOST_NAMES or name in self._objective.reported
            if known and METRIC_NAME.fullmatch(name):
                self._open[name] = number if math.isfinite(number) else None
                (self._provisional.add if overwritten else self._provisional.discard)(name)
        return whole

    def finish(self) -> list[EpochRecord]:
        """Nothing more will come: the epochs that were not told yet."""
        last = [record] if (record := self._close()) is not None else []
        held, self._held = self._held, None
        if held is not None:
            self.epochs.append(held)
            last.append(held)
        return last

    def _close(self) -> EpochRecord | None:
        number, metrics, self._number, self._open = self._number, self._open, None, {}
        self._provisional.clear()
        if number is None:
            return None
        self._last = number
        if not metrics:  # a headline with nothing below it
            return None
        metrics = self._objective.complete(metrics)
        non_finite = tuple(name for name, value in metrics.items() if value is None)
        record = EpochRecord(epoch=number, metrics=metrics, non_finite=non_finite)
        decides = self._objective.metric in metrics
        if decides and self._counts(metrics):
            self.deciding = record
        self._closed += 1
        if self._closed % 2 ** (len(self.epochs) // DENSE):
            self._held = record if decides else self._held
            return None
        self.epochs.append(record)
        self._held = None if decides else self._held
        return record

    def _counts(self, metrics: Metrics) -> bool:
        """Whether an epoch counts more than those before it."""
        if self._score == "last" or self.deciding is None:
            return True
        value, best = metrics[self._objective.metric], self.deciding.metrics[self._objective.metric]
        return best is None or (value is not None and self._objective.better(value, best))
