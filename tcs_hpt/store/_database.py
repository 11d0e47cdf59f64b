"""Reaching the database: which one, how it is opened, and how a transaction begins."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs
import sqlalchemy as sa

from tcs_hpt.errors import UserError
from tcs_hpt.store import _migrations, _sqlite, _tables
from tcs_hpt.store._errors import translated

STORE_VARIABLE = "TCS_HPT_STORE"
EXAMPLES = "Write a file path, or a URL such as sqlite:///studies.db or postgresql://user@host/name."

_POSTGRESQL_DRIVER = "postgresql+psycopg"
_OPENING = 0x7C5_0001
_MIRRORING = 0x7C5_0002
_CLAIMING = 0x7C5_0003
"""Keys of PostgreSQL's advisory locks, which belong to one database; any numbers that no other program uses."""


def resolve(url: str | None) -> sa.URL:
    """The database that a person means; a SQLite file by its absolute path, so that it is the same from any folder.

    PostgreSQL is reached through psycopg, whichever of its URLs a person writes.

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
    except (sa.exc.ArgumentError, ValueError) as error:  # a port that is not a number is a ValueError
        raise UserError("the store is not a database URL", hint=EXAMPLES) from error
    if parsed.drivername in ("postgresql", "postgres"):
        return parsed.set(drivername=_POSTGRESQL_DRIVER)
    if parsed.get_backend_name() != "sqlite" or (parsed.database or "").startswith("file:"):
        return parsed
    if parsed.database in (None, "", ":memory:"):
        raise UserError(
            f"the store must outlive the process, got the in-memory database {text!r}", hint=EXAMPLES
        )
    return parsed.set(database=str(Path(str(parsed.database)).expanduser().absolute()))


def is_sqlite(url: sa.URL) -> bool:
    """Whether a database is a file."""
    return url.get_backend_name() == "sqlite"


def label(url: sa.URL) -> str:
    """The database as people may see it: a file's path, or the URL without its password."""
    return str(url.database) if is_sqlite(url) else url.render_as_string(hide_password=True)


def engine_options(url: sa.URL, timeout: float) -> dict[str, Any]:
    """How an engine waits: `timeout` seconds for a lock; a connection that a server dropped is made anew."""
    if is_sqlite(url):
        return {"connect_args": {"timeout": timeout}}
    options: dict[str, Any] = {"pool_pre_ping": True}
    if url.drivername == _POSTGRESQL_DRIVER:
        own = str(url.query.get("options", ""))
        wait = f"-c lock_timeout={max(1, round(timeout * 1000))}"  # 0 would wait for ever
        options["connect_args"] = {"options": f"{wait} {own}".strip()}
    return options


def connect(url: sa.URL, timeout: float) -> sa.Engine:
    """An engine for our tables, which exist afterwards in their present version.

    Any number of processes may do this at once with a new or an older database: one makes the tables, the others wait.

    Args:
        url: The database.
        timeout: Seconds to wait for a lock that another program holds.

    Raises:
        UserError: There is no driver for this kind of database.
        StoreError: It cannot be opened, or a newer tcs-hpt made it.
    """
    with translated(label(url)):
        path = _sqlite.file_of(url) if is_sqlite(url) else None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            engine = sa.create_engine(url, **engine_options(url, timeout))
        except (ImportError, sa.exc.NoSuchModuleError) as error:
            known = url.drivername == _POSTGRESQL_DRIVER
            install = "Run `pip install 'tcs-hpt[postgresql]'`" if known else "Install it"
            raise UserError(
                f"no driver for the database {label(url)}: {error}", hint=f"{install}, or use a SQLite file."
            ) from error
        if is_sqlite(url):
            _sqlite.set_up(engine, path, timeout)
        try:
            _bring_up(engine, label(url))
        except BaseException:
            engine.dispose()
            raise
        return engine


def _bring_up(engine: sa.Engine, name: str) -> None:
    with reading(engine) as connection:
        found = _migrations.version(connection)
    _migrations.require_known(found, name)
    if found != _tables.SCHEMA_VERSION:
        with writing(engine) as connection:
            _lock(connection, _OPENING)
            _migrations.bring_up(connection, name)


@contextmanager
def reading(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One transaction that sees one moment of the database, whatever others write meanwhile."""
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":  # whose every statement would see another moment
            connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            yield connection


@contextmanager
def writing(engine: sa.Engine) -> Iterator[sa.Connection]:
    """One transaction that is kept whole, or not at all when the block raises."""
    with engine.connect() as connection:
        connection.execution_options(**{_sqlite.WRITE: True})
        with connection.begin():
            yield connection


@contextmanager
def claiming(engine: sa.Engine) -> Iterator[sa.Connection]:
    """As `writing`; one process at a time looks into the queue for something to take."""
    with writing(engine) as connection:
        _lock(connection, _CLAIMING)
        yield connection


@contextmanager
def mirroring(engine: sa.Engine, timeout: float) -> Iterator[None]:
    """Keep all other processes from creating trials in Optuna's tables; a process that dies lets go by itself.

    For SQLite a file beside the database is locked: its own lock would also keep out the connection that writes.
    """
    path = _sqlite.file_of(engine.url) if is_sqlite(engine.url) else None
    if path is not None:
        from filelock import FileLock

        with FileLock(f"{path}-mirror.lock", timeout=timeout, poll_interval=0.005):
            yield
    elif engine.dialect.name == "postgresql":
        with engine.begin() as connection:
            _lock(connection, _MIRRORING)
            yield
    else:
        yield


def _lock(connection: sa.Connection, key: int) -> None:
    """Until the transaction ends; SQLite's writers are alone anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))
