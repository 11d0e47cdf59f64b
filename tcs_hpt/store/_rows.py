"""Records to rows and back: the SQL on our tables. Every function works inside its caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple, TypeVar

import sqlalchemy as sa
from pydantic import BaseModel, TypeAdapter, ValidationError

from tcs_hpt.errors import StoreError
from tcs_hpt.events import Event, Proposed, TrialEnded
from tcs_hpt.records import EpochRecord, Trial
from tcs_hpt.spec import StudySpec
from tcs_hpt.store import _summaries, _tables

T = TypeVar("T")

_EVENT: TypeAdapter[Event] = TypeAdapter(Event)


class StoredEvent(NamedTuple):
    """An event with its place in the study."""

    seq: int
    """1, 2, 3, ... without gaps."""
    at: str
    event: Event


class Found(NamedTuple):
    """A study that exists."""

    id: int
    spec: str


# -- studies ------------------------------------------------------------------------------------------------


def find_study(connection: sa.Connection, name: str, *, lock: bool = False) -> Found | None:
    """The study of this name, if there is one.

    Args:
        connection: In a transaction.
        name: The study.
        lock: Keep other writers of the study out until the end of the transaction.
    """
    if (
        not name.isprintable()
    ):  # no study has such a name, and databases refuse some of them, each in its own way
        return None
    query = sa.select(_tables.study.c.id, _tables.study.c.spec).where(_tables.study.c.name == name)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return Found(row.id, row.spec) if row is not None else None


def insert_study(connection: sa.Connection, spec: StudySpec, created_at: str) -> None:
    """Enter a study."""
    text = _dump(spec)
    done = connection.execute(
        _tables.study.insert()
        .values(name=spec.name, spec=text, created_at=created_at)
        .returning(_tables.study.c.id)
    )
    _summaries.refresh(connection, done.scalar_one(), text)


def load_spec(study: Found) -> StudySpec:
    """The declaration of a study."""
    return _load(StudySpec.model_validate, json.loads(study.spec), "the declaration of the study")


def change_spec(connection: sa.Connection, study: Found, fields: Mapping[str, Any]) -> None:
    """Change some fields in the declaration of a study."""
    spec = json.dumps(json.loads(study.spec) | fields)
    connection.execute(_tables.study.update().where(_tables.study.c.id == study.id).values(spec=spec))
    _summaries.refresh(connection, study.id, spec)


def study_names(connection: sa.Connection) -> list[str]:
    """All names, newest first."""
    return list(connection.scalars(sa.select(_tables.study.c.name).order_by(_tables.study.c.id.desc())))


def delete_study(connection: sa.Connection, study: Found) -> None:
    """Delete a study with everything of it, by cascade."""
    connection.execute(_tables.study.delete().where(_tables.study.c.id == study.id))


# -- trials -------------------------------------------------------------------------------------------------


def replace_trial(connection: sa.Connection, study: Found, trial: Trial) -> None:
    """Write a trial with its parts, in place of any earlier one of that number."""
    key = {"study_id": study.id, "number": trial.number}
    connection.execute(
        _tables.trial.delete().where(_matches(_tables.trial, key))
    )  # and its parts, by cascade
    record = _dump(trial, exclude={"epochs": True, "proposal": {"calls"}})
    connection.execute(
        _tables.trial.insert().values(**key, state=trial.state, value=trial.value, record=record)
    )
    for table, parts in ((_tables.epoch, trial.epochs), (_tables.model_call, trial.proposal.calls)):
        rows = [{**key, "position": i, "record": _dump(part)} for i, part in enumerate(parts)]
        if rows:
            connection.execute(table.insert(), rows)
    _summaries.refresh(connection, study.id, study.spec)


def trial_state(connection: sa.Connection, study: Found, number: int) -> str | None:
    """The state of a trial; None when there is no such trial."""
    key = {"study_id": study.id, "number": number}
    return connection.scalar(sa.select(_tables.trial.c.state).where(_matches(_tables.trial, key)))


def add_epoch(connection: sa.Connection, study: Found, number: int, epoch: EpochRecord) -> None:
    """Add an epoch after those that are there."""
    key = {"study_id": study.id, "number": number}
    # The index answers this at once however many there are; a count would read all of them.
    newest = connection.scalar(
        sa.select(sa.func.max(_tables.epoch.c.position)).where(_matches(_tables.epoch, key))
    )
    position = 0 if newest is None else newest + 1
    connection.execute(_tables.epoch.insert().values(**key, position=position, record=_dump(epoch)))


def load_trials(
    connection: sa.Connection, study: Found, *, after: int = 0, limit: int | None = None
) -> list[Trial]:
    """Trials of a study with a number above `after`, by number; at most `limit`."""
    table = _tables.trial.c
    records = connection.execute(
        sa.select(table.number, table.record)
        .where(table.study_id == study.id, table.number > after)
        .order_by(table.number)
        .limit(limit)
    ).all()
    last = records[-1].number if records else after
    epochs = _parts(connection, _tables.epoch, study, after, last)
    calls = _parts(connection, _tables.model_call, study, after, last)
    trials = []
    for number, record in records:
        data = json.loads(record)
        data["epochs"] = epochs.get(number, [])
        data["proposal"]["calls"] = calls.get(number, [])
        trials.append(_load(Trial.model_validate, data, f"trial {number}"))
    return trials


def _parts(
    connection: sa.Connection, table: sa.Table, study: Found, after: int, last: int
) -> dict[int, list[Any]]:
    """The parts of the trials after one number and up to another, in order, under the trials' numbers."""
    query = (
        sa.select(table.c.number, table.c.record)
        .where(table.c.study_id == study.id, table.c.number > after, table.c.number <= last)
        .order_by(table.c.number, table.c.position)
    )
    parts: dict[int, list[Any]] = {}
    for number, record in connection.execute(query):
        parts.setdefault(number, []).append(json.loads(record))
    return parts


