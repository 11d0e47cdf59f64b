"""What the files of a task tell without being run."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from tcs_hpt.catalog import LoadedTask, placeholders
from tcs_hpt.spec import TaskSpec

_CODE = (".py", ".sh", ".R", ".jl", ".js", ".pl", ".rb", ".lua")
_CODE_BYTES = 2**20
_MOST_FILES = 20_000
_HANDED_OVER = re.compile(r"\*\*\s*[\w.]*(params|config)\b")
_EXTRA = re.compile(r"pip install ['\"]?tcs-hpt\[([a-z][a-z0-9-]*)\]")


def needed_extra(task: LoadedTask) -> str:
    """The extra of tcs-hpt that the script tells its user to install when a library is missing; empty for none.

    Nothing is run or imported.
    """
    for path in _files(task.folder):
        if path.suffix == ".py" and (found := _EXTRA.search(_text(path))):
            return found[1]
    return ""


def unnamed(folder: Path, spec: TaskSpec) -> list[str] | None:
    """Parameters that neither the manifest hands over nor a script names; None without a script to look at.

    One that hands all of them over together (`**trial.params`) names them all.
    """
    handed_over = {name for item in (*spec.command, *spec.env.values()) for name in placeholders(item)}
    handed_over |= set(spec.config_paths())
    rest = [name for name in spec.params if name not in handed_over]
    texts = [_text(path) for path in _files(folder) if path.suffix in _CODE]
    if any(_HANDED_OVER.search(text) for text in texts):
        return []
    found = [n for n in rest if not any(re.search(rf"(?<!\w){re.escape(n)}(?!\w)", text) for text in texts)]
    return found if texts or not found else None


def state(folder: Path) -> dict[str, tuple[int, int]] | None:
    """Time and size of each file of a task; None for a folder with too many of them."""
    found = {}
    for path in _files(folder):
        try:
            status = path.stat()
        except OSError:  # a dangling link, or gone meanwhile
            continue
        found[str(path.relative_to(folder))] = (status.st_mtime_ns, status.st_size)
    return found if len(found) <= _MOST_FILES else None


def _files(folder: Path) -> Iterator[Path]:
    """The files of a task, at most 20,000 and one; what is hidden and what Python keeps for itself is passed over."""
    count = 0
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(n for n in folders if not n.startswith(".") and n != "__pycache__")
        for name in sorted(names):
            if not name.startswith("."):
                count += 1
                yield Path(place, name)
                if count > _MOST_FILES:
                    return


def _text(path: Path) -> str:
    """A script's text; empty for what is too large to be one."""
    try:
        if path.stat().st_size > _CODE_BYTES:
            return ""
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
