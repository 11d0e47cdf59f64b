"""Jobs whose training script is a few lines of text."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from tcs_hpt.execution import Job, LocalExecutor, RunResult
from tcs_hpt.records import Failure
from tcs_hpt.spec import Config, TaskSpec

HEADER = "import json, os, sys, time\n"
CLIENT = "import tcs_hpt\ntrial = tcs_hpt.current_trial()\n"
DETACH = """
def detach():  # as a daemon does: out of the tree and out of the session
    if os.fork():
        os.wait()
        return False
    os.setsid()
    if os.fork():
        os._exit(0)
    return True
"""

Run = Callable[..., RunResult]


def task(**changes: Any) -> TaskSpec:
    raw: dict[str, Any] = {
        "schema": 1,
        "name": "fake",
        "command": ["{python}", "train.py"],
        "objective": {"metric": "val_accuracy", "direction": "maximize"},
        "params": {"lr": {"type": "float", "low": 1e-4, "high": 1.0}},
        "fixed": {"max_train": 7},
    }
    return TaskSpec.model_validate(raw | changes)


def make_job(tmp_path: Path, script: str, **changes: Any) -> Job:
    folder = tmp_path / "task"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "train.py").write_text(script, encoding="utf-8")
    for name, content in changes.pop("files", {}).items():
        (folder / name).write_text(content, encoding="utf-8")
    config: Config = changes.pop("values", {"lr": 0.5})
    data_dir = changes.pop("data_dir", None)
    devices = changes.pop("devices", "")
    return Job(
        3,
        task(**changes),
        folder,
        tmp_path / "trials" / "3",
        config,
        11,
        "quick",
        data_dir,
        devices=devices,
    )


def executor(**changes: Any) -> LocalExecutor:
    quick: dict[str, Any] = {"poll_seconds": 0.01, "watch_seconds": 0.02, "grace_seconds": 0.5}
    return LocalExecutor(**quick | changes)


def failure(result: RunResult) -> Failure:
    assert result.failure is not None
    return result.failure


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 20
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, f"{path} was never written"
        time.sleep(0.01)
    return path.read_text()


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
