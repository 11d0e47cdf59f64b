from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tcs_hpt.service.supervisor import Supervisor
from tcs_hpt.store import Store
from tests.service.queue_world import World, alive, children


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Store.open(str(tmp_path / "home" / "studies.db")) as store:
        world = World(tmp_path, store)
        yield world
        world.close()


def test_a_worker_that_dies_is_started_again_and_all_end_together(world: World) -> None:
    told: list[str] = []
    with Supervisor(world.settings(parent=os.getpid()), 2, say=told.append) as supervisor:
        supervisor.start()
        world.until(lambda: len(world.store.workers(time.time())) == 2)
        first, second = supervisor.pids
        os.kill(first, signal.SIGKILL)
        world.until(lambda: supervisor.alive == 2 and supervisor.pids[0] != first)
        assert supervisor.pids[1] == second
        pids = supervisor.pids
    assert supervisor.alive == 0
    assert not any(alive(pid) for pid in pids)
    assert f"worker process {first} has ended (status -9)" in told[0]
    supervisor.stop()


def test_a_worker_that_cannot_start_is_not_tried_all_the_time(world: World) -> None:
    told: list[str] = []
    settings = world.settings(parent=os.getpid(), task_folders=(world.folder / "nowhere",))
    with Supervisor(settings, 1, say=told.append) as supervisor:
        supervisor.start()
        world.until(lambda: len(told) == 2)
    assert told[0].endswith("(status 1); started again in 1 s")
    assert told[1].endswith("(status 1); started again in 2 s")


WEB = """
import sys, time
from pathlib import Path
from tcs_hpt.service.supervisor import start_workers
with start_workers(1, store=sys.argv[1], devices=("cpu",), task_folders=(Path(sys.argv[2]),)):
    print("ready", flush=True)
    time.sleep(600)
"""


def test_workers_do_not_outlive_a_web_process_that_is_killed(world: World) -> None:
    world.hold()
    world.enter("s")
    web = subprocess.Popen(
        [sys.executable, "-c", WEB, world.store.url, str(world.folder / "tasks")], stdout=subprocess.PIPE
    )
    try:
        world.until(lambda: len(world.training()) == 1)
        (worker,) = children(web.pid)
        (child,) = worker.children()
    finally:
        web.kill()
        web.communicate()
    world.until(lambda: not alive(worker.pid) and not alive(child.pid))
    assert world.training() == []
    assert world.state("s") == "queued"


def victims(world: World, supervisor: Supervisor) -> list[int]:
    """What a storm may hit: workers, processes of studies, training scripts."""
    workers = [pid for pid in supervisor.pids if alive(pid)]
    studies = [child.pid for pid in workers for child in children(pid)]
    return workers + studies + [run.pid for run in world.training()]


def test_a_storm_loses_nothing_and_runs_nothing_twice(world: World) -> None:
    """A seeded few kills of whatever is there; people resume what has failed."""
    dice = random.Random(7)
    names = ("a", "b")
    for seed, name in enumerate(names):
        world.enter(name, trials=12, seed=seed, max_failures=0)
    script = world.task / "train.py"
    script.write_text(script.read_text().replace("trial.report(", "time.sleep(0.2)\ntrial.report("))
    kills = 0
    with Supervisor(world.settings(parent=os.getpid()), 2, say=lambda _: None) as supervisor:
        supervisor.start()

        def over() -> bool:
            for name in names:
                if world.state(name) == "failed":
                    world.store.want(name, "run", now=time.time())
            return all(world.state(name) == "ended" for name in names)

        while kills < 8 and not over():
            time.sleep(dice.uniform(0.2, 1.5))
            there = victims(world, supervisor)
            if there:
                try:
                    os.kill(dice.choice(there), signal.SIGKILL)
                except (ProcessLookupError, psutil.Error):
                    continue
                kills += 1
        world.until(over)
    assert kills >= 3
    for name in names:
        trials = world.trials(name)
        counted = [t for t in trials if t.consumes_budget]
        assert len(counted) == 12
        assert world.entry(name).message == "trials"
        assert world.store.leases(name) == []
        ran = sorted(run.number for run in world.runs() if run.study == name)
        recorded = [t.number for t in trials]
        assert len(ran) == len(set(ran)), "a trial was run twice"
        assert set(ran) <= set(recorded)
        finished = [t for t in trials if t.state == "finished"]
        assert all(t.value == t.config["x"] for t in finished)
        assert len({t.config["x"] for t in finished}) == len(finished)
    assert world.training() == []
