from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tcs_hpt.compare import ModelPool, StudyBegan, TaskEntry, TrialOver, recorded, studies_of
from tcs_hpt.errors import ModelUnavailable, TaskError, UserError
from tcs_hpt.execution import Job
from tcs_hpt.llm import ChatReply, ChatRequest
from tcs_hpt.llm.scripted import ScriptedModel, first_choice
from tcs_hpt.records import ordered
from tcs_hpt.store import Store
from tests.build import task
from tests.comparing import TRIALS, Executor, World, scripted


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Store.open(str(tmp_path / "studies.db")) as store:
        yield World(tmp_path, store)


# -- running ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("jobs", [1, 3])
def test_every_study_runs_all_its_trials_once(world: World, jobs: int) -> None:
    executor = Executor()
    overs = world.make(world.plan("random,coin,expert,tcs-paper"), executor, jobs=jobs).run()
    assert len(overs) == 8
    assert {o.reason for o in overs} == {"trials"}
    studies = studies_of(world.store, "c")
    assert [s.spec.method for s in studies] == ["random", "coin", "expert", "tcs-paper"] * 2
    assert all(s.complete and len(s.trials) == TRIALS for s in studies)
    for study in studies:  # the same start, and the training seed of the study
        assert study.trials[0].config == studies[0].trials[0].config
        assert {t.seed for t in study.trials} == {study.spec.seed}
    assert len([u for u in world.updates if isinstance(u, TrialOver)]) == 8 * TRIALS
    assert len([u for u in world.updates if isinstance(u, StudyBegan)]) == 8


def test_jobs_run_at_the_same_time_and_no_more(world: World) -> None:
    both = threading.Barrier(2, timeout=20)

    def act(job: Job) -> None:
        both.wait()

    executor = Executor(act)
    world.make(world.plan("coin", "2"), executor, jobs=2).run()
    assert executor.most == 2


def test_finished_studies_are_not_run_again_and_more_may_join(world: World) -> None:
    executor = Executor()
    world.make(world.plan("coin", "2"), executor).run()
    assert len(executor.jobs) == 2 * TRIALS
    world.updates.clear()
    overs = world.make(world.plan("coin,expert", "3"), executor).run()
    assert len(executor.jobs) == 6 * TRIALS
    assert world.over("skipped") == ["c--digits--coin--0", "c--digits--coin--1"]
    assert len(overs) == 6
    world.make(world.plan("coin", "1", trials=TRIALS + 1), executor).run()  # the budget may grow
    assert len(recorded(world.store, "c--digits--coin--0").trials) == TRIALS + 1


@pytest.mark.parametrize(
    ("methods", "changes", "said"),
    [
        ("tcs-paper,coin", {"start": "cold", "seeds": "3,0"}, "start was 'defaults', now 'cold'"),
        ("random", {"start": "cold"}, "made with another start"),
        ("random", {"tasks": "other"}, "made with another task"),
        ("tcs-paper", {"analysis_model": "two"}, "analysis_model was 'one', now 'two'"),
        ("tcs-paper@one", {}, "has this study already"),
    ],
)
def test_a_changed_setting_is_refused_before_anything_runs(
    world: World, methods: str, changes: dict[str, Any], said: str
) -> None:
    executor = Executor()
    world.make(world.plan("coin,tcs-paper", "1"), executor).run()
    count = len(executor.jobs)
    if changes.get("tasks"):
        changes["tasks"] = [TaskEntry(task(fixed={"more": 1}), world.folder)]
    with pytest.raises(UserError, match=said):
        world.make(world.plan(methods, **({"seeds": "2"} | changes)), executor)
    assert len(executor.jobs) == count
    assert len(studies_of(world.store, "c")) == 2


def test_a_method_whose_model_is_gone_fails_and_the_others_go_on(world: World) -> None:
    overs = world.make(world.plan("tcs-paper@gone,coin", "2"), Executor()).run()
    assert [(o.spec.method, o.failure) for o in overs] == [
        ("tcs-paper", "it is gone. Fetch it."),
        ("tcs-paper", "it is gone. Fetch it."),
        ("coin", ""),
        ("coin", ""),
    ]
    assert len(studies_of(world.store, "c")) == 2


class DyingModel(ScriptedModel):
    """Its server goes away after some answers."""

    def __init__(self, name: str, answers: int) -> None:
        super().__init__(name=name, then=first_choice)
        self.left = answers

    def complete(self, request: ChatRequest) -> ChatReply:
        self.left -= 1
        if self.left < 0:
            raise ModelUnavailable("nothing answers at host")
        return super().complete(request)


@pytest.mark.parametrize("answers", [3, 4])  # it dies before an analysis, or between the two agents
def test_a_model_that_dies_leaves_its_study_unfinished_instead_of_to_the_expert(
    world: World, answers: int
) -> None:
    """The expert's trials would count as the model's; the same command goes on when the server is back."""
    world.models = ModelPool(lambda name: (DyingModel(name, answers), ""))
    overs = world.make(world.plan("tcs-paper,coin", "1"), Executor()).run()
    failed = [o for o in overs if o.failure]
    assert [o.spec.method for o in failed] == ["tcs-paper"]
    assert "nothing answers at host" in failed[0].failure
    assert "same command" in failed[0].failure
    world.models = ModelPool(scripted)
    overs = world.make(world.plan("tcs-paper,coin", "1"), Executor()).run()
    assert {o.reason for o in overs} == {"trials"}
    (thought,) = (s for s in studies_of(world.store, "c") if s.spec.method == "tcs-paper")
    assert [t.proposal.source for t in ordered(thought.trials)] == ["start"] + ["agents"] * (TRIALS - 1)
    assert not any(t.proposal.fallback for t in thought.trials)


