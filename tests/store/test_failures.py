from __future__ import annotations

import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tcs_hpt.errors import StoreError
from tcs_hpt.events import StudyEnded
from tcs_hpt.records import EpochRecord
from tcs_hpt.store import Store, _rows
from tcs_hpt.testing.samples import rich_trial, simple_trial, study_spec

# -- locks ----------------------------------------------------------------------------------------------------


@contextmanager
def write_lock(url: str) -> Iterator[sa.Connection]:
    """Another program in the middle of a write to the studies."""
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("LOCK TABLE tcs_study")
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield connection
    engine.dispose()


def test_a_database_that_stays_locked_is_named_as_such(any_url: str) -> None:
    with Store.open(any_url, timeout=0.05) as store:
        store.create_study(study_spec())
        with write_lock(store.url):
            with pytest.raises(StoreError, match="is locked by another program") as caught:
                store.save_trial("first", simple_trial(1))
            assert store.label in str(caught.value)
            assert "Wait until that program is done" in caught.value.hint
        assert store.load_trials("first") == []
        store.save_trial("first", simple_trial(1))
        assert store.load_trials("first") == [simple_trial(1)]


def test_readers_of_a_file_do_not_wait(url: str) -> None:
    with Store.open(url, timeout=0.05) as store:
        store.create_study(study_spec())
        with write_lock(store.url):
            assert store.load_trials("first") == []


def test_a_database_that_is_locked_for_a_moment_is_waited_for(any_url: str) -> None:
    with Store.open(any_url, timeout=30) as store:
        store.create_study(study_spec())
        with write_lock(store.url) as other:
            timer = threading.Timer(0.15, other.rollback)
            timer.start()
            begun = time.monotonic()
            store.save_trial("first", simple_trial(1))
            assert time.monotonic() - begun > 0.1
            timer.join()
        assert store.load_trials("first") == [simple_trial(1)]


