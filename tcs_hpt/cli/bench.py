"""`tcs-hpt bench`: suites, each with one command."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tcs_hpt import __version__
from tcs_hpt.cli._compare_results import this_run, usual_folder
from tcs_hpt.cli._comparing import How, carry_out, task_entry
from tcs_hpt.cli._shared import explicit_url, open_model
from tcs_hpt.cli.options import (
    DataDirOption,
    PullOption,
    PythonOption,
    StoreOption,
    existing_data_dir,
)
from tcs_hpt.compare import ModelPool, PlannedStudy, parse_contenders, plan, studies_of
from tcs_hpt.errors import UserError
from tcs_hpt.experiments.suites import SIZES, Suite, SuiteSize, load_suite, suite_names
from tcs_hpt.loop import utc_now
from tcs_hpt.report.comparison.files import read_history, rows_of
from tcs_hpt.report.comparison.rows import Row
from tcs_hpt.report.comparison.text import Run
from tcs_hpt.report.sections import Section, print_sections, to_markdown
from tcs_hpt.report.suite import PAGE, TABLE, write_suite
from tcs_hpt.spec import Start
from tcs_hpt.store import Store

app = typer.Typer(help="Benchmark suites: many comparisons under one name.", no_args_is_help=True)

SuiteArgument = Annotated[str, typer.Argument(help="A suite of `bench list`, or a .toml file.")]
SizeOption = Annotated[str, typer.Option(help=f"How large: {', '.join(SIZES)}.")]
OutputOption = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", metavar="FOLDER", help="Where the table and rows are written.", show_default=False
    ),
]


@app.command("list")
def list_suites() -> None:
    """The suites, and how long each size takes."""
    console = Console()
    for suite in map(load_suite, suite_names()):
        console.print(Text(f"{suite.name}: {suite.title}", "bold"))
        if suite.description:
            console.print(Text(suite.description))
        table = Table(box=None, pad_edge=False)
        for column in ("size", "studies", "takes"):
            table.add_column(
                column, no_wrap=column == "size", justify="right" if column == "studies" else "left"
            )
        for name, size in suite.sizes.items():
            table.add_row(name, str(size.studies), Text(size.takes))
        console.print(table)
        console.print()
    console.print(Text("Run one with: tcs-hpt bench run NAME --size SIZE"))


@app.command()
def run(
    name: SuiteArgument,
    size: SizeOption = "quick",
    model: Annotated[
        str,
        typer.Option(
            help="The language model; the suite's own if not given, mostly auto.", show_default=False
        ),
    ] = "",
    pull: PullOption = False,
    jobs: Annotated[int, typer.Option(min=1, help="Studies at the same time.")] = 1,
    data_dir: DataDirOption = None,
    python: PythonOption = "",
    output: OutputOption = None,
    store: StoreOption = "",
    quiet: Annotated[bool, typer.Option("--quiet", help="Nothing but the path of the table.")] = False,
) -> None:
    """Run what is left of a suite; the same command continues it."""
    suite = load_suite(name)
    wanted = suite.size(size)
    how = How(jobs=jobs, data_dir=existing_data_dir(data_dir), python=python, quiet=quiet)
    console = Console()
    interrupted = False
    with Store.open(store or None) as database:
        with ModelPool(partial(open_model, console=Console(stderr=True), pull=pull), jobs=jobs) as models:
            # All of them first: what is wrong with the last start is said before the first has taken an hour.
            planned = {
                start: _planned(suite, size, start, models, model or wanted.model) for start in wanted.starts
            }
            for studies in planned.values():
                comparison = studies[0].spec.comparison
                _, interrupted = carry_out(
                    studies,
                    models,
                    database,
                    console,
                    how=how,
                    folder=usual_folder(database, comparison),
                    run=this_run(database, store, comparison, comparison, jobs),
                    against=suite.control,
                )
                if interrupted:
                    break
        _told(database, console, suite, size, output, quiet=quiet)
        rows = [row for found in _rows(database, suite, size).values() for row in found]
    if interrupted:
        if not quiet:
            print("\nInterrupted. Continue with the same command.")
        raise typer.Exit(130)
    if any(not row.counts for row in rows):
        raise typer.Exit(1)


@app.command()
def report(
    name: SuiteArgument, size: SizeOption = "quick", output: OutputOption = None, store: StoreOption = ""
) -> None:
    """Print and write again what is there of a suite; run nothing."""
    suite = load_suite(name)
    suite.size(size)
    with Store.open(store or None) as database:
        if not any(_rows(database, suite, size).values()):
            raise UserError(
                f"nothing of suite {suite.name!r} at size {size} is in {database.label}",
                hint=f"tcs-hpt bench run {name} --size {size}",
            )
        _told(database, Console(), suite, size, output)


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


def _rows(database: Store, suite: Suite, size: str) -> dict[Start, list[Row]]:
    """What is there of each start."""
    found: dict[Start, list[Row]] = {}
    for start in suite.size(size).starts:
        comparison = suite.comparison(size, start)
        history = read_history(usual_folder(database, comparison))
        found[start] = rows_of(studies_of(database, comparison), history.failures)
    return found


def _runs(database: Store, suite: Suite, size: SuiteSize, name: str) -> list[Run]:
    """When and how it was run; a command that ran several starts counts once."""
    found = [
        run
        for start in size.starts
        for run in read_history(usual_folder(database, suite.comparison(name, start))).runs
    ]
    return list({(run.command, run.machine, run.versions): run for run in reversed(found)}.values())[::-1]


def _told(
    database: Store, console: Console, suite: Suite, size: str, output: Path | None, *, quiet: bool = False
) -> None:
    """Write the suite's files, and print them."""
    wanted = suite.size(size)
    folder = output or usual_folder(database, f"{suite.name}-{size}")
    text = write_suite(
        folder,
        suite,
        wanted,
        _rows(database, suite, size),
        _runs(database, suite, wanted, size),
        version=__version__,
        generated_at=utc_now(),
        studies={s: studies_of(database, suite.comparison(size, s)) for s in wanted.starts}
        if suite.trajectories is not None
        else None,
    )
    if quiet:
        print(folder / TABLE)
        return
    _print(console, suite.title, text)
    url = explicit_url(database)
    print()
    print(f"page:   {folder / PAGE}")
    print(f"table:  {folder / TABLE}")
    print(f"again:  tcs-hpt bench report {suite.name} --size {size}{f' --store {url}' if url else ''}")


def _print(console: Console, title: str, text: Sequence[Section]) -> None:
    if console.is_terminal:
        print_sections(console, text)
    else:  # a pipe has no width to fold tables for
        sys.stdout.write("\n" + to_markdown(title, text))
