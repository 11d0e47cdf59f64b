"""Suites of fixed configurations on the command line: training what is left, and telling what is there."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import typer
from rich.console import Console

from tcs_hpt import __version__
from tcs_hpt.cli._compare_results import note_run, this_run, told, usual_folder
from tcs_hpt.cli._comparing import How, run_planned, task_entry
from tcs_hpt.cli._shared import open_model
from tcs_hpt.compare import ModelPool, enter, studies_of
from tcs_hpt.experiments.settings_studies import by_setting, plan_settings
from tcs_hpt.experiments.suites import SettingsSuite
from tcs_hpt.loop import utc_now
from tcs_hpt.records import Trial
from tcs_hpt.report.comparison.files import read_history
from tcs_hpt.report.settings import write_settings
from tcs_hpt.store import Store


def run_settings(
    suite: SettingsSuite, size: str, database: Store, *, how: How, store: str, output: Path | None
) -> None:
    """Train what is left, and write and print the whole.

    Raises:
        UserError: The store holds trainings of another version of the task.
        typer.Exit: Somebody interrupted (130), or a training has no score (1).
    """
    comparison = suite.comparison(size)
    planned = plan_settings(suite, size, task_entry(suite.task, suite.size(size).profile))
    enter(planned, database)
    note_run(database, comparison, this_run(database, store, comparison, comparison, how.jobs))
    console = Console()
    with ModelPool(partial(open_model, console=console, pull=False), jobs=how.jobs) as models:
        _, interrupted = run_planned(planned, models, database, console, how)
    tell_settings(suite, size, database, output=output, quiet=how.quiet)
    if interrupted:
        if not how.quiet:
            print("\nInterrupted. Continue with the same command.")
        raise typer.Exit(130)
    if any(t.value is None for trials in trained(suite, size, database).values() for t in trials.values()):
        raise typer.Exit(1)


def trained(suite: SettingsSuite, size: str, database: Store) -> dict[str, dict[int, Trial]]:
    """What is there of each setting, by training seed."""
    return by_setting(suite, size, studies_of(database, suite.comparison(size)))


def tell_settings(
    suite: SettingsSuite, size: str, database: Store, *, output: Path | None, quiet: bool = False
) -> None:
    """Write the suite's files, and print them."""
    comparison = suite.comparison(size)
    home = usual_folder(database, comparison)
    objective = task_entry(suite.task, suite.size(size).profile).spec.objective
    text = write_settings(
        output or home,
        suite,
        size,
        objective,
        trained(suite, size, database),
        read_history(home).runs,
        version=__version__,
        generated_at=utc_now(),
    )
    told(database, suite.title, text, output or home, suite.report_words(size), quiet=quiet)
