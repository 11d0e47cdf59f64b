"""A reader of one JSON document."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import TypeGuard

from tcs_hpt.execution.readers._base import ABSENT, ScriptReader, file_trouble, value_at
from tcs_hpt.execution.sources import WrittenFile
from tcs_hpt.execution.tail import read_piece
from tcs_hpt.records import EpochRecord
from tcs_hpt.spec import EPOCH, MetricsSource, Objective

_DOCUMENT_BYTES = 16 * 1024 * 1024
_LIVE_BYTES = 1024 * 1024
"""A larger document is read at the end only."""


class JsonReader(ScriptReader):
    """Reads one JSON document, which a script writes at its end or again after each epoch.

    An object is one epoch, at the end or when it holds the epoch's number. A list of objects, or an object of lists of
    numbers, is one epoch for each of their places.
    """

    def __init__(self, spec: MetricsSource, objective: Objective, file: WrittenFile) -> None:
        super().__init__(spec, objective)
        self._file = file
        self._read_as: tuple[int, int, int] | None = None
        self._rows = 0
        self._broken = ""

    def read(self) -> list[EpochRecord]:
        """See `MetricsReader`."""
        return self._take(final=False)

    def finish(self) -> Iterator[EpochRecord]:
        """See `MetricsReader`."""
        self._file.settle()
        yield from self._take(final=True)
        yield from self.builder.finish()

    def missing(self) -> str:
        """See `MetricsReader`."""
        if (trouble := file_trouble(self._file)) is not None:
            return trouble
        if self._broken:
            return f"{self._file.name} cannot be read as JSON: {self._broken}"
        own = self.spec.names.get(self.metric, self.metric)
        return f"{self._file.name} has no number at {own!r}; {self.found_instead()}"

    def _take(self, *, final: bool) -> list[EpochRecord]:
        path = self._file.find()
        if path is None:
            return []
        try:
            status = os.stat(path)
        except OSError:
            return []
        now = (status.st_ino, status.st_mtime_ns, status.st_size)
        if not final and (now == self._read_as or status.st_size > _LIVE_BYTES):
            return []
        self._read_as = now
        text = read_piece(path, 0, _DOCUMENT_BYTES + 1)
        self._broken = ""
        try:
            if len(text) > _DOCUMENT_BYTES:
                raise ValueError(f"it is larger than {_DOCUMENT_BYTES // 2**20} MiB")
            document = json.loads(text.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:  # perhaps only half written yet
            self._broken = str(error) or type(error).__name__
            return []
        return self._take_rows(self._as_rows(document), final=final)

    def _as_rows(self, document: object) -> list[dict[str, object]]:
        """A document as one dictionary for each epoch, by the script's own names."""
        if isinstance(document, list):
            return [row for row in document if isinstance(row, dict)]
        if not isinstance(document, dict):
            return []
        fields = dict(document)
        for path in self.wanted.values():
            if (value := value_at(document, path)) is not ABSENT:
                fields[path] = value
        objective = fields.get(self.wanted[self.metric])
        if not _is_series(objective):
            return [fields]
        series = {name: value for name, value in fields.items() if _is_series(value)}
        return [
            {name: values[i] for name, values in series.items() if i < len(values)}
            for i in range(len(objective))
        ]

    def _take_rows(self, rows: list[dict[str, object]], *, final: bool) -> list[EpochRecord]:
        own = self.spec.names.get(EPOCH, EPOCH)
        if len(rows) == 1 and value_at(rows[0], own) is ABSENT and not final:
            return []  # without a number nobody can say whether it is another epoch than the last time
        # The last row may have been added to since; its number says that it is the same.
        first = max(self._rows - 1, 0) if len(rows) >= self._rows else 0
        self._rows = len(rows)
        found = [self.add_fields(row, i + 1) for i, row in enumerate(rows) if i >= first]
        return [record for record in found if record is not None]


def _is_series(value: object) -> TypeGuard[list[float | None]]:
    return (
        isinstance(value, list)
        and bool(value)
        and all(v is None or isinstance(v, int | float) for v in value)
    )
