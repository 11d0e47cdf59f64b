"""Curves of known shapes, and records and trials that have them."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from tcs_hpt.records import EpochRecord, Trial
from tcs_hpt.spec import Config, Objective
from tcs_hpt.trajectory import Curve
from tests.build import trial

ACCURACY = Objective(metric="val_accuracy", direction="maximize")
LOSS = Objective(metric="val_loss", direction="minimize")
SCORE = Objective(metric="score", direction="maximize")
COST = Objective(metric="score", direction="minimize")


def saturating(count: int, top: float = 0.9, speed: float = 5.0) -> list[float]:
    return [top * (1 - math.exp(-i / speed)) for i in range(1, count + 1)]


def noisy(values: Sequence[float], size: float, seed: int = 0) -> list[float]:
    generator = random.Random(seed)
    return [v + generator.gauss(0, size) for v in values]


OVERFITTED = [*saturating(10, 0.9, 2.0), *[0.9 - 0.008 * i for i in range(1, 21)]]


def records(
    values: Sequence[float | None], objective: Objective = ACCURACY, start: int = 1
) -> tuple[EpochRecord, ...]:
    return tuple(
        EpochRecord(
            epoch=i,
            metrics={objective.metric: v},
            non_finite=(objective.metric,) if v is None else (),
        )
        for i, v in enumerate(values, start)
    )


def line(values: Sequence[float], lower: bool = False, name: str = "score") -> Curve:
    return Curve(name, lower, tuple(enumerate(values, 1)))


def ran(
    values: Sequence[float | None],
    config: Config | None = None,
    objective: Objective = ACCURACY,
    number: int = 1,
    start: int = 1,
) -> Trial:
    value = next((v for v in reversed(values) if v is not None), None)
    return trial(number, config or {}, value, curve=records(values, objective, start))
