from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tcs_hpt.errors import UserError
from tcs_hpt.events import Event, StopAsked
from tcs_hpt.execution import Job, RunResult
from tcs_hpt.llm.scripted import ScriptedModel, first_choice
from tcs_hpt.loop import Study, prepare
from tcs_hpt.proposers import AgentsProposer, ExpertProposer, ProposalContext, Proposer, RandomProposer
from tcs_hpt.records import EpochRecord, Failure, Proposal, Trial, Usage
from tcs_hpt.space import SearchSpace, format_value
from tcs_hpt.store import Store
from tests.build import study as make_spec
from tests.build import task


class FakeExecutor:
    """Scores a configuration at once: the closer `lr` is to 0.1, the better. Fails where it is told to."""

    def __init__(self, fail: Callable[[Job], bool] = lambda job: False) -> None:
        self.jobs: list[Job] = []
        self.fail = fail
        self.interrupted = False

    def run(self, job: Job, on_epoch: Callable[[EpochRecord], None]) -> RunResult:
        self.jobs.append(job)
        if self.fail(job):
            return RunResult(
                "failed", None, {}, (), Failure(kind="crashed", message="boom"), Usage(exit_code=1)
            )
        lr = float(job.config.get("lr", 0.001))
        value = 1.0 - abs(lr - 0.1)
        epochs = tuple(EpochRecord(epoch=i, metrics={"val_accuracy": value * i / 3}) for i in (1, 2, 3))
        for epoch in epochs:
            on_epoch(epoch)
        return RunResult("finished", value, {"val_accuracy": value}, epochs, None, Usage(wall_seconds=0.1))

    def interrupt(self) -> None:
        self.interrupted = True

    def kill(self) -> None:
        self.interrupted = True


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "studies.db")) as database:
        yield database


def make(store: Store, tmp_path: Path, proposer: Proposer, executor: Any = None, **changes: Any) -> Study:
    spec = prepare(make_spec(**changes), store)
    return Study(
        spec=spec,
        task_folder=tmp_path,
        folder=tmp_path / "studies",
        store=store,
        proposer=proposer,
        executor=executor or FakeExecutor(),
        now=lambda: "2026-01-01T00:00:00+00:00",
    )


def test_a_study_runs_its_trials_and_records_everything(store: Store, tmp_path: Path) -> None:
    model = ScriptedModel(then=first_choice)
    study = make(store, tmp_path, AgentsProposer(model, model), trials=4)
    seen: list[Event] = []
    study.watchers = [seen.append]
    assert study.run() == "trials"
    trials = study.trials
    assert [t.number for t in trials] == [1, 2, 3, 4]
    assert [t.proposal.source for t in trials] == ["start", "agents", "agents", "agents"]
    assert all(len(t.epochs) == 3 and t.state == "finished" for t in trials)
    assert all(t.proposal.seconds > 0 for t in trials)
    assert [e.event.kind for e in store.events("s")] == [e.kind for e in seen]
    kinds = [e.kind for e in seen]
    assert kinds[0] == "study_started"
    assert kinds[-1] == "study_ended"
    assert kinds.count("trial_ended") == 4
    assert kinds.index("analysed") < kinds.index("proposed") < kinds.index("trial_started")


def test_a_failing_trial_is_a_record_and_the_study_goes_on(store: Store, tmp_path: Path) -> None:
    executor = FakeExecutor(fail=lambda job: job.number == 2)
    study = make(store, tmp_path, ExpertProposer(), executor, trials=4)
    assert study.run() == "trials"
    assert [t.state for t in study.trials] == ["finished", "failed", "finished", "finished"]


def test_the_training_seed_is_the_study_seed(store: Store, tmp_path: Path) -> None:
    executor = FakeExecutor()
    make(store, tmp_path, ExpertProposer(), executor, trials=2, seed=7).run()
    assert [j.seed for j in executor.jobs] == [7, 7]


