"""Reads the numbers that a training script writes, whatever else it writes. Starts and ends nothing."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from tcs_hpt.client import METRIC_NAME
from tcs_hpt.execution.tail import CHUNK_BYTES, LINE_BYTES, REST_BYTES, Line, LineBuffer, read_piece, size
from tcs_hpt.records import EpochRecord, Metrics
from tcs_hpt.spec import Objective

_RESULT_BYTES = 16 * 1024 * 1024
MOST_NAMES = 256
"""Metrics kept of one line; the objective is always among them."""
DENSE = 1000
"""Epochs of which all are kept; of the next so many every second, then every fourth, and so on."""
HIGHEST_EPOCH = 2**31 - 1
"""What the database can store."""


def _read_int(digits: str) -> int | float:
    return int(digits) if len(digits) < 400 else float(digits)  # beyond the range of a float: infinite


_DECODER = json.JSONDecoder(parse_int=_read_int)


def decode_object(text: bytes) -> dict[str, object]:
    """A JSON object.

    Raises:
        ValueError: It is none.
    """
    try:
        raw = _DECODER.decode(text.decode("utf-8-sig"))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(raw, dict):
        raise ValueError("not a JSON object")
    return raw


def read_numbers(raw: Mapping[str, object], objective: Objective) -> tuple[Metrics, tuple[str, ...]]:
    """The metrics among some JSON values, and the names of those that are not finite (they become None).

    What is neither a number nor null, or has no proper name, is left out; of more than 256 metrics the first are kept, and
    what the objective needs. Where several metrics decide, their weighted score is added.
    """
    metrics: Metrics = {}
    for name, value in raw.items():
        if isinstance(value, bool) or not (value is None or isinstance(value, int | float)):
            continue
        if not METRIC_NAME.fullmatch(name) or (len(metrics) >= MOST_NAMES and name not in objective.reported):
            continue
        try:
            number = math.nan if value is None else float(value)
        except OverflowError:
            number = math.inf
        metrics[name] = number if math.isfinite(number) else None
    metrics = objective.complete(metrics)
    return metrics, tuple(n for n, v in metrics.items() if v is None)


class MetricsTail:
    """Follows `metrics.jsonl` while it grows. A line counts once it is complete; broken ones are skipped.

    Of a script that reports thousands of lines, some are kept: the first 1,000 all, then every second until there are
    1,000 more, every fourth, and so on; of 200,000 lines about 7,600. The last line with the objective is always kept. A
    line of more than 1 MiB counts as broken. Repeated and falling epoch numbers are kept as they come.

    Args:
        path: The file. Only appended to, as far as this class knows.
        objective: What decides.
    """

    def __init__(self, path: Path, objective: Objective) -> None:
        self._path = path
        self._objective = objective
        self._named = objective.deciding[0].encode()
        self._offset = 0
        self._buffer = LineBuffer()
        self._lines = 0
        self._since_kept = 0
        self._held: tuple[bytes, int] | None = None
        self._stopped = False
        self.epochs: list[EpochRecord] = []
        """What was kept so far, in the order of the file."""
        self.behind = False
        """There is more to read at once."""
        self._unreadable = 0

    @property
    def broken(self) -> int:
        """Lines that could not be read, among those looked at."""
        return self._unreadable + self._buffer.broken

    @property
    def deciding(self) -> EpochRecord | None:
        """The epoch that counts where there is no result: the last with the objective."""
        return next((e for e in reversed(self.epochs) if self._objective.metric in e.metrics), None)

    def missing(self) -> str:
        """What was looked for in vain, where that is more than the objective."""
        return ""

    def read(self) -> list[EpochRecord]:
        """The epochs that are new since the last call; reads a limited piece of the file."""
        new = b"" if self._stopped else read_piece(self._path, self._offset, CHUNK_BYTES)
        self._offset += len(new)
        self.behind = len(new) == CHUNK_BYTES
        return self._take_all(self._buffer.feed(new))

    def stop(self) -> None:
        """Read nothing more: whatever is appended from now on comes too late."""
        self._stopped = True

    def finish(self) -> Iterator[EpochRecord]:
        """The rest, once the script is gone: a last line without its end is as complete as it will be.

        Of more than 64 MiB that were not read yet, only the last one is.
        """
        left = 0 if self._stopped else size(self._path) - self._offset
        if left > REST_BYTES:
            self._offset += left - LINE_BYTES
            self._buffer.skip_line()
        yield from self.read()
        while self.behind:
            yield from self.read()
        yield from self._take_all(self._buffer.finish())
        held, self._held = self._held, None
        if held is not None and (record := self._keep(*held)) is not None:
            yield record

    def _take_all(self, lines: Iterable[Line]) -> list[EpochRecord]:
        return [record for line in lines if (record := self._take(line.text)) is not None]

    def _take(self, line: bytes) -> EpochRecord | None:
        if not line.strip():
            return None
        self._lines += 1
        if self._lines % 2 ** (len(self.epochs) // DENSE):
            if self._named in line:
                self._held = (line, self._since_kept)
            self._since_kept += 1
            return None
        record = self._keep(line, self._since_kept)
        if record is not None:
            self._since_kept = 0
            if self._objective.metric in record.metrics:
                self._held = None
        return record

    def _keep(self, line: bytes, left_out: int) -> EpochRecord | None:
        """The line as an epoch; one without a number gets the next, as if all lines since the last one kept counted."""
        try:
            raw = decode_object(line)
            number = raw.pop("epoch", (self.epochs[-1].epoch if self.epochs else 0) + left_out + 1)
            if isinstance(number, bool) or not isinstance(number, int | float) or number != int(number):
                raise ValueError(number)
            if not 0 <= number <= HIGHEST_EPOCH:
                raise ValueError(number)
        except (ValueError, OverflowError):
            self._unreadable += 1
            return None
        metrics, non_finite = read_numbers(raw, self._objective)
        self.epochs.append(EpochRecord(epoch=int(number), metrics=metrics, non_finite=non_finite))
        return self.epochs[-1]


def read_result(folder: Path, objective: Objective) -> tuple[Metrics | None, str]:
    """The final metrics in `result.json`, and why they cannot be read.

    Both are empty when there is no such file.
    """
    path = folder / "result.json"
    if not os.path.lexists(path):
        return None, ""
    text = read_piece(path, 0, _RESULT_BYTES + 1)
    if len(text) > _RESULT_BYTES:
        return None, f"it is larger than {_RESULT_BYTES // 2**20} MiB"
    try:
        return read_numbers(decode_object(text), objective)[0], ""
    except ValueError as error:
        return None, str(error) if text else "it is empty or not a file"
