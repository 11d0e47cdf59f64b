"""What several commands need: places, names, progress."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import platformdirs
import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from tcs_hpt import __version__
from tcs_hpt.catalog import LoadedTask, list_tasks, load_task
from tcs_hpt.llm import ChatModel
from tcs_hpt.report.html import write_html
from tcs_hpt.store import Store, usual_url


def study_folder(store: Store, study: str) -> Path:
    """Where a study's trials run and its report lies: beside a SQLite file, else in the user's data folder."""
    prefix = "sqlite:///"
    if store.url.startswith(prefix):
        return Path(store.url.removeprefix(prefix)).parent / "studies" / study
    return platformdirs.user_data_path("tcs-hpt") / "studies" / study


def task_reference(task: LoadedTask, given: str) -> str:
    """A task as a command line names it from anywhere: built-in ones by name, others by absolute path."""
    if given in list_tasks() and load_task(given).folder == task.folder:
        return given
    return str(task.folder)


def write_report(store: Store, study: str, path: Path | None = None) -> Path:
    """Write the HTML report of a study and return its path."""
    spec, trials = store.get_study(study), store.load_trials(study)
    path = path or study_folder(store, study) / "report.html"
    write_html(
        path,
        spec,
        trials,
        task_ref=reference_of(store, study),
        generated_at=datetime.now(UTC).isoformat(timespec="seconds"),
        version=__version__,
        store_url=explicit_url(store),
    )
    return path


def reference_of(store: Store, study: str) -> str:
    """The task of a stored study as a command line names it."""
    for stored in store.events(study):
        if stored.event.kind == "study_started" and stored.event.task_reference:
            return stored.event.task_reference
    return store.get_study(study).task.name


def explicit_url(store: Store) -> str:
    """The store as later commands must name it; empty when it is the one they use anyway."""
    return "" if usual_url() == store.url else store.label


@contextmanager
def download_progress(console: Console) -> Iterator[Callable[[int, int], None]]:
    """A progress bar for a model file, drawn only once something is fetched. Takes bytes so far and in total."""
    progress = Progress(
        TextColumn("fetching the model"),
        BarColumn(),
        DownloadColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    bar = progress.add_task("model", total=None)

    def update(done: int, total: int) -> None:
        progress.start()  # does nothing when it was started
        progress.update(bar, completed=done, total=total)

    try:
        yield update
    finally:
        if progress.live.is_started:
            progress.stop()


def open_model(name: str, console: Console, *, pull: bool = False) -> tuple[ChatModel, str]:
    """A model by name, fetched with a progress bar if it is not here yet; with the reason it was chosen.

    Args:
        name: As `--model` takes it.
        console: Where the progress is shown, and the question asked.
        pull: Whether an Ollama server may fetch it. Without it, a person at the keyboard is asked.
    """
    from tcs_hpt.llm.opening import NotInstalled
    from tcs_hpt.llm.opening import open_model as opened

    try:
        with download_progress(console) as update:
            return opened(name, pull=pull, on_progress=update)
    except NotInstalled as missing:
        if not (sys.stdin.isatty() and console.is_terminal):
            raise
        size = f" ({missing.size / 1e9:.1f} GB)" if missing.size else ""
        if not typer.confirm(f"{missing.message}. Fetch it now{size}?", err=True):
            raise
    with download_progress(console) as update:
        return opened(name, pull=True, on_progress=update)
