"""The folder of a trial, as the engine hands it to the script."""

from __future__ import annotations

import contextlib
import errno
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tcs_hpt.errors import StoreError
from tcs_hpt.execution._base import Job

_STOP = "stop"
_OURS = ("config.json", "metrics.jsonl", "process.json", "result.json", "stderr.log", "stdout.log", _STOP)
_HINTS = {
    errno.ENOSPC: "The disk is full: free some space, or choose a place on another disk with --store.",
    errno.EDQUOT: "Your disk quota is used up: free some space, or choose another place with --store.",
    errno.EEXIST: "Something else has this name: move it away, or choose another place with --store.",
    errno.ENOTDIR: "A file is where a folder has to be: move it away, or choose another place with --store.",
}


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Says what is wrong with the folder when something inside the block cannot be written.

    Raises:
        StoreError: In place of any OSError.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"the trial's folder {folder} cannot be written: {error.strerror or error}",
            hint=_HINTS.get(error.errno or 0, "Check its permissions, or choose another place with --store."),
        ) from error


def prepare(job: Job, folder: Path) -> None:
    """Make the folder, remove what an earlier try left in it, and write `config.json`.

    Raises:
        StoreError: The folder cannot be made or written.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name in _OURS:
            _remove(folder / name)
    settings = {
        "params": job.config,
        "fixed": dict(job.task.fixed),
        "seed": job.seed,
        "profile": job.profile,
        "trial": job.number,
        "data_dir": None if job.data_dir is None else str(job.data_dir.absolute()),
    }
    write_json(folder / "config.json", settings)


def ask_to_stop(folder: Path) -> None:
    """Ask the script of a running trial to end early: its `trial.should_stop()` is true from now on.

    Raises:
        StoreError: The folder cannot be written.
    """
    with writing(folder):
        (folder / _STOP).touch()


def stop_asked(folder: Path) -> bool:
    """Whether the script of a trial was asked to end early."""
    return (folder / _STOP).exists()


def take_over_checkpoint(earlier: Path, folder: Path) -> None:
    """Move what a script kept to go on from, `checkpoint` and `checkpoint.*`, into the folder of the trial that goes on.

    From an interrupted try to the next one, or from a trial with few epochs to the one with more.

    What the next one has already stays; without an earlier folder nothing happens.

    Raises:
        StoreError: The folder cannot be made or written.
    """
    kept = sorted(p for p in earlier.glob("checkpoint*") if p.name == "checkpoint" or p.suffix)
    if not kept:
        return
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for path in kept:
            if not (folder / path.name).exists():
                shutil.move(path, folder / path.name)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a small file.

    Raises:
        StoreError: It cannot be written.
    """
    with writing(path.parent):
        path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():  # a script put it there
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
