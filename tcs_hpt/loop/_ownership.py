"""What one engine holds while it runs: leases on its trials, renewed in the background, and the turn to propose."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import psutil

from tcs_hpt.errors import StoreError
from tcs_hpt.store import Lease, Store

LEASE_SECONDS = 30.0
"""Without a renewal for this long, an engine counts as dead."""
RENEWALS = 4
"""Renewals per lease."""
TURN = 0
"""The lease of this number is the turn to propose: no trial has it."""


class Ownership:
    """This engine's leases on one study. Use it as a context manager around a run.

    Args:
        store: Where leases are kept.
        study: Name of the study.
        clock: Seconds since 1970, UTC.
        sleep: How to wait.
    """

    def __init__(
        self,
        store: Store,
        study: str,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._study = study
        self._clock = clock
        self._sleep = sleep
        self.owner = f"{socket.gethostname()[:100]}:{os.getpid()}:{uuid.uuid4().hex[:12]}"
        self._ended = threading.Event()
        self._failure: StoreError | None = None
        self._thread = threading.Thread(target=self._renew, name="leases", daemon=True)

    def __enter__(self) -> Ownership:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def now(self) -> float:
        """The time by this engine's clock."""
        return self._clock()

    def check(self) -> None:
        """Raise what went wrong in the background, if anything did.

        Raises:
            StoreError: Leases could not be renewed.
        """
        if self._failure is not None:
            raise self._failure

    def _renew(self) -> None:
        while not self._ended.wait(LEASE_SECONDS / RENEWALS):
            try:
                self._store.renew(self._study, self.owner, seconds=LEASE_SECONDS, now=self.now())
            except StoreError as error:
                self._failure = (
                    error  # the engine's next step raises it; a moment's lock heals with the next renewal
                )
            else:
                self._failure = None

    @contextmanager
    def turn(self, keep_waiting: Callable[[], bool]) -> Iterator[bool]:
        """Wait for the turn to propose and hold it; False when `keep_waiting` said no before it came."""
        while not self.take(TURN):
            if not keep_waiting():
                yield False
                return
            self._sleep(0.2)
        try:
            yield True
        finally:
            self._store.release(self._study, TURN, self.owner)

    def take(self, number: int) -> bool:
        """Lease a number; from a dead engine at once, from a living one never."""
        for lease in self._store.leases(self._study):
            if lease.number == number and lease.owner != self.owner and engine_is_dead(lease):
                self._store.release(self._study, number, lease.owner)
        return self._store.acquire(self._study, number, self.owner, seconds=LEASE_SECONDS, now=self.now())

    def sweep(self, running: Collection[int]) -> None:
        """Drop what dead engines hold of trials that have ended or never began."""
        now = self.now()
        for lease in self._store.leases(self._study):
            dead = lease.expired(now) or engine_is_dead(lease)
            if lease.owner != self.owner and dead and lease.number not in running:
                self._store.release(self._study, lease.number, lease.owner)

    def held_elsewhere(self) -> set[int]:
        """Numbers that other living engines hold."""
        now = self.now()
        return {
            lease.number
            for lease in self._store.leases(self._study)
            if lease.owner != self.owner and not lease.expired(now) and not engine_is_dead(lease)
        }


def engine_is_dead(lease: Lease) -> bool:
    """Whether the engine is known to be gone: it ran on this host and there is no such process.

    A number that another process has since got keeps the lease alive until it runs out; that only costs time.
    """
    return lease.host == socket.gethostname()[:255] and not psutil.pid_exists(lease.engine_pid)
