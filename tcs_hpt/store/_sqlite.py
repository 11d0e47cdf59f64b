"""What SQLite needs: real transactions, waiting for other writers, and noticing that its file is gone.

Linux keeps a deleted file alive for those who have it open, so without a look at the path an engine would go on
writing records that nobody can ever read.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import tenacity

from tcs_hpt.errors import StoreError

WRITE = "tcs_write"
"""Connection option: the transaction takes SQLite's write lock when it begins."""


def file_of(url: sa.URL) -> Path | None:
    """The file of a SQLite database; None for a `file:` URI, whose options say how it is opened."""
    name = str(url.database)
    return None if name.startswith("file:") else Path(name)


def set_up(engine: sa.Engine, path: Path | None, timeout: float) -> None:
    """Give an engine our transactions, and let it watch the file.

    Args:
        engine: Not connected yet.
        path: The database's file; None for one that is not watched.
        timeout: Seconds to wait for a lock that another program holds.
    """
    sa.event.listen(engine, "connect", lambda connection, _: _set_pragmas(connection, timeout))
    sa.event.listen(engine, "begin", _begin)
    if path is not None:
        watch = _Watch(path)
        sa.event.listen(engine, "do_connect", watch.before_connecting)
        sa.event.listen(engine, "connect", watch.connected)
        sa.event.listen(engine, "begin", watch.check)


def _set_pragmas(connection: Any, timeout: float) -> None:
    connection.isolation_level = None  # `_begin` begins; the driver would leave reads outside
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    # SQLite waits for locks by itself, but not here: while another process opens the same new file or writes to an
    # older one, the change of the journal fails at once, whatever the connection's timeout is.
    patiently = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_busy),
        stop=tenacity.stop_after_delay(timeout),
        wait=tenacity.wait_random(0.005, 0.05),
        reraise=True,
    )
    patiently(_journal_beside_the_file, cursor)
    cursor.close()


def _is_busy(error: BaseException) -> bool:
    return (
        isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
    )


def _journal_beside_the_file(cursor: Any) -> None:
    if cursor.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        cursor.execute("PRAGMA journal_mode=WAL")  # readers do not wait for the writer


def _begin(connection: sa.Connection) -> None:
    # A transaction that reads first and writes later fails at once, without waiting, when another process wrote in
    # between; taking the lock at the beginning waits instead.
    write = connection.get_execution_options().get(WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


class _Watch:
    """Compares the file at the path with the one that was opened first."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._opened: tuple[int, int] | None = None

    def before_connecting(self, *_: object) -> None:
        if self._opened is not None:  # else a new connection would make an empty database in its place
            self.check()

    def connected(self, *_: object) -> None:
        if self._opened is None:
            self._opened = self._identity()

    def check(self, _: object = None) -> None:
        """Raise unless the file is the one that was opened."""
        try:
            same = self._identity() == self._opened
        except FileNotFoundError:
            raise StoreError(
                f"the database {self._path} was deleted while it was in use",
                hint="Put the file back if it was moved, or start again; what was in it is gone with the file.",
            ) from None
        if not same:
            raise StoreError(
                f"the database {self._path} was replaced by another file while it was in use",
                hint="Run the same command again to go on with the file that is there now.",
            )

    def _identity(self) -> tuple[int, int]:
        found = os.stat(self._path)
        return found.st_dev, found.st_ino
