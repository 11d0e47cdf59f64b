"""Who works on which trial: leases that run out unless their owner renews them, and the SQL on them.

A lease is what makes two engines on one study safe. The times in it come from its owner's clock, in seconds since 1970
(UTC); a reader compares them with its own. The rules, and what they cost when a clock is wrong:

- A lease has run out when the reader's clock has reached `expires_at`. An engine that was suspended for longer may find
  that another has taken its trial; its writes are then refused with `LeaseLost`, so nothing is overwritten.
- A lease has also run out when its heartbeat lies more than its own length in the reader's future. That happens only
  after a clock was set back (or between hosts whose clocks differ by more), and without this rule the trials of a dead
  engine would be blocked until the clock catches up. An engine that lives writes its own, now earlier time with its next
  renewal; until then another engine could take its trial, which costs that trial's work and no record.
- A clock set forward makes leases run out early, at the same cost.

So hosts that share a database need clocks that agree to a fraction of a lease, and an engine renews about three times per
lease.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

import sqlalchemy as sa

from tcs_hpt.errors import StoreError
from tcs_hpt.store import _tables
from tcs_hpt.store._rows import Found

_LEASE = _tables.lease.c
_TRIAL = _tables.trial.c


class LeaseLost(StoreError):
    """Another engine has taken a trial over, so nothing may be written to it."""

    def __init__(self, study: str, number: int, owner: str, holder: str | None) -> None:
        has = f"is held by {holder}" if holder else "was given up"
        super().__init__(
            f"the lease of trial {number} of study {study!r} {has}, not by {owner}; the record was not changed",
            hint="This engine was suspended for too long or its clock was changed; run the same command again to go on.",
        )


@dataclass(frozen=True)
class Lease:
    """The right to work on one trial, for a while."""

    number: int
    """The trial; without a record of that number, the number is reserved."""
    owner: str
    """The engine, by a name that no other run of an engine has."""
    engine_pid: int
    host: str
    """Where `engine_pid` means something."""
    heartbeat: float
    """When it was last renewed, by its owner's clock. Seconds since 1970, UTC."""
    expires_at: float

    def expired(self, now: float) -> bool:
        """Whether another engine may take it, by the reader's clock; see the top of this module."""
        length = self.expires_at - self.heartbeat
        return now >= self.expires_at or now < self.heartbeat - length


def find_leases(connection: sa.Connection, study: Found) -> list[Lease]:
    """All leases of a study, by number."""
    columns = (
        _LEASE.number,
        _LEASE.owner,
        _LEASE.engine_pid,
        _LEASE.host,
        _LEASE.heartbeat,
        _LEASE.expires_at,
    )
    query = sa.select(*columns).where(_LEASE.study_id == study.id).order_by(_LEASE.number)
    return [Lease(*row) for row in connection.execute(query)]


def holder(connection: sa.Connection, study: Found, number: int) -> str | None:
    """The owner of a lease, run out or not; None when there is no lease."""
    return connection.scalar(sa.select(_LEASE.owner).where(_is(study, number)))


def take(
    connection: sa.Connection, study: Found, number: int, owner: str, *, seconds: float, now: float
) -> bool:
    """Take or renew a lease that is free, run out, or the owner's already; False when another engine has it."""
    there = next((lease for lease in find_leases(connection, study) if lease.number == number), None)
    if there is not None and there.owner != owner and not there.expired(now):
        return False
    connection.execute(_tables.lease.delete().where(_is(study, number)))
    connection.execute(
        _tables.lease.insert().values(
            study_id=study.id, number=number, **_mine(seconds=seconds, now=now), owner=owner
        )
    )
    return True


def renew(
    connection: sa.Connection, study: Found, owner: str, *, seconds: float, now: float
) -> frozenset[int]:
    """Renew all leases of an owner; returns the numbers of the trials that it still has."""
    mine = sa.and_(_LEASE.study_id == study.id, _LEASE.owner == owner)
    change = _tables.lease.update().where(mine).values(**_mine(seconds=seconds, now=now))
    return frozenset(connection.scalars(change.returning(_LEASE.number)))


def drop(connection: sa.Connection, study: Found, number: int, owner: str) -> bool:
    """Give a lease up; False when the owner did not have it."""
    done = connection.execute(_tables.lease.delete().where(_is(study, number), _LEASE.owner == owner))
    return done.rowcount > 0


def reserve(
    connection: sa.Connection, study: Found, owner: str, *, seconds: float, now: float, budget: int | None
) -> int | None:
    """Lease the lowest number above every trial that nobody holds; None when the budget is used or spoken for."""
    trials = _TRIAL.study_id == study.id
    newest = connection.scalar(sa.select(sa.func.max(_TRIAL.number)).where(trials)) or 0
    live = [lease.number for lease in find_leases(connection, study) if not lease.expired(now)]
    begun = set(connection.scalars(sa.select(_TRIAL.number).where(trials, _TRIAL.number.in_(live))))
    # A trial with a later number may have begun while this one is still being thought about; 0 is the turn to propose.
    held = {number for number in live if number > 0 and number not in begun}
    if budget is not None:
        counts = sa.select(sa.func.count()).where(trials, _TRIAL.state != "interrupted")
        if (connection.scalar(counts) or 0) + len(held) >= budget:
            return None
    number = newest + 1
    while number in held:
        number += 1
    if not take(connection, study, number, owner, seconds=seconds, now=now):
        raise AssertionError("a number that nobody holds is free")
    return number


def _is(study: Found, number: int) -> sa.ColumnElement[bool]:
    return sa.and_(_LEASE.study_id == study.id, _LEASE.number == number)


def _mine(*, seconds: float, now: float) -> dict[str, object]:
    """The columns that say when this process was last heard of."""
    return {
        "engine_pid": os.getpid(),
        "host": socket.gethostname()[:255],
        "heartbeat": now,
        "expires_at": now + seconds,
    }
