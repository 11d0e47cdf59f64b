"""Reads files that grow, a limited piece at a time, and cuts what it reads into lines."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

CHUNK_BYTES = 16 * 1024
"""Read at one go, so that somebody can look at the limits between two of them."""
LINE_BYTES = 1024 * 1024
"""A longer line is thrown away."""
REST_BYTES = 64 * 1024 * 1024
"""Of more than this that was not read when the script ended, only the last `LINE_BYTES` are."""
_LINE_END = re.compile(rb"(\r\n|\n|\r)")


class Line(NamedTuple):
    """One line, without its end."""

    text: bytes
    overwritten: bool = False
    """Ended by a carriage return: on a terminal the next one takes its place, as with a progress bar."""


class LineBuffer:
    """Cuts a stream of bytes into lines; remembers the piece behind the last line's end, at most 1 MiB of it."""

    def __init__(self) -> None:
        self._rest = b""
        self._in_long_line = False
        self.broken = 0
        """Lines that were too long."""

    def feed(self, new: bytes) -> list[Line]:
        """The lines that are complete now. A carriage return counts once it is known not to be half of a Windows line end."""
        if b"\n" not in new and b"\r" not in new and not self._rest.endswith(b"\r"):
            self._rest += new
            lines = []
        else:
            data = self._rest + new
            held = data.endswith(b"\r")
            *parts, self._rest = _LINE_END.split(data[:-1] if held else data)
            self._rest += b"\r" * held
            lines = [Line(parts[i], parts[i + 1] == b"\r") for i in range(0, len(parts), 2)]
        if lines and self._in_long_line:  # the end of a line whose beginning was thrown away
            self._in_long_line = False
            del lines[0]
        if len(self._rest) > LINE_BYTES:
            self.broken += not self._in_long_line
            self.skip_line()
        return lines

    def skip_line(self) -> None:
        """What comes next begins somewhere in a line: leave it out up to its end."""
        self._in_long_line, self._rest = True, b""

    def start_again(self) -> None:
        """What comes next is the beginning of a file."""
        self._in_long_line, self._rest = False, b""

    def finish(self) -> list[Line]:
        """A last line without its end, as complete as it will be."""
        rest, self._rest = self._rest, b""
        return [Line(rest.rstrip(b"\r"))] if rest and not self._in_long_line else []


def read_piece(path: Path, offset: int, count: int) -> bytes:
    """A part of an ordinary file; nothing if it is missing, or is something that could block or never end."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return os.pread(handle, count, offset) if stat.S_ISREG(os.fstat(handle).st_mode) else b""
        finally:
            os.close(handle)
    except OSError:
        return b""


def size(path: Path) -> int:
    """Of a file, in bytes; 0 if it is missing."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
