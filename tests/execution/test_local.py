from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tcs_hpt.errors import UserError
from tcs_hpt.execution import Job, LocalExecutor, RunResult, recover
from tcs_hpt.execution.local import build_command
from tcs_hpt.records import EpochRecord, Failure
from tcs_hpt.spec import Config, TaskSpec

HEADER = "import json, os, sys, time\n"
CLIENT = "import tcs_hpt\ntrial = tcs_hpt.current_trial()\n"

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
    folder.mkdir(exist_ok=True)
    (folder / "train.py").write_text(script, encoding="utf-8")
    config: Config = changes.pop("config", {"lr": 0.5})
    data_dir = changes.pop("data_dir", None)
    return Job(3, task(**changes), folder, tmp_path / "trials" / "3", config, 11, "quick", data_dir)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(script: str, **changes: Any) -> RunResult:
        executor = LocalExecutor(poll_seconds=0.01, watch_seconds=0.02, grace_seconds=0.5)
        seen: list[EpochRecord] = []
        result = executor.run(make_job(tmp_path, HEADER + script, **changes), seen.append)
        assert tuple(seen) == result.epochs
        assert (result.state == "finished") == (result.failure is None) == (result.value is not None)
        return result

    return run


def failure(result: RunResult) -> Failure:
    assert result.failure is not None
    return result.failure


def run_job(job: Job) -> None:
    LocalExecutor().run(job, lambda _: None)


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 10
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, f"{path} was never written"
        time.sleep(0.01)
    return path.read_text()


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

    assert LocalExecutor(poll_seconds=0.01).run(job, on_epoch).state == "finished"


def test_half_a_line_waits_for_its_end(run: Run) -> None:
    result = run(
        """
with open("metrics.jsonl", "w") as f:
    for part in ('{"epoch": 1, "val_acc', 'uracy": 0.25}\\n{"epoch": 2, "val_accuracy": 0.5}'):
        f.write(part); f.flush(); time.sleep(0.05)
"""
    )
    assert [(e.epoch, e.metrics) for e in result.epochs] == [
        (1, {"val_accuracy": 0.25}),
        (2, {"val_accuracy": 0.5}),
    ]
    assert result.value == 0.5


def test_broken_lines_are_skipped(run: Run) -> None:
    result = run(
        r"""
open("metrics.jsonl", "wb").write(
    b'{"epoch": 1, "val_accuracy": 0.1}\nnonsense\n[1]\n"text"\n{"epoch": "x", "val_accuracy": 1}\n\xff\xfe\n'
    b'{"epoch": 1e999}\n{"epoch": 2, "val_accuracy": 0.2, "note": "hi", "ok": true, "bad name": 1, "loss": NaN}\n'
)
"""
    )
    assert [e.epoch for e in result.epochs] == [1, 2]
    assert result.epochs[1].metrics == {"val_accuracy": 0.2, "loss": None}
    assert result.epochs[1].non_finite == ("loss",)


def test_without_a_result_the_last_epoch_decides(run: Run) -> None:
    result = run(
        CLIENT + "trial.report(val_accuracy=0.9); trial.report(val_accuracy=0.4); trial.report(other=1)"
    )
    assert (result.state, result.value) == ("finished", 0.4)


