from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import psutil
import pytest

from tcs_hpt.execution import Job, LocalExecutor, recover
from tcs_hpt.execution.processes import MARK, end_orphans
from tests.execution.fake_scripts import (
    CLIENT,
    DETACH,
    HEADER,
    Run,
    executor,
    failure,
    make_job,
    runs,
    wait_for,
)


@pytest.mark.parametrize("own_session", [False, True])
def test_children_do_not_outlive_the_trial(run: Run, tmp_path: Path, own_session: bool) -> None:
    # The grandchild ignores SIGTERM, as data loaders stuck in C code do.
    child = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
    result = run(
        CLIENT
        + f"""
import subprocess
child = subprocess.Popen([sys.executable, "-c", {child!r}], stdout=subprocess.PIPE, start_new_session={own_session})
child.stdout.readline()
open("child", "w").write(str(child.pid))
time.sleep(0.2)
trial.finish(val_accuracy=1)
os._exit(0)
"""
    )
    assert result.state == "finished"
    pid = int((tmp_path / "trials/3/child").read_text())
    assert not runs(pid)


@pytest.mark.parametrize("stubborn", [False, True])
@pytest.mark.parametrize("end", ["trial.finish(val_accuracy=1)", "time.sleep(60)", "1/0"])
def test_a_daemon_does_not_outlive_the_trial(run: Run, tmp_path: Path, end: str, stubborn: bool) -> None:
    result = run(
        CLIENT
        + DETACH
        + f"""
if detach():
    import signal
    if {stubborn}: signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.chdir("/")
    with open(trial.folder / "pid.new", "w") as f: f.write(str(os.getpid()))
    os.rename(trial.folder / "pid.new", trial.folder / "pid")
    time.sleep(60)
while not os.path.exists("pid"): time.sleep(0.01)
"""
        + end,
        limits={"trial_seconds": 2},
    )
    assert result.failure is None or failure(result).kind in ("timeout", "crashed")
    assert not runs(int((tmp_path / "trials/3/pid").read_text()))


def test_what_a_daemon_starts_without_the_mark_is_ended_with_it(run: Run, tmp_path: Path) -> None:
    child = "import os, time; os.setsid(); open('pid', 'w').write(str(os.getpid())); time.sleep(60)"
    run(
        CLIENT
        + DETACH
        + f"""
if detach():
    import subprocess
    subprocess.run([sys.executable, "-c", {child!r}], env={{}})
while not (os.path.exists("pid") and open("pid").read()): time.sleep(0.01)
trial.finish(val_accuracy=1)
"""
    )
    assert not runs(int((tmp_path / "trials/3/pid").read_text()))


def test_the_mark_of_another_trial_is_left_alone(run: Run, tmp_path: Path) -> None:
    other = tmp_path / "trials" / "33"
    environment = os.environ | {MARK: str(other)}
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=environment) as stranger:
        try:
            assert run(CLIENT + "trial.finish(val_accuracy=1)").state == "finished"
            assert stranger.poll() is None
            assert end_orphans(other, None, 0.0, 0.5)
            assert stranger.wait(5) == -signal.SIGTERM
        finally:
            stranger.kill()


def test_a_process_that_starts_others_while_it_is_ended(run: Run, tmp_path: Path) -> None:
    result = run(
        CLIENT
        + """
import signal, subprocess
def more(*_):
    again = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", again], start_new_session=True)
    open("pid", "w").write(str(child.pid))
signal.signal(signal.SIGTERM, more)
trial.report(val_accuracy=1)
while True: time.sleep(1)
""",
        limits={"trial_seconds": 0.6},
    )
    assert failure(result).kind == "timeout"
    assert not runs(int((tmp_path / "trials/3/pid").read_text()))


def run_job(job: Job) -> None:
    LocalExecutor().run(job, lambda _: None)


def engine_of(job: Job) -> BaseProcess:
    """An engine in a process of its own, to be killed while the trial runs."""
    engine = multiprocessing.get_context("spawn").Process(target=run_job, args=(job,))
    engine.start()
    return engine


ALONE = {
    "the script": "pid()\ntime.sleep(60)",
    "a child": "if not os.fork():\n    pid()\n    time.sleep(60)\ntime.sleep(60)",
    "a child whose parent ended": (
        "if not os.fork():\n    pid()\n    time.sleep(60)\n"
        "while not os.path.exists('engine_died'): time.sleep(0.01)"
    ),
    "a daemon whose parent ended": (
        "if detach():\n    pid()\n    time.sleep(60)\nwhile not os.path.exists('engine_died'): time.sleep(0.01)"
    ),
}


