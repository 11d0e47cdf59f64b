"""What `tcs-hpt compare` leaves behind: files, the printed table, and how it was run."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
from rich.console import Console

from tcs_hpt import __version__
from tcs_hpt.cli._shared import explicit_url, study_folder
from tcs_hpt.compare import Recorded, StudyOver, confirmation, studies_of
from tcs_hpt.errors import UserError
from tcs_hpt.loop import utc_now
from tcs_hpt.loop._devices import visible_devices
from tcs_hpt.report.comparison.confirmation import confirmation_sections, confirmations
from tcs_hpt.report.comparison.files import HISTORY, PAGE, TABLE, History, read_history, rows_of, write_files
from tcs_hpt.report.comparison.means import task_results
from tcs_hpt.report.comparison.rows import Row, row_of
from tcs_hpt.report.comparison.text import Run, sections
from tcs_hpt.report.comparison.views import JsonProgress
from tcs_hpt.report.pages import replace_file
from tcs_hpt.report.sections import Section, print_sections, to_markdown
from tcs_hpt.report.words import count
from tcs_hpt.store import Store

PACKAGES = ("optuna", "scikit-learn", "numpy", "torch", "transformers", "xllamacpp", "ollama")
"""Whose versions a comparison records, where they are installed."""


def usual_folder(database: Store, name: str) -> Path:
    """Where a comparison's tables lie: beside the folders of the studies."""
    return study_folder(database, name).parent.parent / "comparisons" / name


def this_run(database: Store, store: str, name: str, given_name: str, jobs: int) -> Run:
    """How this run is made: for the foot of the table."""
    words = [w.replace(store, database.label) if store else w for w in sys.argv[1:]]  # no password in a table
    words += [] if given_name else ["--name", name]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = psutil.virtual_memory().total / 2**30
    gpus = len(visible_devices())
    machine = (
        f"{count(cores, 'CPU core')}, {memory:.0f} GiB of memory, {count(gpus, 'GPU') if gpus else 'no GPU'}"
    )
    return Run(
        at=utc_now(),
        command=shlex.join(["tcs-hpt", *words]),
        machine=f"{machine}, {platform.system()} {platform.machine()}",
        versions=", ".join(["tcs-hpt " + __version__, "Python " + platform.python_version(), *_versions()]),
        jobs=jobs,
        cores=cores,
    )


def _versions() -> list[str]:
    found = []
    for package in PACKAGES:
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def write_results(
    database: Store,
    name: str,
    folder: Path,
    overs: Sequence[StudyOver],
    run: Run,
    against: str,
    *,
    trained: bool,
) -> list[Row]:
    """Write tables and rows of all studies of the comparison, those of earlier runs too.

    Args:
        database: Which holds the studies.
        name: Of the comparison.
        folder: Where to.
        overs: How studies ended in this run.
        run: This run.
        against: The control.
        trained: Whether the run did anything; one that found all done leaves no trace.
    """
    mine = {o.spec.name for o in overs}
    studies = studies_of(database, name)
    stored = {s.spec.name: s for s in studies}
    failures = [
        row_of(stored.get(o.spec.name, Recorded(o.spec, (), None)), o.failure) for o in overs if o.failure
    ]
    home = usual_folder(database, name)
    known = read_history(home)
    history = History(
        runs=_with(known.runs, run) if trained else tuple(r for r in known.runs if r != run),
        failures=(*(r for r in known.failures if r.study not in mine), *failures),
    )
    rows = rows_of(studies, history.failures)
    _keep(home, history)
    _write(database, folder, name, studies, rows, history, against)
    return rows


def note_run(database: Store, name: str, run: Run) -> None:
    """Write down how a run is made before it begins, so that one that is killed has left its trace."""
    home = usual_folder(database, name)
    known = read_history(home)
    _keep(home, known.model_copy(update={"runs": _with(known.runs, run)}))


def _with(runs: tuple[Run, ...], run: Run) -> tuple[Run, ...]:
    return runs if run in runs else (*runs, run)


def _keep(home: Path, history: History) -> None:
    """The history has one place, wherever the tables go."""
    try:
        replace_file(home / HISTORY, history.model_dump_json(indent=1) + "\n")
    except OSError as error:
        raise UserError(
            f"the comparison cannot be written to {home}: {error}",
            hint="Make the folder writable, or choose another --store.",
        ) from error


def _write(
    database: Store,
    folder: Path,
    name: str,
    studies: Sequence[Recorded],
    rows: Sequence[Row],
    history: History,
    against: str,
) -> None:
    write_files(
        folder,
        name,
        studies,
        rows,
        task_results(rows, against),
        history,
        repeats=repeats_of(database, name),
        version=__version__,
        generated_at=utc_now(),
    )


def repeats_of(database: Store, name: str) -> list[Recorded]:
    """The studies that tried a comparison's winners again."""
    return studies_of(database, confirmation(name))


def show_again(database: Store, name: str, output: Path | None, *, against: str, as_json: bool) -> None:
    studies = studies_of(database, name)
    history = read_history(usual_folder(database, name))
    rows = rows_of(studies, history.failures)
    if not rows:
        known = sorted({r.comparison for r in database.list_studies() if r.comparison})
        raise UserError(
            f"there is no comparison {name!r} in {database.label}",
            hint=f"Comparisons: {', '.join(known) or 'none yet'}.",
        )
    if output is not None:
        _write(database, output, name, studies, rows, history, against)
    folder = output or usual_folder(database, name)
    if as_json:
        print_json(rows, name, folder)
    else:
        print_results(Console(), database, name, rows, history.runs, against, folder)


def print_results(
    console: Console,
    database: Store,
    name: str,
    rows: Sequence[Row],
    runs: Sequence[Run],
    against: str,
    folder: Path,
) -> None:
    confirmed = confirmations(name, studies_of(database, name), repeats_of(database, name))
    text = sections(task_results(rows, against), runs, confirmation_sections(confirmed))
    told(
        database,
        f"Comparison {name}",
        text,
        folder,
        ["compare", "--show", name],
        console=console,
        files=(folder / PAGE).exists(),
    )


def told(
    database: Store,
    title: str,
    text: Sequence[Section],
    folder: Path,
    again: Sequence[str],
    *,
    console: Console | None = None,
    quiet: bool = False,
    files: bool = True,
) -> None:
    """Print what was written, where it lies, and the command that prints it again.

    Args:
        database: Which store it is about.
        title: Of the whole.
        text: What was written.
        folder: Where to.
        again: The words of that command.
        console: Where to print.
        quiet: Only the path of the table.
        files: Whether there are files to name.
    """
    if quiet:
        print(folder / TABLE)
        return
    console = console or Console()
    if console.is_terminal:
        print_sections(console, text)
    else:  # a pipe has no width to fold tables for
        print()
        print(to_markdown(title, text), end="")
    url = explicit_url(database)
    print()
    if files:
        print(f"page:   {folder / PAGE}")
        print(f"table:  {folder / TABLE}")
    print(f"again:  {shlex.join(['tcs-hpt', *again, *(['--store', url] if url else [])])}")


def print_json(rows: Sequence[Row], name: str, folder: Path) -> None:
    view = JsonProgress(sys.stdout)
    for each in rows:
        view.write({"kind": "row", **each.model_dump()})
    view.write({"kind": "comparison_over", "comparison": name, "folder": str(folder)})
