"""What every store must do when studies are listed, read in parts and deleted, as a test class to inherit.

    class TestSqlite(ListContract):
        @pytest.fixture
        def url(self, tmp_path):
            return f"sqlite:///{tmp_path}/studies.db"

Needs pytest. `url` must name an empty database for each test.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tcs_hpt.errors import UserError
from tcs_hpt.events import StudyEnded
from tcs_hpt.records import EpochRecord
from tcs_hpt.store import Store, WrongState
from tcs_hpt.testing.leases import LENGTH, NOON
from tcs_hpt.testing.queue import LAUNCH, claim, enter, entry_of
from tcs_hpt.testing.samples import failed_trial, interrupted_trial, rich_trial, simple_trial, study_spec


class ListContract:
    """Inherit it and give a fixture `url`."""

    @pytest.fixture
    def stores(self, url: str) -> Iterator[tuple[Store, Store]]:
        """Two stores on one database."""
        with Store.open(url) as a, Store.open(url) as b:
            yield a, b

    def test_a_line_says_all_that_a_list_shows(self, stores: tuple[Store, Store]) -> None:
        """Counts by state, the best trial, the newest event, the place in the queue."""
        a, b = stores
        enter(a, "first")
        empty = b.study_row("first")
        assert (empty.best, empty.best_trial, empty.last_event, empty.done) == (None, None, 0, 0)
        assert empty.updated_at == empty.created_at
        for trial in (
            simple_trial(1, 0.5),
            simple_trial(2, 0.75),
            failed_trial(3),
            interrupted_trial(4),
            simple_trial(5, 0.75),
        ):
            a.save_trial("first", trial)
        assert a.start_trial("first", simple_trial(6), "engine", seconds=LENGTH, now=NOON)
        a.append_event("first", StudyEnded(reason="interrupted"), "2026-01-02T03:04:05+00:00")
        assert claim(a, "w") == "first"
        row = b.study_row("first")
        assert (row.finished, row.failed, row.interrupted, row.running, row.done) == (3, 1, 1, 1, 4)
        assert (row.best, row.best_trial) == (0.75, 2)  # the earlier of two that are equal
        assert (row.metric, row.direction, row.target, row.trials) == ("val_accuracy", "maximize", 0.9, 10)
        assert (row.last_event, row.updated_at) == (1, "2026-01-02T03:04:05+00:00")
        assert row.engine_until == NOON + LENGTH
        assert row.entry == entry_of(b, "first")
        a.save_trial("first", failed_trial(2))
        assert (b.study_row("first").best, b.study_row("first").best_trial) == (0.75, 5)

    def test_a_line_follows_the_declaration(self, stores: tuple[Store, Store]) -> None:
        """Budgets that change, and models that were opened later."""
        a, b = stores
        enter(a, "first")
        a.update_budgets("first", study_spec("first", trials=7))
        a.name_models("first", "embedded:a", "embedded:b")
        row = b.study_row("first")
        assert (row.trials, row.model) == (7, "embedded:a (analysis), embedded:b (optimizer)")
        assert b.get_study("first").optimizer_model == "embedded:b"
        with pytest.raises(WrongState, match="has its models already"):
            a.name_models("first", "embedded:c", "embedded:c")

    def test_the_list_comes_in_parts(self, stores: tuple[Store, Store]) -> None:
        """Newest first; what is entered meanwhile moves nothing."""
        a, b = stores
        for number in range(5):
            a.create_study(study_spec(f"s{number}"))
        first = b.study_rows(limit=2)
        assert [r.name for r in first.rows] == ["s4", "s3"]
        a.create_study(study_spec("s5"))
        second = b.study_rows(limit=2, after=first.next)
        assert [r.name for r in second.rows] == ["s2", "s1"]
        last = b.study_rows(limit=2, after=second.next)
        assert ([r.name for r in last.rows], last.next) == (["s0"], "")
        whole = b.study_rows(limit=6)
        assert (list(whole.rows), whole.next) == (b.list_studies(), "")
        for wrong in ("x", "-1", "1.5", "9" * 40, "²"):
            with pytest.raises(UserError, match="not the end of a part"):
                b.study_rows(after=wrong)

    def test_the_list_is_searched(self, stores: tuple[Store, Store]) -> None:
        """By text in any case, taken as it is, and by state."""
        a, b = stores
        for name in ("Alpha", "beta", "a_b"):
            a.create_study(study_spec(name))
        a.enqueue("beta", LAUNCH, now=NOON)

        def names(query: str = "", states: tuple[str, ...] = ()) -> list[str]:
            return [r.name for r in b.study_rows(query=query, states=states).rows]

        assert names(query="ALPHA") == ["Alpha"]
        assert names(query="TOY") == ["a_b", "beta", "Alpha"]  # the task
        assert names(query="_") == ["a_b"]
        assert names(query="%") == []
        assert names(query="'; DROP TABLE tcs_study; --") == []
        assert names(states=("queued",)) == ["beta"]
        assert names(states=("",)) == ["a_b", "Alpha"]
        assert names(states=("", "queued"), query="a") == ["a_b", "beta", "Alpha"]

    def test_trials_come_in_parts(self, stores: tuple[Store, Store]) -> None:
        """Complete ones."""
        a, b = stores
        a.create_study(study_spec("first"))
        saved = [rich_trial(1), failed_trial(2), rich_trial(4)]
        for trial in saved:
            a.save_trial("first", trial)
        assert b.load_trials("first", limit=2) == saved[:2]
        assert b.load_trials("first", after=2, limit=2) == saved[2:]
        assert b.load_trials("first", after=4) == []
        assert b.load_trials("first", limit=0) == []

    # -- deleting -------------------------------------------------------------------------------------------

    def test_a_study_is_deleted_with_everything(self, stores: tuple[Store, Store]) -> None:
        """And nothing else; its name is free again, also for who has seen the old one."""
        a, b = stores
        for name in ("first", "second"):
            enter(a, name)
            a.save_trial(name, rich_trial(1))
            a.append_event(name, StudyEnded(reason="trials"), "now")
        b.save_trial("first", simple_trial(2))
        a.delete_study("first", now=NOON)
        assert not b.has_study("first")
        assert [e.name for e in b.queue()] == ["second"]
        assert b.load_trials("second") == [rich_trial(1)]
        a.create_study(study_spec("first"))
        for store in (b, a):
            assert store.load_trials("first") == []
            assert store.events("first") == []
            assert store.queue_entry("first") is None
        b.save_trial("first", simple_trial(1))
        b.append_epoch("first", 1, EpochRecord(epoch=1, metrics={"val_accuracy": 0.5}))
        assert a.study_row("first").running == 1

    def test_a_study_that_runs_is_not_deleted(self, stores: tuple[Store, Store]) -> None:
        """By a worker or in a terminal; when either is gone, it can be."""
        a, b = stores
        enter(a, "claimed")
        assert claim(a, "w") == "claimed"
        a.create_study(study_spec("terminal"))
        assert a.start_trial("terminal", simple_trial(1), "engine", seconds=LENGTH, now=NOON)
        with pytest.raises(WrongState, match=r"'claimed' is running \(here, device cpu\)"):
            b.delete_study("claimed", now=NOON)
        with pytest.raises(WrongState, match="somebody runs trials of study 'terminal'"):
            b.delete_study("terminal", now=NOON)
        assert len(b.load_trials("terminal")) == 1
        for name in ("claimed", "terminal"):
            b.delete_study(name, now=NOON + LENGTH)
        assert b.list_studies() == []