CRASHES: dict[str, tuple[str, str, str]] = {
    "exception": ("raise ValueError('bad shape')", "crashed", "ValueError: bad shape"),
    "chained": (
        "try:\n    1/0\nexcept Exception as e:\n    raise RuntimeError('while training') from e",
        "crashed",
        "RuntimeError: while training",
    ),
    "after the traceback": (
        "import atexit; atexit.register(lambda: print('bye', file=sys.stderr)); raise KeyError('x')",
        "crashed",
        "KeyError: 'x'",
    ),
    "syntax": ("def (:", "crashed", "SyntaxError: invalid syntax"),
    "silent": ("sys.exit(3)", "crashed", "the script ended with exit code 3 and wrote no error"),
    "signal": ("os.kill(os.getpid(), 11)", "crashed", "the script was killed by signal SIGSEGV"),
    "python memory": ("raise MemoryError", "out_of_memory", "MemoryError"),
    "torch memory": (
        "raise RuntimeError('CUDA out of memory. Tried to allocate 2 GiB')",
        "out_of_memory",
        "RuntimeError: CUDA out of memory. Tried to allocate 2 GiB",
    ),
    "refused": (
        CLIENT + "trial.refuse('hidden_size 7 is not divisible by 4 heads')",
        "invalid",
        "hidden_size 7 is not divisible by 4 heads",
    ),
    "no metric": (
        "pass",
        "no_metric",
        "the script ended well but never reported val_accuracy; it reported no metric at all",
    ),
    "wrong metric": (
        CLIENT + "trial.report(train_loss=1, acc=0.5); trial.finish(accuracy=0.5)",
        "no_metric",
        "the script ended well but never reported val_accuracy; it reported train_loss, acc, accuracy",
    ),
    "nan": (
        CLIENT + "trial.report(val_accuracy=0.3); trial.finish(val_accuracy=float('nan'))",
        "diverged",
        "val_accuracy is not a finite number",
    ),
    "nan in the last epoch": (
        CLIENT + "trial.report(val_accuracy=0.3); trial.report(val_accuracy=float('inf'))",
        "diverged",
        "val_accuracy is not a finite number",
    ),
    "crash after epochs": (
        CLIENT + "trial.report(val_accuracy=0.3); raise OSError('disk')",
        "crashed",
        "OSError: disk",
    ),
}


@pytest.mark.parametrize("name", CRASHES)
def test_failures_are_typed(run: Run, name: str) -> None:
    script, kind, message = CRASHES[name]
    result = run(script)
    assert result.state == "failed"
    assert (failure(result).kind, failure(result).message) == (kind, message)


def test_the_end_of_stderr_is_kept_and_short(run: Run) -> None:
    result = run(
        "print('x' * 500000, file=sys.stderr)\nfor i in range(50): print('line', i, file=sys.stderr)\n1/0"
    )
    stderr = failure(result).stderr
    assert len(stderr.splitlines()) == 20
    assert len(stderr) <= 2000
    assert stderr.endswith("ZeroDivisionError: division by zero")


def test_progress_bars_and_colours_are_cleaned(run: Run) -> None:
    result = run(r"sys.stderr.write('0%\r50%\r100%\n\x1b[31mred\x1b[0m\n'); sys.exit(1)")
    assert failure(result).stderr == "100%\nred"


def test_a_result_counts_although_the_script_dies_afterwards(run: Run) -> None:
    result = run(CLIENT + "trial.finish(val_accuracy=0.7); os.kill(os.getpid(), 9)")
    assert (result.state, result.value, result.usage.exit_code) == ("finished", 0.7, -9)


def test_half_a_result_does_not_count(run: Run) -> None:
    result = run("open('result.json', 'w').write('{\"val_accuracy\": 0.')")
    assert failure(result).kind == "no_metric"


def test_a_hanging_script_is_ended_at_its_limit(run: Run) -> None:
    begin = time.monotonic()
    result = run(
        CLIENT
        + "trial.report(val_accuracy=0.5)\nimport signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "while True: time.sleep(1)",
        limits={"trial_seconds": 1},
    )
    assert (result.state, failure(result).kind) == ("failed", "timeout")
    assert failure(result).message == "the trial ran longer than its limit of 1 seconds"
    assert result.usage.exit_code == -signal.SIGKILL
    assert [e.epoch for e in result.epochs] == [1]
    assert time.monotonic() - begin < 8


def test_too_much_memory_ends_the_trial(run: Run) -> None:
    result = run(
        "blocks = []\nwhile len(blocks) < 400:\n    blocks.append(bytearray(2**20)); time.sleep(0.005)",
        limits={"memory_mb": 80},
    )
    assert failure(result).kind == "out_of_memory"
    assert failure(result).message == "the trial used more than its limit of 80 MiB"
    assert 80 < result.usage.peak_memory_mb < 400


def test_memory_of_children_counts(run: Run) -> None:
    child = "import time; b = bytearray(90 * 2**20); time.sleep(20)"
    result = run(
        f"import subprocess; subprocess.run([sys.executable, '-c', {child!r}])", limits={"memory_mb": 80}
    )
    assert failure(result).kind == "out_of_memory"


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
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def test_huge_output_does_no_harm(run: Run, tmp_path: Path) -> None:
    result = run(CLIENT + "for _ in range(50): sys.stdout.write('x' * 2**20)\ntrial.finish(val_accuracy=1)")
    assert result.state == "finished"
    assert (tmp_path / "trials/3/stdout.log").stat().st_size == 50 * 2**20


