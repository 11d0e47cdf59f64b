from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tcs_hpt.errors import StoreError
from tcs_hpt.events import StudyEnded, Thinking
from tcs_hpt.records import EpochRecord
from tcs_hpt.store import Store, _database, _migrations, _tables
from tcs_hpt.testing.samples import simple_trial
from tests.store.at_once import run_at_once

VERSION_1 = (
    "CREATE TABLE tcs_schema (version INTEGER NOT NULL, PRIMARY KEY (version))",
    """
    CREATE TABLE tcs_study (
        id {serial} NOT NULL, name VARCHAR(255) NOT NULL, spec TEXT NOT NULL, created_at VARCHAR(40) NOT NULL,
        PRIMARY KEY (id), UNIQUE (name)
    )
    """,
    """
    CREATE TABLE tcs_trial (
        study_id INTEGER NOT NULL, number INTEGER NOT NULL, state VARCHAR(16) NOT NULL, value {double},
        record TEXT NOT NULL, PRIMARY KEY (study_id, number),
        FOREIGN KEY(study_id) REFERENCES tcs_study (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE TABLE tcs_event (
        study_id INTEGER NOT NULL, seq INTEGER NOT NULL, at VARCHAR(40) NOT NULL, kind VARCHAR(32) NOT NULL,
        record TEXT NOT NULL, PRIMARY KEY (study_id, seq),
        FOREIGN KEY(study_id) REFERENCES tcs_study (id) ON DELETE CASCADE
    )
    """,
    *(
        f"""
        CREATE TABLE {name} (
            study_id INTEGER NOT NULL, number INTEGER NOT NULL, position INTEGER NOT NULL, record TEXT NOT NULL,
            PRIMARY KEY (study_id, number, position),
            FOREIGN KEY(study_id, number) REFERENCES tcs_trial (study_id, number) ON DELETE CASCADE
        )
        """
        for name in ("tcs_epoch", "tcs_model_call")
    ),
    "INSERT INTO tcs_schema VALUES (1)",
)
"""The tables as the first version made them."""

STUDY = {
    "name": "old",
    "task": {
        "schema": 1,
        "name": "toy",
        "command": ["{python}", "train.py"],
        "objective": {"metric": "val_accuracy", "direction": "maximize", "target": None},
        "params": {"lr": {"type": "float", "low": 1e-6, "high": 0.1, "log": True, "default": 0.01}},
    },
    "method": "random",
    "trials": 5,
}


def trial_record(number: int, state: str, value: float | None) -> dict[str, object]:
    return {
        "number": number,
        "config": {"lr": 0.01},
        "state": state,
        "proposal": {"config": {"lr": 0.01}, "source": "start", "rejected": []},
        "value": value,
        "metrics": {} if value is None else {"val_accuracy": value},
        "usage": {"wall_seconds": 1.5, "cpu_seconds": 1.0, "peak_memory_mb": 64.0, "exit_code": 0},
    }


def version_1(url: str) -> None:
    """A database of the first version with a study in it: a finished trial, and one that was running."""
    engine = sa.create_engine(_database.resolve(url))
    epoch = json.dumps({"epoch": 1, "metrics": {"val_accuracy": 0.25}, "non_finite": []})
    server = engine.dialect.name == "postgresql"
    types = (
        {"serial": "SERIAL", "double": "DOUBLE PRECISION"}
        if server
        else {"serial": "INTEGER", "double": "DOUBLE"}
    )
    with engine.begin() as connection:
        for statement in VERSION_1:
            connection.exec_driver_sql(statement.format(**types))
        for statement, *values in (
            (
                "INSERT INTO tcs_study (name, spec, created_at) VALUES ('old', :a, '2026-01-01T00:00:00+00:00')",
                json.dumps(STUDY),
            ),
            (
                "INSERT INTO tcs_trial VALUES (1, 1, 'finished', 0.5, :a)",
                json.dumps(trial_record(1, "finished", 0.5)),
            ),
            (
                "INSERT INTO tcs_trial VALUES (1, 2, 'running', NULL, :a)",
                json.dumps(trial_record(2, "running", None)),
            ),
            ("INSERT INTO tcs_epoch VALUES (1, 1, 0, :a)", epoch),
            (
                "INSERT INTO tcs_event VALUES (1, 1, 'then', 'study_ended', :a)",
                json.dumps({"kind": "study_ended", "reason": "interrupted"}),
            ),
        ):
            connection.execute(sa.text(statement), {"a": values[0]})
    engine.dispose()


def columns(url: str) -> dict[str, list[Any]]:
    """What is in our tables' declarations."""
    engine = sa.create_engine(_database.resolve(url))
    inspector = sa.inspect(engine)
    found = {
        table: [
            # SQLite keeps the words of a declaration, and has one type for these two.
            *(
                (c["name"], str(c["type"]).replace("REAL", "DOUBLE"), c["nullable"])
                for c in inspector.get_columns(table)
            ),
            tuple(inspector.get_pk_constraint(table)["constrained_columns"]),
            *(
                (*k["constrained_columns"], k["referred_table"], *k["referred_columns"], str(k["options"]))
                for k in inspector.get_foreign_keys(table)
            ),
        ]
        for table in inspector.get_table_names()
        if table.startswith("tcs_")
    }
    engine.dispose()
    return found