def test_a_space_without_anything_left_ends_the_study_as_exhausted(store: Store, tmp_path: Path) -> None:
    spec = task({"o": {"type": "categorical", "choices": ["a", "b", "c"]}})
    for method, proposer in [("expert", ExpertProposer()), ("random", RandomProposer())]:
        study = make(store, tmp_path, proposer, name=method, task=spec)  # type: ignore[arg-type]
        assert study.run() == "exhausted"
        assert sorted(str(t.config["o"]) for t in study.trials) == ["a", "b", "c"]


def test_with_everything_fixed_the_study_is_one_trial(store: Store, tmp_path: Path) -> None:
    spec = task().narrowed(fix=SearchSpace(task().params).defaults())
    executor = FakeExecutor()
    study = make(store, tmp_path, ExpertProposer(), executor, task=spec)
    assert study.run() == "exhausted"
    assert [t.config for t in study.trials] == [{}]
    assert executor.jobs[0].task.fixed["lr"] == 0.001


def test_continuing_a_study_gives_what_an_unbroken_run_gives(store: Store, tmp_path: Path) -> None:
    def configs(name: str, *budgets: int) -> list[Any]:
        for budget in budgets:
            model = ScriptedModel(then=first_choice)
            study = make(store, tmp_path, AgentsProposer(model, model), name=name, trials=budget)
            assert study.run() == "trials"
        return [t.config for t in store.load_trials(name)]

    assert configs("broken", 2, 3, 6) == configs("whole", 6)


def test_no_finished_trial_runs_again_and_an_interrupted_one_does(store: Store, tmp_path: Path) -> None:
    first = make(store, tmp_path, ExpertProposer(), trials=2)
    first.run()
    last = first.trials[-1]
    store.save_trial(
        "s", last.model_copy(update={"state": "running", "value": None, "metrics": {}})
    )  # engine died
    executor = FakeExecutor()
    again = make(store, tmp_path, ExpertProposer(), executor, trials=3)
    assert again.run() == "trials"
    assert [t.state for t in again.trials] == ["finished", "interrupted", "finished", "finished"]
    assert again.trials[1].failure is not None
    assert executor.jobs[0].config == last.config
    assert [j.number for j in executor.jobs] == [3, 4]


def test_a_changed_study_is_refused_with_the_difference(store: Store, tmp_path: Path) -> None:
    make(store, tmp_path, ExpertProposer(), trials=2)
    with pytest.raises(UserError, match="seed was 0, now 3"):
        prepare(make_spec(seed=3), store)
    with pytest.raises(UserError, match=r"task\.params\.lr"):
        prepare(make_spec(task({"lr": {"type": "float", "low": 0.1, "high": 1.0}})), store)
    assert prepare(make_spec(trials=20), store).trials == 20
    assert store.get_study("s").trials == 20


def test_an_invalid_configuration_does_not_pass_the_last_door(store: Store, tmp_path: Path) -> None:
    class Rogue:
        def propose(self, context: ProposalContext) -> Proposal:
            return Proposal(config={"lr": 99.0}, source="rogue")

    executor = FakeExecutor()
    with pytest.raises(AssertionError, match="invalid configuration"):
        make(store, tmp_path, Rogue(), executor).run()
    assert executor.jobs == []


def test_ctrl_c_while_training_ends_the_trial_and_records_it(store: Store, tmp_path: Path) -> None:
    class Slow(FakeExecutor):
        def run(self, job: Job, on_epoch: Callable[[EpochRecord], None]) -> RunResult:
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
            deadline = time.monotonic() + 10
            while not self.interrupted and time.monotonic() < deadline:
                time.sleep(0.01)
            failure = Failure(kind="interrupted", message="interrupted")
            return RunResult("interrupted", None, {}, (), failure, Usage())

    study = make(store, tmp_path, ExpertProposer(), Slow())
    before = signal.getsignal(signal.SIGINT)
    assert study.run() == "interrupted"
    assert [t.state for t in study.trials] == ["interrupted"]
    assert signal.getsignal(signal.SIGINT) is before


