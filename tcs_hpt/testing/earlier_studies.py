"""What every store must tell a new study of the studies before it, as a test class to inherit.

    class TestSqlite(EarlierStudiesContract):
        @pytest.fixture
        def url(self, tmp_path):
            return f"sqlite:///{tmp_path}/studies.db"

Needs pytest. `url` must name an empty database for each test.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa

from tcs_hpt.errors import UserError
from tcs_hpt.evidence.memory import EarlierStudy, Tried
from tcs_hpt.records import Trial
from tcs_hpt.spec import TaskSpec
from tcs_hpt.store import Store
from tcs_hpt.testing.samples import (
    CONFIG,
    MANIFEST,
    as_text,
    failed_trial,
    interrupted_trial,
    rich_trial,
    simple_trial,
    study_spec,
)

NOW = "now"
"""The study that remembers."""


def other_task(name: str, params: dict[str, Any]) -> TaskSpec:
    """A task of another name, with parameters of its own."""
    return TaskSpec.model_validate({**MANIFEST, "name": name, "params": params})


class EarlierStudiesContract:
    """Inherit it and give a fixture `url`."""

    @pytest.fixture
    def store(self, url: str) -> Iterator[Store]:
        """An open, empty store."""
        with Store.open(url) as store:
            yield store

    @staticmethod
    def _enter(store: Store, name: str, *trials: Trial, **changes: Any) -> None:
        store.create_study(study_spec(name).model_copy(update=changes))
        for trial in trials:
            store.save_trial(name, trial)

    @staticmethod
    def _remembered(store: Store, **options: Any) -> list[EarlierStudy]:
        """What a study that begins now is told."""
        if not store.has_study(NOW):
            store.create_study(study_spec(NOW))
        return store.earlier_studies(NOW, **options)

    def test_a_store_without_other_studies_tells_nothing(self, store: Store) -> None:
        """Nor of the study itself."""
        self._enter(store, NOW, simple_trial(1, 0.5), simple_trial(2, 0.6))
        assert store.earlier_studies(NOW) == []
        with pytest.raises(UserError, match="no study 'x'"):
            store.earlier_studies("x")

    def test_start_and_best_come_with_how_many_trials_ended(self, store: Store) -> None:
        """Running and interrupted trials do not count; ties keep the earlier; values keep their types."""
        better = {**CONFIG, "lr": 0.03, "mixed": 1}
        trials = (
            interrupted_trial(1),
            simple_trial(2, 0.5),
            failed_trial(3),
            simple_trial(4, 0.75, config=better),
            rich_trial(5, value=0.625),
            simple_trial(6, 0.75),
            simple_trial(7),
            interrupted_trial(8),
        )
        self._enter(store, "first", *trials, profile="smoke")
        (found,) = self._remembered(store)
        assert found.task == study_spec().task
        assert (found.name, found.profile, found.finished, found.failed) == ("first", "smoke", 4, 1)
        assert found.created_at.endswith("+00:00")
        assert as_text(found.start) == as_text(Tried(2, CONFIG, 0.5))
        assert as_text(found.best) == as_text(Tried(4, better, 0.75))

    def test_the_best_is_the_lowest_where_less_is_better(self, store: Store) -> None:
        """Also beside studies where more is better."""
        trials = [simple_trial(n, value) for n, value in enumerate((0.5, -1.0, 0.75, -1.0), start=1)]
        self._enter(store, "down", *trials, task=study_spec(direction="minimize").task)
        self._enter(store, "up", *trials)
        found = {s.name: s.best for s in self._remembered(store)}
        assert {n: b.number for n, b in found.items() if b is not None} == {"down": 2, "up": 3}

    def test_a_start_that_failed_has_no_score(self, store: Store) -> None:
        """And a study in which all failed has no best; both are told."""
        self._enter(store, "rescued", failed_trial(1), simple_trial(2, 0.5))
        self._enter(store, "failed", failed_trial(1), failed_trial(2))
        failed, rescued = self._remembered(store)
        assert (failed.start.value, failed.best, failed.finished, failed.failed) == (None, None, 0, 2)
        assert (rescued.start.value, rescued.finished) == (None, 1)
        assert rescued.best == Tried(2, CONFIG, 0.5)

    def test_studies_at_their_first_trial_are_left_out(self, store: Store) -> None:
        """With others running already, too: nothing is known of where they began."""
        self._enter(store, "empty")
        self._enter(store, "running", simple_trial(1), simple_trial(2, 0.5))
        self._enter(store, "interrupted", interrupted_trial(1))
        assert self._remembered(store) == []

    def test_studies_of_comparisons_and_later_ones_are_left_out(self, store: Store) -> None:
        """A study that is continued remembers what it remembered at first."""
        self._enter(store, "compared", simple_trial(1, 0.5), comparison="main")
        self._enter(store, "alone", simple_trial(1, 0.5), description='"comparison": "main"')
        before = self._remembered(store)
        self._enter(store, "later", simple_trial(1, 0.5))
        assert [s.name for s in before] == ["alone"]
        assert self._remembered(store) == before

    def test_other_tasks_count_when_they_share_a_parameter(self, store: Store) -> None:
        """Same name and type; what else they must have in common is not the store's business."""
        lr = MANIFEST["params"]["lr"]
        for name, params in {
            "shares": {"lr": lr, "depth": {"type": "int", "low": 1, "high": 9}},
            "other-type": {"lr": {"type": "categorical", "choices": (0.1, 0.2)}},
            "strange": {"eta": lr},
        }.items():
            self._enter(store, name, simple_trial(1, 0.5), task=other_task("t", params))
        self._enter(store, "own", simple_trial(1, 0.5), task=other_task("toy", {"eta": lr}))
        assert [s.name for s in self._remembered(store)] == ["own", "shares"]

    def test_the_newest_come_first_and_own_ones_are_not_crowded_out(self, store: Store) -> None:
        """When not all fit."""
        lr = {"lr": MANIFEST["params"]["lr"]}
        for name in ("own-1", "own-2", "other-1", "own-3", "other-2"):
            task = other_task("t", lr) if name.startswith("other") else study_spec().task
            self._enter(store, name, simple_trial(1, 0.5), task=task)
        for limit, expected in {
            2: ["own-3", "own-2"],
            4: ["other-2", "own-3", "own-2", "own-1"],
            50: ["other-2", "own-3", "other-1", "own-2", "own-1"],
        }.items():
            assert [s.name for s in self._remembered(store, limit=limit)] == expected

    def test_the_number_of_queries_does_not_grow(self, store: Store) -> None:
        """With studies or with trials."""
        self._enter(store, "first", simple_trial(1, 0.5))
        self._remembered(store)
        queries: list[str] = []
        sa.event.listen(store._engine, "before_cursor_execute", lambda *given: queries.append(str(given[2])))
        assert len(store.earlier_studies(NOW)) == 1
        few = sum(query.startswith("SELECT") for query in queries)
        for number in range(2, 6):
            store.save_trial("first", simple_trial(number, 0.5))
        for number in range(3):
            self._enter(store, f"more-{number}", simple_trial(1, 0.5), simple_trial(2, 0.6))
        store.create_study(study_spec("last"))
        queries.clear()
        assert len(store.earlier_studies("last")) == 4
        assert sum(query.startswith("SELECT") for query in queries) == few == 3