def indexes(url: str) -> list[Any]:
    """The indexes that were made by name."""
    engine = sa.create_engine(_database.resolve(url))
    inspector = sa.inspect(engine)
    found = [
        (table, index["name"], index["column_names"])
        for table in sorted(inspector.get_table_names())
        for index in inspector.get_indexes(table)
        if str(index["name"]).startswith("tcs_") and not index.get("duplicates_constraint")
    ]
    engine.dispose()
    return found


def test_an_old_database_is_read_and_goes_on(any_url: str) -> None:
    version_1(any_url)
    with Store.open(any_url) as store:
        (row,) = store.list_studies()
        assert (row.name, row.finished, row.best, row.trials) == ("old", 1, 0.5, 5)
        assert (row.running, row.best_trial, row.method, row.last_event) == (1, 1, "random", 1)
        store.enqueue("old", "{}", now=0.0)
        assert store.study_row("old").entry == store.queue_entry("old")
        assert store.get_study("old").stop.failures == 5  # a field that came later has its default
        done, running = store.load_trials("old")
        assert done.epochs == (EpochRecord(epoch=1, metrics={"val_accuracy": 0.25}),)
        assert (done.value, done.usage.wall_seconds, running.state) == (0.5, 1.5, "running")
        assert [e.event for e in store.events("old")] == [StudyEnded(reason="interrupted")]

        assert store.leases("old") == []
        assert store.acquire("old", 2, "me", seconds=60, now=0.0)
        ended = running.model_copy(update={"state": "finished", "value": 0.75})
        store.save_trial("old", ended, "me")
        assert store.reserve_number("old", "me", seconds=60, now=0.0) == 3
        assert store.append_event("old", Thinking(number=3, role="analysis"), "now") == 2
        assert store.start_trial("old", simple_trial(3, config={"lr": 0.1}), "me", seconds=60, now=0.0)
    with Store.open(any_url) as store:
        assert [t.value for t in store.load_trials("old")] == [0.5, 0.75, None]


def test_an_old_database_gets_the_tables_of_a_new_one(
    any_url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    version_1(any_url)
    Store.open(any_url).close()
    if any_url.startswith("sqlite"):
        new = f"sqlite:///{tmp_path}/new.db"
    else:
        new = request.getfixturevalue("postgresql_url")
    Store.open(new).close()
    assert columns(any_url) == columns(new)
    assert len(columns(new)["tcs_lease"]) > 7
    assert indexes(any_url) == indexes(new) != []


def test_every_version_has_a_step() -> None:
    assert sorted(_migrations.STEPS) == list(range(1, _tables.SCHEMA_VERSION))


@pytest.mark.parametrize("at", [0, 1])
def test_a_step_that_fails_changes_nothing(any_url: str, at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    version_1(any_url)
    before = columns(any_url)
    statements = list(_migrations.STEPS[1])
    statements.insert(at, "CREATE TABLE tcs_half (id INTEGER)")
    statements.append("INSERT INTO tcs_missing VALUES (1)")
    with monkeypatch.context() as patch:
        patch.setattr(_migrations, "STEPS", {1: statements})
        with pytest.raises(StoreError, match="cannot be used"):
            Store.open(any_url)
    assert columns(any_url) == before
    with Store.open(any_url) as store:
        assert len(store.load_trials("old")) == 2


def test_a_newer_database_is_refused_and_stays_as_it_is(url: str, tmp_path: Path) -> None:
    Store.open(url).close()
    with sqlite3.connect(tmp_path / "studies.db") as connection:
        connection.execute("UPDATE tcs_schema SET version = 99")
    connection.close()
    before = (tmp_path / "studies.db").read_bytes()
    with pytest.raises(StoreError, match="made by a newer tcs-hpt") as caught:
        Store.open(url)
    assert "pip install --upgrade" in caught.value.hint
    assert (tmp_path / "studies.db").read_bytes() == before


OPEN = """
url, name = arguments
with Store.open(url) as store:
    store.create_study(study_spec(name))
    store.save_trial(name, simple_trial(1, 0.5))
"""


@pytest.mark.parametrize("old", [False, True])
def test_processes_open_at_once(any_url: str, old: bool) -> None:
    if old:
        version_1(any_url)
    names = ["a", "b", "c"]
    assert run_at_once(OPEN, *([any_url, name] for name in names)) == ""
    with Store.open(any_url) as store:
        assert {row.name for row in store.list_studies()} == {*names, *(["old"] if old else [])}
        assert all(len(store.load_trials(name)) == 1 for name in names)
    engine = sa.create_engine(_database.resolve(any_url))
    with engine.connect() as connection:
        assert connection.scalars(sa.select(_tables.schema.c.version)).all() == [_tables.SCHEMA_VERSION]
    engine.dispose()
