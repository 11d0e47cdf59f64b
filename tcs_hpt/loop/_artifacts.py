"""Files that scripts keep: what there is, and what the study's policy leaves of it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from tcs_hpt.records import Artifact, Trial
from tcs_hpt.spec import Keep

FOLDER = "artifacts"
LISTED = 1000
"""Most files that a record names."""


def found(folder: Path) -> tuple[Artifact, ...]:
    """The artifacts in a trial's folder, by path; links are not followed and not listed."""
    root = folder / FOLDER
    files = sorted(p for p in _files(root))
    return tuple(
        Artifact(path=p.relative_to(root).as_posix(), bytes=p.lstat().st_size) for p in files[:LISTED]
    )


def apply(keep: Keep, trials: Iterable[Trial], best: Trial | None) -> list[Trial]:
    """Delete what the policy does not keep, and return the records that changed.

    Args:
        keep: The policy.
        trials: Trials that ended.
        best: The incumbent.
    """
    changed = []
    for trial in trials:
        if keep == "all" or (keep == "best" and best is not None and trial.number == best.number):
            continue
        if not any(a.kept for a in trial.artifacts):
            continue
        shutil.rmtree(Path(trial.folder) / FOLDER, ignore_errors=True)
        gone = tuple(a.model_copy(update={"kept": False}) for a in trial.artifacts)
        changed.append(trial.model_copy(update={"artifacts": gone}))
    return changed


def disk_use(folder: Path) -> int:
    """Bytes of all files below a folder; what vanishes meanwhile counts as nothing."""
    total = 0
    for path in _files(folder):
        try:
            total += path.lstat().st_size
        except OSError:
            continue
    return total


def _files(root: Path) -> Iterable[Path]:
    for parent, folders, names in os.walk(root, followlinks=False):
        folders.sort()
        yield from (p for n in names if not (p := Path(parent, n)).is_symlink())
