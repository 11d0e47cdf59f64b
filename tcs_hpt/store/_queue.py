"""The service's queue: which studies are to be run, who runs them, and what people want of them; the SQL on it.

A worker claims a study as an engine leases a trial: for a while, by its own clock, until it renews the claim. The rules for
clocks are those of `_leases.py`. A claim decides who starts an engine; what that engine may write is decided by the leases
on its trials, so that a worker which wakes up too late does no harm.

    queued -> running -> ended            all trials used, or a stopping rule
                      -> failed           it cannot be run; a person has to look
                      -> paused, stopped  a person wants it so
                      -> queued           its worker ended, or its process died
    paused, stopped, failed -> queued     a person wants it to run
    external                              asked for and told over HTTP: no worker takes it, and `wanted` alone says
                                          whether it goes on
    external -> ended                     all trials told, or a stopping rule
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import sqlalchemy as sa

from tcs_hpt.errors import UserError
from tcs_hpt.store import _tables

QueueState: TypeAlias = Literal["queued", "running", "paused", "stopped", "ended", "failed", "external"]
Wanted: TypeAlias = Literal["run", "pause", "stop"]

_QUEUE = _tables.queue.c
_STUDY = _tables.study.c
_WORKER = _tables.worker.c

COLUMNS = tuple(column for column in _QUEUE if column.name != "study_id")
"""What an entry is made of, besides the study's name."""

_NOBODY: dict[str, Any] = {"worker": "", "host": "", "device": "", "heartbeat": 0.0, "expires_at": 0.0}
_RESTING: dict[Wanted, QueueState] = {"run": "queued", "pause": "paused", "stop": "stopped"}
"""Where a study is that is not over and that nobody runs, by what is wanted of it."""


class WrongState(UserError):
    """What was asked makes no sense in the state that the study is in."""


@dataclass(frozen=True)
class QueueEntry:
    """One study in the queue."""

    name: str
    """The study."""
    state: QueueState
    wanted: Wanted
    """What a person wants; a worker obeys within seconds."""
    launch: str
    """JSON of a `tuning.launch.Launch`."""
    entered_at: float
    """When it got its place: the queue is first in, first out. Seconds since 1970, UTC, as all times here."""
    worker: str = ""
    """Who has claimed it; empty unless it is running."""
    host: str = ""
    device: str = ""
    """`cpu`, or a CUDA device: `0`, `1`, ..."""
    heartbeat: float = 0.0
    """When the claim was last renewed, by the worker's clock."""
    expires_at: float = 0.0
    deaths: int = 0
    """How often its process has died in a row without having ended a trial."""
    message: str = ""
    """Why it ended (a `StopReason`) or failed (a sentence and a hint), or what went wrong when it was last run."""

    def live(self, now: float) -> bool:
        """Whether it is running and its worker was heard of, by the reader's clock."""
        length = self.expires_at - self.heartbeat
        return self.state == "running" and self.heartbeat - length <= now < self.expires_at


@dataclass(frozen=True)
class WorkerRow:
    """A worker that was heard of lately."""

    name: str
    host: str
    devices: tuple[str, ...]
    slots: int
    """Studies that it runs at the same time on each device."""
    heartbeat: float
    """When it was last heard of, by its own clock. Seconds since 1970, UTC."""
    expires_at: float


# -- entries ------------------------------------------------------------------------------------------------


def find_entries(
    connection: sa.Connection, *conditions: sa.ColumnElement[bool], lock: bool = False
) -> list[QueueEntry]:
    """Entries by their place in the queue.

    Args:
        connection: In a transaction.
        conditions: What has to hold of them.
        lock: Keep other writers of these entries out until the end of the transaction.
    """
    query = (
        sa.select(_STUDY.name, *COLUMNS)
        .join_from(_tables.queue, _tables.study)
        .where(*conditions)
        .order_by(_QUEUE.entered_at, _QUEUE.study_id)
    )
    found = connection.execute(query.with_for_update(of=_tables.queue) if lock else query)
    return [QueueEntry(*row) for row in found]


