"""`tcs-hpt models`: the language models that are known, and those that are here."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from tcs_hpt.cli import model_check
from tcs_hpt.cli._shared import download_progress
from tcs_hpt.errors import UserError
from tcs_hpt.llm.listing import Row, rows

if TYPE_CHECKING:
    from tcs_hpt.llm.machine import OllamaState

app = typer.Typer(help="The language models that are known.", no_args_is_help=True)

WIDE = 130
"""Columns from which the descriptions fit beside the figures."""
PIPE_WIDTH = 200
"""Columns where nobody looks: one model a line, for grep."""


@app.command("list")
def list_(
    as_json: Annotated[
        bool, typer.Option("--json", help="Everything that is known of them, as JSON.")
    ] = False,
) -> None:
    """Known models, with size, licence and whether they are on this machine."""
    from tcs_hpt.llm.machine import ollama_state

    server = ollama_state()
    found = rows(server)
    if as_json:
        print(json.dumps([row.as_json() for row in found], indent=2))
        return
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = PIPE_WIDTH
    console.print(_table(found, wide=console.width >= WIDE))
    if console.is_terminal:
        console.print()
        for line in _footnotes(found, server, wide=console.width >= WIDE):
            console.print(line, highlight=False, markup=False)


@app.command()
def pull(
    name: Annotated[str, typer.Argument(help="A name from `tcs-hpt models list`, or any `ollama:NAME`.")],
) -> None:
    """Fetch a model now, so that the first study need not wait for it."""
    from tcs_hpt.llm import ollama
    from tcs_hpt.llm.download import fetch
    from tcs_hpt.llm.models import CATALOGUE, LIBRARY, known_model, models_dir
    from tcs_hpt.llm.opening import suggest

    console = Console(stderr=True)
    bare = name.removeprefix("embedded:")
    if bare in CATALOGUE:
        with download_progress(console) as update:
            print(fetch(known_model(bare), models_dir(), on_progress=update))
        return
    if name in LIBRARY:
        name = LIBRARY[name].full_name
    tag = name.removeprefix("ollama:")
    if tag == name or not tag:
        meant = suggest(name)
        question = f"Did you mean {meant}? " if meant.startswith(("ollama:", "embedded:")) else ""
        raise UserError(
            f"`{name}` does not name a model that can be fetched",
            hint=f"{question}Choose one from `tcs-hpt models list`, or write ollama:NAME as in https://ollama.com/library.",
        )
    with download_progress(console) as update:
        ollama.pull(tag, on_progress=update)
    print(name)


def _table(found: list[Row], *, wide: bool) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("model", no_wrap=True)
    table.add_column("size", justify="right", no_wrap=True)
    table.add_column("memory", justify="right", no_wrap=True)
    table.add_column("licence", no_wrap=True)
    table.add_column("here", no_wrap=True)
    if wide:
        table.add_column("what")
    for row in found:
        here = {True: "yes", False: "no", None: "?"}[row.here]
        memory = "" if row.memory is None else _size(row.memory)
        cells = [row.name, _size(row.size), memory, row.licence or "-", here]
        table.add_row(*cells, *([row.description] if wide else []))
    return table


def _footnotes(found: list[Row], server: OllamaState | None, *, wide: bool) -> list[str]:
    notes = ["Memory is an estimate. Fetch a model with `tcs-hpt models pull NAME`."]
    if not wide:
        notes.append(f"A window of {WIDE} columns shows what each is for; so does --json.")
    if server is None:
        notes.append("?: no Ollama server answers; `tcs-hpt doctor` says how to get one.")
    elif server.problem:
        notes.append(f"?: {server.problem}")
    if any(row.here is None and row.name.startswith("embedded:") for row in found):
        notes.append("?: the models folder cannot be read; `tcs-hpt doctor` says why.")
    return notes


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


app.command("check")(model_check.check)
