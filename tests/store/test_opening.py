from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from tcs_hpt.errors import StoreError, UserError
from tcs_hpt.store import Store
from tcs_hpt.testing.samples import simple_trial, study_spec
from tests.store.optuna_view import load_optuna

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


def test_password_is_not_shown() -> None:
    for given in ("postgresql://", "postgresql+psycopg://"):
        with pytest.raises(StoreError, match="cannot be reached") as caught:
            Store.open(f"{given}me:hunter2@127.0.0.1:1/x?connect_timeout=1")
        assert "hunter2" not in str(caught.value)


def test_any_name_of_postgresql_means_the_same_driver(postgresql_url: str) -> None:
    for scheme in ("postgresql", "postgres", "postgresql+psycopg"):
        with Store.open(postgresql_url.replace("postgresql", scheme, 1)) as store:
            assert store.url.startswith("postgresql+psycopg://tcs@/")
            assert store.label.startswith("postgresql+psycopg://tcs@/")


def test_options_in_the_url_win(postgresql_url: str) -> None:
    with Store.open(f"{postgresql_url}&options=-c%20lock_timeout%3D1234") as store:
        with store._engine.connect() as connection:
            assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "1234ms"
        store.create_study(study_spec())
        storage = store._mirror._storage
        assert storage is not None
        with storage.engine.connect() as connection:
            assert connection.exec_driver_sql("SHOW lock_timeout").scalar() == "1234ms"


def test_a_missing_driver_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UserError, match="no driver for the database") as caught:
        Store.open("postgresql://me:hunter2@127.0.0.1:1/x")
    assert "pip install 'tcs-hpt[postgresql]'" in caught.value.hint
    assert "hunter2" not in str(caught.value)


def test_an_unknown_port_is_refused() -> None:
    with pytest.raises(UserError, match="not a database URL") as caught:
        Store.open("postgresql://me:hunter2@host:port/x")
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


def test_importing_the_store_does_not_import_optuna() -> None:
    code = "import sys, tcs_hpt.store, tcs_hpt.statistics; print([m for m in ('optuna', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
