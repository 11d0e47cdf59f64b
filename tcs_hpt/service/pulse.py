"""Who listens is woken when something has changed: one look at the database for all listeners together.

The database is the only thing that workers and this process share, and it cannot call anybody. So while somebody listens, it is
asked a few times a second for the newest event of the studies listened to and for their place in the queue; nobody
listens, nobody asks.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import TypeAlias

import anyio.to_thread

from tcs_hpt.errors import StoreError
from tcs_hpt.store import Store
from tcs_hpt.store.glance import Version, versions

EVERYTHING = ""
"""Listened to by those who want to know of all studies; no study has this name."""

_log = logging.getLogger("tcs_hpt.service")

Versions: TypeAlias = dict[str, Version]


class Pulse:
    """Tells listeners in one event loop that studies have changed.

    Args:
        store: The database.
        seconds: Between two looks.
    """

    def __init__(self, store: Store, seconds: float) -> None:
        self._store = store
        self._seconds = seconds
        self._listeners: Counter[str] = Counter()
        self._waiting: set[asyncio.Event] = set()
        self._new: set[asyncio.Event] = set()
        self._task: asyncio.Task[None] | None = None
        self.versions: Versions = {}
        """As of the last look; only of what somebody listens to."""
        self.closed = False
        """Streams shall end: the service is going down."""

    def close(self) -> None:
        """Let every stream end; called in the event loop."""
        self.closed = True
        for changed in self._waiting:
            changed.set()

    @asynccontextmanager
    async def listening(self, name: str = EVERYTHING) -> AsyncIterator[asyncio.Event]:
        """An event that is set after the first look, and whenever something has changed; the listener clears it.

        Args:
            name: The study; `EVERYTHING` for all.
        """
        changed = asyncio.Event()
        self._listeners[name] += 1
        self._waiting.add(changed)
        self._new.add(changed)
        if self._task is None or self._task.done():
            self.versions = {}
            self._task = asyncio.create_task(self._beat())
        try:
            yield changed
        finally:
            self._waiting.discard(changed)
            self._new.discard(changed)
            self._listeners[name] -= 1
            self._listeners += Counter()  # drops those that nobody listens to

    async def _beat(self) -> None:
        failing = False
        while self._waiting and not self.closed:
            new, self._new = self._new, set()
            try:
                now = await anyio.to_thread.run_sync(self.look, set(self._listeners))
            except StoreError as error:  # the next look may succeed; listeners keep what they have
                if not failing:
                    _log.warning("events cannot be followed: %s", error.message)
                failing = True
                self._new |= new & self._waiting
            else:
                failing = False
                woken = self._waiting if now != self.versions else new
                self.versions = now
                for changed in woken:
                    changed.set()
            await asyncio.sleep(self._seconds)

    def look(self, names: Collection[str]) -> Versions:
        """How things stand now. Asks the database, so it belongs into a thread.

        Args:
            names: Of which studies; all when `EVERYTHING` is among them.
        """
        return versions(self._store, None if EVERYTHING in names else names)
