"""Finds tasks: built-in ones by name, anybody's by path. Never imports or runs a task."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from tcs_hpt import bundled
from tcs_hpt.catalog.manifest import read_manifest
from tcs_hpt.catalog.wording import meant
from tcs_hpt.errors import UserError
from tcs_hpt.spec import TaskSpec, fill_placeholders, placeholders

MANIFEST = "task.toml"

__all__ = [
    "MANIFEST",
    "LoadedTask",
    "fill_placeholders",
    "list_tasks",
    "load_task",
    "placeholders",
    "read_manifest",
]


EXAMPLE = f"Write a {MANIFEST} beside the script; `tcs-hpt tasks show mlp_digits` names a folder to copy."


@dataclass(frozen=True)
class LoadedTask:
    """A task that can be run."""

    spec: TaskSpec
    """The bare manifest; apply a profile with `spec.with_profile`."""
    folder: Path
    """Where the manifest and the script are; absolute."""


def list_tasks() -> tuple[str, ...]:
    """Names of the built-in tasks, sorted."""
    return tuple(sorted(p.parent.name for p in bundled.folder("tasks").glob(f"*/{MANIFEST}")))


def load_task(name_or_path: str | Path) -> LoadedTask:
    """Read a task: the name of a built-in one, a folder, its `task.toml`, or a script with a `task.toml` beside it.

    A bare word is a built-in task if there is one of that name (`./word` is always the folder).

    Raises:
        UserError: There is no such task.
        ManifestError: Its manifest has problems; all of them are listed.
    """
    manifest = _find(name_or_path)
    spec = read_manifest(manifest)
    return LoadedTask(spec, manifest.parent.resolve())


def _find(name_or_path: str | Path) -> Path:
    text = str(name_or_path)
    bare = isinstance(name_or_path, str) and re.fullmatch(r"[A-Za-z0-9_-]+", text) is not None
    if bare and text in list_tasks():
        return bundled.folder("tasks") / text / MANIFEST
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        if (path / MANIFEST).is_file():
            return path / MANIFEST
        raise UserError(f"{text} is a folder without a {MANIFEST}", hint=EXAMPLE)
    if path.is_file():
        if path.suffix == ".toml":
            return path
        if (path.parent / MANIFEST).is_file():
            return path.parent / MANIFEST
        raise UserError(
            f"{text} has no {MANIFEST} beside it, so nothing says what is tuned and what is measured",
            hint=f"Run `tcs-hpt init {text}`: it reads the script, without running it, and writes one.",
        )
    known = list_tasks()
    if not bare:
        raise UserError(
            f"there is no file or folder {text}",
            hint=f"Give a task folder, its {MANIFEST}, or a built-in task: {', '.join(known)}.",
        )
    raise UserError(
        f"there is no task {text!r}",
        hint=f"{meant(text, known, 3)}Built-in tasks: {', '.join(known)}. Or give a folder that holds a {MANIFEST}.",
    )
