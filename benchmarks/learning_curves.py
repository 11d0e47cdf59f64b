"""How well learning curves are extrapolated, and how often the advice that rests on it is wrong.

python -m benchmarks.learning_curves

Random configurations of the development bench's problems are trained, their curves cut, and what comes after the cut is compared
with what was said of it. Errors are in parts of the spread (interquartile range) of the problem's final scores, cut off at 3.
"""

from __future__ import annotations

import argparse
import math
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.dev._base import Problem
from benchmarks.dev.problems import chosen
from benchmarks.dev.trained import Array
from tcs_hpt.evidence.curves import (
    FURTHER,
    dominated,
    early_best,
    forecast,
    more_epochs,
)
from tcs_hpt.evidence.extrapolation import EXPONENTIAL, FEWEST, POWER
from tcs_hpt.execution import InProcessExecutor, Job
from tcs_hpt.records import NEGLIGIBLE, EpochRecord, Proposal, Trial
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import Objective
from tcs_hpt.trajectory import LATE, Curve, curve

PROBLEMS = ("boosting_diabetes", "forest_digits", "mlp_digits", "linear_cancer")
"""Those that report epochs."""
CUTS = (0.3, 0.5, 0.7)
WORST = 3.0
OTHERS = (1, 3, 8)
"""Finished trials that a running one is compared with."""


@dataclass(frozen=True)
class Cut:
    """A curve of which only the beginning is shown."""

    problem: str
    objective: Objective
    share: float
    shown: tuple[EpochRecord, ...]
    whole: Curve
    unit: float
    """Spread of final scores."""

    @property
    def start(self) -> Curve:
        """What is shown."""
        return curve(self.shown, self.objective.metric, self.objective)


def trained(problem: Problem, count: int, first: int) -> list[Trial]:
    """Random configurations, trained; failed ones and those with fewer than four epochs are left out."""
    space = SearchSpace(problem.task.params)
    trials = []
    for number in range(first, first + count):
        generator = random.Random(number)
        config = space.decode([generator.random() for _ in space.names])
        with TemporaryDirectory() as folder:
            job = Job(number, problem.task, Path(folder), Path(folder) / "trial", config, number % 3)
            result = InProcessExecutor(problem.function).run(job, lambda epoch: None)
        if result.state == "finished" and len(result.epochs) >= 4:
            trials.append(
                Trial(
                    number=number,
                    config=config,
                    state="finished",
                    proposal=Proposal(config=config, source="random"),
                    value=result.value,
                    metrics=result.metrics,
                    epochs=result.epochs,
                )
            )
    return trials


def cuts(problem: Problem, trials: Sequence[Trial]) -> Iterator[Cut]:
    """Every trial at every cut."""
    objective = problem.task.objective
    quartiles = statistics.quantiles([t.value for t in trials if t.value is not None], n=4)
    for trial in trials:
        whole = curve(trial.epochs, objective.metric, objective)
        for share in CUTS:
            kept = max(1, round(share * len(trial.epochs)))
            if kept < len(trial.epochs):
                yield Cut(
                    problem.name, objective, share, trial.epochs[:kept], whole, quartiles[2] - quartiles[0]
                )


def fitted(start: Curve, epoch: int) -> float:
    """The median of least-squares fits of an exponential, a power law and a logarithm, moved to the last value."""
    x, y = (np.array(part, dtype=float) for part in zip(*start.points, strict=True))
    if len(y) < 4:
        return float(y[-1])
    ahead = np.append(x, float(epoch))
    families: list[list[Array]] = [
        [np.exp(-ahead / (t * x[-1])) for t in EXPONENTIAL],
        [ahead**-p for p in POWER],
        [np.log(ahead)],
    ]
    ends = []
    for family in families:
        tried = []
        for shape in family:
            columns = np.column_stack([np.ones_like(x), shape[:-1]])
            weights, *_ = np.linalg.lstsq(columns, y, rcond=None)
            error = float(np.sum((columns @ weights - y) ** 2))
            tried.append((error, float(y[-1] + weights[1] * (shape[-1] - shape[-2]))))
        ends.append(min(tried)[1])
    return statistics.median(ends)


def extrapolation(all_cuts: Sequence[Cut]) -> Table:
    """Errors at the last epoch, and how often the interval holds it."""
    table = Table(title="last epoch, extrapolated: mean (median) error in parts of the spread of scores")
    for column in ("problem", "cut", "curves", "last value", "least squares", "forecast", "80 % holds", "ms"):
        table.add_column(column, justify="left" if column == "problem" else "right")
    groups = [(n, s) for n in dict.fromkeys(c.problem for c in all_cuts) for s in CUTS] + [
        ("all", s) for s in CUTS
    ]
    for name, share in groups:
        errors: dict[str, list[float]] = {"last": [], "least": [], "forecast": []}
        held, seconds = [], 0.0
        for cut in all_cuts:
            if cut.share != share or name not in ("all", cut.problem):
                continue
            start, (end, truth) = cut.start, cut.whole.points[-1]
            began = time.perf_counter()
            ahead = forecast(start, end)
            seconds += time.perf_counter() - began
            last = start.points[-1][1]
            said = {"last": last, "least": fitted(start, end), "forecast": ahead.value if ahead else last}
            for way, value in said.items():
                errors[way].append(min(WORST, abs(value - truth) / cut.unit))
            if ahead is not None:
                held.append(ahead.low <= truth <= ahead.high)
        shown = [f"{statistics.fmean(e):.3f} ({statistics.median(e):.3f})" for e in errors.values()]
        table.add_row(
            name,
            f"{share:.0%}",
            str(len(errors["last"])),
            *shown,
            f"{statistics.fmean(held):.0%} of {len(held)}" if held else "",
            f"{1000 * seconds / max(1, len(errors['last'])):.1f}",
        )
    return table


def domination(studies: dict[str, list[Trial]], objectives: dict[str, Objective], rounds: int) -> Table:
    """How often a run that was called surely dominated would have won, and how many of those that lose are called so."""
    table = Table(
        title="surely dominated: wrong among the verdicts (best epoch counts / last epoch counts), and losers caught"
    )
    for column in (
        "problem",
        "cut",
        "verdicts",
        "wrong, best",
        "wrong, last",
        "caught",
        "behind now: wrong, best",
    ):
        table.add_column(column, justify="left" if column == "problem" else "right")
    rows: list[tuple[str, float, bool, bool, bool, bool]] = []
    for name, trials in studies.items():
        objective, generator = objectives[name], random.Random(0)
        for turn in range(rounds):
            running, *finished = generator.sample(trials, 1 + OTHERS[turn % len(OTHERS)])
            bar = max(
                (t.value for t in finished if t.value is not None), key=lambda v: objective.gain(v, 0.0)
            )
            values = curve(running.epochs, objective.metric, objective).points
            for share in CUTS:
                kept = max(1, round(share * len(values)))
                if kept == len(values):
                    continue
                verdict = dominated(running.epochs[:kept], finished, objective, total_epochs=values[-1][0])
                wins = (
                    any(objective.better(v, bar) for _, v in values),
                    objective.better(values[-1][1], bar),
                )
                behind = objective.better(bar, values[kept - 1][1])
                rows.append((name, share, verdict.dominated, *wins, behind))
    groups = [(n, s) for n in (*studies, "all") for s in CUTS] + [("all", None)]
    for name, cut in groups:
        chosen_rows = [r for r in rows if name in ("all", r[0]) and cut in (None, r[1])]
        called = [r for r in chosen_rows if r[2]]
        losers = [r for r in chosen_rows if not r[3]]
        naive = [r for r in chosen_rows if r[5]]
        table.add_row(
            name,
            f"{cut:.0%}" if cut else "all",
            f"{len(called)} of {len(chosen_rows)}",
            _share([r[3] for r in called]),
            _share([r[4] for r in called]),
            _share([r[2] for r in losers]),
            _share([r[3] for r in naive]),
        )
    return table


def advice(studies: dict[str, list[Trial]], objectives: dict[str, Objective]) -> Table:
    """Runs cut where the rest is half as long again: what was said of more epochs, and what they did."""
    table = Table(title=f"{FURTHER:g} times the epochs: share of the advice that came true")
    for column in (
        "problem",
        "runs",
        "all that gain",
        "'helps'",
        "true",
        "'adds nothing'",
        "true",
        "best was early",
        "true",
    ):
        table.add_column(column, justify="left" if column == "problem" else "right")
    rows: list[tuple[str, str, bool, bool, bool, bool]] = []
    for name, trials in studies.items():
        objective = objectives[name]
        for trial in trials:
            line = curve(trial.epochs, objective.metric, objective)
            costs = line.costs()
            kept = sum(1 for epoch, _ in line.points if epoch <= line.points[-1][0] / FURTHER)
            outlook = more_epochs(trial.epochs[:kept], objective) if kept >= FEWEST else None
            if outlook is None:
                continue
            before, after = min(costs[:kept]), min(costs[kept:])
            gains = before - after > NEGLIGIBLE * abs(before)
            nothing = before - after <= max(NEGLIGIBLE * abs(before), LATE * (costs[0] - before))
            early = early_best(trial.epochs[:kept], objective) is not None
            rows.append((name, outlook.advice, gains, nothing, early, after >= before))
    for name in (*studies, "all"):
        mine = [r for r in rows if name in ("all", r[0])]
        helps = [r[2] for r in mine if r[1] == "helps"]
        idle = [r[3] for r in mine if r[1] == "adds nothing"]
        early_ones = [r[5] for r in mine if r[4]]
        table.add_row(
            name,
            str(len(mine)),
            _share([r[2] for r in mine]),
            str(len(helps)),
            _share(helps),
            str(len(idle)),
            _share(idle),
            str(len(early_ones)),
            _share(early_ones),
        )
    return table


def _share(found: Sequence[bool]) -> str:
    return f"{statistics.fmean(found):.1%}" if found else "-"


def main() -> None:
    """Train, cut, compare, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--configs", type=int, default=50, help="random configurations of each problem")
    parser.add_argument(
        "--first", type=int, default=1000, help="number of the first; below 90 chose the constants"
    )
    parser.add_argument(
        "--rounds", type=int, default=90, help="comparisons of a running trial with finished ones"
    )
    options = parser.parse_args()
    problems = chosen(PROBLEMS)
    studies = {p.name: trained(p, options.configs, options.first) for p in problems}
    objectives = {p.name: p.task.objective for p in problems}
    all_cuts = [c for p in problems for c in cuts(p, studies[p.name])]
    console = Console(width=max(120, Console().width))
    console.print(extrapolation([c for c in all_cuts if math.isfinite(c.unit) and c.start.points]))
    console.print(domination(studies, objectives, options.rounds))
    console.print(advice(studies, objectives))


if __name__ == "__main__":
    main()
