"""Readers of lines: by patterns, as JSON, as rows of a table."""

from __future__ import annotations

import csv
import json
import re
from abc import abstractmethod
from collections import deque
from collections.abc import Iterable, Iterator

from tcs_hpt.execution.epochs import epoch_number, number_of
from tcs_hpt.execution.metrics import decode_object
from tcs_hpt.execution.outcome import ESCAPES
from tcs_hpt.execution.readers._base import SHOWN_NAMES, ScriptReader, file_trouble
from tcs_hpt.execution.sources import Source, WrittenFile
from tcs_hpt.execution.tail import Line
from tcs_hpt.records import EpochRecord
from tcs_hpt.spec import EPOCH, MetricsSource, Objective

_SEARCHED = 4000
"""Characters of a line that patterns see: one that goes back and forth takes the square of it."""
_SHOWN_LINES, _SHOWN_CHARACTERS = 3, 120


class LineReader(ScriptReader):
    """A reader of lines."""

    def __init__(self, spec: MetricsSource, objective: Objective, source: Source) -> None:
        super().__init__(spec, objective)
        self.source = source
        self.last: deque[bytes] = deque(maxlen=_SHOWN_LINES)
        """The last lines that say something, for a message."""

    @abstractmethod
    def take(self, line: Line) -> EpochRecord | None:
        """Read one line; the epoch that is whole by that, if there is one."""

    def read(self) -> list[EpochRecord]:
        """See `MetricsReader`."""
        found = self._take_all(self.source.read())
        self.behind = self.source.behind
        return found

    def finish(self) -> Iterator[EpochRecord]:
        """See `MetricsReader`."""
        for lines in self.source.finish():
            yield from self._take_all(lines)
        yield from self.builder.finish()

    def missing(self) -> str:
        """See `MetricsReader`."""
        if (trouble := file_trouble(self.source)) is not None:
            return trouble
        shown = [_plain(text)[:_SHOWN_CHARACTERS] for text in self.last]
        told = "; ".join(json.dumps(text, ensure_ascii=False) for text in shown)
        return f"{self._looked_for()}; the last lines of {self.source.name}: {told or 'none at all'}"

    def _looked_for(self) -> str:
        own = self.spec.names.get(self.metric, self.metric)
        return f"{self.source.name} has no {self.spec.format} line with {own!r}; {self.found_instead()}"

    def _take_all(self, lines: Iterable[Line]) -> list[EpochRecord]:
        found = []
        for line in lines:
            if line.text.strip():
                record = self.take(line)
                self.last.append(line.text[:_SEARCHED])
                found += [record] if record is not None else []
        return found


class PatternReader(LineReader):
    """Finds numbers in lines by regular expressions. Colours are removed before; a carriage return ends a line."""

    def __init__(self, spec: MetricsSource, objective: Objective, source: Source) -> None:
        super().__init__(spec, objective, source)
        self._patterns = [re.compile(pattern) for pattern in spec.patterns]

    def take(self, line: Line) -> EpochRecord | None:
        """Everything that the patterns find in a line belongs together."""
        text = _plain(line.text)[:_SEARCHED]
        found: dict[str, str] = {}
        for pattern in self._patterns:
            if match := pattern.search(text):
                found |= {name: value for name, value in match.groupdict().items() if value is not None}
        epoch = None
        if EPOCH in found and (epoch := epoch_number(found.pop(EPOCH))) is None:
            return None
        numbers = {n: number for n, value in found.items() if (number := number_of(value)) is not None}
        self.seen |= dict.fromkeys(numbers)
        if not numbers and epoch is None:
            return None
        return self.builder.add(numbers, epoch, overwritten=line.overwritten)

    def _looked_for(self) -> str:
        tried = ", ".join(repr(p) for p in self.spec.patterns if f"(?P<{self.metric}>" in p)
        instead = f"; found: {', '.join(self.seen)}" if self.seen else ""
        return f"no line of {self.source.name} has a number for {self.metric} by {tried}{instead}"


class JsonLinesReader(LineReader):
    """Reads lines that are JSON objects; others are passed over."""

    def take(self, line: Line) -> EpochRecord | None:
        """One object."""
        text = line.text.removeprefix(b"\xef\xbb\xbf").strip()
        if not text.startswith(b"{"):
            return None
        try:
            return self.add_fields(decode_object(text))
        except ValueError:
            return None


class CsvReader(LineReader):
    """Reads a table with a headline, separated by commas, semicolons or tabs. An empty cell says nothing."""

    def __init__(self, spec: MetricsSource, objective: Objective, source: WrittenFile) -> None:
        super().__init__(spec, objective, source)
        self._file = source
        self._beginning = 0
        self._columns: list[str] = []
        self._separator = ","

    def take(self, line: Line) -> EpochRecord | None:
        """One row."""
        if self._beginning != self._file.beginnings:  # it may have other columns now
            self._beginning = self._file.beginnings
            headline = self._file.first_line().decode("utf-8-sig", errors="replace")
            self._separator = max(",;\t", key=headline.count)
            self._columns = [cell.strip() for cell in self._cells(headline)]
            self.seen = dict.fromkeys(self._columns[: 2 * SHOWN_NAMES])
        cells = self._cells(line.text.decode("utf-8-sig", errors="replace"))
        if len(cells) == len(self._columns) + 1 and cells[-1].strip():
            del cells[0]  # as R writes it: a name of the row, for which the headline has no column
        if [cell.strip() for cell in cells] == self._columns:
            return None
        row = {name: cell for name, cell in zip(self._columns, cells, strict=False) if cell.strip()}
        return self.add_fields(row)

    def _cells(self, line: str) -> list[str]:
        try:
            return next(csv.reader([line], delimiter=self._separator), [])
        except csv.Error:
            return []

    def _looked_for(self) -> str:
        own = self.spec.names.get(self.metric, self.metric)
        return f"{self.source.name} has no number in a column {own!r}; {self.found_instead()}"


def _plain(line: bytes) -> str:
    return ESCAPES.sub("", line.decode("utf-8", errors="replace")).strip()