def test_ctrl_c_while_a_finished_trial_is_saved_loses_nothing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make(store, tmp_path, ExpertProposer(), trials=3)
    save = Store.save_trial

    def interrupted_save(self: Store, *args: Any, **kwargs: Any) -> None:
        monkeypatch.setattr(Store, "save_trial", save)
        os.kill(os.getpid(), signal.SIGINT)
        save(self, *args, **kwargs)

    monkeypatch.setattr(Store, "save_trial", interrupted_save)
    assert study.run() == "interrupted"
    assert [t.state for t in study.trials] == ["finished"]


def test_ctrl_c_while_thinking_ends_the_study_at_once(store: Store, tmp_path: Path) -> None:
    class Thinker:
        def propose(self, context: ProposalContext) -> Proposal:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(10)
            raise AssertionError("never reached")

    study = make(store, tmp_path, Thinker())
    began = time.monotonic()
    assert study.run() == "interrupted"
    assert time.monotonic() - began < 5
    assert study.trials == []


def test_an_interrupted_trial_goes_on_from_the_checkpoint_of_its_script(store: Store, tmp_path: Path) -> None:
    """The next try works in a folder of its own; what the script kept is there, and a log of the first try is not."""

    class Executor(FakeExecutor):
        def run(self, job: Job, on_epoch: Callable[[EpochRecord], None]) -> RunResult:
            if job.number == 1:
                job.folder.mkdir(parents=True)
                (job.folder / "checkpoint.pt").write_text("epoch 3")
                (job.folder / "stdout.log").write_text("...")
                study.stop()
                failure = Failure(kind="interrupted", message="interrupted")
                return RunResult("interrupted", None, {}, (), failure, Usage())
            self.found = sorted(p.name for p in job.folder.iterdir())
            assert (job.folder / "checkpoint.pt").read_text() == "epoch 3"
            return super().run(job, on_epoch)

    executor = Executor()
    study = make(store, tmp_path, ExpertProposer(), executor, trials=1)
    assert study.run() == "interrupted"
    again = make(store, tmp_path, ExpertProposer(), executor, trials=1)
    assert again.run() == "trials"
    assert [t.state for t in again.trials] == ["interrupted", "finished"]
    assert executor.found == ["checkpoint.pt"]
    assert not (tmp_path / "studies" / "trial_0001" / "checkpoint.pt").exists()


def test_a_later_study_remembers_an_earlier_one_unless_told_not_to(store: Store, tmp_path: Path) -> None:
    def second(name: str, **changes: Any) -> Study:
        study = make(store, tmp_path, ExpertProposer(), name=name, trials=2, **changes)
        study.run()
        return study

    first = make(store, tmp_path, ExpertProposer(), trials=6)
    first.run()
    assert first.memory is not None
    assert first.memory.studies == ()
    remembering = second("remembering")
    assert remembering.memory is not None
    assert [r.study.name for r in remembering.memory.studies] == ["s"]
    remembered = remembering.memory.values[0]
    offered = f"{remembered.parameter}: "
    assert any(
        o.startswith(offered) and o.endswith(f"-> {format_value(remembered.value)}")
        for o in remembering.trials[1].proposal.options
    )
    forgetful = second("forgetful", memory=False)
    assert forgetful.memory is None
    compared = second("compared", comparison="c")
    assert compared.memory is None
    assert [t.config for t in forgetful.trials] == [t.config for t in compared.trials]


