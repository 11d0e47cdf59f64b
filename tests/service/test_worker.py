"""Workers as they are: processes that start processes, and get killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tcs_hpt.catalog import load_task
from tcs_hpt.records import Trial
from tcs_hpt.store import Store, Wanted
from tcs_hpt.tuning.launch import Launch, enter_study
from tcs_hpt.tuning.places import study_folder
from tests.service.queue_world import World, alive, children
from tests.sleepers import suspend


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Store.open(str(tmp_path / "home" / "studies.db")) as store:
        world = World(tmp_path, store)
        yield world
        world.close()


def scored(trials: list[Trial]) -> list[Trial]:
    return [t for t in trials if t.state == "finished"]


def test_studies_are_run_one_after_the_other(world: World) -> None:
    world.enter("first")
    world.enter("second", seed=1)
    worker = world.worker()
    world.reaches("second", "ended", "failed")
    for name in ("first", "second"):
        entry = world.entry(name)
        assert (entry.state, entry.message, entry.worker) == ("ended", "trials", "")
        assert [t.state for t in world.trials(name)] == ["finished"] * 2
    assert [run.study for run in world.runs()] == ["first", "first", "second", "second"]
    assert {run.device for run in world.runs()} == {""}  # `cpu` hides what there may be
    (row,) = world.store.workers(time.time())
    assert (row.devices, row.slots) == (("cpu",), 1)
    world.until(lambda: (study_folder(world.store, "second") / "report.html").exists())
    worker.terminate()
    assert worker.wait(30) == 0
    assert world.store.workers(time.time()) == []


@pytest.mark.parametrize(("wish", "state"), [("pause", "paused"), ("stop", "stopped")])
def test_a_study_that_is_not_wanted_ends_its_trial_and_goes_on_later(
    world: World, wish: Wanted, state: str
) -> None:
    world.hold()
    world.enter("s")
    world.worker()
    world.until(lambda: len(world.training()) == 1)
    world.store.want("s", wish, now=time.time())
    world.reaches("s", state)
    assert [t.state for t in world.trials("s")] == ["interrupted"]
    assert world.training() == []
    world.release()
    world.store.want("s", "run", now=time.time())
    world.reaches("s", "ended", "failed")
    first, again, second = world.trials("s")
    assert (first.state, again.state, second.state) == ("interrupted", "finished", "finished")
    assert again.config == first.config


def test_a_wish_that_is_taken_back_lets_the_study_go_on(world: World) -> None:
    world.hold()
    world.enter("s")
    world.worker()
    world.until(lambda: len(world.training()) == 1)
    world.store.want("s", "pause", now=time.time())
    world.store.want("s", "run", now=time.time())
    world.release()
    world.reaches("s", "ended", "failed")
    assert len(scored(world.trials("s"))) == 2


def test_a_worker_that_ends_gives_its_study_back(world: World) -> None:
    world.hold()
    world.enter("s")
    worker = world.worker()
    world.until(lambda: len(world.training()) == 1)
    worker.terminate()
    assert worker.wait(30) == 0
    assert world.training() == []
    assert (world.state("s"), world.entry("s").deaths) == ("queued", 0)
    assert [t.state for t in world.trials("s")] == ["interrupted"]
    assert world.store.leases("s") == []


def test_a_second_signal_is_not_waited_with(world: World) -> None:
    world.hold()
    world.enter("s")
    worker = world.worker()
    world.until(lambda: len(world.training()) == 1)
    (child,) = children(worker.pid)
    child.suspend()  # it cannot end its trial
    worker.terminate()
    world.until(lambda: "ending its trials" in (world.folder / "workers.log").read_text())
    worker.terminate()
    assert worker.wait(30) != 0
    assert not alive(child.pid)
    assert world.training() == []
    assert world.state("s") == "queued"


def test_a_process_that_does_not_end_is_killed_with_its_trial(world: World) -> None:
    world.hold()
    world.enter("s")
    worker = world.worker(grace_seconds=0.5)
    world.until(lambda: len(world.training()) == 1)
    (child,) = children(worker.pid)
    child.suspend()
    world.store.want("s", "stop", now=time.time())
    world.reaches("s", "stopped")
    assert world.training() == []
    assert world.entry("s").deaths == 0


def test_another_worker_goes_on_where_one_was_killed(world: World) -> None:
    world.hold()
    world.enter("s", trials=3)
    first = world.worker()
    world.until(lambda: len(world.training()) == 1)
    (child,) = children(first.pid)
    first.kill()
    first.wait()
    world.until(lambda: not alive(child.pid))  # it ends itself, and gives the study back
    assert world.training() == []
    assert [t.state for t in world.trials("s")] == ["interrupted"]
    world.release()
    world.worker()
    world.reaches("s", "ended", "failed")
    trials = world.trials("s")
    assert [t.number for t in scored(trials)] == [2, 3, 4]
    assert [run.number for run in world.runs()] == [t.number for t in trials]  # each ran once
    assert world.store.leases("s") == []


def test_a_worker_and_its_process_die_together(world: World) -> None:
    world.hold()
    world.enter("s")
    first = world.worker()
    world.until(lambda: len(world.training()) == 1)
    (child,) = children(first.pid)
    os.kill(first.pid, signal.SIGSTOP)  # else it might see its process die
    child.kill()
    first.kill()
    first.wait()
    assert world.state("s") == "running"  # nobody was left to say otherwise
    world.worker()
    world.until(lambda: len(world.runs()) == 2)
    assert [run.number for run in world.training()] == [2]  # what was left of trial 1 was ended first
    world.release()
    world.reaches("s", "ended", "failed")
    assert len(scored(world.trials("s"))) == 2
    assert [t.state for t in world.trials("s")] == ["interrupted", "finished", "finished"]


def test_a_process_that_dies_is_started_again_once(world: World) -> None:
    world.hold()
    world.enter("s")
    worker = world.worker()
    world.until(lambda: len(world.runs()) == 1)
    children(worker.pid)[0].kill()
    world.until(lambda: len(world.runs()) == 2)
    entry = world.entry("s")
    assert (entry.state, entry.deaths) == ("running", 1)
    assert "died (signal 9) and is started again" in entry.message
    children(worker.pid)[0].kill()
    world.reaches("s", "failed")
    entry = world.entry("s")
    assert entry.message.startswith("The process that ran it died 2 times in a row (signal 9). Look into ")
    assert str(study_folder(world.store, "s") / "engine.log") in entry.message
    assert [t.state for t in world.trials("s")] == ["interrupted", "interrupted"]
    assert [e.event.kind for e in world.store.events("s")].count("trial_ended") == 2
    assert world.training() == []
    world.release()
    world.store.want("s", "run", now=time.time())
    world.reaches("s", "ended")
    assert len(scored(world.trials("s"))) == 2


def test_a_process_that_falls_over_says_its_last_words(world: World) -> None:
    world.enter("s")
    folder = study_folder(world.store, "s")
    folder.mkdir(parents=True)
    for number in (1, 2):
        (folder / f"trial_000{number}").write_text("a file where a folder has to be")
    world.worker()
    world.reaches("s", "failed")
    message = world.entry("s").message
    assert "died 2 times in a row (exit status 1)" in message
    assert "trial_0002 cannot be written" in message
    assert "Something else has this name" in message
    assert "Traceback" not in message


def test_a_study_that_cannot_be_run_fails_with_a_sentence(world: World) -> None:
    world.enter("task", task="nowhere")
    world.enter("model", method="tcs", model="nonsense:x")
    elsewhere = world.folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "train.py").touch()
    (elsewhere / "task.toml").write_text((world.task / "task.toml").read_text().replace("1.0", "2.0"))
    launch = Launch(task="toy", method="random", name="manifest")
    enter_study(launch, load_task(elsewhere), world.store, now=time.time())
    world.worker(slots=3)
    for name, words, hint in (
        ("task", "there is no task 'nowhere' here", "--tasks-dir"),
        ("model", "nonsense", ""),
        ("manifest", "made differently: task.params.x.high was 2.0, now 1.0", "Use the same settings"),
    ):
        world.reaches(name, "failed")
        message = world.entry(name).message
        assert words in message
        assert hint in message
        assert "Traceback" not in message
        assert world.entry(name).deaths == 0
    assert world.runs() == []


def test_a_path_is_no_task(world: World) -> None:
    launch = Launch(task=str(world.task), method="random", name="s")
    enter_study(launch, load_task(world.task), world.store, now=time.time())
    world.worker()
    world.reaches("s", "failed")
    assert "there is no task" in world.entry("s").message


def test_studies_are_spread_over_the_devices(world: World) -> None:
    world.hold()
    for number in range(3):
        world.enter(f"s{number}", trials=1)
    world.worker(devices=("3", "7"), slots=2)
    world.until(lambda: len(world.training()) == 3)
    used = {run.study: run.device for run in world.training()}
    assert [used[f"s{n}"] for n in range(3)] == ["3", "7", "3"]
    assert [world.entry(f"s{n}").device for n in range(3)] == ["3", "7", "3"]
    world.release()
    for number in range(3):
        world.reaches(f"s{number}", "ended", "failed")
        assert world.entry(f"s{number}").message == "trials"


def test_two_workers_keep_to_the_limit_of_a_device(world: World) -> None:
    world.hold()
    for number in range(3):
        world.enter(f"s{number}", trials=1)
    for _ in range(2):
        world.worker(slots=2)
    world.until(lambda: len(world.training()) == 2)
    world.until(lambda: len(world.store.workers(time.time())) == 2)
    assert [world.state(f"s{n}") for n in range(3)] == ["running", "running", "queued"]
    world.release()
    world.reaches("s2", "ended", "failed")
    assert len(world.runs()) == 3


def test_a_worker_that_slept_too_long_lets_go(world: World) -> None:
    world.hold()
    world.enter("s", trials=3)
    sleeper = world.worker()
    world.until(lambda: len(world.training()) == 1)
    (child,) = children(sleeper.pid)
    suspend(sleeper.pid, world.folder / "home" / "studies.db")
    world.until(lambda: not world.entry("s").live(time.time()))
    other = world.worker()
    world.until(lambda: len(children(other.pid)) == 1)
    os.kill(sleeper.pid, signal.SIGCONT)
    world.until(lambda: not alive(child.pid))
    world.release()
    world.reaches("s", "ended", "failed")
    trials = world.trials("s")
    assert len(scored(trials)) == 3
    assert sorted(run.number for run in world.runs()) == [t.number for t in trials]
    assert world.entry("s").message == "trials"


def test_a_worker_ends_with_whoever_started_it(world: World) -> None:
    world.hold()
    world.enter("s")
    worker = world.worker(parent=os.getpid())
    world.until(lambda: len(world.training()) == 1)
    orphan = world.worker(parent=worker.pid)  # which is not its parent
    assert orphan.wait(30) == 0
    assert worker.poll() is None
