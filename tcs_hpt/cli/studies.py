"""`tcs-hpt studies`, `show`, `report`: what was run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tcs_hpt.cli._shared import explicit_url, reference_of, study_folder, write_report
from tcs_hpt.cli.options import StoreOption
from tcs_hpt.loop import disk_use
from tcs_hpt.report.closing import print_summary
from tcs_hpt.report.words import count
from tcs_hpt.store import Store, StudyRow

StudyArgument = Annotated[str, typer.Argument(help="Name of a study, as `tcs-hpt studies` lists it.")]


def studies(
    everything: Annotated[
        bool, typer.Option("--all", help="List each study of a comparison, not the comparison.")
    ] = False,
    store: StoreOption = "",
) -> None:
    """All studies in the database; those of a comparison on one line."""
    with Store.open(store or None) as database:
        rows = database.list_studies()
        if not rows:
            print(f"no studies in {database.label}")
            return
        table = Table(box=None, pad_edge=False)
        table.add_column("study", no_wrap=True)  # a name that is cut cannot be copied
        for column in ("task", "method", "trials", "best", "created"):
            table.add_column(column)
        groups = {} if everything else _comparisons(rows)
        shown: set[str] = set()
        for row in rows:
            name = row.comparison
            if name not in groups:
                table.add_row(*_line(row))
            elif name not in shown:
                shown.add(name)
                table.add_row(*_comparison_line(name, groups[name]))
        Console().print(table)
        if shown:
            print(
                "\nA comparison again: tcs-hpt compare --show NAME. Each of its studies: tcs-hpt studies --all."
            )


def _comparisons(rows: Sequence[StudyRow]) -> dict[str, list[StudyRow]]:
    """The studies of each comparison, newest first."""
    groups: dict[str, list[StudyRow]] = {}
    for row in rows:
        if row.comparison:
            groups.setdefault(row.comparison, []).append(row)
    return groups


def _line(row: StudyRow) -> tuple[str, ...]:
    best = "" if row.best is None else f"{row.best:.4g}"
    return (row.name, row.task, row.method, f"{row.finished}/{row.trials}", best, row.created_at)


def _comparison_line(name: str, rows: Sequence[StudyRow]) -> tuple[str, ...]:
    def each(values: Iterable[str]) -> str:
        return ", ".join(sorted(set(values)))

    trials = f"{sum(r.finished for r in rows)}/{sum(r.trials for r in rows)}"
    what = count(len(rows), "study", "studies")
    return (name, each(r.task for r in rows), each(r.method for r in rows), trials, what, rows[0].created_at)


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
