"""The command tree."""

from __future__ import annotations

from typing import Annotated

import typer

from tcs_hpt import __version__
from tcs_hpt.cli import ask, bench, compare, doctor, export, init, models, serve, studies, tasks, tune, worker
from tcs_hpt.cli._commands import Commands

app = typer.Typer(
    name="tcs-hpt",
    cls=Commands,
    help="Small local language models tune the hyperparameters of your training script.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"tcs-hpt {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


app.command("tune")(tune.tune)
app.command("compare")(compare.compare)
app.command("init")(init.init)
app.add_typer(bench.app, name="bench")
app.add_typer(tasks.app, name="tasks")
app.add_typer(models.app, name="models")
app.command("doctor")(doctor.doctor)
app.command("studies")(studies.studies)
app.command("show")(studies.show)
app.command("report")(studies.report)
app.command("export")(export.export)
app.command("ask")(ask.ask)
app.command("serve")(serve.serve)
app.command("worker")(worker.worker)
