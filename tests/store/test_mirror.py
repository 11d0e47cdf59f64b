from __future__ import annotations

import math
from functools import partial
from typing import Any

import optuna
import pytest
import sqlalchemy as sa
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from tcs_hpt.events import StudyEnded
from tcs_hpt.records import EpochRecord
from tcs_hpt.spec import StudySpec, TaskSpec
from tcs_hpt.store import Store
from tcs_hpt.testing.samples import MANIFEST, interrupted_trial, rich_trial, simple_trial, study_spec
from tests.store.optuna_view import RECORDS, expected, load_optuna, shown


def test_optuna_shows_the_study(store: Store, capfd: pytest.CaptureFixture[str]) -> None:
    store.create_study(study_spec())
    for trial in RECORDS:
        store.save_trial("first", trial)
    study = load_optuna(store)
    assert study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert study.user_attrs == {"task": "toy", "method": "tcs", "metric": "val_accuracy", "seed": 0}
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


def test_optuna_sees_a_trial_while_it_runs(any_url: str) -> None:
    with Store.open(any_url, mirror_seconds=0) as store:
        store.create_study(study_spec(direction="minimize"))
        store.save_trial("first", simple_trial(1))
        for count, epoch in enumerate(rich_trial(1).epochs, start=1):
            store.append_epoch("first", 1, epoch)
            (running,) = load_optuna(store).trials
            assert running.state == TrialState.RUNNING
            assert sorted(running.intermediate_values) == [1, 2][:count]

        store.save_trial("first", simple_trial(1, 0.5, epochs=rich_trial(1).epochs))
        (done,) = load_optuna(store).trials
        assert (done.number, done.state, done.value) == (0, TrialState.COMPLETE, 0.5)
        assert done.user_attrs["metrics"] == {"val_accuracy": 0.5}
        assert load_optuna(store).direction == optuna.study.StudyDirection.MINIMIZE


def curve(*values: float | None) -> tuple[EpochRecord, ...]:
    broken = ("val_accuracy",)
    return tuple(
        EpochRecord(epoch=i, metrics={"val_accuracy": v}, non_finite=broken if v is None else ())
        for i, v in enumerate(values, start=1)
    )


def shown_curve(store: Store) -> dict[int, float | None]:
    (trial,) = load_optuna(store).trials
    return {step: None if math.isnan(v) else v for step, v in trial.intermediate_values.items()}


@pytest.mark.parametrize("table", ["as expected", "changed by a later Optuna"])
def test_fast_epochs_are_shown_together(any_url: str, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if table != "as expected":
        monkeypatch.setattr("tcs_hpt.store._curves._COLUMNS", {"something else"})
    epochs = curve(0.1, None, 0.3, 0.4)
    with Store.open(any_url, mirror_seconds=1e9) as store:
        store.create_study(study_spec())
        store.save_trial("first", simple_trial(1))
        for epoch in epochs:
            store.append_epoch("first", 1, epoch)
        assert shown_curve(store) == {}
        store.save_trial("first", simple_trial(1, 0.5, epochs=epochs))
        assert shown_curve(store) == {1: 0.1, 2: None, 3: 0.3, 4: 0.4}
        assert shown(store) == expected(store.load_trials("first"))
        store.save_trial("first", simple_trial(2, 0.5, epochs=epochs))
        assert load_optuna(store).trials[1].intermediate_values[4] == 0.4


def test_an_epoch_that_is_reported_again_is_shown_anew(any_url: str) -> None:
    again = curve(0.9)[0]
    with Store.open(any_url, mirror_seconds=0) as store:
        store.create_study(study_spec())
        store.save_trial("first", simple_trial(1))
        for epoch in (*curve(0.1, 0.2), again):
            store.append_epoch("first", 1, epoch)
        assert shown_curve(store) == {1: 0.9, 2: 0.2}
        store.save_trial("first", simple_trial(1, 0.5, epochs=(*curve(0.1, 0.2), again)))
        assert shown_curve(store) == {1: 0.9, 2: 0.2}


def test_whole_numbers_beyond_a_float_do_not_confuse_the_mirror(store: Store) -> None:
    manifest = {**MANIFEST, "params": {"steps": {"type": "int", "low": 1, "high": 2**60}}}
    store.create_study(StudySpec(name="first", task=TaskSpec.model_validate(manifest)))
    config = {"steps": 2**53 + 1}
    study_id = load_optuna(store)._study_id
    for number in (1, 2):
        store.save_trial("first", simple_trial(number, config=config))
        store.save_trial("first", simple_trial(number, 0.5, config=config))
        store.save_trial("first", simple_trial(number, 0.5, config=config))
    study = load_optuna(store)
    assert [t.params for t in study.trials] == [{"steps": 2**53}] * 2
    assert study._study_id == study_id  # it was not made anew for each record


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
