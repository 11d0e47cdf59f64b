"""`tcs-hpt doctor`: what is on this machine, and what tuning on it would use.

What is found is put into words in `_findings`.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import shutil
import textwrap
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tcs_hpt import __version__
from tcs_hpt.cli._findings import Facts, Finding, closing, findings
from tcs_hpt.cli.options import StoreOption
from tcs_hpt.errors import StoreError, UserError
from tcs_hpt.experiments.extras import missing_extras, requirements
from tcs_hpt.llm import machine as machines
from tcs_hpt.llm.choice import better, choose
from tcs_hpt.llm.models import CATALOGUE, models_dir
from tcs_hpt.store import Store, usual_url

MARKS = {"ok": " ", "note": " ", "warning": "!", "error": "x"}


def doctor(
    store: StoreOption = "",
    as_json: Annotated[bool, typer.Option("--json", help="Facts and findings as JSON.")] = False,
) -> None:
    """Look at this machine: what tuning would use, what is missing, and how to get it."""
    facts = examine(store or None)
    found = findings(facts)
    if as_json:
        print(json.dumps(report(facts, found), indent=2))
    else:
        _print(facts, found, Console())
    if any(finding.level == "error" for finding in found):
        raise typer.Exit(1)


def examine(store: str | None = None) -> Facts:
    """Look at everything. No model is loaded or fetched, no engine imported, and no database made.

    An existing database is opened as every command does, which brings an older one's tables up to date.
    """
    folder = models_dir()
    disk_free, files, models_problem = _look_at_models(folder)
    server, server_problem = None, ""
    try:
        server = machines.ollama_state()
    except UserError as error:
        server_problem = str(error).replace("\n", ". ")
    label, studies, store_problem = _look_at_store(store)
    return Facts(
        version=__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        machine=machines.look(),
        engines=machines.engines(),
        missing_extras=missing_extras(requirements()),
        models_folder=str(folder),
        disk_free=disk_free,
        files=files,
        models_problem=models_problem,
        server=server,
        server_problem=server_problem,
        ollama_program=shutil.which("ollama") is not None,
        store=label,
        studies=studies,
        store_problem=store_problem,
    )


def report(facts: Facts, found: list[Finding]) -> dict[str, Any]:
    """Everything as JSON values; sizes in bytes."""
    known = not facts.server_problem  # else `auto` does not choose
    best = better(facts.machine, facts.server) if known else None
    return {
        "ok": all(finding.level != "error" for finding in found),
        "facts": dataclasses.asdict(facts),
        "auto": dataclasses.asdict(choose(facts.machine, facts.server)) if known else None,
        "better": best.full_name if best else None,
        "findings": [dataclasses.asdict(finding) for finding in found],
    }


def _look_at_models(folder: Path) -> tuple[int | None, tuple[str, ...], str]:
    """Bytes free where models are kept, the models of the catalogue that are there, and why that cannot be seen."""
    from tcs_hpt.llm.download import is_present

    try:
        free = shutil.disk_usage(_nearest(folder)).free
        return free, tuple(name for name, model in CATALOGUE.items() if is_present(model, folder)), ""
    except OSError as error:
        return None, (), error.strerror or str(error)


def _look_at_store(store: str | None) -> tuple[str, int | None, str]:
    """The database as people may see it, how many studies it holds, and why it cannot be opened.

    A SQLite file that is not there yet is not made.
    """
    try:
        file = _sqlite_file(store or usual_url())
        if file is not None and not file.exists():
            nearest = _nearest(file)
            problem = "" if _is_writable(nearest) else f"{file} cannot be made: {nearest} is not writable"
            return str(file), None, problem
        with Store.open(store) as database:
            return database.label, len(database.list_studies()), ""
    except (StoreError, UserError) as error:
        return "", None, str(error).replace("\n", ". ")


def _sqlite_file(url: str) -> Path | None:
    """The file that a URL or path of a store names; None for a server, and for what is no URL."""
    if url.startswith("sqlite:///"):
        return Path(url.removeprefix("sqlite:///")).expanduser()
    return None if url.startswith(("sqlite:", "postgresql:")) or "://" in url else Path(url).expanduser()


def _nearest(path: Path) -> Path:
    """The path, or the nearest folder above it that exists."""
    return next(p for p in (path.absolute(), *path.absolute().parents) if p.exists())


def _is_writable(folder: Path) -> bool:
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _print(facts: Facts, found: list[Finding], console: Console) -> None:
    width = console.width - 1 if console.is_terminal else 10_000
    print(f"tcs-hpt {facts.version}, Python {facts.python}, {facts.system}\n")
    indent = " " * 12
    for finding in found:
        head = f"{MARKS[finding.level]} {finding.topic:<9} "
        print(_wrapped(finding.text, width, head, indent))
        if finding.advice:
            print(_wrapped(finding.advice, width, indent, indent))
        for command in finding.commands:
            print(f"{indent}$ {command}")
    print(f"\n{closing(found)}")


def _wrapped(text: str, width: int, first: str, others: str) -> str:
    """Paths and addresses stay whole, so that they can be copied."""
    return textwrap.fill(
        text,
        width,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )
