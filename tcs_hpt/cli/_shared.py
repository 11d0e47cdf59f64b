"""What several commands need: places, names, progress."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from tcs_hpt.llm import ChatModel
from tcs_hpt.tuning.launch import task_reference
from tcs_hpt.tuning.models import download_progress
from tcs_hpt.tuning.places import explicit_url, reference_of, study_folder, write_report

__all__ = [
    "download_progress",
    "explicit_url",
    "open_model",
    "reference_of",
    "study_folder",
    "task_reference",
    "termination_interrupts",
    "write_report",
]


@contextmanager
def termination_interrupts() -> Iterator[None]:
    """SIGTERM ends the command as Ctrl-C does, so that nothing that it started is left behind."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def open_model(name: str, console: Console, *, pull: bool = False, jobs: int = 1) -> tuple[ChatModel, str]:
    """A model by name, fetched with a progress bar if it is not here yet; with the reason it was chosen.

    Args:
        name: As `--model` takes it.
        console: Where the progress is shown, and the question asked.
        pull: Whether an Ollama server may fetch it. Without it, a person at the keyboard is asked.
        jobs: Trials or studies side by side.
    """
    from tcs_hpt.llm.opening import NotInstalled
    from tcs_hpt.llm.opening import open_model as opened

    try:
        with download_progress(console) as update:
            return opened(name, pull=pull, jobs=jobs, on_progress=update)
    except NotInstalled as missing:
        if not (sys.stdin.isatty() and console.is_terminal):
            raise
        size = f" ({missing.size / 1e9:.1f} GB)" if missing.size else ""
        if not typer.confirm(f"{missing.message}. Fetch it now{size}?", err=True):
            raise
    with download_progress(console) as update:
        return opened(name, pull=True, jobs=jobs, on_progress=update)
