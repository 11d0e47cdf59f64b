"""What memory of an earlier study is worth to the next one, without a model.

    python -m benchmarks.dev.memory_gain [--seeds 10] [--trials 10] [--start knowledge]

Each study of `expert` is run three times: alone, after a study of the same problem with another seed (on the tables that is
another recorded repetition), and after a study of the next table of the same family, which has the same parameters and other data.
Differences are paired over problem and seed, and the interval is a bootstrap.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import get_args

from rich.console import Console

from benchmarks.dev._base import Problem
from benchmarks.dev._progress import tracked
from benchmarks.dev.problems import problems, regret
from benchmarks.dev.studies import run_trials, study_spec
from tcs_hpt.compare import parse_seeds
from tcs_hpt.evidence.memory import EarlierStudy, Tried, recall
from tcs_hpt.proposers import ExpertProposer
from tcs_hpt.records import Trial, finished, incumbent
from tcs_hpt.spec import Start, StudySpec
from tcs_hpt.statistics import paired_difference, sign_flip_test

OTHER = 1001
"""Added to a seed: the earlier study's. Odd, so that a table's repetition is another one as well."""
SITUATIONS = ("alone", "after the same problem", "after other data")


@dataclass(frozen=True)
class Result:
    """A study's regret."""

    best: float
    mean: float


def earlier(spec: StudySpec, trials: Sequence[Trial]) -> EarlierStudy:
    """A study as the store would remember it."""
    done = finished(trials)
    best = incumbent(trials, spec.task.objective)
    return EarlierStudy(
        name=f"earlier-{spec.name}",
        task=spec.task,
        profile=spec.profile,
        created_at="2026-01-01T00:00:00+00:00",
        finished=len(done),
        failed=len(trials) - len(done),
        start=Tried(trials[0].number, trials[0].config, trials[0].value),
        best=Tried(best.number, best.config, best.value) if best is not None else None,
    )


def ran(
    problem: Problem, seed: int, trials: int, start: Start, before: Problem | None
) -> tuple[Result, bool]:
    """A study of `expert`, after one of `before`; with it, whether memory had anything to offer."""
    with TemporaryDirectory() as folder:
        spec = study_spec(problem, method="expert", seed=seed, start=start, trials=trials)
        memory = None
        if before is not None:
            first = study_spec(before, method="expert", seed=seed + OTHER, start=start, trials=trials)
            past = [t for t, _ in run_trials(before, ExpertProposer(), first, Path(folder))]
            memory = recall(spec, [earlier(first, past)])
        found = [t for t, _ in run_trials(problem, ExpertProposer(), spec, Path(folder), memory)]
    regrets = [regret(problem, seed, t.value) for t in found]
    return Result(min(regrets), fmean(regrets)), bool(memory and memory.values)


def relatives() -> dict[str, Problem]:
    """For each problem one with the same parameters and other data, where there is one."""
    families: dict[tuple[str, ...], list[Problem]] = {}
    for problem in problems().values():
        families.setdefault(tuple(problem.task.params), []).append(problem)
    return {
        p.name: family[(i + 1) % len(family)]
        for family in families.values()
        if len(family) > 1
        for i, p in enumerate(family)
    }


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", default="10")
    parser.add_argument("--trials", type=int, default=10)
    parser.add_argument("--start", choices=get_args(Start), default="knowledge")
    options = parser.parse_args()
    others, seeds = relatives(), parse_seeds(options.seeds)
    found: dict[str, dict[tuple[str, int], Result]] = {name: {} for name in SITUATIONS}
    offered: dict[str, int] = dict.fromkeys(SITUATIONS, 0)
    units = [(p, seed) for p in problems().values() for seed in seeds]
    for problem, seed in tracked(units, len(units), Console(stderr=True)):
        befores = dict(zip(SITUATIONS, (None, problem, others.get(problem.name)), strict=True))
        for name, before in befores.items():
            if name == "alone" or before is not None:
                result, used = ran(problem, seed, options.trials, options.start, before)
                found[name][problem.name, seed] = result
                offered[name] += used
    print("| situation | studies | memory had something | best trial | mean of all | best, paired | p |")
    print("| --- | --: | --: | --: | --: | --: | --: |")
    for name, results in found.items():
        alone = [found["alone"][key] for key in results]
        mine, control = [r.best for r in results.values()], [r.best for r in alone]
        gap = paired_difference(mine, control)
        against = f"{gap.mean:+.3f} ({gap.low:+.3f} to {gap.high:+.3f}) | {sign_flip_test(mine, control):.3f}"
        print(
            f"| {name} | {len(results)} | {offered[name]} | {fmean(mine):.3f} "
            f"(alone {fmean(control):.3f}) | {fmean(r.mean for r in results.values()):.3f} "
            f"(alone {fmean(r.mean for r in alone):.3f}) | {against if name != 'alone' else ' | '} |"
        )


if __name__ == "__main__":
    main()