def test_interrupt_from_another_thread(tmp_path: Path) -> None:
    executor = LocalExecutor(poll_seconds=0.01, grace_seconds=0.5)
    job = make_job(tmp_path, HEADER + CLIENT + "trial.report(val_accuracy=0.5)\ntime.sleep(60)")
    begin = time.monotonic()
    result = executor.run(job, lambda _: threading.Thread(target=executor.interrupt).start())
    assert (result.state, failure(result).kind, result.value) == ("interrupted", "interrupted", None)
    assert time.monotonic() - begin < 10


def test_an_interrupt_does_not_reach_later_runs(run: Run, tmp_path: Path) -> None:
    executor = LocalExecutor()
    executor.interrupt()
    job = make_job(tmp_path, CLIENT + "trial.finish(val_accuracy=1)")
    assert executor.run(job, lambda _: None).state == "finished"


def test_an_error_of_the_watcher_ends_the_script(tmp_path: Path) -> None:
    job = make_job(
        tmp_path,
        HEADER + CLIENT + "open('pid', 'w').write(str(os.getpid()))\ntrial.report(x=1)\ntime.sleep(60)",
    )

    def on_epoch(_: EpochRecord) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        LocalExecutor(poll_seconds=0.01, grace_seconds=0.5).run(job, on_epoch)
    assert not psutil.pid_exists(int((job.folder / "pid").read_text()))


def test_what_an_earlier_try_left_is_removed(tmp_path: Path) -> None:
    executor = LocalExecutor(poll_seconds=0.01)
    job = make_job(tmp_path, HEADER + CLIENT + "trial.report(val_accuracy=1); trial.finish(val_accuracy=1)")
    assert executor.run(job, lambda _: None).state == "finished"
    (job.folder / "stop").touch()
    job = make_job(tmp_path, HEADER + CLIENT + "assert not trial.should_stop()")
    result = executor.run(job, lambda _: None)
    assert failure(result).kind == "no_metric"
    assert result.epochs == ()


def test_a_missing_program_is_the_users_to_fix(run: Run) -> None:
    with pytest.raises(UserError, match="no-such-program") as caught:
        run("", command=["no-such-program", "train.py"])
    assert "--python" in caught.value.hint


def test_a_dead_engines_trial_is_recovered(tmp_path: Path) -> None:
    executor = LocalExecutor(poll_seconds=0.01, grace_seconds=0.5)
    job = make_job(tmp_path, HEADER + CLIENT + "trial.finish(val_accuracy=0.6)")
    executor.run(job, lambda _: None)
    recovered = recover(job)
    assert recovered is not None
    assert (recovered.state, recovered.value) == ("finished", 0.6)
    (job.folder / "result.json").unlink()
    assert recover(job) is None


def test_an_orphan_is_ended_before_recovery(tmp_path: Path) -> None:
    script = HEADER + CLIENT + "open('pid', 'w').write(str(os.getpid()))\ntime.sleep(60)"
    job = make_job(tmp_path, script)
    # An engine in a process of its own, killed while the trial runs.
    engine = multiprocessing.get_context("spawn").Process(target=run_job, args=(job,))
    engine.start()
    pid = int(wait_for(job.folder / "pid"))
    engine.kill()
    engine.join()
    assert psutil.pid_exists(pid)
    assert recover(job, grace_seconds=0.5) is None
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


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
    job = make_job(tmp_path, "", params=params, command=command, config=config)
    script = str(tmp_path / "task" / "train.py")
    assert build_command(job) == [
        *(sys.executable, script, f"--conf={script}", "--other=none.py", "--quiet"),
        *("--lr", "1.23456789e-07", "--opt=adam", "--nesterov", "true"),
        "n7",
    ]
    job = make_job(tmp_path, "", params=params, command=command, config=config | {"momentum": 0.5})
    assert build_command(job)[-4:] == ["--momentum", "0.5", "-m=0.5", "n7"]


def test_a_module_of_the_task_can_be_the_program(run: Run) -> None:
    result = run(CLIENT + "trial.finish(val_accuracy=1)", command=["{python}", "-m", "train"])
    assert result.state == "finished"
