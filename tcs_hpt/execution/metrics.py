"""Reads the numbers that a training script writes, whatever else it writes. Starts and ends nothing."""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from tcs_hpt.client import METRIC_NAME
from tcs_hpt.records import EpochRecord, Metrics

_CHUNK_BYTES = 16 * 1024
"""Read at one go, so that somebody can look at the limits between two of them."""
_LINE_BYTES = 1024 * 1024
_REST_BYTES = 64 * 1024 * 1024
_RESULT_BYTES = 16 * 1024 * 1024
_NAMES = 256
"""Metrics kept of one line; the objective is always among them."""
_DENSE = 1000
_HIGHEST_EPOCH = 2**31 - 1


def _read_int(digits: str) -> int | float:
    return int(digits) if len(digits) < 400 else float(digits)  # beyond the range of a float: infinite


_DECODER = json.JSONDecoder(parse_int=_read_int)


def _decode(text: bytes) -> dict[str, object]:
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


def read_numbers(raw: Mapping[str, object], objective: str = "") -> tuple[Metrics, tuple[str, ...]]:
    """The metrics among some JSON values, and the names of those that are not finite (they become None).

    What is neither a number nor null, or has no proper name, is left out; of more than 256 metrics the first are kept, and
    the objective.
    """
    metrics: Metrics = {}
    for name, value in raw.items():
        if isinstance(value, bool) or not (value is None or isinstance(value, int | float)):
            continue
        if not METRIC_NAME.fullmatch(name) or (len(metrics) >= _NAMES and name != objective):
            continue
        try:
            number = math.nan if value is None else float(value)
        except OverflowError:
            number = math.inf
        metrics[name] = number if math.isfinite(number) else None
    return metrics, tuple(n for n, v in metrics.items() if v is None)


class MetricsTail:
    """Follows `metrics.jsonl` while it grows. A line counts once it is complete; broken ones are skipped.

    Of a script that reports thousands of lines, some are kept: the first 1,000 all, then every second until there are
    1,000 more, every fourth, and so on; of 200,000 lines about 7,600. The last line with the objective is always kept. A
    line of more than 1 MiB counts as broken. Repeated and falling epoch numbers are kept as they come.

    Args:
        path: The file. Only appended to, as far as this class knows.
        objective: The metric that decides.
    """

    def __init__(self, path: Path, objective: str) -> None:
        self._path = path
        self._objective = objective
        self._named = objective.encode()
        self._offset = 0
        self._rest = b""
        self._in_long_line = False
        self._lines = 0
        self._since_kept = 0
        self._held: tuple[bytes, int] | None = None
        self._stopped = False
        self.epochs: list[EpochRecord] = []
        """What was kept so far, in the order of the file."""
        self.broken = 0
        """Lines that could not be read, among those looked at."""
        self.behind = False
        """There is more to read at once."""

    def read(self) -> list[EpochRecord]:
        """The epochs that are new since the last call; reads a limited piece of the file."""
        new = b"" if self._stopped else _read_piece(self._path, self._offset, _CHUNK_BYTES)
        self._offset += len(new)
        self.behind = len(new) == _CHUNK_BYTES
        if b"\n" not in new:
            self._rest += new
            lines = []
        else:
            *lines, self._rest = (self._rest + new).split(b"\n")
        if lines and self._in_long_line:  # the end of a line whose beginning was thrown away
            self._in_long_line = False
            del lines[0]
        if len(self._rest) > _LINE_BYTES:
            self.broken += not self._in_long_line
            self._in_long_line, self._rest = True, b""
        return [record for line in lines if (record := self._take(line)) is not None]

    def stop(self) -> None:
        """Read nothing more: whatever is appended from now on comes too late."""
        self._stopped = True

    def finish(self) -> Iterator[EpochRecord]:
        """The rest, once the script is gone: a last line without its end is as complete as it will be.

        Of more than 64 MiB that were not read yet, only the last one is.
        """
        left = 0 if self._stopped else _size(self._path) - self._offset
        if left > _REST_BYTES:
            self._offset += left - _LINE_BYTES
            self._in_long_line, self._rest = True, b""  # it begins somewhere in a line
        yield from self.read()
        while self.behind:
            yield from self.read()
        rest, self._rest = self._rest, b""
        if rest and not self._in_long_line and (record := self._take(rest)) is not None:
            yield record
        held, self._held = self._held, None
        if held is not None and (record := self._keep(*held)) is not None:
            yield record

    def _take(self, line: bytes) -> EpochRecord | None:
        if not line.strip():
            return None
        self._lines += 1
        if self._lines % 2 ** (len(self.epochs) // _DENSE):
            if self._named in line:
                self._held = (line, self._since_kept)
            self._since_kept += 1
            return None
        record = self._keep(line, self._since_kept)
        if record is not None:
            self._since_kept = 0
            if self._objective in record.metrics:
                self._held = None
        return record

    def _keep(self, line: bytes, left_out: int) -> EpochRecord | None:
        """The line as an epoch; one without a number gets the next, as if all lines since the last one kept counted."""
        try:
            raw = _decode(line)
            number = raw.pop("epoch", (self.epochs[-1].epoch if self.epochs else 0) + left_out + 1)
            if isinstance(number, bool) or not isinstance(number, int | float) or number != int(number):
                raise ValueError(number)
            if not 0 <= number <= _HIGHEST_EPOCH:
                raise ValueError(number)
        except (ValueError, OverflowError):
            self.broken += 1
            return None
        metrics, non_finite = read_numbers(raw, self._objective)
        self.epochs.append(EpochRecord(epoch=int(number), metrics=metrics, non_finite=non_finite))
        return self.epochs[-1]


def read_result(folder: Path, objective: str) -> tuple[Metrics | None, str]:
    """The final metrics in `result.json`, and why they cannot be read.

    Both are empty when there is no such file.
    """
    path = folder / "result.json"
    if not os.path.lexists(path):
        return None, ""
    text = _read_piece(path, 0, _RESULT_BYTES + 1)
    if len(text) > _RESULT_BYTES:
        return None, f"it is larger than {_RESULT_BYTES // 2**20} MiB"
    try:
        return read_numbers(_decode(text), objective)[0], ""
    except ValueError as error:
        return None, str(error) if text else "it is empty or not a file"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _read_piece(path: Path, offset: int, count: int) -> bytes:
    """A part of an ordinary file; nothing if it is missing, or is something that could block or never end."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return os.pread(handle, count, offset) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
        finally:
            os.close(handle)
    except OSError:
        return b""
