"""The part of `Store` that settles who works on which trial."""

from __future__ import annotations

import sqlalchemy as sa

from tcs_hpt.store import _leases, _rows
from tcs_hpt.store._access import Access
from tcs_hpt.store._leases import Lease, LeaseLost


class Leasing(Access):
    """Leases on trials. Times are seconds since 1970 (UTC) by the caller's clock."""

    def reserve_number(
        self, name: str, owner: str, *, seconds: float, now: float, budget: int | None = None
    ) -> int | None:
        """Lease the number of the next trial, before its configuration is chosen.

        No other engine is given this number while the lease lasts, so that no proposal is worked out twice. There is
        no record of such a trial until `start_trial`. A number that was released, or whose lease ran out before the
        trial began, is given out again: numbers are unique and have no gaps from engines that died while thinking.

        Args:
            name: The study.
            owner: The engine.
            seconds: How long the lease lasts unless it is renewed.
            now: The time.
            budget: The study's total of trials, if the answer shall be None once that many count or are under way.

        Returns:
            The lowest number above every trial that nobody holds.
        """
        with self._writing(name) as (connection, study):
            return _leases.reserve(connection, study, owner, seconds=seconds, now=now, budget=budget)

    def acquire(self, name: str, number: int, owner: str, *, seconds: float, now: float) -> bool:
        """Lease a number whose lease is free, run out, or this owner's already.

        Of several engines that try at once, exactly one succeeds.
        """
        with self._writing(name) as (connection, study):
            return _leases.take(connection, study, number, owner, seconds=seconds, now=now)

    def renew(self, name: str, owner: str, *, seconds: float, now: float) -> frozenset[int]:
        """Renew all leases of an owner, also those that ran out but were not taken.

        Returns:
            The numbers that the owner has; a trial whose number is missing belongs to another engine now.
        """
        with self._writing(name) as (connection, study):
            return _leases.renew(connection, study, owner, seconds=seconds, now=now)

    def release(self, name: str, number: int, owner: str) -> bool:
        """Give a lease up; False when the owner did not have it."""
        with self._writing(name) as (connection, study):
            return _leases.drop(connection, study, number, owner)

    def leases(self, name: str) -> list[Lease]:
        """All leases of a study, by number, also those that ran out."""
        with self._reading(name) as (connection, study):
            return _leases.find_leases(connection, study)

    def expired(self, name: str, now: float) -> list[Lease]:
        """The leases that another engine may take, by number."""
        return [lease for lease in self.leases(name) if lease.expired(now)]

    @staticmethod
    def _require_lease(
        connection: sa.Connection, study: _rows.Found, name: str, number: int, owner: str | None
    ) -> None:
        if owner is None:
            return
        holder = _leases.holder(connection, study, number)
        if holder != owner:
            raise LeaseLost(name, number, owner, holder)
