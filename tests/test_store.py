from __future__ import annotations

import math
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from tcs_hpt.errors import StoreError, UserError
from tcs_hpt.events import StudyEnded, Thinking
from tcs_hpt.records import EpochRecord, Trial
from tcs_hpt.store import Store
from tcs_hpt.testing.stores import (
    StoreContract,
    failed_trial,
    interrupted_trial,
    rich_trial,
    simple_trial,
    study_spec,
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/studies.db"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store.open(url) as store:
        yield store


class TestSqlite(StoreContract):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/studies.db"


@pytest.mark.skipif(
    "TCS_HPT_TEST_POSTGRESQL" not in os.environ, reason="TCS_HPT_TEST_POSTGRESQL names no server"
)
class TestPostgresql(StoreContract):
    @pytest.fixture
    def url(self) -> str:
        url = os.environ["TCS_HPT_TEST_POSTGRESQL"]
        engine = sa.create_engine(url)
        with engine.begin() as connection:
            connection.execute(sa.text("DROP SCHEMA public CASCADE"))
            connection.execute(sa.text("CREATE SCHEMA public"))
        engine.dispose()
        return url


# -- where the database is ------------------------------------------------------------------------------------


def test_default_is_a_file_in_the_users_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TCS_HPT_STORE", raising=False)
    monkeypatch.setattr("platformdirs.user_data_dir", lambda name: str(tmp_path / "data" / name))
    with Store.open() as store:
        assert store.label == str(tmp_path / "data" / "tcs-hpt" / "studies.db")
    assert (tmp_path / "data" / "tcs-hpt" / "studies.db").is_file()


def test_environment_chooses_and_an_argument_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TCS_HPT_STORE", str(tmp_path / "a" / "env.db"))
    with Store.open() as store:
        assert store.url == f"sqlite:///{tmp_path}/a/env.db"
    with Store.open(str(tmp_path / "argument.db")) as store:
        assert store.label == str(tmp_path / "argument.db")


def test_relative_paths_are_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for given in ("sqlite:///here.db", "here.db"):
        with Store.open(given) as store:
            assert store.url == f"sqlite:///{tmp_path}/here.db"


def test_odd_characters_in_a_path(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "a {b} %20 ü" / "x.db")) as store:
        store.create_study(study_spec())
        store.save_trial("first", simple_trial(1, 0.5))
        with Store.open(store.url) as again:
            assert again.load_trials("first") == [simple_trial(1, 0.5)]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "given", ["sqlite://", "sqlite:///:memory:", "nonsense://x", "sqlite:/x.db", "http://x"]
)
def test_what_is_no_lasting_database_is_refused(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as caught:
        Store.open(given)
    assert caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("psycopg")
    with pytest.raises(StoreError, match="cannot be reached") as caught:
        Store.open("postgresql+psycopg://me:hunter2@127.0.0.1:1/x?connect_timeout=1")
    assert "hunter2" not in str(caught.value)


# -- what can go wrong ----------------------------------------------------------------------------------------


def test_a_text_file_is_not_a_database_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database\n" * 100)
    with pytest.raises(StoreError, match="is not a database") as caught:
        Store.open(str(path))
    assert "--store" in caught.value.hint
    assert path.read_text() == "not a database\n" * 100


def test_a_path_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="cannot be opened for writing"):
        Store.open(str(tmp_path / "file" / "x.db"))
    with pytest.raises(StoreError, match="cannot be opened for writing"):
        Store.open(str(tmp_path))  # a folder


def test_a_newer_database_is_refused(url: str, tmp_path: Path) -> None:
    Store.open(url).close()
    with sqlite3.connect(tmp_path / "studies.db") as connection:
        connection.execute("UPDATE tcs_schema SET version = 99")
    connection.close()
    with pytest.raises(StoreError, match="made by a newer tcs-hpt") as caught:
        Store.open(url)
    assert "pip install --upgrade" in caught.value.hint


def test_a_locked_database_is_named_as_such(url: str, tmp_path: Path) -> None:
    Store.open(url).close()
    other = sqlite3.connect(tmp_path / "studies.db", isolation_level=None)
    with Store.open(url, timeout=0.05) as store:
        store.create_study(study_spec())
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="is locked by another program"):
            store.save_trial("first", simple_trial(1))
        assert store.load_trials("first") == []  # reading goes on
        other.execute("ROLLBACK")
        store.save_trial("first", simple_trial(1))
    other.close()


