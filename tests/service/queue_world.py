"""A database, a folder of toy tasks, and real workers on them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from tcs_hpt.catalog import load_task
from tcs_hpt.records import Trial
from tcs_hpt.service.worker import WorkerSettings
from tcs_hpt.store import QueueEntry, Store
from tcs_hpt.tuning.launch import Launch, enter_study

MANIFEST = """
schema = 1
name = "toy"
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
here = pathlib.Path(__file__).parent
with open(here / "runs.txt", "a") as runs:
    print(trial.folder.parent.name, trial.number, os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES"), file=runs)
while (here / "hold").exists():
    time.sleep(0.05)
trial.report(epoch=1, score=trial.params["x"])
trial.finish(score=trial.params["x"])
"""
SECONDS = 120.0
"""The longest that anything here is waited for."""


class Run(NamedTuple):
    """One start of the training script."""

    study: str
    number: int
    pid: int
    device: str


class World:
    """What the tests of workers work with. While `hold` is there, a trial that has begun does not end."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        self.store = store
        self.task = folder / "tasks" / "toy"
        self.task.mkdir(parents=True)
        (self.task / "task.toml").write_text(MANIFEST)
        (self.task / "train.py").write_text(SCRIPT)
        self._workers: list[subprocess.Popen[bytes]] = []

    def settings(self, **changes: Any) -> WorkerSettings:
        """Of a worker that is quick about everything."""
        fields: dict[str, Any] = {
            "store": self.store.url,
            "task_folders": (self.folder / "tasks",),
            "tick_seconds": 0.05,
            "claim_seconds": 3.0,
            "renew_seconds": 0.3,
            "grace_seconds": 20.0,
        }
        return WorkerSettings(**fields | changes)

    def worker(self, **changes: Any) -> subprocess.Popen[bytes]:
        """A worker process."""
        with open(self.folder / "workers.log", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tcs_hpt.service.worker"],
                stdin=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
            )
        assert process.stdin is not None
        with process.stdin as stream:
            stream.write(self.settings(**changes).model_dump_json().encode())
        self._workers.append(process)
        return process

    def close(self) -> None:
        """End what still runs."""
        self.release()
        for process in self._workers:
            for child in children(process.pid):
                with contextlib.suppress(psutil.Error):
                    child.kill()
            process.kill()
            process.wait()
        for run in self.runs():
            with contextlib.suppress(ProcessLookupError):
                os.kill(run.pid, signal.SIGKILL)

    # -- studies --------------------------------------------------------------------------------------------

    def enter(self, name: str, **changes: Any) -> None:
        """A study at the end of the queue."""
        fields: dict[str, Any] = {"task": "toy", "method": "random", "trials": 2, "name": name}
        enter_study(Launch(**fields | changes), load_task(self.task), self.store, now=time.time())

    def entry(self, name: str) -> QueueEntry:
        """A study's place in the queue."""
        entry = self.store.queue_entry(name)
        assert entry is not None
        return entry

    def state(self, name: str) -> str:
        """A study's state in the queue."""
        return self.entry(name).state

    def trials(self, name: str) -> list[Trial]:
        """A study's trials."""
        return self.store.load_trials(name)

    def reaches(self, name: str, *states: str) -> None:
        """Wait until a study is in one of the states."""
        self.until(lambda: self.state(name) in states)

    # -- trials ---------------------------------------------------------------------------------------------

    def hold(self) -> None:
        """Let no trial end from now on."""
        (self.task / "hold").touch()

    def release(self) -> None:
        """Let trials end."""
        (self.task / "hold").unlink(missing_ok=True)

    def runs(self) -> list[Run]:
        """The starts of the script so far."""
        path = self.task / "runs.txt"
        lines = path.read_text().splitlines() if path.exists() else []
        return [
            Run(study, int(number), int(pid), device)
            for study, number, pid, device in (line.split(" ", 3) for line in lines)
        ]

    def training(self) -> list[Run]:
        """The starts whose processes are alive."""
        return [run for run in self.runs() if alive(run.pid)]

    # -- waiting --------------------------------------------------------------------------------------------

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait until something holds; says what is there when it does not come."""
        deadline = time.monotonic() + SECONDS
        while not holds():
            assert time.monotonic() < deadline, self.report()
            time.sleep(0.05)

    def report(self) -> str:
        """What is there, for a test that fails."""
        logs = [self.folder / "workers.log", *self.folder.glob("home/studies/*/engine.log")]
        texts = [f"--- {path.name}\n{path.read_text()}" for path in logs if path.exists()]
        entries = json.dumps([vars(e) for e in self.store.queue()], indent=1)
        return "\n".join([entries, *texts])


def alive(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def children(pid: int) -> list[psutil.Process]:
    """The processes that a worker has started for studies."""
    try:
        return psutil.Process(pid).children()
    except psutil.NoSuchProcess:
        return []
