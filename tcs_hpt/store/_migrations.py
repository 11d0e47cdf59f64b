"""Bringing a database to the version of the tables that this tcs-hpt reads, in one transaction.

A step is written as plain SQL that SQLite and PostgreSQL both understand, and never changes once it was released:
it must do the same thing when later versions of `_tables.py` look different.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from tcs_hpt.errors import StoreError
from tcs_hpt.store import _summaries, _tables

STEPS: Mapping[int, Sequence[str]] = {
    1: (
        """
        CREATE TABLE tcs_lease (
            study_id INTEGER NOT NULL,
            number INTEGER NOT NULL,
            owner VARCHAR(255) NOT NULL,
            engine_pid BIGINT NOT NULL,
            host VARCHAR(255) NOT NULL,
            heartbeat DOUBLE PRECISION NOT NULL,
            expires_at DOUBLE PRECISION NOT NULL,
            PRIMARY KEY (study_id, number),
            FOREIGN KEY(study_id) REFERENCES tcs_study (id) ON DELETE CASCADE
        )
        """,
    ),
    2: (
        "CREATE INDEX tcs_trial_scores ON tcs_trial (study_id, state, value, number)",
        """
        CREATE TABLE tcs_summary (
            study_id INTEGER NOT NULL,
            task TEXT NOT NULL,
            title TEXT NOT NULL,
            method TEXT NOT NULL,
            model TEXT NOT NULL,
            metric TEXT NOT NULL,
            direction VARCHAR(16) NOT NULL,
            target DOUBLE PRECISION,
            comparison TEXT NOT NULL,
            trials INTEGER NOT NULL,
            finished INTEGER NOT NULL,
            failed INTEGER NOT NULL,
            interrupted INTEGER NOT NULL,
            running INTEGER NOT NULL,
            best DOUBLE PRECISION,
            best_trial INTEGER,
            PRIMARY KEY (study_id),
            FOREIGN KEY(study_id) REFERENCES tcs_study (id) ON DELETE CASCADE
        )
        """,
        """
        CREATE TABLE tcs_queue (
            study_id INTEGER NOT NULL,
            state VARCHAR(16) NOT NULL,
            wanted VARCHAR(8) NOT NULL,
            launch TEXT NOT NULL,
            entered_at DOUBLE PRECISION NOT NULL,
            worker VARCHAR(255) NOT NULL,
            host VARCHAR(255) NOT NULL,
            device VARCHAR(64) NOT NULL,
            heartbeat DOUBLE PRECISION NOT NULL,
            expires_at DOUBLE PRECISION NOT NULL,
            deaths INTEGER NOT NULL,
            message TEXT NOT NULL,
            PRIMARY KEY (study_id),
            FOREIGN KEY(study_id) REFERENCES tcs_study (id) ON DELETE CASCADE
        )
        """,
        """
        CREATE TABLE tcs_worker (
            name VARCHAR(255) NOT NULL,
            host VARCHAR(255) NOT NULL,
            devices TEXT NOT NULL,
            slots INTEGER NOT NULL,
            heartbeat DOUBLE PRECISION NOT NULL,
            expires_at DOUBLE PRECISION NOT NULL,
            PRIMARY KEY (name)
        )
        """,
    ),
    3: ("ALTER TABLE tcs_summary ADD COLUMN trend TEXT NOT NULL DEFAULT '[]'",),
}
"""What leads from each version to the next."""


def version(connection: sa.Connection) -> int | None:
    """The version of our tables; None when there are none."""
    if not sa.inspect(connection).has_table(_tables.schema.name):
        return None
    return connection.scalar(sa.select(_tables.schema.c.version))


def require_known(found: int | None, name: str) -> None:
    """Check that this tcs-hpt knows a version.

    Args:
        found: A version, or None.
        name: The database, as people may see it.

    Raises:
        StoreError: It is a later one.
    """
    if found is not None and found > _tables.SCHEMA_VERSION:
        raise StoreError(
            f"{name} was made by a newer tcs-hpt: its tables have version {found}, "
            f"this one knows {_tables.SCHEMA_VERSION}",
            hint="Upgrade with `pip install --upgrade tcs-hpt`, or choose another database with --store.",
        )


def bring_up(connection: sa.Connection, name: str) -> None:
    """Make our tables, or bring older ones to the present version; nothing happens where they are.

    Args:
        connection: In a transaction that keeps every other process out.
        name: The database, as people may see it.

    Raises:
        StoreError: A newer tcs-hpt made the tables.
    """
    found = version(connection)
    require_known(found, name)
    if found is None:
        _tables.metadata.create_all(connection)
        connection.execute(_tables.schema.insert().values(version=_tables.SCHEMA_VERSION))
        return
    for step in range(found, _tables.SCHEMA_VERSION):
        for statement in STEPS[step]:
            connection.execute(sa.text(statement))
    if found < _tables.SCHEMA_VERSION:
        _summaries.refresh_all(
            connection
        )  # not a step: it is computed from the records, by the code that reads it
    connection.execute(_tables.schema.update().values(version=_tables.SCHEMA_VERSION))
