"""What decides."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import model_validator

from tcs_hpt.spec._base import Frozen, Name

Direction: TypeAlias = Literal["maximize", "minimize"]


class Objective(Frozen):
    """The number that decides, and which way is better. Read by code, never by a model."""

    metric: Name
    """Its name in `metrics.jsonl` and `result.json`."""
    direction: Direction
    target: float | None = None
    """The value that would satisfy the user."""

    def better(self, a: float, b: float) -> bool:
        """Whether score `a` beats score `b`."""
        return a > b if self.direction == "maximize" else a < b

    def gain(self, new: float, old: float) -> float:
        """Improvement from `old` to `new` in the metric's unit; positive is better."""
        return new - old if self.direction == "maximize" else old - new

    @model_validator(mode="after")
    def _check_metric(self) -> Objective:
        if self.metric.startswith("test_"):
            raise ValueError(
                f"`metric` must not be a test metric, got {self.metric!r}: tune on validation data"
            )
        return self