def in_states(states: Collection[str]) -> list[sa.ColumnElement[bool]]:
    """The condition on `find_entries` for these states; none for all."""
    return [_QUEUE.state.in_(states)] if states else []


def find_entry(connection: sa.Connection, study_id: int, *, lock: bool = False) -> QueueEntry | None:
    """A study's entry, if it has one."""
    return next(iter(find_entries(connection, _QUEUE.study_id == study_id, lock=lock)), None)


def insert(connection: sa.Connection, study_id: int, launch: str, *, state: QueueState, now: float) -> None:
    """Put a study at the end of the queue."""
    row = {"study_id": study_id, "state": state, "wanted": "run", "launch": launch, "entered_at": now}
    connection.execute(_tables.queue.insert().values(row | _NOBODY | {"deaths": 0, "message": ""}))


def change_wish(
    connection: sa.Connection, study_id: int, entry: QueueEntry, wanted: Wanted, *, now: float
) -> None:
    """Write down what a person wants, and what follows where no worker has to obey first.

    Raises:
        WrongState: It makes no sense.
    """
    changes: dict[str, Any] = {"wanted": wanted}
    if entry.state == "running" and not entry.live(now) and wanted != "run":
        changes |= _NOBODY | {"state": _RESTING[wanted]}
    elif entry.state not in ("running", "external"):
        _require_sense(entry, wanted)
        if entry.state != _RESTING[wanted]:
            changes["state"] = _RESTING[wanted]
            if wanted == "run":
                changes |= {"entered_at": now, "deaths": 0, "message": ""}
    connection.execute(_tables.queue.update().where(_QUEUE.study_id == study_id).values(changes))


def end_external(connection: sa.Connection, study_id: int, message: str) -> bool:
    """End an entry that no worker ends; False when it is none, or has ended already."""
    external = sa.and_(_QUEUE.study_id == study_id, _QUEUE.state == "external")
    done = connection.execute(_tables.queue.update().where(external).values(state="ended", message=message))
    return done.rowcount > 0


def _require_sense(entry: QueueEntry, wanted: Wanted) -> None:
    if entry.state == "ended":
        raise WrongState(
            f"study {entry.name!r} has ended ({entry.message})",
            hint="What it found stays; start a new study to try more.",
        )
    if wanted != "run" and entry.state == "failed":
        raise WrongState(
            f"study {entry.name!r} has failed and is not running, so there is nothing to {wanted}",
            hint="Read its message, mend what it names, then resume or delete it.",
        )
    if wanted == "pause" and entry.state == "stopped":
        raise WrongState(
            f"study {entry.name!r} was stopped, so there is nothing to pause",
            hint="Resume it to let it go on.",
        )


# -- claims -------------------------------------------------------------------------------------------------


def claimable(connection: sa.Connection, now: float) -> bool:
    """Whether a look into the queue by `claim` could find anything; only reads."""
    abandoned = sa.and_(_QUEUE.state == "running", _ran_out(now))
    found = sa.select(_QUEUE.study_id).where(sa.or_(_QUEUE.state == "queued", abandoned)).limit(1)
    return connection.execute(found).first() is not None


def claim(
    connection: sa.Connection, worker: str, *, host: str, device: str, limit: int, seconds: float, now: float
) -> QueueEntry | None:
    """Claim the oldest study that waits; None when there is none, or the device has its fill.

    Args:
        connection: In a transaction in which no other process claims.
        worker: Who claims.
        host: Where the worker is.
        device: For which of its devices.
        limit: Most live claims on this device of this host, whoever has them.
        seconds: How long the claim lasts unless it is renewed.
        now: The time.
    """
    abandoned = sa.and_(_QUEUE.state == "running", _ran_out(now))
    # Nobody is left to obey what was wanted of these.
    resting = sa.case((_QUEUE.wanted == "pause", "paused"), else_="stopped")
    connection.execute(
        _tables.queue.update().where(abandoned, _QUEUE.wanted != "run").values(state=resting, **_NOBODY)
    )
    here = sa.and_(_QUEUE.state == "running", _QUEUE.host == host, _QUEUE.device == device)
    held = connection.scalar(
        sa.select(sa.func.count()).select_from(_tables.queue).where(here, ~_ran_out(now))
    )
    if (held or 0) >= limit:
        return None
    free = sa.and_(_QUEUE.wanted == "run", sa.or_(_QUEUE.state == "queued", abandoned))
    oldest = sa.select(_QUEUE.study_id).where(free).order_by(_QUEUE.entered_at, _QUEUE.study_id).limit(1)
    mine = {"state": "running", "worker": worker, "host": host, "device": device}
    times = {"heartbeat": now, "expires_at": now + seconds}
    while (study_id := connection.scalar(oldest)) is not None:
        # A person may have changed the wish between the two statements.
        change = _tables.queue.update().where(_QUEUE.study_id == study_id, free).values(mine | times)
        if connection.execute(change).rowcount:
            return find_entry(connection, study_id)
    return None


