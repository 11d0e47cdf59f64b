"""Several engines, several jobs, and what dead engines leave behind."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tcs_hpt.execution import Job, RunResult
from tcs_hpt.loop import Study, prepare
from tcs_hpt.loop._devices import DevicePool, visible_devices
from tcs_hpt.loop._ownership import Ownership
from tcs_hpt.proposers import ExpertProposer, Proposer, RandomProposer
from tcs_hpt.records import EpochRecord, Proposal, Trial, Usage
from tcs_hpt.space import SearchSpace
from tcs_hpt.store import Store
from tests.build import study as make_spec
from tests.build import task

SPACE = SearchSpace(task().params)


class Counting:
    """Takes a moment for each trial and counts how many run at once."""

    def __init__(self, seconds: float = 0.1, value: Callable[[Job], float] = lambda job: 0.5) -> None:
        self.seconds = seconds
        self.value = value
        self.lock = threading.Lock()
        self.now = 0
        self.most = 0
        self.devices: list[str] = []

    def run(self, job: Job, on_epoch: Callable[[EpochRecord], None]) -> RunResult:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            self.devices.append(job.devices)
        time.sleep(self.seconds)
        on_epoch(EpochRecord(epoch=1, metrics={"val_accuracy": 0.4}))
        artifacts = job.folder / "artifacts"
        artifacts.mkdir(parents=True, exist_ok=True)
        (artifacts / "model.bin").write_bytes(b"x" * 100)
        with self.lock:
            self.now -= 1
        value = self.value(job)
        return RunResult("finished", value, {"val_accuracy": value}, (), None, Usage())

    def interrupt(self) -> None:
        """Trials are short."""

    def kill(self) -> None:
        """Trials are short."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "studies.db")) as database:
        yield database


def make(
    store: Store, tmp_path: Path, proposer: Proposer, executor: Any, jobs: int = 1, **changes: Any
) -> Study:
    return Study(
        spec=prepare(make_spec(**changes), store),
        task_folder=tmp_path,
        folder=tmp_path / "trials",
        store=store,
        proposer=proposer,
        executor=executor,
        jobs=jobs,
        devices=("0", "1") if jobs > 1 else (),
    )


def test_jobs_run_side_by_side_on_devices_of_their_own_and_the_budget_is_exact(
    store: Store, tmp_path: Path
) -> None:
    executor = Counting(0.3)
    study = make(store, tmp_path, RandomProposer(), executor, jobs=2, trials=5)
    assert study.run() == "trials"
    assert executor.most == 2
    assert set(executor.devices) == {"0", "1"}
    trials = study.trials
    assert [t.number for t in trials] == [1, 2, 3, 4, 5]
    assert len({SPACE.key(t.config) for t in trials}) == 5


def test_running_trials_are_known_to_the_proposer(store: Store, tmp_path: Path) -> None:
    study = make(store, tmp_path, ExpertProposer(), Counting(0.3), jobs=3, trials=6)
    study.run()
    keys = [SPACE.key(t.config) for t in study.trials]
    assert len(set(keys)) == 6


