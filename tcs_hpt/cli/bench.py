"""`tcs-hpt bench`: suites, each with one command."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tcs_hpt.cli import _bench_asking, _bench_compare, _bench_program, _bench_settings
from tcs_hpt.cli._comparing import How
from tcs_hpt.cli.options import DataDirOption, PullOption, PythonOption, StoreOption, existing_data_dir
from tcs_hpt.errors import UserError
from tcs_hpt.experiments.suites import (
    SIZES,
    AnySuite,
    AskingSuite,
    ProgramSuite,
    SettingsSuite,
    load_suite,
    suite_names,
)
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
        for column in ("size", "how much", "takes"):
            table.add_column(column, no_wrap=column != "takes")
        for name, size in suite.sizes.items():
            table.add_row(name, size.amount, Text(size.takes))
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
    suite.size(size)
    how = How(jobs=jobs, data_dir=existing_data_dir(data_dir), python=python, quiet=quiet)
    with Store.open(store or None) as database:
        match suite:
            case AskingSuite():
                _bench_asking.run_asking(
                    suite, size, database, model=model, pull=pull, store=store, output=output, quiet=quiet
                )
            case SettingsSuite():
                _bench_settings.run_settings(suite, size, database, how=how, store=store, output=output)
            case ProgramSuite():
                _bench_program.run_program(
                    suite, size, database, model=model, store=store, output=output, quiet=quiet
                )
            case _:
                _bench_compare.run_comparisons(
                    suite, size, database, how=how, model=model, pull=pull, store=store, output=output
                )


@app.command()
def report(
    name: SuiteArgument, size: SizeOption = "quick", output: OutputOption = None, store: StoreOption = ""
) -> None:
    """Print and write again what is there of a suite; run nothing."""
    suite = load_suite(name)
    suite.size(size)
    with Store.open(store or None) as database:
        if not _is_there(suite, size, database):
            raise UserError(
                f"nothing of suite {suite.name!r} at size {size} is in {database.label}",
                hint=shlex.join(
                    ["tcs-hpt", "bench", "run", name, "--size", size, *(["--store", store] if store else [])]
                ),
            )
        match suite:
            case AskingSuite():
                _bench_asking.tell_asking(suite, size, database, output=output)
            case SettingsSuite():
                _bench_settings.tell_settings(suite, size, database, output=output)
            case ProgramSuite():
                _bench_program.tell_program(suite, size, database, output=output)
            case _:
                _bench_compare.tell_comparisons(suite, size, database, output=output)


def _is_there(suite: AnySuite, size: str, database: Store) -> bool:
    """Whether anything of it was run."""
    match suite:
        case AskingSuite():
            return bool(_bench_asking.answers_of(suite, size, database))
        case SettingsSuite():
            return any(_bench_settings.trained(suite, size, database).values())
        case ProgramSuite():
            return _bench_program.has_results(suite, size, database)
        case _:
            return any(_bench_compare.rows_by_start(suite, size, database).values())
