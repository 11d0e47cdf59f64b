"""An engine that sleeps for longer than its leases last, and comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tcs_hpt.catalog import load_task
from tcs_hpt.spec import StudySpec
from tcs_hpt.store import Store
from tests.sleepers import suspend

MANIFEST = """
schema = 1
name = "slow"
command = ["{python}", "train.py"]
[objective]
metric = "score"
direction = "maximize"
[params.x]
type = "float"
low = 0.0
high = 1.0
default = 0.5
"""
SCRIPT = """
import os, pathlib, time
import tcs_hpt
trial = tcs_hpt.current_trial()
with open(pathlib.Path(__file__).parent / "runs.txt", "a") as runs:
    print(trial.number, os.getpid(), file=runs)
if trial.number == 2 and not pathlib.Path(__file__).with_name("go").exists():
    time.sleep(60)
trial.finish(score=trial.params["x"])
"""
ENGINE = """
import sys
from pathlib import Path
import tcs_hpt.loop._ownership as ownership
import tcs_hpt.loop._study as loop
ownership.LEASE_SECONDS = loop.LEASE_SECONDS = 1.0
from tcs_hpt.errors import StoreError
from tcs_hpt.execution import LocalExecutor
from tcs_hpt.proposers import make_proposer
from tcs_hpt.store import Store
from tests.sleepers import suspend
folder = Path(sys.argv[1])
with Store.open(str(folder / "studies.db")) as store:
    study = loop.Study(spec=store.get_study("s"), task_folder=folder / "task", folder=folder / "s", store=store,
                       proposer=make_proposer("random"), executor=LocalExecutor())
    try:
        print(study.run())
    except StoreError as error:
        sys.exit(f"{type(error).__name__}: {error}")
"""


def engine(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", ENGINE, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_another_engine_goes_on_and_the_sleeper_writes_nothing_when_it_wakes(tmp_path: Path) -> None:
    task = tmp_path / "task"
    task.mkdir()
    (task / "task.toml").write_text(MANIFEST)
    (task / "train.py").write_text(SCRIPT)
    runs = task / "runs.txt"
    with Store.open(str(tmp_path / "studies.db")) as store:
        spec = StudySpec(name="s", task=load_task(task).spec, method="random", trials=4)
        store.create_study(spec)
        sleeper = engine(tmp_path)
        try:
            wait_until(lambda: runs.exists() and len(runs.read_text().splitlines()) == 2)
            suspend(sleeper.pid, tmp_path / "studies.db")
            wait_until(lambda: all(lease.expired(time.time()) for lease in store.leases("s")))
            (task / "go").touch()  # from now on trial 2 is quick as well
            done, said = engine(tmp_path).communicate(timeout=60)
            assert done.strip() == "trials", said
            before = store.load_trials("s")
            os.kill(sleeper.pid, signal.SIGCONT)
            _, complaint = sleeper.communicate(timeout=60)
        finally:
            sleeper.kill()
        assert sleeper.returncode == 1
        assert complaint.startswith("LeaseLost: ")
        after = store.load_trials("s")
        assert after == before  # nothing of the sleeper's
        assert [t.state for t in after if t.consumes_budget] == ["finished"] * 4
        assert store.leases("s") == []
        started = [line.split()[0] for line in runs.read_text().splitlines()]
        assert len(started) == len(after)  # each record ran once