def test_a_study_that_raises_is_reported_and_the_others_go_on(world: World) -> None:
    def act(job: Job) -> None:
        if job.seed == 0:
            raise TaskError("no data", hint="Put it there.")

    overs = world.make(world.plan("coin", "2"), Executor(act)).run()
    assert [(o.reason, o.failure) for o in overs] == [(None, "no data. Put it there."), ("trials", "")]
    assert not recorded(world.store, "c--digits--coin--0").complete


def test_a_bug_stops_everything_and_is_raised(world: World) -> None:
    def act(job: Job) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        world.make(world.plan("coin,expert", "3"), Executor(act), jobs=2).run()


def test_failures_do_not_cut_a_method_short_but_a_broken_script_is_given_up(world: World) -> None:
    def only_the_start_works(job: Job) -> None:
        if job.number > 1:
            raise ValueError("boom")

    def nothing_works(job: Job) -> None:
        raise ValueError("bad shape")

    planned = world.plan("coin", "1", trials=8)
    assert world.make(planned, Executor(only_the_start_works)).run()[0].reason == "trials"
    assert len(recorded(world.store, "c--digits--coin--0").trials) == 8
    executor = Executor(nothing_works)
    over = world.make(world.plan("coin", "1", trials=8, name="d"), executor).run()[0]
    assert over.failure == "none of the first 5 trials has a score; the last one: bad shape"
    assert len(executor.jobs) == 5
    assert world.make(world.plan("coin", "1", trials=8, name="d"), Executor()).run()[0].reason == "trials"


def test_minimized_tasks_run_too(world: World) -> None:
    entry = TaskEntry(task(objective={"metric": "val_accuracy", "direction": "minimize"}), world.folder)
    world.make(world.plan("expert,tcs-paper", "1", tasks=[entry]), Executor()).run()
    assert all(s.complete for s in studies_of(world.store, "c"))


# -- stopping -----------------------------------------------------------------------------------------------


def test_stop_ends_what_runs_and_the_same_command_goes_on(world: World) -> None:
    executor = Executor()
    stops: list[int] = []
    run = world.make(world.plan("coin", "4"), executor, jobs=2, on_stop=stops.append)

    def act(job: Job) -> None:
        if job.number == 2:
            run.stop()
            assert executor.ended.wait(20)

    executor.act = act
    overs = run.run()
    assert run.stopped
    assert {o.reason for o in overs} == {"interrupted"}
    assert len(overs) <= 2
    left = studies_of(world.store, "c")
    assert not any(s.complete for s in left)
    assert not any(t.state == "running" for s in left for t in s.trials)

    again = Executor()
    world.models = ModelPool(scripted)
    overs = world.make(world.plan("coin", "4"), again, jobs=2).run()
    assert {o.reason for o in overs} == {"trials"}
    assert all(len(ordered(s.trials)) == TRIALS for s in studies_of(world.store, "c"))
    alone = World(world.folder / "unbroken", world.store)
    alone.make(alone.plan("coin", "4", name="unbroken"), Executor()).run()
    for a, b in zip(studies_of(world.store, "c"), studies_of(world.store, "unbroken"), strict=True):
        assert [t.config for t in ordered(a.trials)] == [t.config for t in ordered(b.trials)]


class SlowModel(ScriptedModel):
    """Its second answer comes only when it may."""

    def __init__(self) -> None:
        super().__init__(name="slow", then=first_choice)
        self.asked, self.may = threading.Event(), threading.Event()

    def complete(self, request: ChatRequest) -> ChatReply:
        if self.requests:
            self.asked.set()
            assert self.may.wait(20)
        return super().complete(request)


def test_stopping_while_models_think_loses_nothing_but_the_thought(world: World) -> None:
    slow = SlowModel()
    world.models = ModelPool(lambda name: (slow, ""))
    run = world.make(world.plan("tcs-paper", "2"), Executor(), jobs=2)

    def stop() -> None:
        assert slow.asked.wait(20)
        run.stop()
        slow.may.set()

    helper = threading.Thread(target=stop)
    helper.start()
    overs = run.run()
    helper.join()
    assert {(o.reason, o.failure) for o in overs} == {("interrupted", "")}
    for study in studies_of(world.store, "c"):
        assert {t.state for t in study.trials} <= {
            "finished",
            "interrupted",
        }  # the other study may be training
        assert not any(t.proposal.fallback for t in study.trials)


# -- parts --------------------------------------------------------------------------------------------------


def test_workers_train_on_their_own_device(world: World) -> None:
    executor = Executor()
    run = world.make(world.plan("coin", "1"), executor, devices=("3", "5"))
    run.run()
    assert {j.devices for j in executor.jobs} == {"3"}
    assert run._device(1) == "5"
    assert run._device(2) == "3"
    alone = Executor()
    world.make(world.plan("coin", "1", name="d"), alone, devices=("3",)).run()
    assert {j.devices for j in alone.jobs} == {""}  # with one device there is nothing to hand out
