"""The file that studies are written to: one line for each trial, all lines of a study at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from benchmarks.dev.studies import Row

FILE = "trials.jsonl"
"""Inside the folder of a run."""


def append(folder: Path, rows: Sequence[Row]) -> None:
    """Add a study. After half a line, which a killed run left, it begins on a line of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / FILE).open("a+b") as file:
        cut = file.tell() > 0 and not _ends_a_line(folder / FILE)
        file.write(b"\n" * cut + "".join(f"{row.model_dump_json()}\n" for row in rows).encode())


def _ends_a_line(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"


def read(folder: Path) -> list[list[Row]]:
    """The complete studies in a folder, each in the order of its trials; one that was run twice counts as run last."""
    path = folder / FILE
    studies: dict[tuple[str, str, str, int, int], dict[int, Row]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            row = Row.model_validate_json(line)
        except ValidationError:  # half a line
            continue
        studies.setdefault(row.study, {})[row.trial] = row
    found = [sorted(rows.values(), key=lambda r: r.trial) for rows in studies.values()]
    return [rows for rows in found if [r.trial for r in rows] == list(range(1, rows[0].trials + 1))]