def renew_claim(
    connection: sa.Connection, name: str, worker: str, *, seconds: float, now: float
) -> Wanted | None:
    """Renew a claim, also one that ran out but was not taken; what is wanted, or None when it is lost."""
    change = _tables.queue.update().where(_held(name, worker))
    change = change.values(heartbeat=now, expires_at=now + seconds)
    wanted: Wanted | None = connection.scalar(change.returning(_QUEUE.wanted))
    return wanted


def end_claim(
    connection: sa.Connection, name: str, worker: str, state: QueueState, *, message: str, deaths: int
) -> bool:
    """Give a claim back; False when it is lost."""
    becomes: Any = state
    if state in _RESTING.values():
        wishes = [(_QUEUE.wanted == wish, rest) for wish, rest in _RESTING.items()]
        becomes = sa.case(*wishes, else_="stopped")
    change = _tables.queue.update().where(_held(name, worker))
    done = connection.execute(change.values(state=becomes, **_NOBODY, message=message, deaths=deaths))
    return done.rowcount > 0


def _held(name: str, worker: str) -> sa.ColumnElement[bool]:
    """Whether an entry is this study's and claimed by this worker; no error for a study that was deleted."""
    study = sa.select(_STUDY.id).where(_STUDY.name == name).scalar_subquery()
    return sa.and_(_QUEUE.study_id == study, _QUEUE.state == "running", _QUEUE.worker == worker)


def _ran_out(now: float) -> sa.ColumnElement[bool]:
    """`not QueueEntry.live`, for entries that are running."""
    return sa.or_(_QUEUE.expires_at <= now, 2 * _QUEUE.heartbeat - _QUEUE.expires_at > now)


# -- workers ------------------------------------------------------------------------------------------------


def check_in(connection: sa.Connection, worker: WorkerRow) -> None:
    """Write down that a worker is there, and forget those that are long gone."""
    gone = sa.or_(_WORKER.name == worker.name, _WORKER.expires_at < worker.heartbeat - _REMEMBERED)
    connection.execute(_tables.worker.delete().where(gone))
    row = {
        "name": worker.name,
        "host": worker.host,
        "devices": ",".join(worker.devices),
        "slots": worker.slots,
        "heartbeat": worker.heartbeat,
        "expires_at": worker.expires_at,
    }
    connection.execute(_tables.worker.insert().values(row))


def check_out(connection: sa.Connection, name: str) -> None:
    """Forget a worker."""
    connection.execute(_tables.worker.delete().where(_WORKER.name == name))


def find_workers(connection: sa.Connection, now: float) -> list[WorkerRow]:
    """The workers that were heard of lately, by name."""
    columns = (
        _WORKER.name,
        _WORKER.host,
        _WORKER.devices,
        _WORKER.slots,
        _WORKER.heartbeat,
        _WORKER.expires_at,
    )
    query = sa.select(*columns).where(_WORKER.expires_at > now).order_by(_WORKER.name)
    return [
        WorkerRow(name, host, tuple(devices.split(",")), slots, heartbeat, expires_at)
        for name, host, devices, slots, heartbeat, expires_at in connection.execute(query)
    ]


_REMEMBERED = 3600.0
"""Seconds after which the row of a worker that did not check out is removed."""