def _matches(table: sa.Table, key: Mapping[str, int]) -> sa.ColumnElement[bool]:
    return sa.and_(*(table.c[column] == value for column, value in key.items()))


# -- events -------------------------------------------------------------------------------------------------


def slim(event: Event) -> Event:
    """An event without what the trial's record holds as well and what would make a stream of events heavy."""
    if isinstance(event, Proposed):
        return event.model_copy(update={"proposal": event.proposal.model_copy(update={"calls": ()})})
    if isinstance(event, TrialEnded):
        proposal = event.trial.proposal.model_copy(update={"calls": (), "report": ""})
        return TrialEnded(trial=event.trial.model_copy(update={"proposal": proposal, "epochs": ()}))
    return event


def add_event(connection: sa.Connection, study: Found, event: Event, at: str) -> int:
    """Add an event, slimmed, after those that are there; returns its sequence number."""
    table = _tables.event
    newest = connection.scalar(sa.select(sa.func.max(table.c.seq)).where(table.c.study_id == study.id))
    seq = (newest or 0) + 1
    row = {"study_id": study.id, "seq": seq, "at": at, "kind": event.kind, "record": _dump(slim(event))}
    connection.execute(table.insert().values(row))
    return seq


def load_events(
    connection: sa.Connection, study: Found, after: int, kinds: Collection[str], limit: int | None
) -> list[StoredEvent]:
    """Events with a sequence number above `after`, in order; of some kinds, if any are named."""
    table = _tables.event.c
    query = (
        sa.select(table.seq, table.at, table.record)
        .where(table.study_id == study.id, table.seq > after)
        .order_by(table.seq)
        .limit(limit)
    )
    if kinds:
        query = query.where(table.kind.in_(kinds))
    return [
        StoredEvent(seq, at, _load(_EVENT.validate_python, json.loads(record), f"event {seq}"))
        for seq, at, record in connection.execute(query)
    ]


# -- JSON ---------------------------------------------------------------------------------------------------


def _dump(record: BaseModel, exclude: Any = None) -> str:
    # `json.dumps` rather than pydantic's writer, which turns the NaN and infinities of a rejected proposal into null.
    return json.dumps(record.model_dump(by_alias=True, exclude=exclude), default=repr)


def _load(validate: Callable[[Any], T], data: Any, what: str) -> T:
    try:
        return validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise StoreError(
            f"{what} cannot be read back: {place}: {first['msg']}",
            hint="Another version of tcs-hpt wrote it; upgrade, or choose another database with --store.",
        ) from error