@pytest.mark.parametrize("start", ["defaults", "cold"])
@pytest.mark.parametrize("method", ["expert", "coin", "random", "tcs-paper"])
def test_every_method_is_reproducible(store: Store, tmp_path: Path, method: str, start: str) -> None:
    from tcs_hpt.proposers import make_proposer

    def configs(name: str, seed: int) -> list[Any]:
        model = ScriptedModel(then=first_choice)
        proposer = make_proposer(method, analysis_model=model, optimizer_model=model)
        study = make(store, tmp_path, proposer, name=name, seed=seed, start=start, trials=4, memory=False)
        study.run()
        return [t.config for t in study.trials]

    first = configs("a", 1)
    assert configs("b", 1) == first
    space = SearchSpace(task().params)
    assert all(space.contains(c) for c in first)
    if start == "defaults":
        assert first[0] == space.defaults()
    if method in ("coin", "random"):
        assert configs("c", 2) != first


class PatientExecutor(FakeExecutor):
    """Trains ten epochs unless it is asked to stop, as a script does that looks at `should_stop()`."""

    def run(self, job: Job, on_epoch: Callable[[EpochRecord], None]) -> RunResult:
        self.jobs.append(job)
        top = 0.9 if job.number <= 4 else 0.3
        epochs = []
        for i in range(1, 11):
            epochs.append(EpochRecord(epoch=i, metrics={"val_accuracy": top * (1 - 0.5**i)}))
            on_epoch(epochs[-1])
            if (job.folder / "stop").exists():
                break
        value = epochs[-1].metrics["val_accuracy"]
        return RunResult("finished", value, {"val_accuracy": value}, tuple(epochs), None, Usage())


def test_a_trial_that_is_not_worth_its_time_is_asked_to_stop(store: Store, tmp_path: Path) -> None:
    seen: list[Event] = []
    study = make(store, tmp_path, RandomProposer(), PatientExecutor(), trials=6, prune="median")
    for number in range(1, 7):
        (tmp_path / "s" / f"trial_{number:04d}").mkdir(parents=True)
    study.folder = tmp_path / "s"
    study.watchers = [seen.append]
    study.run()
    trials = store.load_trials(study.spec.name)
    assert [len(t.epochs) for t in trials] == [10, 10, 10, 10, 2, 2]
    assert [bool(t.stopped_early) for t in trials] == [False] * 4 + [True] * 2
    assert "worse than the median" in trials[4].stopped_early
    asked = [e for e in seen if isinstance(e, StopAsked)]
    assert [(e.number, e.epoch) for e in asked] == [(5, 2), (6, 2)]
    assert asked[0].reason == trials[4].stopped_early
    assert trials[4].value is not None


def test_an_engine_that_waits_seldom_looks_at_the_trials(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A study of many trials takes long to read, and reading it all the time would cost the training its core."""
    load, reading = store.load_trials, []

    def slow(name: str) -> list[Trial]:
        time.sleep(0.1)
        reading.append(name)
        return load(name)

    class Slow(FakeExecutor):
        def run(self, job: Job, on_epoch: Callable[[EpochRecord], None]) -> RunResult:
            before = len(reading)
            time.sleep(1.5)
            looks.append(len(reading) - before)
            return super().run(job, on_epoch)

    looks: list[int] = []
    monkeypatch.setattr(store, "load_trials", slow)
    assert make(store, tmp_path, RandomProposer(), Slow(), trials=1).run() == "trials"
    assert looks[0] <= 2  # one after the start; a look every 0.2 seconds would be five


def test_a_proposer_that_has_nothing_left_is_not_asked_until_something_ends(
    store: Store, tmp_path: Path
) -> None:
    asked = []

    class Empty(RandomProposer):
        def propose(self, context: ProposalContext) -> Proposal | None:
            asked.append(context.number)
            return super().propose(context) if context.number == 1 else None

    class Slow(FakeExecutor):
        def run(self, job: Job, on_epoch: Callable[[EpochRecord], None]) -> RunResult:
            time.sleep(1.0)
            return super().run(job, on_epoch)

    study = make(store, tmp_path, Empty(), Slow(), trials=4)
    study.jobs = 2
    assert study.run() == "exhausted"
    assert asked.count(1) == 1
    assert len(asked) <= 4
