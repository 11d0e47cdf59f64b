from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from tcs_hpt.catalog import load_task
from tcs_hpt.store import Store
from tcs_hpt.tuning.launch import Launch, enter_study

from .test_commands import HPT, environment, hpt, my_task

__all__ = ["environment"]


def test_a_worker_runs_what_is_in_the_queue_until_ctrl_c(tmp_path: Path, environment: dict[str, str]) -> None:
    (tmp_path / "tasks").mkdir()
    task = my_task(tmp_path / "tasks" / "mine")
    with Store.open(environment["TCS_HPT_STORE"]) as store:
        launch = Launch(task="mine", method="random", trials=2, name="s")
        enter_study(launch, load_task(task), store, now=time.time())
        worker = subprocess.Popen(
            [*HPT, "worker", "--tasks-dir", "tasks", "--devices", "cpu"],
            env=environment,
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 90
        while (entry := store.queue_entry("s")) is None or entry.state not in ("ended", "failed"):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert (entry.state, entry.message) == ("ended", "trials")
        worker.send_signal(signal.SIGINT)
        _, said = worker.communicate(timeout=60)
    assert worker.returncode == 0, said
    lines = [line.partition(" ")[2] for line in said.splitlines()]
    assert lines[0].startswith("worker ")
    assert lines[0].endswith(": 1 at a time on each of cpu")
    assert lines[1].startswith("s: started on cpu, process ")
    assert lines[2:] == ["s: ended trials", "the worker has ended"]


@pytest.mark.parametrize("command", [("worker",), ("serve", "--port", "0")])
@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--devices", "0,,1"), "--devices takes different devices"),
        (("--devices", "0,0"), "--devices takes different devices"),
        (("--tasks-dir", "nowhere"), "there is no folder"),
    ],
)
def test_what_cannot_be_is_refused(
    environment: dict[str, str], command: tuple[str, ...], options: tuple[str, ...], sentence: str
) -> None:
    done = hpt(environment, *command, *options)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "hint: " in done.stderr
