"""The contract of everything that reads a script's metrics, and what the readers of unchanged scripts share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from tcs_hpt.execution.epochs import EpochBuilder, epoch_number, number_of
from tcs_hpt.execution.sources import Source, WrittenFile
from tcs_hpt.records import EpochRecord
from tcs_hpt.spec import EPOCH, MetricsSource, Objective

ABSENT: Any = object()
"""No value."""
SHOWN_NAMES = 20


class MetricsReader(Protocol):
    """Follows what a script writes while it runs. `MetricsTail` is one."""

    epochs: list[EpochRecord]
    """What was kept so far."""
    behind: bool
    """There is more to read at once."""

    @property
    def deciding(self) -> EpochRecord | None:
        """The epoch that counts where there is no result; None without one that has the objective."""
        ...

    def read(self) -> list[EpochRecord]:
        """The epochs that are new since the last call; reads a limited piece."""
        ...

    def stop(self) -> None:
        """The script has written its result: what comes now comes too late."""
        ...

    def finish(self) -> Iterator[EpochRecord]:
        """The rest, once the script is gone."""
        ...

    def missing(self) -> str:
        """What was looked for in vain, and what was found instead; empty for nothing to say."""
        ...


class ScriptReader:
    """What the readers of unchanged scripts share. An epoch is told when the next one begins, or at the end.

    Args:
        spec: What is declared.
        objective: What decides.
    """

    behind = False

    def __init__(self, spec: MetricsSource, objective: Objective) -> None:
        self.spec = spec
        self.metric = objective.deciding[0]
        """What is looked for: the objective, or the first of several that decide together."""
        self.wanted = {EPOCH: EPOCH, **{name: name for name in sorted(objective.reported)}, **spec.names}
        """The script's own name of everything that has one of ours."""
        self.builder = EpochBuilder(objective, spec.score)
        self.epochs = self.builder.epochs
        self.seen: dict[str, None] = {}
        """The script's own names of what it wrote, some of them."""

    @property
    def deciding(self) -> EpochRecord | None:
        """The epoch that counts."""
        return self.builder.deciding

    def stop(self) -> None:
        """Goes on: only `tcs_hpt.current_trial()` promises that a result is the last thing a script writes."""

    def add_fields(self, fields: Mapping[str, object], epoch: int | None = None) -> EpochRecord | None:
        """Add what belongs together, under the script's own names; the epoch's number may be given or among it."""
        for name in fields:
            if len(self.seen) < 2 * SHOWN_NAMES:
                self.seen.setdefault(name)
        values = {ours: value_at(fields, own) for ours, own in self.wanted.items()}
        if (number := values.pop(EPOCH)) is not ABSENT:
            epoch = epoch_number(number) if epoch_number(number) is not None else epoch
        taken = set(self.wanted.values())
        values = {n: v for n, v in fields.items() if n not in taken} | values
        numbers = {n: number for n, v in values.items() if (number := number_of(v)) is not None}
        return self.builder.add(numbers, epoch) if numbers or epoch is not None else None

    def found_instead(self) -> str:
        """The script's own names, for a message."""
        names = list(self.seen)
        more = " and more" if len(names) > SHOWN_NAMES else ""
        return f"it has {', '.join(names[:SHOWN_NAMES])}{more}" if names else "nothing of the kind was in it"


def value_at(fields: Mapping[str, object], path: str) -> object:
    """A value by its key or, where there is none of that name, by a dotted path; `ABSENT` for none."""
    if path in fields:
        return fields[path]
    place: object = fields
    for part in path.split("."):
        if isinstance(place, Mapping) and part in place:
            place = place[part]
        elif (
            isinstance(place, list) and part.lstrip("-").isdecimal() and -len(place) <= int(part) < len(place)
        ):
            place = place[int(part)]
        else:
            return ABSENT
    return place


def file_trouble(source: Source) -> str | None:
    """Why there is nothing to read; None when there is something."""
    if not isinstance(source, WrittenFile) or source.find() is not None:
        return None
    if unchanged := source.unchanged():
        return f"the script has not written {source.name}: {unchanged[-1]} is as it was before the trial"
    return f"the script has not written {source.name}; looked for {source.pattern}"
