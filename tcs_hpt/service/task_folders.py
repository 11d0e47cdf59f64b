"""The tasks that the service runs, by name: built-in ones, and those directly below folders that its operator has named.

What comes over the network is only ever looked up here, and never taken for a path.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from tcs_hpt.catalog import MANIFEST, LoadedTask, list_tasks, load_task
from tcs_hpt.errors import UserError

Source: TypeAlias = Literal["built-in", "folder"]


class TaskFolders:
    """A catalogue of names. What is put into a folder later is found as well.

    Args:
        folders: Whose subfolders are tasks. A link that leads out of them is not followed; of two tasks of one name the
            built-in one counts, else that of the earlier folder.

    Raises:
        UserError: One of them is no folder.
    """

    def __init__(self, folders: Sequence[Path] = ()) -> None:
        for folder in folders:
            if not folder.is_dir():
                raise UserError(f"there is no folder {folder} with tasks", hint="Check --tasks-dir.")
        self.folders = tuple(folder.resolve() for folder in folders)

    def names(self) -> dict[str, Source]:
        """All tasks and where they come from, sorted by name."""
        names: dict[str, Source] = dict.fromkeys(self._own(), "folder")
        names |= dict.fromkeys(list_tasks(), "built-in")
        return dict(sorted(names.items()))

    def load(self, name: str) -> LoadedTask:
        """Read a task.

        Raises:
            UserError: There is none of this name.
            ManifestError: Its manifest has problems.
        """
        if name in list_tasks():
            return load_task(name)
        folder = self._own().get(name)
        if folder is None:
            known = ", ".join(self.names())
            raise UserError(
                f"there is no task {name!r} here",
                hint=f"Tasks: {known}. Others have to lie directly below a folder that was named with --tasks-dir.",
            )
        return load_task(folder)

    def _own(self) -> dict[str, Path]:
        """The tasks in the folders."""
        found: dict[str, Path] = {}
        for folder in self.folders:
            for manifest in sorted(folder.glob(f"*/{MANIFEST}")):
                inside = manifest.resolve().is_relative_to(folder)
                if inside and manifest.is_file():
                    found.setdefault(manifest.parent.name, manifest.parent)
        return found