@pytest.mark.parametrize("name", ALONE)
def test_an_orphan_is_ended_before_recovery(tmp_path: Path, name: str) -> None:
    pid = "def pid():\n    open('new', 'w').write(str(os.getpid())); os.rename('new', 'pid')\n"
    job = make_job(tmp_path, HEADER + CLIENT + DETACH + pid + ALONE[name])
    engine = engine_of(job)
    orphan = int(wait_for(job.folder / "pid"))
    root = json.loads(wait_for(job.folder / "process.json"))["pid"]
    engine.kill()
    engine.join()
    (job.folder / "engine_died").touch()
    deadline = time.monotonic() + 10
    while "parent ended" in name and runs(root):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert runs(orphan)
    assert recover(job, grace_seconds=0.5) is None
    assert not runs(orphan)
    assert not runs(root)


def test_a_trial_survives_the_engine_and_prints_on(tmp_path: Path) -> None:
    job = make_job(
        tmp_path,
        HEADER
        + CLIENT
        + """
open("up", "w").write("1")
while not os.path.exists("engine_died"): time.sleep(0.01)
for _ in range(100): print("x" * 50000)
trial.finish(val_accuracy=0.9)
open("done", "w").write("1")
""",
    )
    engine = engine_of(job)
    wait_for(job.folder / "up")
    engine.kill()
    engine.join()
    (job.folder / "engine_died").touch()
    wait_for(job.folder / "done")
    recovered = recover(job, grace_seconds=2)
    assert recovered is not None
    assert (recovered.state, recovered.value) == ("finished", 0.9)
    assert (job.folder / "stdout.log").stat().st_size <= 2**20


def test_strangers_with_the_number_of_the_dead_are_left_alone(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import os, time; os.fork(); time.sleep(60)"]
    with subprocess.Popen(command, start_new_session=True) as stranger:
        try:
            started = psutil.Process(stranger.pid).create_time()
            assert not end_orphans(tmp_path, stranger.pid, started - 5, 0.5)
            assert stranger.poll() is None
            assert end_orphans(tmp_path, stranger.pid, started, 0.5)
            assert stranger.wait(5) == -signal.SIGTERM
        finally:
            stranger.kill()


def test_a_session_of_strangers_whose_leader_is_gone_is_left_alone(tmp_path: Path) -> None:
    code = "import os, time\nif os.fork(): os._exit(0)\nprint(os.getpid(), flush=True)\ntime.sleep(60)"
    with subprocess.Popen(
        [sys.executable, "-c", code], start_new_session=True, stdout=subprocess.PIPE, text=True
    ) as leader:
        assert leader.stdout is not None
        member = int(leader.stdout.readline())
        leader.wait(5)
        assert os.getsid(member) == leader.pid
        try:
            assert not end_orphans(tmp_path, leader.pid, time.time(), 0.5)
            assert runs(member)
        finally:
            os.kill(member, signal.SIGKILL)


def test_an_engine_that_carries_the_mark_itself_is_spared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A person who set the variable in a shell to look into a trial, and then continues the study from there.
    code = f"from pathlib import Path\nfrom tcs_hpt.execution.processes import end_orphans\nend_orphans(Path({str(tmp_path)!r}), None, 0.0, 0.5)\nprint('alive')"
    shell = ["/bin/sh", "-c", f'"{sys.executable}" -c "$CODE"; echo shell']
    done = subprocess.run(
        shell,
        env=os.environ | {MARK: str(tmp_path), "CODE": code},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "alive\nshell\n"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": null}', '{"pid": "x", "started": 0}'])
def test_recovery_without_a_process_file(tmp_path: Path, content: str) -> None:
    job = make_job(tmp_path, "")
    assert recover(job) is None  # no folder
    job.folder.mkdir(parents=True)
    (job.folder / "process.json").write_text(content)
    assert recover(job) is None


def test_a_dead_engines_trial_is_recovered(tmp_path: Path) -> None:
    job = make_job(tmp_path, HEADER + CLIENT + "trial.finish(val_accuracy=0.6)")
    executor().run(job, lambda _: None)
    recovered = recover(job)
    assert recovered is not None
    assert (recovered.state, recovered.value) == ("finished", 0.6)
    (job.folder / "result.json").unlink()
    assert recover(job) is None
