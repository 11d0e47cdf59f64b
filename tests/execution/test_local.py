from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from tcs_hpt.errors import UserError
from tcs_hpt.execution import LocalExecutor
from tcs_hpt.execution.command import build_command
from tcs_hpt.records import EpochRecord
from tcs_hpt.spec import Config
from tests.execution.fake_scripts import CLIENT, HEADER, Run, executor, failure, make_job, wait_for


def test_a_script_with_the_client_finishes(run: Run, tmp_path: Path) -> None:
    result = run(
        CLIENT
        + """
assert trial.params == {"lr": 0.5, "max_train": 7} and trial.config == {"lr": 0.5}, trial.params
assert (trial.seed, trial.profile, trial.number) == (11, "quick", 3)
assert str(trial.data_dir) == os.environ["TCS_HPT_DATA_DIR"]
assert os.getcwd() == str(trial.folder) and os.getsid(0) == os.getpid() and sys.stdin.read() == ""
for epoch in range(1, 4):
    trial.report(epoch=epoch, val_accuracy=epoch / 10)
trial.finish(val_accuracy=0.3, test_accuracy=0.2)
print("hello")
""",
        data_dir=tmp_path / "data",
    )
    assert (result.state, result.value) == ("finished", 0.3)
    assert result.metrics == {"val_accuracy": 0.3, "test_accuracy": 0.2}
    assert [e.epoch for e in result.epochs] == [1, 2, 3]
    assert result.usage.exit_code == 0
    assert result.usage.wall_seconds > 0
    assert result.usage.cpu_seconds > 0
    assert result.usage.peak_memory_mb > 1
    assert (tmp_path / "trials/3/stdout.log").read_text() == "hello\n"


def test_epochs_arrive_while_the_script_runs(tmp_path: Path) -> None:
    # The script waits for a file that only the callback writes, so it ends only if epochs arrive live.
    script = (
        HEADER
        + CLIENT
        + """
for epoch in (1, 2):
    trial.report(epoch=epoch, val_accuracy=0.5)
    while not os.path.exists(f"seen{epoch}"):
        time.sleep(0.005)
"""
    )
    job = make_job(tmp_path, script, limits={"trial_seconds": 20})

    def on_epoch(epoch: EpochRecord) -> None:
        (job.folder / f"seen{epoch.epoch}").touch()

    assert executor().run(job, on_epoch).state == "finished"


def test_interrupt_from_another_thread(tmp_path: Path) -> None:
    local = executor()
    job = make_job(tmp_path, HEADER + CLIENT + "trial.report(val_accuracy=0.5)\ntime.sleep(60)")
    begin = time.monotonic()
    result = local.run(job, lambda _: threading.Thread(target=local.interrupt).start())
    assert (result.state, failure(result).kind, result.value) == ("interrupted", "interrupted", None)
    assert failure(result).origin == "person"
    assert time.monotonic() - begin < 10


def test_an_interrupt_does_not_reach_later_runs(run: Run, tmp_path: Path) -> None:
    local = executor()
    local.interrupt()
    job = make_job(tmp_path, CLIENT + "trial.finish(val_accuracy=1)")
    assert local.run(job, lambda _: None).state == "finished"


def test_an_error_of_the_watcher_ends_the_script(tmp_path: Path) -> None:
    job = make_job(
        tmp_path,
        HEADER + CLIENT + "open('pid', 'w').write(str(os.getpid()))\ntrial.report(x=1)\ntime.sleep(60)",
    )

    def on_epoch(_: EpochRecord) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        executor().run(job, on_epoch)
    assert not psutil.pid_exists(int((job.folder / "pid").read_text()))


def test_what_an_earlier_try_left_is_removed(tmp_path: Path) -> None:
    local = executor()
    job = make_job(tmp_path, HEADER + CLIENT + "trial.report(val_accuracy=1); trial.finish(val_accuracy=1)")
    assert local.run(job, lambda _: None).state == "finished"
    (job.folder / "stop").touch()
    job = make_job(tmp_path, HEADER + CLIENT + "assert not trial.should_stop()")
    result = local.run(job, lambda _: None)
    assert failure(result).kind == "no_metric"
    assert result.epochs == ()


def test_a_missing_program_is_the_users_to_fix(run: Run) -> None:
    with pytest.raises(UserError, match="no-such-program") as caught:
        run("", command=["no-such-program", "train.py"])
    assert "--python" in caught.value.hint


