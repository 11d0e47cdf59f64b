"""Where a study's files lie, what it is called, and its report: the same for the command line and for `tune()`."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import platformdirs

from tcs_hpt import __version__
from tcs_hpt.catalog import LoadedTask
from tcs_hpt.errors import UserError
from tcs_hpt.loop import new_name
from tcs_hpt.report.html import write_html
from tcs_hpt.store import Store, usual_url

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,119}")


def study_folder(store: Store, study: str) -> Path:
    """Where a study's trials run and its report lies: beside a SQLite file, else in the user's data folder."""
    prefix = "sqlite:///"
    if store.url.startswith(prefix):
        return Path(store.url.removeprefix(prefix)).parent / "studies" / study
    return platformdirs.user_data_path("tcs-hpt") / "studies" / study


def checked_name(name: str) -> str:
    """The name, if it can be a study's.

    Raises:
        UserError: It cannot.
    """
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{name!r} cannot name a study",
            hint="Use letters, digits, dots, dashes and underscores; it names a folder too.",
        )
    return name


def free_name(task: LoadedTask, store: Store) -> str:
    """Task and time; with a number behind it when another study began in the same second."""
    name = new_name(task, datetime.now())
    taken = {row.name for row in store.list_studies()}
    return next(n for n in (name, *(f"{name}-{i}" for i in range(2, 10_000))) if n not in taken)


def reference_of(store: Store, study: str) -> str:
    """The task of a stored study as a command line names it."""
    for stored in store.events(study, kinds=("study_started",)):
        if stored.event.kind == "study_started" and stored.event.task_reference:
            return stored.event.task_reference
    return store.get_study(study).task.name


def explicit_url(store: Store) -> str:
    """The store as later commands must name it; empty when it is the one they use anyway."""
    return "" if usual_url() == store.url else store.label


def write_report(store: Store, study: str, path: Path | None = None) -> Path:
    """Write the HTML report of a study and return its path."""
    spec, trials = store.get_study(study), store.load_trials(study)
    path = path or study_folder(store, study) / "report.html"
    write_html(
        path,
        spec,
        trials,
        task_ref=reference_of(store, study),
        generated_at=utc_text(),
        version=__version__,
        store_url=explicit_url(store),
    )
    return path


def utc_text() -> str:
    """The time as reports print it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
