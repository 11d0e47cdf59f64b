"""`tcs-hpt compare TASK...`: methods side by side."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from tcs_hpt.cli._compare_results import (
    print_json,
    print_results,
    show_again,
    this_run,
    usual_folder,
)
from tcs_hpt.cli._comparing import How, carry_out, task_entry
from tcs_hpt.cli._shared import open_model
from tcs_hpt.cli.options import (
    AnalysisModelOption,
    DataDirOption,
    ModelOption,
    OptimizerModelOption,
    ProfileOption,
    PullOption,
    PythonOption,
    StartOption,
    StoreOption,
    checked_start,
    existing_data_dir,
)
from tcs_hpt.compare import (
    ModelPool,
    parse_contenders,
    parse_seeds,
    plan,
)
from tcs_hpt.errors import UserError
from tcs_hpt.proposers import METHODS
from tcs_hpt.report.comparison.files import TABLE, read_history
from tcs_hpt.store import Store


def compare(
    tasks: Annotated[
        list[str] | None,
        typer.Argument(help="Built-in tasks, folders, or task.toml files.", show_default=False),
    ] = None,
    methods: Annotated[
        str,
        typer.Option(
            metavar="A,B@MODEL", help=f"Who proposes: {', '.join(METHODS)}; METHOD@MODEL names its model."
        ),
    ] = "random,coin,expert",
    seeds: Annotated[str, typer.Option(metavar="N", help="Number of seeds, or a list such as 0,3,7.")] = "3",
    trials: Annotated[int, typer.Option(min=1, help="Trials of every study.")] = 10,
    against: Annotated[
        str,
        typer.Option(
            metavar="METHOD",
            help="The control. Default: coin, else random, else the first.",
            show_default=False,
        ),
    ] = "",
    confirm: Annotated[
        int,
        typer.Option(
            metavar="K",
            min=0,
            help="Try each method's winner and the start again on K training seeds that no study has seen.",
            show_default=False,
        ),
    ] = 0,
    profile: ProfileOption = "",
    start: StartOption = "defaults",
    model: ModelOption = "auto",
    analysis_model: AnalysisModelOption = "",
    optimizer_model: OptimizerModelOption = "",
    pull: PullOption = False,
    jobs: Annotated[
        int, typer.Option(min=1, help="Studies at the same time; one GPU each if there are several.")
    ] = 1,
    name: Annotated[
        str,
        typer.Option(help="Name of the comparison; the same command continues it.", show_default=False),
    ] = "",
    show: Annotated[
        str, typer.Option(metavar="NAME", help="Print a comparison again; run nothing.", show_default=False)
    ] = "",
    data_dir: DataDirOption = None,
    python: PythonOption = "",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="Where tables and rows are written.", show_default=False
        ),
    ] = None,
    store: StoreOption = "",
    as_json: Annotated[bool, typer.Option("--json", help="Progress and rows as lines of JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Nothing but the path of the table.")] = False,
) -> None:
    """Compare methods: the same tasks, start, trials and seeds for all of them."""
    with Store.open(store or None) as database:
        if show:
            if tasks or name:
                raise UserError(
                    "--show runs nothing and takes no task and no --name",
                    hint=f"tcs-hpt compare --show {show}",
                )
            show_again(database, show, output, against=against, as_json=as_json)
            return
        if not tasks:
            raise UserError("compare needs a task", hint="For example: tcs-hpt compare mlp_digits --seeds 3.")
        data = existing_data_dir(data_dir)
        beginning = checked_start(start)
        contenders, numbers = parse_contenders(methods), parse_seeds(seeds)
        entries = [task_entry(task, profile) for task in tasks]
        chosen = _checked(name) or _free_name(database, [e.spec.name for e in entries])
        console, errors = Console(), Console(stderr=True)
        with ModelPool(partial(open_model, console=errors, pull=pull, jobs=jobs), jobs=jobs) as models:
            planned = plan(
                chosen,
                entries,
                contenders,
                numbers,
                trials=trials,
                start=beginning,
                models=models,
                analysis_model=analysis_model or model,
                optimizer_model=optimizer_model or model,
            )
            folder = output or usual_folder(database, chosen)
            again = f"the same command and --name {chosen}"
            rows, interrupted = carry_out(
                planned,
                models,
                database,
                console,
                how=How(
                    jobs=jobs,
                    data_dir=data,
                    python=python,
                    as_json=as_json,
                    quiet=quiet,
                    confirm=confirm,
                    again=again,
                ),
                folder=folder,
                run=this_run(database, store, chosen, name, jobs),
                against=against,
            )
        if as_json:
            print_json(rows, chosen, folder)
        elif quiet:
            print(folder / TABLE)
        else:
            print_results(
                console,
                database,
                chosen,
                rows,
                read_history(usual_folder(database, chosen)).runs,
                against,
                folder,
            )
        if interrupted:
            if not as_json and not quiet:
                print(f"\nInterrupted. Continue with {again}")
            raise typer.Exit(130)
        mine = {p.spec.name for p in planned}
        if any(r.study in mine and not r.counts for r in rows):
            raise typer.Exit(1)


# -- what is asked for --------------------------------------------------------------------------------------


def _checked(name: str) -> str:
    if name and not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,39}", name):
        raise UserError(
            f"{name!r} cannot name a comparison",
            hint="Use up to 40 letters, digits, dots, dashes and underscores; it names a folder too.",
        )
    return name


def _free_name(database: Store, tasks: Sequence[str]) -> str:
    """Tasks and time; with a number behind it when another comparison began in the same second."""
    what = tasks[0][:20] if len(tasks) == 1 else f"{len(tasks)}-tasks"
    name = f"{what}-{datetime.now():%Y%m%d-%H%M%S}"
    taken = {row.comparison for row in database.list_studies()}
    return next(n for n in (name, *(f"{name}-{i}" for i in range(2, 1000))) if n not in taken)
