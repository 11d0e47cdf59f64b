"""A metric that a script writes, and where it can be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Format: TypeAlias = Literal["pattern", "jsonl", "csv", "json", "report"]
"""As the manifest's `[metrics]`; `report`: the script reports to this package and needs no `[metrics]`."""


@dataclass(frozen=True)
class Place:
    """Where a script's numbers can be read."""

    source: str
    """`stdout`, `stderr`, or a file's path relative to where the script runs."""
    format: Format


@dataclass(frozen=True)
class MetricFound:
    """One metric of the script."""

    name: str
    """As the manifest names it."""
    place: Place
    line: int
    pattern: str = ""
    """With the metric and perhaps `epoch` as groups; one pattern may hold several metrics."""
    written_name: str = ""
    """The script's own name for it, where that differs (jsonl, csv, json)."""
    per_epoch: bool = False
    """Whether it comes with the number of its epoch."""
    counter: str = ""
    """The word of the number that stands in its line, `epoch` or `step`; empty without one."""
    inner: bool = False
    """Whether it is written within an epoch, many times."""
    best: bool = False
    """Whether the script itself calls it the best so far."""
    doubt: str = ""
    """What a person should look at."""

    @property
    def script_name(self) -> str:
        """What the script calls it."""
        return self.written_name or self.name
