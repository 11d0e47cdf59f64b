"""The newest studies are looked at before anybody asks, so that nobody waits for a first look.

A study of 1,000 trials takes some 50 ms to read. After a start, all studies are unread, and a page that is open somewhere asks at once.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from functools import partial

import anyio.to_thread

from tcs_hpt.errors import TcsHptError
from tcs_hpt.service.shelf import Shelf
from tcs_hpt.store import Store

NEWEST = 100
"""Studies; twice what the list shows on one page."""


async def read_ahead(store: Store, shelf: Shelf, closing: asyncio.Event, *, newest: int = NEWEST) -> None:
    """Look at the newest studies, one after another, at most half of the time.

    Args:
        store: The database.
        shelf: Keeps what was seen.
        closing: Set when no further look shall begin.
        newest: How many.
    """
    try:
        page = await anyio.to_thread.run_sync(partial(store.study_rows, limit=newest))
    except TcsHptError:  # whoever asks for a study is told
        return
    for row in page.rows:
        if closing.is_set():
            return
        began = time.monotonic()
        await anyio.to_thread.run_sync(_look, shelf, row.name)
        with suppress(TimeoutError):  # requests first
            await asyncio.wait_for(closing.wait(), time.monotonic() - began)


def _look(shelf: Shelf, name: str) -> None:
    try:
        shelf.facts(shelf.study(name))
    except TcsHptError:  # deleted meanwhile, or unreadable: again for whoever asks to be told
        return
