"""What a script prints, in a file that stays short however much that is."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_LAST_LOOKS = 8
_PATIENCE = 16


class Log:
    """One of the two logs of a trial. The script appends to the file itself, with no pipe and no reader between.

    So a script neither waits for the engine nor notices its death. `trim` cuts the file in place, as logrotate's
    `copytruncate` does: the first and the last quarter of the limit are kept, with a line between them that says how many
    bytes were left out. Whatever the script prints in the moment between the last look at its end and the cut is lost,
    which may be a few lines or one large write; not all of it can be counted. Nothing is lost by the last cut, after the end. On disk the file holds at most the limit and what is printed between two
    trims. Works also when the script deletes the file, whose bytes would go on filling the disk.

    What is printed can be read on from where the last look ended, by `read_on`. As soon as somebody does so, what was not
    read yet may grow to 16 times the limit before it is cut.

    Args:
        path: The file.
        limit: Bytes above which it is cut.
        fresh: Begin with an empty file; else it has to exist.
    """

    def __init__(self, path: Path, limit: int, *, fresh: bool = True) -> None:
        self._path = path
        self._limit = limit
        # Not O_APPEND: on Linux `pwrite` to such a file appends wherever it is told to write.
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_TRUNC if fresh else 0)
        self._file = os.open(path, flags, 0o666)
        self._read: int | None = None
        self.lost = 0
        """Bytes that were cut before `read_on` came to them."""
        self._head: int | None = None
        self._left_out = 0
        self._note = 0

    def open_for_script(self) -> int:
        """A descriptor for the script's standard output or error; the caller closes it."""
        return os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)

    def trim(self) -> None:
        """Cut the file if it is over its limit. Never raises: a log is not worth a trial."""
        with contextlib.suppress(OSError):
            size = os.fstat(self._file).st_size
            unread = 0 if self._read is None else size - self._read
            if size > self._limit and (unread <= self._limit // 8 or size > _PATIENCE * self._limit):
                self._cut(size)

    def _cut(self, size: int) -> None:
        quarter = self._limit // 4
        if self._head is None:
            start = os.pread(self._file, quarter, 0)
            line_end = start.rfind(b"\n") + 1
            self._head = line_end if line_end > quarter // 2 else len(start)
        tail = os.pread(self._file, quarter, size - quarter)
        line_start = tail.find(b"\n") + 1
        if 0 < line_start <= quarter // 2:
            tail = tail[line_start:]
        kept_from = size - len(tail)
        # The earlier note lies in what is cut: at least half a limit was written behind it.
        self._left_out += size - self._head - self._note - len(tail)
        note = f"\n[... about {self._left_out} bytes left out ...]\n".encode()
        self._note = len(note)
        try:
            end = self._head + os.pwrite(self._file, note + tail, self._head)
            # What was printed meanwhile goes behind it, so that little falls between the last look and the cut.
            for _ in range(_LAST_LOOKS):
                late = os.pread(self._file, quarter // _LAST_LOOKS, size)
                if not late:
                    break
                size += len(late)
                end += os.pwrite(self._file, late, end)
        except OSError:  # no space even to write over old blocks
            end = self._head
        self._left_out += os.fstat(self._file).st_size - size
        os.ftruncate(self._file, end)
        if self._read is not None:
            self.lost += max(kept_from - self._read, 0)
            self._read = min(self._head + len(note) + max(self._read - kept_from, 0), end)

    def read_on(self, count: int) -> bytes:
        """The next bytes that were printed since the last call, at most so many; also after the file was deleted."""
        self._read = self._read or 0
        try:
            new = os.pread(self._file, count, self._read)
        except OSError:
            return b""
        self._read += len(new)
        return new

    def left(self) -> int:
        """Bytes that `read_on` has not come to yet."""
        try:
            return max(os.fstat(self._file).st_size - (self._read or 0), 0)
        except OSError:
            return 0

    def skip(self, count: int) -> None:
        """Let `read_on` leave out so many bytes."""
        self._read = (self._read or 0) + count

    def read_end(self, count: int) -> bytes:
        """The last `count` bytes; also after the script has deleted the file."""
        try:
            size = os.fstat(self._file).st_size
            return os.pread(self._file, count, max(size - count, 0))
        except OSError:
            return b""

    def close(self) -> None:
        """Let go of the file; what it holds stays."""
        os.close(self._file)
