"""`tcs-hpt studies`, `show`, `report`: what was run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tcs_hpt.cli._shared import StoreOption, explicit_url, reference_of, study_folder, write_report
from tcs_hpt.loop import disk_use
from tcs_hpt.report.closing import print_summary
from tcs_hpt.store import Store

StudyArgument = Annotated[str, typer.Argument(help="Name of a study, as `tcs-hpt studies` lists it.")]


def studies(store: StoreOption = "") -> None:
    """All studies in the database."""
    with Store.open(store or None) as database:
        rows = database.list_studies()
        if not rows:
            print(f"no studies in {database.label}")
            return
        table = Table(box=None, pad_edge=False)
        for column in ("study", "task", "method", "trials", "best", "created"):
            table.add_column(column)
        for row in rows:
            best = "" if row.best is None else f"{row.best:.4g}"
            table.add_row(
                row.name, row.task, row.method, f"{row.finished}/{row.trials}", best, row.created_at
            )
        Console().print(table)


def show(study: StudyArgument, store: StoreOption = "") -> None:
    """A study's result again."""
    with Store.open(store or None) as database:
        spec, trials = database.get_study(study), database.load_trials(study)
        report = study_folder(database, study) / "report.html"
        print_summary(
            Console(),
            spec,
            trials,
            task_ref=reference_of(database, study),
            report_path=report if report.exists() else None,
            store_url=explicit_url(database),
            disk_bytes=disk_use(study_folder(database, study)),
        )


def report(
    study: StudyArgument,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write it.", show_default=False)
    ] = None,
    store: StoreOption = "",
) -> None:
    """Write a study's HTML report and print its path."""
    with Store.open(store or None) as database:
        print(write_report(database, study, output))
