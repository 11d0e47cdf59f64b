"""Small reads for whoever looks at studies often: what has changed, and all trials without their heavy parts.

Every function makes one query, however many studies and trials there are, and raises what the methods of `Store` raise.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

import sqlalchemy as sa

from tcs_hpt.records import Trial
from tcs_hpt.store import Store, _database, _rows, _tables
from tcs_hpt.store._errors import translated

_EVENT, _QUEUE = _tables.event.c, _tables.queue.c
_STUDY, _TRIAL = _tables.study.c, _tables.trial.c
_MOST_NAMED = 500
"""Numbers in one condition; databases limit the length of a statement."""


class Version(NamedTuple):
    """Differs from an earlier one of the same study whenever something has happened in it."""

    seq: int
    """The newest event; 0 for none."""
    state: str | None
    """In the queue; None when it is not there. So are the others."""
    wanted: str | None
    worker: str | None
    message: str | None


def versions(store: Store, names: Collection[str] | None = None) -> dict[str, Version]:
    """In which state studies are; those that do not exist are left out.

    Args:
        store: The database.
        names: Only of these; None for all.
    """
    # One look into the index per study; grouping would read all events.
    newest = sa.select(sa.func.max(_EVENT.seq)).where(_EVENT.study_id == _STUDY.id).scalar_subquery()
    query = sa.select(
        _STUDY.name, newest.label("seq"), _QUEUE.state, _QUEUE.wanted, _QUEUE.worker, _QUEUE.message
    ).join_from(_tables.study, _tables.queue, _QUEUE.study_id == _STUDY.id, isouter=True)
    if names is not None:
        query = query.where(_STUDY.name.in_(sorted(names)))
    with translated(store.label), _database.reading(store._engine) as connection:
        return {name: Version(seq or 0, *queue) for name, seq, *queue in connection.execute(query)}


def light_trials(
    store: Store,
    name: str,
    *,
    numbers: Iterable[int] | None = None,
    after: int = 0,
    limit: int | None = None,
) -> list[Trial]:
    """Trials by number, without epochs and model calls, which are most of what a trial weighs.

    Args:
        store: The database.
        name: The study.
        numbers: At least these, those that do not exist left out; None for all.
        after: Only trials with a higher number.
        limit: Most trials; None for all.
    """
    with store._reading(name) as (connection, study):
        query = sa.select(_TRIAL.number, _TRIAL.record).where(
            _TRIAL.study_id == study.id, _TRIAL.number > after
        )
        if numbers is not None:
            wanted = sorted(numbers)
            few = len(wanted) <= _MOST_NAMED
            query = query.where(_TRIAL.number.in_(wanted) if few else _TRIAL.number >= wanted[0])
        rows = connection.execute(query.order_by(_TRIAL.number).limit(limit)).all()
    return [_rows._load(Trial.model_validate_json, record, f"trial {number}") for number, record in rows]


def epoch_counts(store: Store, name: str, first: int, last: int) -> dict[int, int]:
    """How many epochs each trial from `first` to `last` has reported; those without any are left out."""
    epoch = _tables.epoch.c
    with store._reading(name) as (connection, study):
        query = (
            sa.select(epoch.number, sa.func.count().label("epochs"))
            .where(epoch.study_id == study.id, epoch.number.between(first, last))
            .group_by(epoch.number)
        )
        return {row.number: row.epochs for row in connection.execute(query)}
