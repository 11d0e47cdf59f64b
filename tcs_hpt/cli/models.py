"""`tcs-hpt models`: the language models that are known, and those that are here."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from tcs_hpt.cli import model_check
from tcs_hpt.cli._shared import download_progress
from tcs_hpt.errors import UserError

if TYPE_CHECKING:
    from tcs_hpt.llm.machine import OllamaState
    from tcs_hpt.llm.models import KnownModel, ModelCard

app = typer.Typer(help="The language models that are known.", no_args_is_help=True)

WIDE = 130
"""Columns from which the descriptions fit beside the figures."""
PIPE_WIDTH = 200
"""Columns where nobody looks: one model a line, for grep."""


@dataclass(frozen=True)
class Row:
    """One model of the listing."""

    name: str
    """What `--model` takes."""
    size: int
    """[bytes]"""
    memory: int | None
    """What it takes to answer, estimated [bytes]; None for a model that is not in the catalogue."""
    here: bool | None
    """Whether it can be used without fetching it; None when no server could be asked, or the models folder not read."""
    card: ModelCard | None
    """Its entry in the catalogue."""
    parameters: str = ""

    @property
    def licence(self) -> str:
        """Empty when it is not known."""
        return self.card.licence if self.card else ""

    @property
    def description(self) -> str:
        """One sentence."""
        return self.card.description if self.card else "On your Ollama server; not in the catalogue."

    def as_json(self) -> dict[str, Any]:
        """Everything, sizes in bytes."""
        card = self.card
        return {
            "name": self.name,
            "backend": self.name.partition(":")[0],
            "known": card is not None,
            "here": self.here,
            "parameters": self.parameters,
            "size_bytes": self.size,
            "memory_bytes": self.memory,
            "licence": self.licence or None,
            "thinks": card.thinks if card else None,
            "paper": bool(getattr(card, "paper", False)) if card else None,
            "source": card.source if card else None,
            "description": self.description,
        }


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


def rows(server: OllamaState | None) -> list[Row]:
    """The catalogue, and below it what else the Ollama server has."""
    from tcs_hpt.llm.models import CATALOGUE, LIBRARY, library_model, models_dir

    asked = server if server is not None and not server.problem else None
    folder = models_dir()
    found = [
        Row(m.full_name, m.size, m.memory, _is_here(m, folder), m, m.parameters) for m in CATALOGUE.values()
    ]
    found += [
        Row(
            m.full_name,
            m.size,
            m.memory,
            asked.tag_of(m.name) is not None if asked else None,
            m,
            m.parameters,
        )
        for m in LIBRARY.values()
    ]
    found += [
        Row(f"ollama:{tag.name}", tag.size, None, True, None, tag.parameters)
        for tag in (asked.models if asked else ())
        if library_model(tag.name) is None
    ]
    return found


def _is_here(model: KnownModel, folder: Path) -> bool | None:
    from tcs_hpt.llm.download import is_present

    try:
        return is_present(model, folder)
    except OSError:
        return None


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
