"""What every store must do, as a test class to inherit, and rich records to do it with.

    class TestSqlite(StoreContract):
        @pytest.fixture
        def url(self, tmp_path):
            return f"sqlite:///{tmp_path}/studies.db"

Needs pytest and Hypothesis. `url` must name an empty database for each test.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tcs_hpt.errors import StoreError, UserError
from tcs_hpt.events import EpochReported, Event, Proposed, StudyEnded, StudyStarted, Thinking, TrialEnded
from tcs_hpt.records import (
    Analysis,
    Decision,
    EpochRecord,
    Failure,
    Message,
    ModelCall,
    Proposal,
    Rejected,
    Trial,
    Usage,
)
from tcs_hpt.spec import Config, Direction, StopRules, StudySpec, TaskSpec
from tcs_hpt.store import Store

MANIFEST: dict[str, Any] = {
    "schema": 1,
    "name": "toy",
    "command": ("{python}", "train.py"),
    "objective": {"metric": "val_accuracy", "direction": "maximize", "target": 0.9},
    "params": {
        "lr": {"type": "float", "low": 1e-6, "high": 0.1, "log": True, "default": 0.01},
        "dropout": {"type": "float", "low": 0.0, "high": 0.55, "step": 0.1},
        "layers": {"type": "int", "low": 1, "high": 5},
        "width": {"type": "int", "low": 8, "high": 63, "step": 8},
        "units": {"type": "int", "low": 1, "high": 4096, "log": True},
        "optimizer": {"type": "categorical", "choices": ("adam", "sgd")},
        "momentum": {"type": "float", "low": 0.5, "high": 0.99, "when": {"optimizer": ("sgd",)}},
        "nesterov": {"type": "categorical", "choices": (True, False), "when": {"optimizer": ("sgd",)}},
        "batch_size": {"type": "categorical", "choices": (32, 64, 128)},
        "mixed": {"type": "categorical", "choices": (True, 1, 0.5, "auto")},
    },
    "fixed": {"patience": 10, "scale": 1.0, "verbose": False},
    "limits": {"trial_seconds": 60.0},
    "profiles": {"smoke": {"fixed": {"patience": 1}, "params": {"layers": {"high": 2}}}},
}
"""A task with every kind of parameter; `mixed` has choices that Python takes for equal."""


def study_spec(name: str = "first", *, direction: Direction = "maximize", trials: int = 10) -> StudySpec:
    """A study of the task above."""
    objective = {**MANIFEST["objective"], "direction": direction}
    task = TaskSpec.model_validate({**MANIFEST, "objective": objective})
    return StudySpec(name=name, task=task, trials=trials, description="Größe zählt 🙂")


CONFIG: dict[str, Any] = {
    "lr": 0.003,
    "dropout": 0.30000000000000004,
    "layers": 3,
    "width": 56,
    "units": 100,
    "optimizer": "adam",
    "batch_size": 64,
    "mixed": True,
}
"""A configuration in which `momentum` and `nesterov` are not active."""


def simple_trial(number: int, value: float | None = None, **changes: Any) -> Trial:
    """A trial with few details: finished with `value`, or running without one.

    Args:
        number: Its number.
        value: Its score.
        changes: Other fields of the record.
    """
    fields: dict[str, Any] = {
        "number": number,
        "config": CONFIG,
        "state": "running" if value is None else "finished",
        "proposal": Proposal(config=CONFIG, source="start"),
        "value": value,
        "metrics": {} if value is None else {"val_accuracy": value},
    }
    return Trial.model_validate(fields | changes)


def rich_trial(number: int, **changes: Any) -> Trial:
    """A finished trial in which every field holds something that a careless store would lose."""
    config = {**CONFIG, "optimizer": "sgd", "momentum": 0.9, "nesterov": False, "mixed": 1}
    call = ModelCall(
        role="optimizer",
        model="embedded:toy",
        template="optimizer.v1",
        template_sha256="0" * 64,
        messages=(Message(role="system", content="Prüfe\x00 das"), Message(role="user", content="'; DROP")),
        reply='{"change": "lr: 0.01 -> 0.003"',
        thoughts="hm\u2028 ...",
        prompt_tokens=7,
        completion_tokens=3,
        seconds=0.1 + 0.2,
        seed=2**40,
        temperature=0.7,
        problems=("the reply ends too early",),
    )
    proposal = Proposal(
        config=config,
        source="agents",
        reason="the loss 📉 still falls",
        base_trial=1,
        change="lr: 0.01 -> 0.003",
        options=("lr: 0.01 -> 0.003", "dropout: 0.2 -> 0.3"),
        analysis=Analysis(
            problem_diagnosis="underfitting",
            impact_assessment={"lr": "high", "dropout": "low"},
            primary_action="lr",
            specific_recommendation="lr: 0.01 -> 0.003",
            reasoning="it oscillates",
            expected_outcome="improves",
        ),
        fallback="the answer could not be read",
        calls=(call, call.model_copy(update={"attempt": 2, "problems": ()})),
        rejected=(
            Rejected(attempt=1, config={"lr": math.inf, "x": [1, 1.0, {"y": None}]}, reasons=("range",)),
        ),
        decision=Decision(accepted=True),
        report="# State\nlr 0.01",
        seconds=1.5,
    )
    fields: dict[str, Any] = {
        "number": number,
        "config": config,
        "state": "finished",
        "proposal": proposal,
        "value": 0.1 + 0.2,
        "metrics": {"val_accuracy": 0.1 + 0.2, "test_accuracy": 5e-324, "broken": None},
        "epochs": (
            EpochRecord(epoch=1, metrics={"val_accuracy": 0.25, "loss": 1e300}),
            EpochRecord(epoch=2, metrics={"val_accuracy": None, "loss": 1.0}, non_finite=("val_accuracy",)),
            EpochRecord(epoch=3, metrics={"loss": -0.0}),
        ),
        "usage": Usage(wall_seconds=12.5, cpu_seconds=11.0, peak_memory_mb=512.0, exit_code=0),
        "seed": 3,
        "folder": "/somewhere/trial 1",
        "started_at": "2026-01-02T03:04:05+00:00",
        "replicate_of": 1,
    }
    return Trial.model_validate(fields | changes)


def failed_trial(number: int) -> Trial:
    """A trial that crashed in its second epoch."""
    failure = Failure(kind="crashed", message="exit code 1", stderr='Traceback ...\n  "ß"')
    epochs = (EpochRecord(epoch=1, metrics={"val_accuracy": 0.2}),)
    return simple_trial(number, state="failed", failure=failure, epochs=epochs)


def interrupted_trial(number: int) -> Trial:
    """A trial that somebody ended."""
    failure = Failure(kind="interrupted", message="ended by the user")
    return simple_trial(number, state="interrupted", failure=failure)


def as_text(records: object) -> str:
    """Records with the types of all values, which `==` does not tell apart: True from 1, 1 from 1.0."""
    return repr(records)


_numbers = st.floats(allow_nan=False, allow_infinity=False)
_texts = st.text(max_size=20)
_metrics = st.dictionaries(st.sampled_from(["val_accuracy", "loss", "test_f1"]), st.none() | _numbers)
_epochs = st.lists(st.builds(EpochRecord, epoch=st.integers(0, 9), metrics=_metrics), max_size=4)


@st.composite
def trials(draw: st.DrawFn) -> Trial:
    """Trials of `study_spec` in any state, with a valid configuration and arbitrary texts and numbers."""
    config: dict[str, Any] = {
        "lr": draw(st.floats(1e-6, 0.1)),
        "dropout": draw(st.integers(0, 5)) * 0.1,
        "layers": draw(st.integers(1, 5)),
        "width": draw(st.integers(1, 7)) * 8,
        "units": draw(st.integers(1, 4096)),
        "optimizer": draw(st.sampled_from(["adam", "sgd"])),
        "batch_size": draw(st.sampled_from([32, 64, 128])),
        "mixed": draw(st.sampled_from([True, 1, 0.5, "auto"])),
    }
    if config["optimizer"] == "sgd":
        config |= {"momentum": draw(st.floats(0.5, 0.99)), "nesterov": draw(st.booleans())}
    state = draw(st.sampled_from(["running", "finished", "failed", "interrupted"]))
    failure = Failure(kind="crashed", message=draw(_texts), stderr=draw(_texts))
    return Trial(
        number=draw(st.integers(1, 5)),
        config=config,
        state=state,
        proposal=Proposal(config=config, source="random", reason=draw(_texts), report=draw(_texts)),
        value=draw(_numbers) if state == "finished" else None,
        metrics=draw(_metrics),
        epochs=tuple(draw(_epochs)),
        failure=failure if state in ("failed", "interrupted") else None,
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
