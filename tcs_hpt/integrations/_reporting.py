"""What all callbacks do alike: name metrics, report them, remember the best epoch, end the trial with it.

Without knowledge of any library.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from tcs_hpt.client import METRIC_NAME, CurrentTrial, current_trial
from tcs_hpt.errors import UserError

Direction: TypeAlias = Literal["maximize", "minimize"]

LONGEST = 64
"""Characters of a metric's name; `METRIC_NAME` says the same."""
HIDDEN = "test_"
"""What the names of metrics start with that no proposer sees."""
SETS = {
    "train": ("train", "training", "dtrain", "learn"),
    "val": ("val", "valid", "validation", "dval", "dvalid", "eval", "dev"),
    "test": ("test", "dtest"),
}
"""What people call their data sets."""


class Reporter:
    """Reports epochs to a trial and remembers the best one.

    Args:
        trial: Where to report; `current_trial()` if not given.
        prefix: Put before every name, after `test_` where a name starts so.
        names: The library's own name of a metric -> the name to report.
        best: The reported name of the metric that says which epoch is the best; with `direction` or not at all.
        direction: Whether more of it is better.

    Raises:
        ValueError: Of `best` and `direction` only one is given, or `direction` is no direction.
    """

    def __init__(
        self,
        trial: CurrentTrial | None = None,
        *,
        prefix: str = "",
        names: Mapping[str, str] | None = None,
        best: str | None = None,
        direction: Direction | None = None,
    ) -> None:
        if (best is None) != (direction is None):
            raise ValueError(
                f"`best` and `direction` belong together, got best={best!r}, direction={direction!r}"
            )
        if direction not in (None, "maximize", "minimize"):
            raise ValueError(f"`direction` must be 'maximize' or 'minimize', got {direction!r}")
        self.trial = current_trial() if trial is None else trial
        self.best = best
        self.best_epoch: int | None = None
        """Number of the best epoch; None before the first with a finite value, and without `best`."""
        self._best_metrics: dict[str, float] | None = None
        self._last_metrics: dict[str, float] = {}
        self._prefix = prefix
        self._names = dict(names or {})
        self._sign = -1.0 if direction == "minimize" else 1.0
        self._known: dict[str, str] = {}

    def restart(self) -> None:
        """Forget the epochs of an earlier training."""
        self.best_epoch, self._best_metrics, self._last_metrics = None, None, {}

    def state(self) -> dict[str, Any]:
        """What a checkpoint must hold so that the best epoch is not forgotten."""
        return {"epoch": self.best_epoch, "best": self._best_metrics, "last": self._last_metrics}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state()`."""
        self.best_epoch, self._best_metrics, self._last_metrics = state["epoch"], state["best"], state["last"]

    def named(self, usual: str, *own: str) -> str:
        """The name to report.

        Args:
            usual: What it is called unless the user said otherwise.
            own: What the library calls it, which the user may have mapped; the first mapped one counts.
        """
        for name in own:
            if name in self._names:
                return self._prefixed(self._names[name])
        return self._prefixed(legal_name(usual))

    def mapped(self, own: str) -> str | None:
        """What the user calls something that the library calls `own`; None if nothing else."""
        return self._names.get(own)

    def _prefixed(self, name: str) -> str:
        # A test metric that no longer starts with `test_` would be shown to whoever chooses the next configuration.
        hidden = HIDDEN if name.startswith(HIDDEN) else ""
        return legal_name(f"{hidden}{self._prefix}{name.removeprefix(hidden)}")

    def report(self, epoch: int, metrics: Mapping[str, Any], *, complete: bool = True) -> None:
        """Report one epoch.

        Args:
            epoch: Its number.
            metrics: Values by the name to report; those that are no single number are left out.
            complete: Whether all metrics of an epoch are among them, `best` too.

        Raises:
            UserError: `best` is missing from a complete epoch.
        """
        values = {name: number for name, value in metrics.items() if (number := as_number(value)) is not None}
        if not values:
            return
        self.trial.report(epoch=epoch, **values)
        if self.best is None:
            self._last_metrics = values
            return
        if complete and self.best not in values:
            raise UserError(
                f"`best` is {self.best!r}, which epoch {epoch} does not have",
                hint=f"It has {', '.join(values)}; name one of them, or rename it with `names`.",
            )
        if self.best not in values:
            return
        self._last_metrics = values
        new = values[self.best]
        old = self._best_metrics[self.best] if self._best_metrics else -self._sign * math.inf
        if math.isfinite(new) and (self._best_metrics is None or self._sign * new > self._sign * old):
            self.best_epoch, self._best_metrics = epoch, values

    def should_stop(self) -> bool:
        """Whether the engine asks the training to end."""
        return self.trial.should_stop()

    @property
    def best_metrics(self) -> dict[str, float]:
        """All metrics of the best epoch, else of the last; empty before the first."""
        return dict(self._last_metrics if self._best_metrics is None else self._best_metrics)

    def finish_with_best(self) -> None:
        """End the trial with the best epoch, if the user said what is best and there was an epoch."""
        if self.best is not None and self.best_metrics:
            self.trial.finish(**self.best_metrics)


class Reporting:
    """The part of a callback that its user sees: what was best, and how the trial ends. Mixed into each of them."""

    _reporter: Reporter

    @property
    def best_epoch(self) -> int | None:
        """Number of the best epoch, as reported; ties keep the earlier. None without `best`."""
        return self._reporter.best_epoch

    @property
    def best_metrics(self) -> dict[str, float]:
        """All metrics of the best epoch, by reported name.

        Those of the last epoch without `best`, and where it was never finite: the trial then counts as diverged.
        """
        return self._reporter.best_metrics

    def finish(self, **more: object) -> None:
        """End the trial with `best_metrics` and what is added here, e.g. `test_accuracy`; a second call replaces the first.

        Raises:
            ValueError: There is no metric at all.
        """
        self._reporter.trial.finish(**{**self.best_metrics, **more})


def as_number(value: Any) -> float | None:
    """A single number, also from an array or tensor with one element; None for anything else."""
    if callable(item := getattr(value, "item", None)):
        try:
            value = item()
        except (TypeError, ValueError, RuntimeError):  # more than one element
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def legal_name(name: str) -> str:
    """A name that a metric may have, as near to `name` as possible: `val/acc` is `val_acc`, `ndcg@5` is `ndcg_5`."""
    if METRIC_NAME.fullmatch(name):
        return name
    cleaned = re.sub(r"[^A-Za-z0-9_.-]+", "_", name).strip("_") or "metric"
    return (cleaned if re.match(r"[A-Za-z_]", cleaned) else f"_{cleaned}")[:LONGEST]


def role_of(data_name: str) -> str | None:
    """`train`, `val` or `test` for the usual names of a data set, else None."""
    plain = data_name.lower()
    return next((role for role, names in SETS.items() if plain in names), None)


def missing(library: str, error: ImportError, *, package: str = "") -> UserError:
    """The error for a library that a training script lacks; `package` is what pip calls it."""
    package = package or library
    return UserError(
        f"tcs_hpt.integrations.{library} needs {package}, which cannot be imported: {error}",
        hint=f"Run `pip install {package}` in the environment that trains.",
    )
