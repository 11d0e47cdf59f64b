"""`tcs-hpt tasks`: what can be tuned."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tcs_hpt.catalog import list_tasks, load_task
from tcs_hpt.space import SearchSpace, format_value
from tcs_hpt.summary import scale_text

app = typer.Typer(help="What can be tuned.", no_args_is_help=True)

TaskArgument = Annotated[str, typer.Argument(help="A built-in task, a folder, or a task.toml.")]


@app.command("list")
def list_() -> None:
    """The built-in tasks."""
    table = Table(box=None, pad_edge=False)
    for column in ("task", "what", "metric", "parameters", "profiles"):
        table.add_column(column)
    for name in list_tasks():
        spec = load_task(name).spec
        table.add_row(
            name, spec.title, spec.objective.metric, str(len(spec.params)), ", ".join(spec.profiles)
        )
    Console().print(table)


@app.command()
def show(task: TaskArgument) -> None:
    """A task's goal and parameters."""
    loaded = load_task(task)
    spec, space = loaded.spec, SearchSpace(loaded.spec.params)
    console = Console(highlight=False, markup=False)
    console.print(f"{spec.name}: {spec.title or spec.name}")
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
    console.print(f"profiles: {', '.join(spec.profiles) or 'none'}")
    console.print(f"folder: {loaded.folder}", soft_wrap=True)


@app.command()
def check(task: TaskArgument) -> None:
    """Read a task and list every problem of its manifest."""
    loaded = load_task(task)
    for profile in loaded.spec.profiles:
        loaded.spec.with_profile(profile)
    count = len(loaded.spec.params)
    print(f"{loaded.spec.name}: {count} parameters, {len(loaded.spec.profiles)} profiles, no problems found")
