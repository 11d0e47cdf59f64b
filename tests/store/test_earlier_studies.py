from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tcs_hpt.evidence.memory import recall
from tcs_hpt.spec import Bound, Fidelity, StudySpec
from tcs_hpt.store import Store
from tcs_hpt.testing.earlier_studies import EarlierStudiesContract
from tcs_hpt.testing.samples import CONFIG, simple_trial, study_spec
from tests.store.optuna_view import load_optuna


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


def bounded_spec(name: str) -> StudySpec:
    task = study_spec().task
    bound = Bound(metric="latency_ms", high=20)
    objective = task.objective.model_copy(update={"bounds": (bound,)})
    return study_spec(name).model_copy(update={"task": task.model_copy(update={"objective": objective})})


def test_a_trial_that_breaks_a_bound_is_not_the_best(store: Store) -> None:
    store.create_study(bounded_spec("first"))
    slow = ("latency_ms <= 20, got 30",)
    store.save_trial("first", simple_trial(1, 0.5))
    store.save_trial("first", simple_trial(2, 0.9, violations=slow, config={**CONFIG, "lr": 0.03}))
    store.save_trial("first", simple_trial(3, 0.6, config={**CONFIG, "lr": 0.001}))
    store.create_study(bounded_spec("second"))
    (earlier,) = store.earlier_studies("second")
    assert earlier.best is not None
    assert (earlier.best.number, earlier.best.value, earlier.finished) == (3, 0.6, 3)
    assert [(r.name, r.best) for r in store.list_studies()] == [("second", None), ("first", 0.6)]
    values = recall(bounded_spec("second"), [earlier]).values
    assert [v.value for v in values] == [0.001]


def test_a_start_that_breaks_a_bound_counts_as_failed_and_a_study_of_such_trials_has_no_best(
    store: Store,
) -> None:
    slow = ("latency_ms <= 20, got 30",)
    for name, third in (("none", slow), ("one", ())):
        store.create_study(bounded_spec(name))
        for number, violations in enumerate((slow, slow, third), start=1):
            store.save_trial(name, simple_trial(number, 0.9 - 0.1 * number, violations=violations))
    store.create_study(bounded_spec("present"))
    one, none = store.earlier_studies("present")
    assert (none.start.value, none.best) == (None, None)
    assert one.start.value is None
    assert one.best is not None
    assert one.best.number == 3
    assert {r.name: r.best for r in store.list_studies()}["none"] is None


def test_only_trials_with_all_epochs_are_remembered(store: Store) -> None:
    rungs = Fidelity(parameter="epochs", rungs=(3, 9, 27))
    store.create_study(study_spec("first", trials=3).model_copy(update={"fidelity": rungs}))
    good = {**CONFIG, "lr": 0.03}
    for trial in (
        simple_trial(1, 0.4, fidelity=3),
        simple_trial(2, 0.5, promoted_from=1),
        simple_trial(3, 0.8, fidelity=3, config={**CONFIG, "lr": 0.001}),
        simple_trial(4, 0.45, fidelity=3, config=good),
        simple_trial(5, 0.55, fidelity=9, promoted_from=4, config=good),
        simple_trial(6, 0.7, promoted_from=5, config=good),
    ):
        store.save_trial("first", trial)
    store.create_study(study_spec("second"))
    (earlier,) = store.earlier_studies("second")
    assert (earlier.start.number, earlier.start.value) == (2, 0.5)
    assert earlier.best is not None
    assert (earlier.best.number, earlier.best.value) == (6, 0.7)
    assert (earlier.finished, earlier.failed) == (6, 0)
    listed = next(r for r in store.list_studies() if r.name == "first")
    assert (listed.best, listed.finished, listed.trials) == (0.7, 6, rungs.runs(3))


def test_optuna_is_told_that_a_trial_had_not_all_its_epochs(store: Store) -> None:
    rungs = Fidelity(parameter="epochs", rungs=(3, 27))
    store.create_study(study_spec("first", trials=2).model_copy(update={"fidelity": rungs}))
    store.save_trial("first", simple_trial(1, 0.9, fidelity=3))
    store.save_trial("first", simple_trial(2, 0.5, promoted_from=1))
    shown = load_optuna(store)
    assert [(t.state.name, t.value) for t in shown.trials] == [("PRUNED", 0.9), ("COMPLETE", 0.5)]
    assert shown.best_value == 0.5
    assert [t.user_attrs.get("fidelity") for t in shown.trials] == [3, None]


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
