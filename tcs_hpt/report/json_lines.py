"""A study as JSON lines, for programs: every event, one object per line, told apart by `kind`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TextIO

from tcs_hpt.events import Event


class JsonView:
    """A watcher that writes each event as one line of ASCII JSON and flushes it at once.

    A line holds everything the event holds and reads back with `pydantic.TypeAdapter(Event)`.

    Args:
        stream: Where to write; it stays open.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        """Write one event."""
        # ASCII, because a lone surrogate in a script's output has no UTF-8 and a pipe may have any encoding.
        content = _plain(event.model_dump(mode="python", by_alias=True))
        self._stream.write(json.dumps(content, ensure_ascii=True, allow_nan=False) + "\n")
        self._stream.flush()


def _plain(value: object) -> object:
    """`value` in JSON's own types; a rejected attempt may hold anything. Numbers that are not finite become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    return repr(value)
