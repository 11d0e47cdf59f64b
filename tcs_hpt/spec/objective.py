"""What decides."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Literal, TypeAlias

from pydantic import Field, model_validator

from tcs_hpt.spec._base import Frozen, Name

Direction: TypeAlias = Literal["maximize", "minimize"]

WEIGHTED = "weighted_score"
"""The metric that several weighted ones make together; higher is better."""


class Term(Frozen):
    """One of several metrics that decide together."""

    metric: Name
    direction: Direction
    weight: float = Field(gt=0)
    """What one unit of the metric is worth in the weighted score."""


class Bound(Frozen):
    """What a metric of a finished trial must keep to; a trial that breaks it cannot be the best."""

    metric: Name
    low: float | None = None
    """The lowest value that is allowed."""
    high: float | None = None
    """The highest."""

    @model_validator(mode="after")
    def _check_range(self) -> Bound:
        if self.low is None and self.high is None:
            raise ValueError(f"a bound of {self.metric!r} needs `low` or `high`")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError(f"`low` must not be above `high`, got low={self.low}, high={self.high}")
        return self

    def __str__(self) -> str:
        """As people write it: `latency_ms <= 20`."""
        if self.low is None:
            return f"{self.metric} <= {self.high:g}"
        return (
            f"{self.metric} >= {self.low:g}"
            if self.high is None
            else f"{self.low:g} <= {self.metric} <= {self.high:g}"
        )

    def keeps(self, value: float | None) -> bool:
        """Whether a value is allowed; one that is missing or not finite is not."""
        if value is None:
            return False
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)


class Objective(Frozen):
    """The number that decides, and which way is better. Read by code, never by a model.

    With `terms` the number is made of several metrics: the sum of weight times value over them, with a minus for those that shall be
    small. With `bounds` a trial counts as feasible only if it keeps them.
    """

    metric: Name
    """Its name in `metrics.jsonl` and `result.json`; `WEIGHTED` with several terms."""
    direction: Direction
    target: float | None = None
    """The value that would satisfy the user."""
    terms: tuple[Term, ...] = ()
    """What the weighted score is made of; empty when one metric decides alone."""
    bounds: tuple[Bound, ...] = ()

    def better(self, a: float, b: float) -> bool:
        """Whether score `a` beats score `b`."""
        return a > b if self.direction == "maximize" else a < b

    def gain(self, new: float, old: float) -> float:
        """Improvement from `old` to `new` in the metric's unit; positive is better."""
        return new - old if self.direction == "maximize" else old - new

    @property
    def deciding(self) -> tuple[str, ...]:
        """Metrics that a script has to report for a score."""
        return tuple(t.metric for t in self.terms) or (self.metric,)

    @property
    def reported(self) -> frozenset[str]:
        """All metrics that are looked at: the deciding and the bounded ones."""
        return frozenset((*self.deciding, *(b.metric for b in self.bounds)))

    @property
    def directions(self) -> dict[str, Direction]:
        """The metrics that are traded off against each other, and which way each is better: the deciding ones and the bounded ones."""
        found: dict[str, Direction] = {t.metric: t.direction for t in self.terms} or {
            self.metric: self.direction
        }
        for bound in self.bounds:
            if (bound.low is None) != (bound.high is None):
                found.setdefault(bound.metric, "minimize" if bound.low is None else "maximize")
        return found

    @property
    def formula(self) -> str:
        """What the weighted score is made of, `1 x val_accuracy - 0.01 x latency_ms`; the metric itself when it decides alone."""
        signed = [("+" if t.direction == "maximize" else "-", t) for t in self.terms]
        text = " ".join(f"{sign} {term.weight:g} x {term.metric}" for sign, term in signed)
        return text.removeprefix("+ ") or self.metric

    def complete(self, metrics: Mapping[str, float | None]) -> dict[str, float | None]:
        """The metrics with the weighted score, where all its terms are there; None when one of them is not finite."""
        found = dict(metrics)
        if not self.terms or any(t.metric not in metrics for t in self.terms):
            return found
        total: float | None = 0.0
        for term in self.terms:
            value = metrics[term.metric]
            sign = 1.0 if term.direction == "maximize" else -1.0
            total = None if value is None or total is None else total + sign * term.weight * value
        found[self.metric] = total if total is not None and math.isfinite(total) else None
        return found

    def missing(self, seen: Collection[str]) -> list[str]:
        """Metrics without which there is no score, and which were never seen."""
        return [name for name in self.deciding if name not in seen]

    def violations(self, metrics: Mapping[str, float | None]) -> tuple[str, ...]:
        """The bounds that the metrics of a finished trial break, in words with the value; empty when it keeps all."""
        return tuple(
            f"{bound}, got {'nothing' if (value := metrics.get(bound.metric)) is None else f'{value:.6g}'}"
            for bound in self.bounds
            if not bound.keeps(metrics.get(bound.metric))
        )

    @model_validator(mode="after")
    def _check_metric(self) -> Objective:
        hidden = [
            m
            for m in (self.metric, *self.deciding, *(b.metric for b in self.bounds))
            if m.startswith("test_")
        ]
        if hidden:
            raise ValueError(
                f"`metric` must not be a test metric, got {hidden[0]!r}: tune on validation data"
            )
        if self.terms:
            names = [t.metric for t in self.terms]
            if len(names) < 2 or len(set(names)) < len(names):
                raise ValueError(f"`terms` must be two or more different metrics, got {', '.join(names)}")
            if (self.metric, self.direction) != (WEIGHTED, "maximize"):
                raise ValueError(
                    f"`metric` must be {WEIGHTED!r}, to be maximized, where several `terms` decide"
                )
        return self
