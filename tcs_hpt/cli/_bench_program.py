"""Suites that are programs of a checkout, on the command line."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import typer

from tcs_hpt import __version__, bundled
from tcs_hpt.cli._compare_results import note_run, this_run, told, usual_folder
from tcs_hpt.errors import UserError
from tcs_hpt.experiments.suites import ProgramSuite
from tcs_hpt.loop import utc_now
from tcs_hpt.report.comparison.files import read_history
from tcs_hpt.report.comparison.text import run_section
from tcs_hpt.report.folder import write_folder
from tcs_hpt.report.markdown import sections_of
from tcs_hpt.report.sections import Section
from tcs_hpt.store import Store

RESULTS = "results"
END_SECONDS = 5.0
"""That an interrupted program may take to end."""


def run_program(
    suite: ProgramSuite,
    size: str,
    database: Store,
    *,
    model: str,
    store: str,
    output: Path | None,
    quiet: bool,
) -> None:
    """Run what is left of it, and write and print its tables.

    Raises:
        UserError: This is no checkout, or a package is missing.
        typer.Exit: The program failed; with its exit code.
    """
    wanted = suite.size(size)
    checkout = _checkout(suite)
    name = f"{suite.name}-{size}"
    folder = _results(suite, size, database)
    folder.mkdir(parents=True, exist_ok=True)
    note_run(database, name, this_run(database, store, name, name, 1))
    command = _command(suite, wanted.run, folder, model or wanted.model)
    status = _run(command, checkout, quiet=quiet)
    if status:
        raise typer.Exit(status if status > 0 else 128 - status)
    tell_program(suite, size, database, output=output, quiet=quiet)


def _run(command: Sequence[str], checkout: Path, *, quiet: bool) -> int:
    """Its exit code. At Ctrl-C, of which a terminal tells both of us, it has time to end the processes that it started."""
    with subprocess.Popen(command, cwd=checkout, stdout=subprocess.DEVNULL if quiet else None) as program:
        try:
            return program.wait()
        except KeyboardInterrupt:
            for tell in (None, signal.SIGINT, signal.SIGKILL):  # again, if it was told to this process alone
                if tell is not None:
                    program.send_signal(tell)
                with suppress(subprocess.TimeoutExpired):
                    program.wait(END_SECONDS)
                    break
            raise


def has_results(suite: ProgramSuite, size: str, database: Store) -> bool:
    """Whether anything of it was run."""
    folder = _results(suite, size, database)
    return folder.is_dir() and any(folder.iterdir())


def tell_program(
    suite: ProgramSuite, size: str, database: Store, *, output: Path | None, quiet: bool = False
) -> None:
    """Write the program's own tables with how it was run, and print them; its results too, where an output is named.

    Raises:
        UserError: This is no checkout, a package is missing, or the output cannot be written.
        typer.Exit: The program failed; with its exit code.
    """
    wanted = suite.size(size)
    command = _command(suite, wanted.report, _results(suite, size, database), wanted.model)
    done = subprocess.run(command, cwd=_checkout(suite), stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise typer.Exit(done.returncode if done.returncode > 0 else 128 - done.returncode)
    home = usual_folder(database, f"{suite.name}-{size}")
    about = Section("What was run", (*filter(None, (suite.description,)), f"Size {size}: {wanted.amount}."))
    text = [about, *sections_of("What came of it", done.stdout), run_section(read_history(home).runs)]
    folder = output or home
    write_folder(folder, suite.title, "Program", text, {}, version=__version__, generated_at=utc_now())
    if folder.resolve() != home.resolve():
        try:
            shutil.copytree(home / RESULTS, folder / RESULTS, dirs_exist_ok=True)
        except OSError as error:
            reason = error.args[0][0][2] if isinstance(error, shutil.Error) else error
            raise UserError(
                f"the results cannot be copied to {folder}: {reason}",
                hint=f"They are safe in {home / RESULTS}. Choose another --output folder, or leave it out.",
            ) from error
    told(database, suite.title, text, folder, suite.report_words(size), quiet=quiet)


def _results(suite: ProgramSuite, size: str, database: Store) -> Path:
    return (usual_folder(database, f"{suite.name}-{size}") / RESULTS).absolute()


def _command(suite: ProgramSuite, words: Sequence[str], out: Path, model: str) -> list[str]:
    return [
        sys.executable,
        "-m",
        suite.module,
        *(word.replace("{out}", str(out)).replace("{model}", model) for word in words),
    ]


def _checkout(suite: ProgramSuite) -> Path:
    """The folder above the suites, if their programs are there."""
    root = bundled.folder("benchmarks").parent
    module = root.joinpath(*suite.module.split("."))
    if not module.is_dir() and not module.with_suffix(".py").is_file():
        raise UserError(
            f"suite {suite.name!r} is a program of the project's checkout, which the installed package does not hold",
            hint="Clone the project, run `make test` there once, and give the same command in it.",
        )
    missing = [name for name in suite.needs if find_spec(name) is None]
    if missing:
        raise UserError(
            f"suite {suite.name!r} needs the package {', '.join(missing)}",
            hint="In the checkout: pip install --constraint constraints.txt --editable '.[dev]'",
        )
    return root