def test_a_full_disk_leaves_the_earlier_record_whole(store: Store, tmp_path: Path) -> None:
    store.create_study(study_spec())
    store.save_trial("first", rich_trial(1))
    pages = (tmp_path / "studies.db").stat().st_size // 4096 + 40

    def fill(connection: Any, *_: object) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}")

    sa.event.listen(store._engine, "checkout", fill)
    huge = rich_trial(1).model_copy(update={"folder": "x" * 4096 * 100})
    with pytest.raises(StoreError, match="disk is full"):
        store.save_trial("first", huge)
    assert store.load_trials("first") == [rich_trial(1)]


def test_a_record_of_another_version_is_refused_by_name(store: Store, tmp_path: Path) -> None:
    store.create_study(study_spec())
    store.save_trial("first", simple_trial(1))
    with sqlite3.connect(tmp_path / "studies.db") as connection:
        connection.execute("UPDATE tcs_trial SET record = json_set(record, '$.colour', 'red')")
    connection.close()
    with pytest.raises(StoreError, match="trial 1 cannot be read back: colour"):
        store.load_trials("first")
    assert [row.name for row in store.list_studies()] == ["first"]


def test_a_name_that_an_optuna_study_has_is_refused(store: Store) -> None:
    optuna.create_study(storage=store.url, study_name="first").set_user_attr("mine", True)
    with pytest.raises(UserError, match="tcs-hpt did not make"):
        store.create_study(study_spec())
    assert not store.has_study("first")
    assert load_optuna(store).user_attrs == {"mine": True}


def test_tables_of_another_optuna_are_refused(store: Store, tmp_path: Path) -> None:
    optuna.create_study(storage=store.url, study_name="theirs")
    with sqlite3.connect(tmp_path / "studies.db") as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'v2.6.0.a'")
    connection.close()
    with pytest.raises(StoreError, match="do not fit the installed Optuna") as caught:
        store.create_study(study_spec())
    assert "optuna storage upgrade" in caught.value.hint


# -- Optuna's view --------------------------------------------------------------------------------------------


def load_optuna(store: Store, name: str = "first") -> optuna.Study:
    return optuna.load_study(study_name=name, storage=store.url)


def shown(store: Store) -> list[tuple[int, TrialState, float | None, dict[str, Any]]]:
    """Our number, state, value and configuration, as Optuna's tables have them."""
    trials = load_optuna(store).trials
    return [(t.user_attrs["trial"], t.state, t.values[0] if t.values else None, t.params) for t in trials]


def expected(trials: list[Trial]) -> list[tuple[int, TrialState, float | None, dict[str, Any]]]:
    states = {"finished": TrialState.COMPLETE, "running": TrialState.RUNNING}
    return [
        (
            t.number,
            states.get(t.state, TrialState.FAIL),
            t.value,
            {**t.config, "mixed": repr(t.config["mixed"])},
        )
        for t in trials
    ]


RECORDS = [rich_trial(1), failed_trial(2), interrupted_trial(3), simple_trial(4, 0.25), simple_trial(5)]


def test_optuna_shows_the_study(store: Store, capfd: pytest.CaptureFixture[str]) -> None:
    store.create_study(study_spec())
    for trial in RECORDS:
        store.save_trial("first", trial)
    study = load_optuna(store)
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert study.user_attrs == {"task": "toy", "method": "tcs-paper", "metric": "val_accuracy", "seed": 0}
    assert shown(store) == expected(RECORDS)
    assert [t.number for t in study.trials] == [0, 1, 2, 3, 4]
    assert study.best_value == 0.1 + 0.2

    first, failed, interrupted, *_ = study.trials
    assert first.intermediate_values[1] == 0.25
    assert math.isnan(first.intermediate_values[2])
    assert 3 not in first.intermediate_values  # the epoch did not report the objective
    assert first.user_attrs["source"] == "agents"
    assert first.user_attrs["change"] == "lr: 0.01 -> 0.003"
    assert first.user_attrs["metrics"]["test_accuracy"] == 5e-324
    assert first.duration is not None
    assert first.duration.total_seconds() == 12.5
    assert type(first.params["nesterov"]) is bool
    assert type(first.params["layers"]) is int
    assert failed.user_attrs["failure"] == "crashed: exit code 1"
    assert "interrupted" not in failed.user_attrs
    assert interrupted.user_attrs["interrupted"] is True
    for optuna_trial in study.trials:
        optuna_trial._validate()  # Optuna's own check: every value is inside its distribution
    distributions = first.distributions
    assert distributions["lr"] == optuna.distributions.FloatDistribution(1e-6, 0.1, log=True)
    assert distributions["dropout"] == optuna.distributions.FloatDistribution(0.0, 0.5, step=0.1)
    assert distributions["width"] == optuna.distributions.IntDistribution(8, 56, step=8)
    assert distributions["optimizer"] == optuna.distributions.CategoricalDistribution(("adam", "sgd"))
    assert capfd.readouterr() == ("", "")


