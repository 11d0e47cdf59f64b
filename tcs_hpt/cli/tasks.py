"""`tcs-hpt tasks`: what can be tuned, and whether a study can rely on it."""

from __future__ import annotations

import importlib.metadata
import json
import shlex
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tcs_hpt.catalog import LoadedTask, list_tasks, load_task
from tcs_hpt.cli._shared import termination_interrupts
from tcs_hpt.cli.options import DataDirOption, PythonOption, existing_data_dir
from tcs_hpt.experiments.extras import missing_extras
from tcs_hpt.report.words import count, duration, mib
from tcs_hpt.space import SearchSpace, format_value
from tcs_hpt.summary import scale_text

if TYPE_CHECKING:
    from tcs_hpt.experiments.task_check import TaskCheck
    from tcs_hpt.experiments.task_findings import Check

app = typer.Typer(help="What can be tuned.", no_args_is_help=True)

TaskArgument = Annotated[str, typer.Argument(help="A built-in task, a folder, or a task.toml.")]

_STYLES = {"ok": "green", "warning": "yellow", "failed": "bold red"}
_INDENT = " " * 22


@app.command("list")
def list_() -> None:
    """The built-in tasks."""
    from tcs_hpt.experiments.task_folder import needed_extra

    table = Table(box=None, pad_edge=False)
    for column in ("task", "what", "metric", "parameters", "profiles", "extra"):
        # What may be copied is never cut: a narrow screen wraps the sentences.
        table.add_column(column, no_wrap=column not in ("what", "profiles", "extra"))
    missing = _missing()
    lacking = []
    for name in list_tasks():
        task = load_task(name)
        spec, extra = task.spec, needed_extra(task)
        if extra in missing:
            lacking.append(extra)
        table.add_row(
            name,
            spec.title,
            spec.objective.metric,
            str(len(spec.params)),
            ", ".join(spec.profiles),
            f"{extra} (not installed)" if extra in missing else extra,
        )
    Console().print(table)
    if lacking:
        print(f"\nNot installed here: pip install 'tcs-hpt[{','.join(dict.fromkeys(lacking))}]'")


@app.command()
def show(
    task: TaskArgument,
    profile: Annotated[
        str, typer.Option(help="A size of the task. Default: the bare manifest.", show_default=False)
    ] = "",
) -> None:
    """A task's goal and parameters."""
    from tcs_hpt.experiments.task_folder import needed_extra

    loaded = load_task(task)
    spec = loaded.spec.with_profile(profile or None)
    space = SearchSpace(spec.params)
    console = Console(highlight=False, markup=False)
    console.print(f"{spec.name}: {spec.title or spec.name}{f', at {profile}' if profile else ''}")
    if spec.description:
        console.print(spec.description)
    target = "" if spec.objective.target is None else f", target {spec.objective.target:g}"
    console.print(f"{spec.objective.direction} {spec.objective.metric}{target}\n")
    table = Table(box=None, pad_edge=False)
    for column in ("parameter", "range", "default", "only when", "what"):
        table.add_column(column)
    for name, parameter in spec.params.items():
        when = " and ".join(f"{p} is {' or '.join(map(str, vs))}" for p, vs in parameter.when.items())
        table.add_row(
            name, scale_text(space, name), format_value(space.default(name)), when, parameter.description
        )
    console.print(table)
    if spec.fixed:
        console.print("\nfixed: " + ", ".join(f"{k}={format_value(v)}" for k, v in spec.fixed.items()))
    console.print(f"limits: {_limits(loaded, profile)}")
    console.print(f"profiles: {', '.join(spec.profiles) or 'none'}")
    if extra := needed_extra(loaded):
        lacks = "" if extra not in _missing() else f", not installed: pip install 'tcs-hpt[{extra}]'"
        console.print(f"extra: {extra}{lacks}", soft_wrap=True)
    console.print(f"folder: {loaded.folder}", soft_wrap=True)