@pytest.mark.parametrize("seconds", [0.2, 60])
def test_a_file_that_another_process_writes_is_waited_for_when_it_is_opened(url: str, seconds: float) -> None:
    # SQLite itself does not wait when the journal is changed: https://sqlite.org/pragma.html#pragma_journal_mode
    other = sqlite3.connect(sa.make_url(url).database or "", isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE theirs (id INTEGER)")
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(seconds, other.rollback)
    timer.start()
    try:
        if seconds < 1:
            Store.open(url, timeout=30).close()
        else:
            with pytest.raises(StoreError, match="is locked by another program"):
                Store.open(url, timeout=0.05)
    finally:
        timer.cancel()
        timer.join()
        other.close()


def test_a_mirror_that_stays_locked_is_named_as_such(url: str) -> None:
    with Store.open(url, timeout=0.05) as store, Store.open(url) as other:
        store.create_study(study_spec())
        with other._mirror.alone(), pytest.raises(StoreError, match="is locked by another program"):
            store.save_trial("first", simple_trial(1))
        assert store.load_trials("first") == [simple_trial(1)]  # only Optuna's tables lack it


def test_a_reader_sees_one_moment(any_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = _rows._parts

    def write_in_between(connection: sa.Connection, *asked: Any) -> Any:
        monkeypatch.setattr(_rows, "_parts", parts)
        other.save_trial("first", rich_trial(1))
        return parts(connection, *asked)

    with Store.open(any_url) as store, Store.open(any_url) as other:
        store.create_study(study_spec())
        store.save_trial("first", simple_trial(1))
        monkeypatch.setattr(_rows, "_parts", write_in_between)
        assert store.load_trials("first") == [simple_trial(1)]
        assert store.load_trials("first") == [rich_trial(1)]


# -- disk -----------------------------------------------------------------------------------------------------


def test_a_full_disk_leaves_the_earlier_records_whole(store: Store, tmp_path: Path) -> None:
    store.create_study(study_spec())
    store.save_trial("first", rich_trial(1))
    store.append_event("first", StudyEnded(reason="trials"), "now")
    pages = [(tmp_path / "studies.db").stat().st_size // 4096 + 40]

    def limit(connection: Any, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages[0]}")

    sa.event.listen(store._engine, "checkout", limit)
    huge = rich_trial(1).model_copy(update={"folder": "x" * 4096 * 100})
    for trial in (huge, huge.model_copy(update={"number": 2})):
        with pytest.raises(StoreError, match="the disk is full") as caught:
            store.save_trial("first", trial)
        assert "Free some space" in caught.value.hint
    assert store.load_trials("first") == [rich_trial(1)]
    assert len(store.events("first")) == 1
    pages[0] = 2**30  # somebody made room
    store.save_trial("first", huge)
    assert store.load_trials("first") == [huge]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_file_that_may_not_be_written(store: Store, tmp_path: Path) -> None:
    store.close()
    (tmp_path / "studies.db").chmod(0o400)
    with pytest.raises(StoreError, match="cannot be opened for writing"):
        Store.open(store.url)


def test_a_damaged_file_is_named_as_such(store: Store, tmp_path: Path) -> None:
    store.create_study(study_spec())
    store.close()
    path = tmp_path / "studies.db"
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + b"\xff" * (len(whole) - 100))
    with pytest.raises(StoreError, match="is damaged") as caught:
        Store.open(store.url)
    assert "Restore a copy" in caught.value.hint


def writes(store: Store) -> list[Any]:
    epoch = EpochRecord(epoch=1, metrics={})
    return [
        lambda: store.save_trial("first", simple_trial(1, 0.5)),
        lambda: store.append_epoch("first", 1, epoch),
        lambda: store.append_event("first", StudyEnded(reason="trials"), "now"),
        lambda: store.renew("first", "me", seconds=1.0, now=0.0),
        lambda: store.load_trials("first"),
        lambda: store.repair_mirror("first"),
    ]


def test_a_file_that_is_deleted_under_a_running_engine(store: Store, tmp_path: Path) -> None:
    store.create_study(study_spec())
    store.save_trial("first", simple_trial(1))
    for path in tmp_path.glob("studies.db*"):
        path.unlink()
    for attempt in writes(store):
        with pytest.raises(StoreError, match="was deleted while it was in use") as caught:
            attempt()
        assert caught.value.hint
    assert not (tmp_path / "studies.db").exists()  # no empty database in its place


def test_a_new_connection_does_not_make_a_new_file(store: Store, tmp_path: Path) -> None:
    store.create_study(study_spec())
    with store._engine.connect():  # as another thread would hold it, so that the pool has to open one more
        (tmp_path / "studies.db").unlink()
        with pytest.raises(StoreError, match="was deleted while it was in use"):
            store.load_trials("first")
    assert not (tmp_path / "studies.db").exists()


def test_a_file_that_is_replaced_under_a_running_engine(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "studies.db"
    store.create_study(study_spec())
    store.save_trial("first", simple_trial(1))
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    shutil.copy(path, tmp_path / "copy.db")
    os.replace(tmp_path / "copy.db", path)
    for attempt in writes(store):
        with pytest.raises(StoreError, match="was replaced by another file") as caught:
            attempt()
        assert "Run the same command again" in caught.value.hint
    store.close()
    for leftover in tmp_path.glob("studies.db-[ws]*"):
        leftover.unlink()
    with Store.open(store.url) as again:
        assert again.load_trials("first") == [simple_trial(1)]


def test_a_server_that_drops_its_connections_is_reached_again(
    postgresql_url: str, request: pytest.FixtureRequest
) -> None:
    with Store.open(postgresql_url) as store:
        store.create_study(study_spec())
        store.save_trial("first", simple_trial(1))
        database = sa.make_url(store.url).database
        request.getfixturevalue("postgresql").run(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'"
        )
        store.save_trial("first", simple_trial(1, 0.5))
        assert store.load_trials("first") == [simple_trial(1, 0.5)]
