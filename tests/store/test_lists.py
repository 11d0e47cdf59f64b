from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tcs_hpt.records import Trial, incumbent
from tcs_hpt.spec import Direction, Fidelity, StudySpec, TaskSpec
from tcs_hpt.store import Store, _database
from tcs_hpt.testing.samples import MANIFEST, failed_trial, interrupted_trial, simple_trial, study_spec
from tests.store.optuna_view import load_optuna


@contextmanager
def statements(store: Store) -> Iterator[list[str]]:
    """What is asked of the database meanwhile."""
    asked: list[str] = []

    def note(connection: object, cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    sa.event.listen(store._engine, "before_cursor_execute", note)
    yield asked
    sa.event.remove(store._engine, "before_cursor_execute", note)


def test_a_list_is_one_query_that_reads_no_record(store: Store) -> None:
    for number in range(3):
        store.create_study(study_spec(f"s{number}"))
        store.save_trial(f"s{number}", simple_trial(1, 0.5))
    with statements(store) as asked:
        assert len(store.study_rows(limit=2, query="toy").rows) == 2
    selects = [text for text in asked if text.startswith("SELECT")]
    assert len(selects) == 1
    assert "tcs_trial" not in selects[0]
    assert "spec" not in selects[0]


def bounded(direction: Direction) -> StudySpec:
    objective = {
        **MANIFEST["objective"],
        "direction": direction,
        "bounds": [{"metric": "latency", "high": 20.0}],
    }
    return StudySpec(name="first", task=TaskSpec.model_validate({**MANIFEST, "objective": objective}))


def outcome_of(number: int, outcome: str, value: float, *, bounds: bool) -> Trial:
    if outcome == "failed":
        return failed_trial(number)
    if outcome == "interrupted":
        return interrupted_trial(number)
    if outcome == "running":
        return simple_trial(number)
    broken = ("latency <= 20, got 30",) if bounds and outcome == "broke a bound" else ()
    return simple_trial(number, value, violations=broken)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    outcomes=st.lists(
        st.tuples(
            st.sampled_from(["finished", "failed", "interrupted", "running", "broke a bound"]),
            st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1e300]),
        ),
        max_size=6,
    ),
    direction=st.sampled_from(["maximize", "minimize"]),
)
def test_a_line_agrees_with_the_records(
    store: Store, outcomes: list[tuple[str, float]], direction: Direction
) -> None:
    for spec in (study_spec("first", direction=direction), bounded(direction)):
        store.create_study(spec)
        for number, (outcome, value) in enumerate(outcomes, start=1):
            bounds = bool(spec.task.objective.bounds)
            store.save_trial("first", outcome_of(number, outcome, value, bounds=bounds))
        trials = store.load_trials("first")
        row = store.study_row("first")
        best = incumbent(trials, spec.task.objective)
        assert (row.best_trial, row.best) == ((best.number, best.value) if best else (None, None))
        so_far = (incumbent(trials[:n], spec.task.objective) for n in range(1, len(trials) + 1))
        counted = [t.state == "finished" and t.feasible for t in trials]
        expected = [b.value for b, counts in zip(so_far, counted, strict=True) if b is not None and counts]
        assert list(row.trend) == expected
        states = [t.state for t in trials]
        assert row.finished == states.count("finished")
        assert row.failed == states.count("failed")
        assert row.interrupted == states.count("interrupted")
        assert row.running == states.count("running")
        store.delete_study("first")


def test_the_trend_of_a_long_study_is_thinned_and_keeps_its_ends(store: Store) -> None:
    store.create_study(study_spec(trials=100))
    for number in range(1, 101):
        store.save_trial("first", simple_trial(number, number / 100))
    trend = store.study_row("first").trend
    assert len(trend) == 32
    assert (trend[0], trend[-1]) == (0.01, 1.0)
    steps = [b - a for a, b in itertools.pairwise(trend)]
    assert max(steps) < 0.045  # evenly: 99 trials in 31 steps


def test_scores_of_fewer_epochs_are_not_in_the_trend(store: Store) -> None:
    rungs = Fidelity(parameter="epochs", rungs=(1, 4))
    store.create_study(study_spec().model_copy(update={"fidelity": rungs}))
    store.save_trial("first", simple_trial(1, 0.9, fidelity=1))
    store.save_trial("first", simple_trial(2, 0.5))
    assert store.study_row("first").trend == (0.5,)


def test_a_line_that_is_wrong_is_right_after_the_next_trial(any_url: str) -> None:
    with Store.open(any_url) as store:
        store.create_study(study_spec())
        store.save_trial("first", simple_trial(1, 0.5))
        with _database.writing(store._engine) as connection:
            connection.execute(sa.text("UPDATE tcs_summary SET finished = 99, best = 99"))
        store.save_trial("first", simple_trial(2, 0.25))
        row = store.study_row("first")
        assert (row.finished, row.best, row.best_trial) == (2, 0.5, 1)


def test_a_line_that_is_missing_is_computed(any_url: str) -> None:
    with Store.open(any_url) as store:
        store.create_study(study_spec())
        store.save_trial("first", simple_trial(1, 0.5))
        before = store.list_studies()
        with _database.writing(store._engine) as connection:
            connection.execute(sa.text("DELETE FROM tcs_summary"))
        assert store.list_studies() == before


def test_a_declaration_of_another_version_hides_no_study(any_url: str) -> None:
    with Store.open(any_url) as store:
        store.create_study(study_spec("odd"))
        store.create_study(study_spec("first"))
        with _database.writing(store._engine) as connection:
            spec = json.loads(
                connection.scalar(sa.text("SELECT spec FROM tcs_study WHERE name = 'odd'")) or ""
            )
            text = json.dumps(spec | {"colour": "red"})
            connection.execute(sa.text("UPDATE tcs_study SET spec = :a WHERE name = 'odd'"), {"a": text})
        assert [row.name for row in store.list_studies()] == ["first", "odd"]


def test_a_deleted_study_is_gone_for_optuna_too(any_url: str) -> None:
    with Store.open(any_url) as store:
        for name in ("first", "second"):
            store.create_study(study_spec(name))
            store.save_trial(name, simple_trial(1, 0.5))
        store.delete_study("second")
        with pytest.raises(KeyError):
            load_optuna(store, "second")
        assert [t.value for t in load_optuna(store).trials] == [0.5]


def test_a_study_is_deleted_though_optuna_has_lost_it(store: Store) -> None:
    store.create_study(study_spec())
    load_optuna(store)._storage.delete_study(load_optuna(store)._study_id)
    store.delete_study("first")
    assert store.list_studies() == []