@app.command()
def check(
    task: TaskArgument,
    profile: Annotated[
        str,
        typer.Option(
            help="The size to run. Default: smoke, or the bare manifest without it.", show_default=False
        ),
    ] = "",
    manifest_only: Annotated[bool, typer.Option("--manifest-only", help="Run nothing.")] = False,
    once: Annotated[
        bool, typer.Option("--once", help="One run; not whether it repeats and can be stopped.")
    ] = False,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="One more run for each parameter: does it act?")
    ] = False,
    data_dir: DataDirOption = None,
    python: PythonOption = "",
    seed: Annotated[int, typer.Option(min=0, help="The training seed.")] = 0,
    trial_seconds: Annotated[
        float | None,
        typer.Option(
            min=0.1,
            metavar="SECONDS",
            help="Limit of a run. Default: the task's own, or 600.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Every check as JSON.")] = False,
) -> None:
    """Run a task a few times, as a study would, and say what would go wrong.

    Exit status: 0, also with warnings; 1 when something failed; 2 for wrong use; 130 when interrupted.
    """
    from tcs_hpt.experiments.task_check import CheckOptions, check_task

    options = CheckOptions(
        profile=profile or None,
        manifest_only=manifest_only,
        once=once,
        thorough=thorough,
        data_dir=existing_data_dir(data_dir),
        python=python,
        seed=seed,
        trial_seconds=trial_seconds,
    )
    console = Console(highlight=False, markup=False)
    with (
        tempfile.TemporaryDirectory(prefix="tcs-hpt-check-", ignore_cleanup_errors=True) as home,
        termination_interrupts(),
        _progress() as on_run,
    ):
        done = check_task(
            task,
            Path(home),
            options,
            on_check=(lambda found: None) if as_json else (lambda found: _print(found, console)),
            on_run=on_run,
        )
    if as_json:
        print(json.dumps(done.to_json(), indent=2, allow_nan=False))
    else:
        _close(done, console, _tune_command(task, data_dir, python), ran=not manifest_only)
    raise typer.Exit(0 if done.ok else 1)


@contextmanager
def _progress() -> Iterator[Callable[[str], None]]:
    """A line that says which run is under way, on a terminal only; apart from what is printed."""
    notes = Console(stderr=True, highlight=False)
    if not notes.is_terminal:
        yield lambda what: None
        return
    with notes.status("reading the manifest") as status:
        yield lambda what: status.update(f"running {what}")


def _print(found: Check, console: Console) -> None:
    width = console.width - 1 if console.is_terminal else 10_000
    head = f"{found.status:<8} {found.name:<12} "
    line = textwrap.fill(
        f"{found.text} {found.hint}".strip(),
        width,
        initial_indent=head,
        subsequent_indent=_INDENT,
        break_long_words=False,
        break_on_hyphens=False,
    )
    text = Text(line)
    text.stylize(_STYLES[found.status], 0, len(found.status))
    console.print(text, soft_wrap=True)
    for detail in found.details:
        console.print(f"{_INDENT}| {detail}", soft_wrap=True)


def _close(done: TaskCheck, console: Console, command: str, *, ran: bool) -> None:
    """What a trial costs, and whether a study can begin."""
    size_of_task = f"at {done.profile}" if done.profile else "of the bare manifest"
    if done.seconds is not None and done.study_seconds is not None and done.peak_memory_mb is not None:
        memory = mib(done.peak_memory_mb)
        console.print(
            f"\nA trial {size_of_task} takes {duration(done.seconds)} and {memory}; a study of ten about "
            f"{duration(done.study_seconds)}, plus what a model takes to think."
            + (" Other sizes: --profile NAME." if done.profile else ""),
            soft_wrap=True,
        )
    failed = sum(c.status == "failed" for c in done.checks)
    warnings = sum(c.status == "warning" for c in done.checks)
    if failed:
        console.print(f"\n{count(failed, 'check')} failed: a study would not work yet.")
        return
    but = f", with {count(warnings, 'warning')}" if warnings else ""
    if ran:
        console.print(f"\nReady for a study{but}: {command}", soft_wrap=True)
    else:
        console.print(f"\nThe manifest can be used{but}. Without --manifest-only the script is run too.")


def _tune_command(task: str, data_dir: Path | None, python: str) -> str:
    words = ["tcs-hpt", "tune", task]
    words += ["--data-dir", str(data_dir)] if data_dir is not None else []
    words += ["--python", python] if python else []
    return shlex.join(words)


def _limits(task: LoadedTask, profile: str) -> str:
    limits = task.spec.with_profile(profile or None).limits
    parts = [f"{limits.trial_seconds:g} s a trial"] if limits.trial_seconds is not None else []
    parts += [f"{limits.memory_mb} MiB"] if limits.memory_mb is not None else []
    return ", ".join(parts) or "none"


def _missing() -> dict[str, tuple[str, ...]]:
    """By extra, which of its packages are not installed here."""
    try:
        return missing_extras(importlib.metadata.requires("tcs-hpt") or [])
    except importlib.metadata.PackageNotFoundError:  # run from its sources
        return {}
