"""Measures what regret is measured against: the best known and a median random score of every problem."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.dev import results, tables
from benchmarks.dev._base import Problem
from benchmarks.dev.problems import Scale, scales
from benchmarks.dev.studies import run_trials, study_spec
from tcs_hpt.proposers import RandomProposer

SEEDS = 10
"""Training seeds over which the draws of a trained problem are spread."""


def measure(problem: Problem, draws: int, folders: Sequence[Path] = ()) -> list[Scale]:
    """The scales of a problem, one for each instance.

    A table is read from end to end, and its median is that of all configurations. A trained problem is drawn from as method
    `random` does; the best score may also come from earlier results. A failed trial is worse than every score.

    Args:
        problem: What is measured.
        draws: Of a trained problem; 0 keeps its recorded scale and only looks whether the results have a better score.
        folders: Of earlier results.
    """
    if problem.instances > 1:
        return _of_table(problem)
    sign = 1.0 if problem.task.objective.direction == "minimize" else -1.0
    rows = [row for folder in folders for study in results.read(folder) for row in study]
    best = [sign * r.value for r in rows if r.problem == problem.name and r.value is not None]
    if not draws:
        (known,) = scales()[problem.name]
        return [Scale(sign * min([sign * known.best_known, *best]), known.median_random)]
    losses = [math.inf if v is None else sign * v for v in _drawn(problem, draws)]
    return [Scale(sign * min(losses + best), sign * statistics.median(losses))]


def _drawn(problem: Problem, draws: int) -> list[float | None]:
    """Scores of random configurations, over several training seeds; None for a failed one."""
    found: list[float | None] = []
    with TemporaryDirectory() as folder:
        for seed in range(SEEDS):
            count = math.ceil(draws / SEEDS)
            spec = study_spec(problem, method="random", seed=seed, start="cold", trials=count)
            found += [t.value for t, _ in run_trials(problem, RandomProposer(), spec, Path(folder))]
    return found


def _of_table(problem: Problem) -> list[Scale]:
    found = tables.table_of(problem)
    scores = found.scores[problem.task.objective.metric]
    best = scores.max(axis=0) if problem.task.objective.direction == "maximize" else scores.min(axis=0)
    return [Scale(float(b), float(m)) for b, m in zip(best, np.median(scores, axis=0), strict=True)]


def write(path: Path, measured_scales: dict[str, list[Scale]], *, measured: str, add: bool = False) -> None:
    """Put measured scales into the file, in place of earlier ones of the same problems.

    Args:
        path: The file.
        measured_scales: By problem.
        measured: Date and command, for the record.
        add: Keep the earlier record before it, since the medians are still those.
    """
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name, found in measured_scales.items():
        known[name] = {
            "measured": f"{known[name]['measured']}; {measured}" if add else measured,
            "best_known": [float(f"{s.best_known:.8g}") for s in found],
            "median_random": [float(f"{s.median_random:.8g}") for s in found],
        }
    lines = [f"{json.dumps(name)}: {json.dumps(known[name])}" for name in sorted(known)]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