def test_two_engines_share_one_study(store: Store, tmp_path: Path) -> None:
    other = Store.open(store.url)
    studies = [make(s, tmp_path, RandomProposer(), Counting(0.15), trials=6) for s in (store, other)]
    threads = [threading.Thread(target=s.run) for s in studies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    other.close()
    trials = store.load_trials("s")
    assert [t.number for t in trials] == [1, 2, 3, 4, 5, 6]
    assert all(t.state == "finished" for t in trials)
    assert len({SPACE.key(t.config) for t in trials}) == 6
    assert store.leases("s") == []


def left_running(store: Store, folder: Path, *, pid: int) -> Trial:
    """A running trial whose engine has that process number."""
    config = SPACE.defaults()
    trial = Trial(
        number=1,
        config=config,
        state="running",
        proposal=Proposal(config=config, source="start"),
        folder=str(folder / "trial_0001"),
    )
    code = (
        "import sys; from tcs_hpt.store import Store; from tcs_hpt.records import Trial\n"
        "s = Store.open(sys.argv[1]); t = Trial.model_validate_json(sys.argv[2])\n"
        "assert s.start_trial('s', t, 'dead', seconds=600, now=float(sys.argv[3]))\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, store.url, trial.model_dump_json(), str(time.time())], check=True
    )
    assert pid
    return trial


def test_the_result_of_a_dead_engines_trial_is_recovered_at_once(store: Store, tmp_path: Path) -> None:
    study = make(store, tmp_path, ExpertProposer(), Counting(), trials=2)
    left = left_running(store, tmp_path / "trials", pid=1)
    folder = Path(left.folder)
    folder.mkdir(parents=True)
    (folder / "metrics.jsonl").write_text('{"epoch": 1, "val_accuracy": 0.9}\n')
    (folder / "result.json").write_text(json.dumps({"val_accuracy": 0.93}))
    began = time.monotonic()
    assert study.run() == "trials"
    assert time.monotonic() - began < 25  # not the 600 s of its lease: its process is gone
    trials = study.trials
    assert [(t.number, t.state, t.value) for t in trials] == [(1, "finished", 0.93), (2, "finished", 0.5)]
    assert len(trials[0].epochs) == 1
    kinds = [e.event.kind for e in store.events("s")]
    # The time between the kill and this run must not count as spent: this run begins before anything is recovered.
    assert kinds.index("study_started") < kinds.index("trial_ended")


def test_without_a_result_it_is_interrupted_and_tried_again(store: Store, tmp_path: Path) -> None:
    study = make(store, tmp_path, ExpertProposer(), Counting(), trials=2)
    left = left_running(store, tmp_path / "trials", pid=1)
    assert study.run() == "trials"
    trials = study.trials
    assert [t.state for t in trials] == ["interrupted", "finished", "finished"]
    assert trials[1].retry_of == 1
    assert trials[1].config == left.config
    assert trials[0].failure is not None
    assert trials[0].failure.origin == "engine"


def test_a_living_engines_trial_is_left_alone(store: Store, tmp_path: Path) -> None:
    study = make(store, tmp_path, ExpertProposer(), Counting(), trials=3)
    config = SPACE.changed(SPACE.defaults(), "lr", 0.5)
    running = Trial(
        number=1, config=config, state="running", proposal=Proposal(config=config, source="start")
    )
    assert store.start_trial("s", running, "alive", seconds=60, now=time.time())
    study.run()
    trials = study.trials
    assert [t.state for t in trials] == ["running", "finished", "finished"]


@pytest.mark.parametrize(
    ("keep", "kept"), [("best", [False, True, False]), ("all", [True] * 3), ("none", [False] * 3)]
)
def test_artifacts_are_kept_by_policy(store: Store, tmp_path: Path, keep: str, kept: list[bool]) -> None:
    executor = Counting(0.0, value=lambda job: {1: 0.5, 2: 0.9}.get(job.number, 0.6))
    study = make(store, tmp_path, ExpertProposer(), executor, trials=3, keep=keep)
    study.run()
    trials = study.trials
    assert [[a.path for a in t.artifacts] for t in trials] == [["model.bin"]] * 3
    assert [t.artifacts[0].kept for t in trials] == kept
    assert [Path(t.folder, "artifacts", "model.bin").exists() for t in trials] == kept


def test_leases_are_renewed_while_an_engine_runs(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tcs_hpt.loop._ownership.LEASE_SECONDS", 0.4)
    store.create_study(make_spec())
    with Ownership(store, "s") as owner:
        assert owner.take(3)
        first = store.leases("s")[0].expires_at
        time.sleep(1.0)
        assert store.leases("s")[0].expires_at > first
        owner.check()


def test_devices_come_from_the_environment() -> None:
    assert visible_devices({"CUDA_VISIBLE_DEVICES": "2, 3"}) == ("2", "3")
    assert visible_devices({"CUDA_VISIBLE_DEVICES": ""}) == ()
    assert visible_devices({"CUDA_VISIBLE_DEVICES": "-1"}) == ()
    pool = DevicePool(("0", "1"))
    with pool.one() as a, pool.one() as b, pool.one() as c:
        assert (a, b, c) == ("0", "1", "0")
        with pool.one() as d:
            assert d == "1"
    with pool.one() as again:
        assert again == "0"
    with DevicePool(("3",)).one() as alone:
        assert alone == "3"
    with DevicePool(()).one() as none:
        assert none == ""
