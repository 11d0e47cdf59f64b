"""What the trials are to the Gaussian process: which of them count, their scores and configurations in numbers.

Pure and deterministic: trials may come in any order.

**Scores.** Higher is better, 0 is the median of the finished trials and 1 the spread of the better half; a worse score
keeps its distance, but is put no further off than its rank would be among normal numbers. So one collapsed trial
does not flatten the differences that matter. This is the half-rank warping of Google Vizier (Song et al., "The
Vizier Gaussian Process Bandit Algorithm", 2024, arXiv 2408.11527); ours differs in leaving a score alone that is
closer than its rank says.

**Failures** are observations `FAILED_BELOW` the worst finished score, so that their neighbours sink too. The scale is made by
finished trials alone and a failure lies near its end, so it cannot flatten the rest. (A second model of what is
feasible would have to learn a border from a handful of failures. With a margin of 2 spreads little was left of what
telling the failures had gained.)

**Inputs.** One column per number and ordered choice on its own scale, one-hot columns for other choices. A parameter that
may be inactive is set to its middle then and has one more column that says so; as in `SearchSpace.distance`, to have and not to
have are as far apart as the ends of the scale. All columns of a parameter share one length scale.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist, median, median_high
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tcs_hpt.records import NEGLIGIBLE, Trial, finished, ordered, score
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import CategoricalParameter, Config, Objective, Scalar, same_scalar

Floats: TypeAlias = NDArray[np.float64]

FAILED_BELOW = 0.5
"""How far a failure lies below the worst finished score, in spreads."""


def observations(trials: Sequence[Trial], objective: Objective) -> tuple[list[Config], Floats]:
    """Configurations and their scores on the model's scale, failures and broken bounds included as bad ones. Shapes [N]."""
    done = scored(trials)
    scores = _warped([objective.gain(score(t), 0.0) for t in done])
    by_trial = {t.number: s for t, s in zip(done, scores, strict=True)}
    bad = min(scores) - FAILED_BELOW
    seen = ended(trials)
    return [t.config for t in seen], np.array([by_trial.get(t.number, bad) for t in seen])


def scored(trials: Sequence[Trial]) -> list[Trial]:
    """Trials whose score says how good they are; by number."""
    return [t for t in finished(trials) if t.feasible]


def ended(trials: Sequence[Trial]) -> list[Trial]:
    """Trials that say something: finished with a score, or failed; by number."""
    return [
        t for t in ordered(trials) if t.state == "failed" or (t.state == "finished" and t.value is not None)
    ]


def encoded(space: SearchSpace, configs: Sequence[Mapping[str, Scalar]]) -> tuple[Floats, NDArray[np.int64]]:
    """Columns of the model, shape [N, C], and the parameter that each belongs to, shape [C]."""
    columns: list[list[float]] = []
    owners: list[int] = []
    for index, (name, parameter) in enumerate(space.params.items()):
        before = len(columns)
        on = [name in c for c in configs]
        if isinstance(parameter, CategoricalParameter) and not parameter.ordered:
            side = math.sqrt(0.5)  # two different choices are 1 apart
            columns += [
                [side if name in c and same_scalar(c[name], choice) else 0.0 for c in configs]
                for choice in parameter.choices
            ]
        else:
            columns.append([space.to_unit(name, c[name]) if name in c else 0.5 for c in configs])
        if not all(on):
            columns.append([float(o) for o in on])
        owners += [index] * (len(columns) - before)
    return np.array(columns, dtype=np.float64).T.reshape(len(configs), -1), np.array(owners, dtype=np.int64)


def _warped(values: Sequence[float]) -> list[float]:
    """Scores, higher better, on a scale where 0 is the median and 1 the spread of the better half."""
    good = median_high(values)
    size = max(abs(v) for v in values if v >= good) or max(abs(v) for v in values) or 1.0
    # Measured by the better half, for a collapse shall not set the size; bounded, so that no sum overflows.
    parts = [max(v / size, -1e9) for v in values]
    middle = median(parts)
    better = [p - middle for p in parts if p >= middle]
    spread = max(math.sqrt(sum(b * b for b in better) / len(better)), NEGLIGIBLE)
    ranks = NormalDist()
    warped = []
    for part in parts:
        below = sum(p < part for p in parts) + 0.5 * sum(p == part for p in parts)
        straight = (part - middle) / spread
        warped.append(straight if straight >= 0 else max(straight, ranks.inv_cdf(below / len(parts))))
    return warped
