"""Suites of comparisons on the command line: running what is left, and telling what is there."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import typer
from rich.console import Console

from tcs_hpt import __version__
from tcs_hpt.cli._compare_results import repeats_of, this_run, told, usual_folder
from tcs_hpt.cli._comparing import How, carry_out, task_entry, trials_left
from tcs_hpt.cli._shared import open_model
from tcs_hpt.compare import ModelPool, PlannedStudy, Recorded, parse_contenders, plan, studies_of
from tcs_hpt.experiments.suites import Suite, SuiteSize
from tcs_hpt.loop import utc_now
from tcs_hpt.report.comparison.files import read_history, rows_of
from tcs_hpt.report.comparison.rows import Row
from tcs_hpt.report.comparison.text import Run
from tcs_hpt.report.comparison.views import Timings
from tcs_hpt.report.suite import write_suite
from tcs_hpt.spec import Start
from tcs_hpt.store import Store


def run_comparisons(
    suite: Suite,
    size: str,
    database: Store,
    *,
    how: How,
    model: str,
    pull: bool,
    store: str,
    output: Path | None,
) -> None:
    """Run what is left, start by start, and write and print the whole.

    Raises:
        typer.Exit: Somebody interrupted (130), or a study has no result (1).
    """
    wanted = suite.size(size)
    how = replace(how, confirm=wanted.confirm)
    console = Console()
    interrupted = False
    opener = partial(open_model, console=Console(stderr=True), pull=pull, jobs=how.jobs)
    with ModelPool(opener, jobs=how.jobs) as models:
        # All of them first: what is wrong with the last start is said before the first has taken an hour.
        planned = {
            start: _planned(suite, size, start, models, model or wanted.model) for start in wanted.starts
        }
        timings = Timings()
        for i, studies in enumerate(planned.values(), start=1):
            comparison = studies[0].spec.comparison
            following = [trials_left(each, database, how.confirm) for each in list(planned.values())[i:]]
            _, interrupted = carry_out(
                studies,
                models,
                database,
                console,
                how=how,
                folder=usual_folder(database, comparison),
                run=this_run(database, store, comparison, comparison, how.jobs),
                against=suite.control,
                timings=timings,
                later=sum(following, Counter()),
            )
            if interrupted:
                break
    tell_comparisons(suite, size, database, output=output, quiet=how.quiet)
    if interrupted:
        if not how.quiet:
            print("\nInterrupted. Continue with the same command.")
        raise typer.Exit(130)
    if any(not row.counts for found in rows_by_start(suite, size, database).values() for row in found):
        raise typer.Exit(1)


def tell_comparisons(
    suite: Suite, size: str, database: Store, *, output: Path | None, quiet: bool = False
) -> None:
    """Write the suite's files, and print them."""
    wanted = suite.size(size)
    folder = output or usual_folder(database, f"{suite.name}-{size}")
    text = write_suite(
        folder,
        suite,
        wanted,
        rows_by_start(suite, size, database),
        _runs(database, suite, wanted, size),
        version=__version__,
        generated_at=utc_now(),
        studies={s: _studies(suite, size, s, database) for s in wanted.starts},
        repeats={s: repeats_of(database, suite.comparison(size, s)) for s in wanted.starts},
    )
    told(database, suite.title, text, folder, suite.report_words(size), quiet=quiet)


def _planned(suite: Suite, size: str, start: Start, models: ModelPool, model: str) -> list[PlannedStudy]:
    """The studies of one start, over all parts that have it."""
    wanted = suite.size(size)
    return [
        study
        for part in wanted.parts
        if start in part.starts
        for study in plan(
            suite.comparison(size, start),
            [task_entry(task, wanted.profile) for task in part.tasks],
            parse_contenders(",".join(part.methods)),
            range(part.seeds),
            trials=part.trials,
            start=start,
            models=models,
            analysis_model=model,
            optimizer_model=model,
        )
    ]


def rows_by_start(suite: Suite, size: str, database: Store) -> dict[Start, list[Row]]:
    """What is there of each start's comparison, as far as the suite has it."""
    wanted = suite.size(size)
    found: dict[Start, list[Row]] = {}
    for start in wanted.starts:
        failures = read_history(usual_folder(database, suite.comparison(size, start))).failures
        rows = rows_of(_studies(suite, size, start, database), failures)
        found[start] = [r for r in rows if wanted.has(start, r.seed)]
    return found


def _studies(suite: Suite, size: str, start: Start, database: Store) -> list[Recorded]:
    wanted = suite.size(size)
    found = studies_of(database, suite.comparison(size, start))
    return [s for s in found if wanted.has(start, s.spec.seed)]


def _runs(database: Store, suite: Suite, size: SuiteSize, name: str) -> list[Run]:
    """When and how it was run; a command that ran several starts counts once."""
    found = [
        run
        for start in size.starts
        for run in read_history(usual_folder(database, suite.comparison(name, start))).runs
    ]
    return list({(run.command, run.machine, run.versions): run for run in reversed(found)}.values())[::-1]
