"""What every store must do, as a test class to inherit.

    class TestSqlite(StoreContract):
        @pytest.fixture
        def url(self, tmp_path):
            return f"sqlite:///{tmp_path}/studies.db"

Needs pytest and Hypothesis. `url` must name an empty database for each test.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tcs_hpt.errors import StoreError, UserError
from tcs_hpt.events import EpochReported, Event, Proposed, StudyEnded, StudyStarted, Thinking, TrialEnded
from tcs_hpt.records import EpochRecord, Trial
from tcs_hpt.spec import Config, StopRules, StudySpec, TaskSpec
from tcs_hpt.store import Store
from tcs_hpt.testing.samples import (
    MANIFEST,
    as_text,
    failed_trial,
    interrupted_trial,
    rich_trial,
    simple_trial,
    study_spec,
    trials,
)


class StoreContract:
    """Inherit it and give a fixture `url`."""

    @pytest.fixture
    def store(self, url: str) -> Iterator[Store]:
        """An open, empty store."""
        with Store.open(url) as store:
            yield store

    def test_a_study_comes_back_as_declared(self, store: Store, url: str) -> None:
        """Also from another store on the same database."""
        spec = study_spec()
        assert not store.has_study("first")
        store.create_study(spec)
        assert store.has_study("first")
        assert as_text(store.get_study("first")) == as_text(spec)
        with Store.open(url) as again:
            assert again.get_study("first") == spec

    def test_a_name_is_taken_once(self, store: Store) -> None:
        """The first declaration stays."""
        store.create_study(study_spec(trials=5))
        with pytest.raises(UserError, match="already a study 'first'") as caught:
            store.create_study(study_spec(trials=7))
        assert "--name" in caught.value.hint
        assert store.get_study("first").trials == 5

    def test_an_unknown_study_is_refused_with_near_names(self, store: Store) -> None:
        """By every method that takes a name."""
        with pytest.raises(UserError, match="no study 'first'") as empty:
            store.get_study("first")
        assert "no studies yet" in empty.value.hint
        store.create_study(study_spec("gcn_cora"))
        store.create_study(study_spec("resnet"))
        with pytest.raises(UserError) as caught:
            store.get_study("gcn_kora")
        assert caught.value.hint == "Did you mean gcn_cora? Studies: resnet, gcn_cora."
        for attempt in (
            lambda: store.load_trials("x"),
            lambda: store.save_trial("x", simple_trial(1)),
            lambda: store.append_epoch("x", 1, EpochRecord(epoch=1, metrics={})),
            lambda: store.append_event("x", StudyEnded(reason="trials"), "now"),
            lambda: store.events("x"),
            lambda: store.update_budgets("x", study_spec()),
        ):
            with pytest.raises(UserError, match="no study 'x'"):
                attempt()

    @pytest.mark.parametrize("name", ["", "a\x00b", "a\ud800b", "x" * 999, "'; DROP TABLE tcs_study; --"])
    def test_a_name_that_no_study_can_have_is_unknown(self, store: Store, name: str) -> None:
        """And no error of the database, whatever a shell hands over."""
        store.create_study(study_spec())
        assert not store.has_study(name)
        with pytest.raises(UserError, match="there is no study"):
            store.get_study(name)
        assert store.has_study("first")

    def test_studies_are_listed_newest_first_with_their_best(self, store: Store) -> None:
        """Failed and running trials have no part in the best score."""
        store.create_study(study_spec("up"))
        store.create_study(study_spec("down", direction="minimize", trials=3))
        store.create_study(study_spec("empty"))
        for name in ("up", "down"):
            for trial in (
                simple_trial(1, 0.5),
                simple_trial(2, 0.75),
                failed_trial(3),
                interrupted_trial(4),
                simple_trial(5),
            ):
                store.save_trial(name, trial)
        rows = store.list_studies()
        assert [(r.name, r.trials, r.finished, r.best) for r in rows] == [
            ("empty", 10, 0, None),
            ("down", 3, 2, 0.5),
            ("up", 10, 2, 0.75),
        ]
        assert {(r.task, r.method, r.created_at[-6:]) for r in rows} == {("toy", "tcs", "+00:00")}

    def test_only_budgets_change(self, store: Store) -> None:
        """Whatever else differs in the declaration that is handed over."""
        spec = study_spec()
        store.create_study(spec)
        other = spec.model_copy(
            update={"trials": 7, "stop": StopRules(seconds=60.0), "keep": "all", "method": "random"}
        )
        store.update_budgets("first", other)
        assert as_text(store.get_study("first")) == as_text(other.model_copy(update={"method": spec.method}))

    def test_trials_come_back_as_they_were(self, store: Store, url: str) -> None:
        """In every state, by number, down to the types of the values, also after reopening."""
        saved = [rich_trial(1), failed_trial(2), interrupted_trial(3), simple_trial(4)]
        store.create_study(study_spec())
        assert store.load_trials("first") == []
        for trial in (saved[2], saved[0], saved[3], saved[1]):
            store.save_trial("first", trial)
        assert store.load_trials("first") == saved
        with Store.open(url) as again:
            assert as_text(again.load_trials("first")) == as_text(saved)

    @settings(
        max_examples=15,
        deadline=None,
        # Every example makes a study of its own, so one store and one class per database are what is wanted.
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(records=st.lists(trials(), max_size=3))
    def test_any_trials_come_back(self, store: Store, records: list[Trial]) -> None:
        """The last record of each number counts."""
        name = uuid.uuid4().hex
        store.create_study(study_spec(name))
        for trial in records:
            store.save_trial(name, trial)
        newest = {t.number: t for t in records}
        assert as_text(store.load_trials(name)) == as_text([newest[n] for n in sorted(newest)])

    def test_numbers_of_any_size_come_back(self, store: Store) -> None:
        """Also where the database, or Optuna's tables in it, have no room for them."""
        huge = 2**53 + 1
        parameter = {"type": "int", "low": 1, "high": 2**60}
        task = TaskSpec.model_validate(
            {**MANIFEST, "params": {"lr": MANIFEST["params"]["lr"], "steps": parameter}}
        )
        store.create_study(StudySpec(name="first", task=task, seed=2**40))
        config: Config = {"lr": 5e-2, "steps": huge}
        epochs = (
            EpochRecord(epoch=huge, metrics={"val_accuracy": 5e-324}),
            EpochRecord(epoch=2**70, metrics={"val_accuracy": 1.7976931348623157e308}),
        )
        running = simple_trial(1, config=config, seed=2**63)
        store.save_trial("first", running)
        for epoch in epochs:
            store.append_epoch("first", 1, epoch)
        assert store.load_trials("first")[0].epochs == epochs
        for value in (5e-324, -1.7976931348623157e308, -0.0):
            ended = simple_trial(1, value, config=config, epochs=epochs)
            store.save_trial("first", ended)
            assert as_text(store.load_trials("first")) == as_text([ended])

    def test_saving_again_replaces_the_whole_record(self, store: Store) -> None:
        """No epoch and no call of the earlier record is left; other trials and studies are untouched."""
        for name in ("first", "second"):
            store.create_study(study_spec(name))
            store.save_trial(name, rich_trial(1))
            store.save_trial(name, rich_trial(2))
        store.save_trial("first", simple_trial(1))
        assert store.load_trials("first") == [simple_trial(1), rich_trial(2)]
        store.save_trial("first", simple_trial(1, 0.5))
        assert store.load_trials("first") == [simple_trial(1, 0.5), rich_trial(2)]
        assert store.load_trials("second") == [rich_trial(1), rich_trial(2)]

    def test_epochs_of_a_running_trial_arrive_one_by_one(self, store: Store) -> None:
        """In the order in which they were reported; the ended record brings its own."""
        store.create_study(study_spec())
        store.save_trial("first", simple_trial(1))
        epochs = rich_trial(1).epochs
        for count, epoch in enumerate(epochs, start=1):
            store.append_epoch("first", 1, epoch)
            assert store.load_trials("first")[0].epochs == epochs[:count]
        ended = simple_trial(1, 0.5, epochs=epochs)
        store.save_trial("first", ended)
        assert store.load_trials("first") == [ended]

    def test_epochs_need_a_running_trial(self, store: Store) -> None:
        """A record that is complete stays as it is."""
        store.create_study(study_spec())
        store.save_trial("first", simple_trial(1, 0.5))
        epoch = EpochRecord(epoch=1, metrics={"loss": 1.0})
        with pytest.raises(StoreError, match="trial 1 of study 'first' is finished"):
            store.append_epoch("first", 1, epoch)
        with pytest.raises(StoreError, match="trial 2 of study 'first' does not exist"):
            store.append_epoch("first", 2, epoch)
        assert store.load_trials("first") == [simple_trial(1, 0.5)]

    def test_events_are_numbered_without_gaps_in_each_study(self, store: Store, url: str) -> None:
        """And come back in order, also only those after a number."""
        spec = study_spec()
        happened: list[Event] = [
            StudyStarted(study=spec, store=url),
            Thinking(number=1, role="bootstrap"),
            EpochReported(number=1, epoch=EpochRecord(epoch=1, metrics={"loss": None}, non_finite=("loss",))),
            TrialEnded(trial=failed_trial(1).model_copy(update={"epochs": ()})),
        ]
        store.create_study(spec)
        store.create_study(study_spec("second"))
        assert store.events("first") == []
        for number, event in enumerate(happened, start=1):
            assert store.append_event("first", event, f"2026-01-01T00:00:0{number}+00:00") == number
            assert store.append_event("second", StudyEnded(reason="trials"), "later") == number
        with Store.open(url) as again:
            assert again.append_event("first", StudyEnded(reason="trials"), "last") == 5
        kept = store.events("first")
        assert as_text([e.event for e in kept]) == as_text([*happened, StudyEnded(reason="trials")])
        assert [(e.seq, e.at[-8:-6]) for e in kept[:4]] == [(1, "01"), (2, "02"), (3, "03"), (4, "04")]
        assert [e.seq for e in store.events("first", after=3)] == [4, 5]
        assert store.events("first", after=5) == []
        assert [e.seq for e in store.events("first", after=1, limit=2)] == [2, 3]
        assert [e.seq for e in store.events("first", kinds=("study_ended", "thinking"))] == [2, 5]

    def test_events_leave_out_what_the_record_holds(self, store: Store) -> None:
        """A stream of events stays light; nothing is lost."""
        trial = rich_trial(1)
        store.create_study(study_spec())
        store.save_trial("first", trial)
        store.append_event("first", Proposed(number=1, proposal=trial.proposal), "now")
        store.append_event("first", TrialEnded(trial=trial), "now")
        proposed, ended = (stored.event for stored in store.events("first"))
        light = trial.proposal.model_copy(update={"calls": ()})
        assert as_text(proposed) == as_text(Proposed(number=1, proposal=light))
        lighter = light.model_copy(update={"report": ""})
        rest = trial.model_copy(update={"proposal": lighter, "epochs": ()})
        assert as_text(ended) == as_text(TrialEnded(trial=rest))
        assert as_text(store.load_trials("first")) == as_text([trial])

    def test_closing_twice_is_fine(self, url: str) -> None:
        """And what was written is there afterwards."""
        store = Store.open(url)
        store.create_study(study_spec())
        store.close()
        store.close()
        with Store.open(url) as again:
            assert again.has_study("first")