def test_optuna_sees_a_trial_while_it_runs(store: Store) -> None:
    store.create_study(study_spec(direction="minimize"))
    store.save_trial("first", simple_trial(1))
    for epoch in rich_trial(1).epochs:
        store.append_epoch("first", 1, epoch)
    (running,) = load_optuna(store).trials
    assert running.state == TrialState.RUNNING
    assert sorted(running.intermediate_values) == [1, 2]

    store.save_trial("first", simple_trial(1, 0.5, epochs=rich_trial(1).epochs))
    (done,) = load_optuna(store).trials
    assert (done.number, done.state, done.value) == (0, TrialState.COMPLETE, 0.5)
    assert done.user_attrs["metrics"] == {"val_accuracy": 0.5}
    assert load_optuna(store).direction == optuna.study.StudyDirection.MINIMIZE


@pytest.mark.parametrize(
    "broken", ["create_new_study", "create_new_trial", "set_trial_state_values", "set_trial_user_attr"]
)
def test_a_mirror_left_behind_is_repaired_by_the_next_write(
    url: str, broken: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    first, second = simple_trial(1, 0.5), simple_trial(2, 0.75, epochs=rich_trial(1).epochs)
    with Store.open(url) as store, monkeypatch.context() as patch:
        if broken != "create_new_study":
            store.create_study(study_spec())
            store.save_trial("first", first)
            if broken != "create_new_trial":
                store.save_trial("first", simple_trial(2))
        patch.setattr(RDBStorage, broken, die)
        last_act = partial(store.save_trial, "first", second)
        if broken == "create_new_study":
            last_act = partial(store.create_study, study_spec())
        with pytest.raises(KeyboardInterrupt):
            last_act()

    with Store.open(url) as store:
        if broken == "create_new_study":
            store.save_trial("first", first)
            store.save_trial("first", second)
        else:
            assert store.load_trials("first") == [first, second]  # the record does not need the mirror
            assert shown(store) != expected([first, second])
            store.append_event("first", StudyEnded(reason="trials"), "now")
        assert shown(store) == expected([first, second])
        assert sorted(load_optuna(store).trials[1].intermediate_values) == [1, 2]


def test_a_deleted_mirror_is_made_again(store: Store) -> None:
    store.create_study(study_spec())
    for trial in RECORDS[:4]:
        store.save_trial("first", trial)
    optuna.delete_study(study_name="first", storage=store.url)
    store.save_trial("first", RECORDS[4])  # the same store, which had written the mirror itself
    assert shown(store) == expected(RECORDS)
    optuna.delete_study(study_name="first", storage=store.url)
    store.repair_mirror("first")
    assert shown(store) == expected(RECORDS)


def test_an_ended_trial_that_changes_is_shown_changed(store: Store) -> None:
    store.create_study(study_spec())
    store.save_trial("first", simple_trial(1, 0.5))
    store.save_trial("first", interrupted_trial(2))
    study = load_optuna(store)
    study.add_trial(optuna.trial.create_trial(value=0.1, user_attrs={"by": "somebody"}))
    study._storage.set_study_system_attr(study._study_id, "dashboard:note", "keep me")

    store.save_trial("first", simple_trial(2))
    store.save_trial("first", simple_trial(2, 0.75))
    trials = load_optuna(store).trials
    assert [(t.state.name, t.value) for t in trials] == [
        ("COMPLETE", 0.5),
        ("COMPLETE", 0.75),
        ("COMPLETE", 0.1),
    ]
    assert trials[2].user_attrs == {"by": "somebody"}
    assert load_optuna(store)._storage.get_study_system_attrs(load_optuna(store)._study_id) == {
        "dashboard:note": "keep me"
    }


def test_reading_leaves_the_mirror_alone(url: str) -> None:
    with Store.open(url) as store:
        store.create_study(study_spec())
        store.save_trial("first", simple_trial(1, 0.5))
    optuna.delete_study(study_name="first", storage=url)
    with Store.open(url) as store:
        store.get_study("first")
        store.load_trials("first")
        store.list_studies()
        store.events("first")
    assert optuna.get_all_study_names(url) == []


# -- several at once ------------------------------------------------------------------------------------------


def test_threads_share_a_store(store: Store) -> None:
    store.create_study(study_spec())
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            store.save_trial("first", simple_trial(number))
            for epoch in (1, 2):
                store.append_epoch("first", number, EpochRecord(epoch=epoch, metrics={"val_accuracy": 0.1}))
                store.append_event("first", Thinking(number=number, role="analysis"), "now")
            epochs = store.load_trials("first")[number - 1 :][:1]
            store.save_trial(
                "first", simple_trial(number, number / 8, epochs=epochs[0].epochs if epochs else ())
            )
        except BaseException as error:
            failures.append(error)
            raise

    threads = [threading.Thread(target=work, args=(n,)) for n in (1, 2, 3, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [(t.number, t.value) for t in store.load_trials("first")] == [(n, n / 8) for n in (1, 2, 3, 4)]
    assert [e.seq for e in store.events("first")] == list(range(1, 9))
    assert sorted(t.value or 0 for t in load_optuna(store).trials) == [n / 8 for n in (1, 2, 3, 4)]


@pytest.mark.parametrize(
    "error",
    [
        sa.exc.IntegrityError("INSERT", None, Exception("UNIQUE constraint failed: alembic_version")),
        sa.exc.OperationalError("CREATE", None, Exception("table studies already exists")),
    ],
)
def test_another_process_makes_optunas_tables_first(
    store: Store, error: sa.exc.DBAPIError, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = RDBStorage.__init__
    begun: list[str] = []

    def lose_the_race(self: RDBStorage, url: str, **options: Any) -> None:
        begun.append(url)
        if len(begun) == 1:
            raise error
        begin(self, url, **options)

    monkeypatch.setattr(RDBStorage, "__init__", lose_the_race)
    store.create_study(study_spec())
    store.save_trial("first", simple_trial(1, 0.5))
    assert len(begun) == 2
    assert load_optuna(store).best_value == 0.5


APPEND = """
import sys
from tcs_hpt.events import StudyEnded
from tcs_hpt.store import Store
from tcs_hpt.testing.stores import study_spec
with Store.open(sys.argv[1]) as store:
    store.create_study(study_spec(sys.argv[2]))
    for _ in range(20):
        store.append_event("shared", StudyEnded(reason="trials"), "now")
"""


def test_processes_share_a_database(url: str) -> None:
    with Store.open(url) as store:
        store.create_study(study_spec("shared"))
        processes = [
            subprocess.Popen([sys.executable, "-c", APPEND, url, name], stderr=subprocess.PIPE, text=True)
            for name in ("a", "b")
        ]
        assert [p.communicate()[1] for p in processes] == ["", ""]
        assert [e.seq for e in store.events("shared")] == list(range(1, 41))
        assert {row.name for row in store.list_studies()} == {"shared", "a", "b"}


SAVE = """
import sys
from tcs_hpt.store import Store
from tcs_hpt.testing.stores import rich_trial, simple_trial, study_spec
with Store.open(sys.argv[1]) as store:
    store.create_study(study_spec())
    print("ready", flush=True)
    for number in range(1, 10_000):
        store.save_trial("first", simple_trial(number))
        store.save_trial("first", rich_trial(number))
"""


def test_a_killed_writer_leaves_whole_records(url: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", SAVE, url], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.3)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with Store.open(url) as store:
        trials = store.load_trials("first")
        assert len(trials) > 1
        assert trials[:-1] == [rich_trial(n) for n in range(1, len(trials))]
        assert trials[-1] in (simple_trial(len(trials)), rich_trial(len(trials)))
        store.repair_mirror("first")
        assert shown(store) == expected(trials)


def test_importing_the_store_does_not_import_optuna() -> None:
    code = "import sys, tcs_hpt.store, tcs_hpt.statistics; print([m for m in ('optuna', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
