"""Runs what a folder of results still lacks, several studies at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import as_completed
from pathlib import Path

from rich.console import Console

from benchmarks.dev import results
from benchmarks.dev._progress import tracked
from benchmarks.dev._workers import submit_all, worker_pool
from benchmarks.dev.studies import Method, Row, Unit, run_beside, run_unit
from tcs_hpt.spec import AnswerStyle, Start


def planned(
    problems: Sequence[str],
    methods: Sequence[Method],
    seeds: Sequence[int],
    *,
    start: Start,
    trials: int,
    answers: AnswerStyle = "choice",
) -> list[Unit]:
    """Every study, seed by seed, so that a run cut short has all methods on equal seeds."""
    return [
        Unit(problem, method, seed, start, trials, answers)
        for seed in seeds
        for problem in problems
        for method in methods
    ]


def run(units: Sequence[Unit], folder: Path, *, jobs: int, console: Console) -> int:
    """Run the units that the folder has no complete study of, and write each when it is over.

    Returns:
        How many were run.
    """
    there = {rows[0].study for rows in results.read(folder)}
    left = [unit for unit in units if unit.study not in there]
    for rows in tracked(_run_all(left, jobs), len(left), console):
        results.append(folder, rows)
    return len(left)


def _run_all(units: Sequence[Unit], jobs: int) -> Iterator[list[Row]]:
    """Rows of each study, in the order in which they end; an error ends all of them."""
    if jobs == 1:
        yield from map(run_unit, units)
        return
    with worker_pool(jobs, run_beside) as pool:
        for future in as_completed(submit_all(pool, run_unit, units)):
            yield future.result()
