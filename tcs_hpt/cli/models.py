"""`tcs-hpt models`: the language models that are known."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from tcs_hpt.cli._shared import download_progress

app = typer.Typer(help="The language models that are known.", no_args_is_help=True)


@app.command("list")
def list_() -> None:
    """Known models, with size, licence and whether they are on this machine."""
    from tcs_hpt.llm.download import is_present
    from tcs_hpt.llm.models import CATALOGUE, models_dir

    table = Table(box=None, pad_edge=False)
    for column in ("model", "size", "licence", "here", "what"):
        table.add_column(column)
    for model in CATALOGUE.values():
        here = "yes" if is_present(model, models_dir()) else "no"
        table.add_row(model.full_name, f"{model.size_mb} MB", model.licence, here, model.description)
    Console().print(table)


@app.command()
def pull(name: Annotated[str, typer.Argument(help="A name from `tcs-hpt models list`.")]) -> None:
    """Fetch a model now, so that the first study need not wait for it."""
    from tcs_hpt.llm.download import fetch
    from tcs_hpt.llm.models import known_model, models_dir

    model = known_model(name.removeprefix("embedded:"))
    with download_progress(Console(stderr=True)) as update:
        path = fetch(model, models_dir(), on_progress=update)
    print(path)
