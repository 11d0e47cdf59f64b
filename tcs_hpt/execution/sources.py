"""Where an unchanged script's numbers are: its standard output or error, or a file of its own, as lines while they grow."""

from __future__ import annotations

import glob
import os
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tcs_hpt.execution.logs import Log
from tcs_hpt.execution.tail import CHUNK_BYTES, LINE_BYTES, REST_BYTES, Line, LineBuffer, read_piece

_END_BYTES = 256


class Source(ABC):
    """Lines that become more. Only reads."""

    def __init__(self, name: str) -> None:
        self.name = name
        """For people."""
        self.behind = False
        """There is more to read at once."""
        self._buffer = LineBuffer()

    def read(self) -> list[Line]:
        """The lines that are complete since the last call; reads a limited piece."""
        new = self._piece(CHUNK_BYTES)
        self.behind = len(new) == CHUNK_BYTES
        return self._buffer.feed(new)

    def finish(self) -> Iterator[list[Line]]:
        """The rest, once the script is gone; of more than 64 MiB that were not read yet only the last one."""
        left = self._left()
        if left > REST_BYTES:
            self._skip(left - LINE_BYTES)
            self._buffer.skip_line()
        yield self.read()
        while self.behind:
            yield self.read()
        yield self._buffer.finish()

    @abstractmethod
    def _piece(self, count: int) -> bytes:
        """The next bytes, at most so many; tells the buffer if they do not follow on those before."""

    @abstractmethod
    def _left(self) -> int:
        """Bytes that were not read yet."""

    @abstractmethod
    def _skip(self, count: int) -> None:
        """Leave out so many bytes."""


class Printed(Source):
    """What a script prints, as the engine's log has it. What the log lost before it was read is left out.

    Args:
        log: The log; None if it is gone.
        name: `stdout` or `stderr`.
    """

    def __init__(self, log: Log | None, name: str) -> None:
        super().__init__(name)
        self._log = log
        self._lost = 0

    def _piece(self, count: int) -> bytes:
        if self._log is None:
            return b""
        if self._log.lost > self._lost:
            self._lost = self._log.lost
            self._buffer.skip_line()
        return self._log.read_on(count)

    def _left(self) -> int:
        return 0 if self._log is None else self._log.left()

    def _skip(self, count: int) -> None:
        if self._log is not None:
            self._log.skip(count)


class WrittenFile(Source):
    """A file of the script's own. Made before the script starts; the file is found once the script has written it.

    What was there before is compared, not the clock: a file that is as it was before the trial is not read, of one that the
    script has gone on with only what is new, and one that it has written anew from the beginning.

    A file that is written anew while it is followed, e.g. a table that got another column, is read again from its beginning,
    and as many lines as were read already are passed over.

    Args:
        pattern: An absolute path; `*` and `?` are wildcards, and of several matches the newest counts.
        name: The path as the manifest has it.
    """

    def __init__(self, pattern: str, name: str) -> None:
        super().__init__(name)
        self.pattern = pattern
        """Where it is looked for."""
        self._before = {
            path: _Earlier(status, _end(path, status.size))
            for path in glob.glob(pattern)
            if (status := _look(path)) is not None
        }
        self._settled = False
        self._path: Path | None = None
        self._offset = 0
        self._anchor = b""
        """What lies before the offset, to see whether the file was written anew."""
        self._lines = 0
        """From the beginning of the file up to the offset."""
        self._pass_over = 0
        self.beginnings = 0
        """How often reading has begun at the beginning of a file."""

    def read(self) -> list[Line]:
        """As `Source.read`, without lines that were read before."""
        lines = super().read()
        known = min(self._pass_over, len(lines))
        self._pass_over -= known
        self._lines += len(lines) - known
        return lines[known:]

    def finish(self) -> Iterator[list[Line]]:
        """As `Source.finish`. A file that was written again with the same content counts now, too."""
        self.settle()
        yield from super().finish()

    def find(self) -> Path | None:
        """The file; None as long as the script has not written it."""
        if self._path is not None:
            return self._path
        found = [
            (status.mtime_ns, path, begin)
            for path in glob.glob(self.pattern)
            if (status := _look(path)) is not None and (begin := self._begin(path, status)) is not None
        ]
        if found:
            _, path, self._offset = max(found)
            self._path = Path(path)
            self.beginnings += 1
            if self._offset:
                self._anchor = self._before[path].end
                self._lines = _count_lines(self._path, self._offset)
        return self._path

    def first_line(self) -> bytes:
        """Of the file, also where reading began behind it; empty as long as it is not complete."""
        lines = LineBuffer().feed(read_piece(self._path, 0, 2**16)) if self._path is not None else []
        return lines[0].text if lines else b""

    def unchanged(self) -> list[str]:
        """Matches that are as they were before the trial."""
        return sorted(path for path, earlier in self._before.items() if _look(path) == earlier.status)

    def settle(self) -> None:
        """The script has ended: a file that was written again with the same content counts, too."""
        self._settled = True

    def _piece(self, count: int) -> bytes:
        path = self.find()
        if path is None:
            return b""
        before = self._offset - len(self._anchor)
        if self._anchor and read_piece(path, before, len(self._anchor)) != self._anchor:
            self._offset, self._anchor = 0, b""
            self._pass_over = self._lines
            self.beginnings += 1
            self._buffer.start_again()
        new = read_piece(path, self._offset, count)
        self._offset += len(new)
        self._anchor = (self._anchor + new)[-_END_BYTES:]
        return new

    def _left(self) -> int:
        path = self.find()
        status = None if path is None else _look(str(path))
        return 0 if status is None else max(status.size - self._offset, 0)

    def _skip(self, count: int) -> None:
        self._offset, self._anchor = self._offset + count, b""

    def _begin(self, path: str, now: _Status) -> int | None:
        """Where what the script has written begins; None if it has not written this file, or it is too early to say."""
        earlier = self._before.get(path)
        if earlier is None:
            return 0
        if now == earlier.status:
            return None
        if _end(path, earlier.status.size) != earlier.end:
            return 0
        if now.size > earlier.status.size:
            return earlier.status.size
        return 0 if self._settled else None  # the same once more, or only the beginning of something else


class _Status(NamedTuple):
    """What tells whether a file was written."""

    inode: int
    mtime_ns: int
    size: int


class _Earlier(NamedTuple):
    """A file as it was before the trial."""

    status: _Status
    end: bytes


def _look(path: str) -> _Status | None:
    """None unless it is an ordinary file."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return _Status(status.st_ino, status.st_mtime_ns, status.st_size)


def _end(path: str, size: int) -> bytes:
    """The last bytes of the first so many of a file."""
    begin = max(size - _END_BYTES, 0)
    return read_piece(Path(path), begin, size - begin)


def _count_lines(path: Path, end: int) -> int:
    buffer, count = LineBuffer(), 0
    for offset in range(0, min(end, REST_BYTES), 2**20):
        count += len(buffer.feed(read_piece(path, offset, min(2**20, end - offset))))
    return count
