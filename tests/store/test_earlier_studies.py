from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tcs_hpt.evidence.memory import recall
from tcs_hpt.store import Store
from tcs_hpt.testing.earlier_studies import EarlierStudiesContract
from tcs_hpt.testing.stores import CONFIG, simple_trial, study_spec


class TestOnSqlite(EarlierStudiesContract):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/studies.db"


class TestOnPostgresql(EarlierStudiesContract):
    @pytest.fixture
    def url(self, postgresql_url: str) -> str:
        return postgresql_url


def test_what_a_store_tells_is_what_memory_takes(store: Store) -> None:
    store.create_study(study_spec("first"))
    for number, (value, lr) in enumerate(((0.5, 0.01), (0.6, 0.003), (0.55, 0.03)), start=1):
        store.save_trial("first", simple_trial(number, value, config={**CONFIG, "lr": lr}))
    present = study_spec("second")
    store.create_study(present)
    memory = recall(present, store.earlier_studies("second"))
    assert [v.reason for v in memory.values] == ["lr 0.003 was best in an earlier study of this task."]
    assert [c.config for c in memory.configurations] == [{**CONFIG, "dropout": 0.3, "lr": 0.003}]


def test_a_declaration_of_another_version_hides_no_other_study(store: Store, tmp_path: Path) -> None:
    for name in ("older", "stranger"):
        store.create_study(study_spec(name))
        store.save_trial(name, simple_trial(1, 0.5))
    store.create_study(study_spec("present"))
    with sqlite3.connect(tmp_path / "studies.db") as connection:
        query = "SELECT spec FROM tcs_study WHERE name = 'stranger'"
        spec = json.loads(connection.execute(query).fetchone()[0])
        spec["task"]["new_field"] = 1
        connection.execute("UPDATE tcs_study SET spec = ? WHERE name = 'stranger'", (json.dumps(spec),))
    connection.close()
    assert [s.name for s in store.earlier_studies("present")] == ["older"]
