"""Processes that are put to sleep, as a laptop or a batch system does."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import time
from pathlib import Path

SECONDS = 60.0
"""The longest that a moment without a lock is waited for."""


def suspend(pid: int, database: Path) -> None:
    """Stop a process between two writes: one that sleeps inside one keeps the file locked for everybody."""
    deadline = time.monotonic() + SECONDS
    while True:
        os.kill(pid, signal.SIGSTOP)
        try:
            with contextlib.closing(sqlite3.connect(database, timeout=0)) as probe:
                probe.execute("BEGIN IMMEDIATE")
            return
        except sqlite3.OperationalError:
            os.kill(pid, signal.SIGCONT)
        assert time.monotonic() < deadline
        time.sleep(0.05)
