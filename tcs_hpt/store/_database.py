"""Reaching the database: which one, how it is opened, and what its errors mean in plain words."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs
import sqlalchemy as sa

from tcs_hpt.errors import StoreError, UserError
from tcs_hpt.store import _tables

STORE_VARIABLE = "TCS_HPT_STORE"
EXAMPLES = "Write a file path, or a URL such as sqlite:///studies.db or postgresql+psycopg://user@host/name."

_WRITE = "tcs_write"
"""Connection option: the transaction takes SQLite's write lock when it begins."""


def resolve(url: str | None) -> sa.URL:
    """The database that a person means; a SQLite file by its absolute path, so that it is the same from any folder.

    Raises:
        UserError: The text is not a database URL, or names a database in memory.
    """
    default = Path(platformdirs.user_data_dir("tcs-hpt")) / "studies.db"
    text = url or os.environ.get(STORE_VARIABLE) or str(default)
    if "://" not in text:
        if text.split(":")[0] in (
            "sqlite",
            "postgresql",
        ):  # one slash too few would make a folder of that name
            raise UserError(f"the store is not a database URL, got {text!r}", hint=EXAMPLES)
        return sa.URL.create("sqlite", database=str(Path(text).expanduser().absolute()))
    try:
        parsed = sa.make_url(text)
    except sa.exc.ArgumentError as error:
        raise UserError("the store is not a database URL", hint=EXAMPLES) from error
    if parsed.get_backend_name() != "sqlite" or (parsed.database or "").startswith("file:"):
        return parsed
    if parsed.database in (None, "", ":memory:"):
        raise UserError(
            f"the store must outlive the process, got the in-memory database {text!r}", hint=EXAMPLES
        )
    return parsed.set(database=str(Path(str(parsed.database)).expanduser().absolute()))


def label(url: sa.URL) -> str:
    """The database as people may see it: a file's path, or the URL without its password."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.render_as_string(hide_password=True)


def connect(url: sa.URL, timeout: float) -> sa.Engine:
    """An engine for our tables, which exist afterwards.

    Args:
        url: The database.
        timeout: Seconds to wait for another writer of a SQLite file.

    Raises:
        UserError: There is no driver for this kind of database.
        StoreError: It cannot be opened, or a newer tcs-hpt made it.
    """
    sqlite = url.get_backend_name() == "sqlite"
    with translated(label(url)):
        if sqlite and not str(url.database).startswith("file:"):
            Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
        try:
            engine = sa.create_engine(url, connect_args={"timeout": timeout} if sqlite else {})
        except (ImportError, sa.exc.NoSuchModuleError) as error:
            raise UserError(
                f"no driver for the database {label(url)}: {error}",
                hint="Install it, e.g. `pip install psycopg`, or use a SQLite file.",
            ) from error
        if sqlite:
            sa.event.listen(engine, "connect", _set_up_sqlite)
            sa.event.listen(engine, "begin", _begin_sqlite)
        try:
            _create_tables(engine, label(url))
        except BaseException:
            engine.dispose()
            raise
        return engine


def _set_up_sqlite(connection: Any, _: object) -> None:
    connection.isolation_level = None  # `_begin_sqlite` begins; the driver would leave reads outside
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.execute("PRAGMA journal_mode=WAL")  # readers do not wait for the writer
    cursor.close()


def _begin_sqlite(connection: sa.Connection) -> None:
    # A transaction that reads first and writes later fails at once, without waiting, when another process wrote in
    # between; taking the lock at the beginning waits instead.
    write = connection.get_execution_options().get(_WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _create_tables(engine: sa.Engine, name: str) -> None:
    version = sa.select(_tables.schema.c.version)
    with reading(engine) as connection:
        found = connection.scalar(version) if sa.inspect(connection).has_table("tcs_schema") else None
    if found is None:
        with writing(engine) as connection:
            _tables.metadata.create_all(connection)
            found = connection.scalar(version)
            if found is None:
                found = _tables.SCHEMA_VERSION
                connection.execute(_tables.schema.insert().values(version=found))
    if found > _tables.SCHEMA_VERSION:
        raise StoreError(
            f"{name} was made by a newer tcs-hpt: its tables have version {found}, "
            f"this one knows {_tables.SCHEMA_VERSION}",
            hint="Upgrade with `pip install --upgrade tcs-hpt`, or choose another database with --store.",
        )


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One transaction that sees one state of the database throughout."""
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            yield connection


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One transaction that is kept whole, or not at all when the block raises."""
    with engine.connect() as connection:
        connection.execution_options(**{_WRITE: True})
        with connection.begin():
            yield connection


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Turn errors of the database and the file system into `StoreError`.

    Args:
        name: The database, as people may see it.
    """
    try:
        yield
    except (sa.exc.SQLAlchemyError, OSError) as error:
        raise explain(name, error) from error


_MEANINGS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("locked", "busy", "could not obtain lock"),
        "is locked by another program",
        "Wait until that program is done, or choose another database with --store.",
    ),
    (
        ("not a database", "encrypted"),
        "is not a database",
        "Choose another path with --store; the file that is there was not touched.",
    ),
    (("malformed", "corrupt"), "is damaged", "Restore a copy, or start a new database with --store."),
    (
        ("is full", "no space left", "quota exceeded"),
        "cannot grow: the disk is full",
        "Free some space and run the same command again; what was saved before is kept.",
    ),
    (
        ("unable to open", "readonly", "read-only", "permission denied", "a directory", "file exists"),
        "cannot be opened for writing",
        "Check the path and your rights to it, or choose another with --store.",
    ),
    (
        ("connect", "could not translate host", "authentication", "server closed"),
        "cannot be reached",
        "Check that the server runs and that the URL, the user and the password are right.",
    ),
)


def explain(name: str, error: BaseException) -> StoreError:
    """What an error of the database or the file system means, and what to do about it."""
    cause = getattr(error, "orig", None) or error
    text = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
    lowered = text.lower()
    if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
        lowered = "no space left"
    for words, meaning, hint in _MEANINGS:
        if any(word in lowered for word in words):
            return StoreError(f"the database {name} {meaning} ({text})", hint=hint)
    return StoreError(
        f"the database {name} cannot be used ({text})",
        hint="Choose another database with --store, or restore a copy of this one.",
    )