def test_the_command_is_filled(tmp_path: Path) -> None:
    params = {
        "lr": {"type": "float", "low": 1e-9, "high": 1.0},
        "opt": {"type": "categorical", "choices": ["adam", "sgd"]},
        "nesterov": {"type": "categorical", "choices": [True, False]},
        "momentum": {"type": "float", "low": 0.0, "high": 0.99, "when": {"opt": ["sgd"]}},
    }
    command = [
        *("{python}", "train.py", "--conf=train.py", "--other=none.py", "--quiet"),
        *("--lr", "{lr}", "--opt={opt}", "--nesterov", "{nesterov}"),
        *("--momentum", "{momentum}", "-m={momentum}", "n{max_train}"),
    ]
    config: Config = {"lr": 1.23456789e-7, "opt": "adam", "nesterov": True}
    job = make_job(tmp_path, "", params=params, command=command, values=config)
    script = str(tmp_path / "task" / "train.py")
    assert build_command(job) == [
        *(sys.executable, script, f"--conf={script}", "--other=none.py", "--quiet"),
        *("--lr", "1.23456789e-07", "--opt=adam", "--nesterov", "true"),
        "n7",
    ]
    job = make_job(tmp_path, "", params=params, command=command, values=config | {"momentum": 0.5})
    assert build_command(job)[-4:] == ["--momentum", "0.5", "-m=0.5", "n7"]


def test_a_module_of_the_task_can_be_the_program(run: Run) -> None:
    result = run(CLIENT + "trial.finish(val_accuracy=1)", command=["{python}", "-m", "train"])
    assert result.state == "finished"


STUBBORN = (
    HEADER
    + "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    + CLIENT
    + "trial.report(val_accuracy=0.5)\ntime.sleep(60)"
)


@pytest.mark.parametrize("first", ["interrupt", "kill"])
def test_kill_does_not_wait(tmp_path: Path, first: str) -> None:
    local = executor(grace_seconds=30.0)
    begin = time.monotonic()

    def stop() -> None:
        getattr(local, first)()
        time.sleep(0.3)
        local.kill()

    result = local.run(make_job(tmp_path, STUBBORN), lambda _: threading.Thread(target=stop).start())
    assert (result.state, result.usage.exit_code) == ("interrupted", -9)
    assert time.monotonic() - begin < 15


@pytest.mark.parametrize("name", ["interrupt", "kill"])
def test_all_running_jobs_are_ended(tmp_path: Path, name: str) -> None:
    local = executor()
    jobs = [
        make_job(tmp_path / str(i), HEADER + "open('up', 'w').write('1'); time.sleep(60)") for i in (1, 2)
    ]
    states: list[str] = []
    threads = [
        threading.Thread(target=lambda j=job: states.append(local.run(j, lambda _: None).state))
        for job in jobs
    ]
    for thread in threads:
        thread.start()
    for job in jobs:
        wait_for(job.folder / "up")
    getattr(local, name)()
    for thread in threads:
        thread.join(15)
    assert states == ["interrupted", "interrupted"]


def test_the_clock_on_the_wall_is_not_used(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> float:
        raise AssertionError("somebody may set this clock at any time")

    monkeypatch.setattr(time, "time", broken)
    assert failure(run("time.sleep(60)", limits={"trial_seconds": 0.3})).kind == "timeout"


@pytest.mark.parametrize(("devices", "seen"), [("", "7"), ("2,3", "2,3")])
def test_devices(run: Run, monkeypatch: pytest.MonkeyPatch, devices: str, seen: str) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    script = CLIENT + f"assert os.environ['CUDA_VISIBLE_DEVICES'] == {seen!r}\ntrial.finish(val_accuracy=1)"
    assert run(script, devices=devices).state == "finished"


def test_a_program_that_cannot_be_started_is_the_users_to_fix(run: Run, tmp_path: Path) -> None:
    (tmp_path / "task").mkdir()
    for content, mode in (("#!/bin/sh\n", 0o644), ("neither a script nor a program", 0o755)):
        program = tmp_path / "task" / "run.sh"
        program.write_text(content)
        program.chmod(mode)
        with pytest.raises(UserError, match=r"run\.sh.*cannot be started") as caught:
            run("", command=["run.sh"])
        assert "make it executable" in caught.value.hint


def test_the_executor_can_be_used_after_an_error(tmp_path: Path) -> None:
    local = LocalExecutor()
    for _ in range(2):
        with pytest.raises(UserError):
            local.run(make_job(tmp_path, "", command=["no-such-program"]), lambda _: None)
    assert local._running == []


def test_the_engines_own_secrets_do_not_reach_the_script(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kept = ("OPENAI_API_KEY", "HF_TOKEN", "TCS_HPT_PROFILE", "MY_TCS_HPT_API_KEY", "TCS_HPT_KEYS")
    ours = ("TCS_HPT_API_KEY", "TCS_HPT_API_TOKEN", "TCS_HPT_DB_PASSWORD", "TCS_HPT_STORE", "tcs_hpt_secret")
    for name in (*kept, *ours):
        monkeypatch.setenv(name, "hidden")
    result = run(
        f"assert [os.environ.get(n) for n in {kept}] == ['hidden'] * {len(kept)}\n"
        f"assert not [n for n in {ours} if n in os.environ], os.environ\n"
        "print(json.dumps({'val_accuracy': 1}), file=open('result.json', 'w'))\n"
    )
    assert result.state == "finished", result.failure
    assert all(name in os.environ for name in ours)  # the engine still has them
