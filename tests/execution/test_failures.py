from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest

from tcs_hpt.execution import memory
from tcs_hpt.execution.outcome import Ending, judge
from tcs_hpt.records import Usage
from tcs_hpt.spec import Limits
from tests.execution.fake_scripts import CLIENT, Run, failure, task

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
    "jax memory": (
        "print('I tensorflow: loading', file=sys.stderr)\n"
        "raise RuntimeError('RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8 bytes.')",
        "out_of_memory",
        "RuntimeError: RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8 bytes.",
    ),
    "memory, then another error because of it": (
        "try:\n    raise RuntimeError('CUDA out of memory')\nfinally:\n    undefined",
        "out_of_memory",
        "RuntimeError: CUDA out of memory",
    ),
    "memory that the script got over": (
        "import traceback\ntry:\n    raise RuntimeError('CUDA out of memory')\nexcept RuntimeError:\n"
        "    traceback.print_exc()\nprint('a smaller batch', file=sys.stderr)\n1/0",
        "crashed",
        "ZeroDivisionError: division by zero",
    ),
    "no space": (
        "f = open('/dev/full', 'w', buffering=1)\nf.write('x\\n')",
        "crashed",
        "OSError: [Errno 28] No space left on device",
    ),
    "an error nobody could write down": (
        "os.dup2(os.open('/dev/full', os.O_WRONLY), 2)\n1/0",
        "crashed",
        "the script ended with exit code 1 and wrote no error",
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


TOO_LITTLE_MEMORY = [
    "MemoryError",
    "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 7.28 TiB for an array with shape (1000000, 1000000)",
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 139 GiB",
    "torch.cuda.OutOfMemoryError: HIP out of memory. Tried to allocate 2.00 GiB",
    "RuntimeError: CUDA error: out of memory",
    "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
    "RuntimeError: cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    "RuntimeError: HIP error: HIPBLAS_STATUS_ALLOC_FAILED when calling `hipblasCreate(handle)`",
    "RuntimeError: hipErrorOutOfMemory",
    "RuntimeError: MPS backend out of memory (MPS allocated: 9.05 GB, other allocations: 1.02 MB, max allowed: 9.07 GB)",
    "RuntimeError: [enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory: you tried ...",
    "tensorflow.python.framework.errors_impl.ResourceExhaustedError: {{function_node}} OOM [Op:X] RESOURCE_EXHAUSTED",
    "jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes.",
    "terminate called after throwing an instance of 'std::bad_alloc'",
    "OSError: [Errno 12] Cannot allocate memory",
]


@pytest.mark.parametrize("line", TOO_LITTLE_MEMORY)
def test_libraries_that_run_out_of_memory_are_understood(line: str) -> None:
    result = judge(Ending("itself", 1, None, (), line), task().objective, Limits(), Usage())
    assert (failure(result).kind, failure(result).message) == ("out_of_memory", line)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_from_outside_is_no_lack_of_memory(run: Run, number: signal.Signals) -> None:
    default = "" if number == signal.SIGKILL else f"signal.signal({int(number)}, signal.SIG_DFL)"
    result = run(
        CLIENT
        + f"import signal\n{default}\ntrial.report(val_accuracy=0.5)\nos.kill(os.getpid(), {int(number)})",
        limits={"memory_mb": 10_000},
    )
    assert (result.state, failure(result).kind) == ("failed", "crashed")
    assert failure(result).message == f"the script was killed by signal {number.name}"
    assert result.usage.exit_code == -number


def test_a_kill_by_the_kernel_is_out_of_memory(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = tmp_path / "memory.events"
    events.write_text("low 0\nhigh 0\nmax 4\noom 1\noom_kill 2\noom_group_kill 0\n")
    monkeypatch.setattr(memory, "_control_group", lambda: tmp_path)
    assert memory.kernel_kills() == 2
    count = f"open({str(events)!r}, 'w').write('oom_kill ' + str(os.getpid() + 3))\n"
    result = run(count + "os.kill(os.getpid(), 9)")
    assert (result.state, failure(result).kind) == ("failed", "out_of_memory")
    assert "the kernel ended the script" in failure(result).message
    result = run("os.kill(os.getpid(), 9)")  # the count did not grow
    assert failure(result).kind == "crashed"
    result = run(count + "1/0")  # it grew for the sake of another process
    assert failure(result).message == "ZeroDivisionError: division by zero"


def test_kernel_kills_can_be_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory.events").write_text("oom_kill many\n")
    monkeypatch.setattr(memory, "_control_group", lambda: tmp_path)
    monkeypatch.setattr(memory, "_SYSTEM_COUNTS", tmp_path / "missing")
    assert memory.kernel_kills() is None


def test_a_kill_above_the_limit_is_out_of_memory() -> None:
    ending, usage = Ending("itself", -9, None, (), ""), Usage(peak_memory_mb=101)
    result = judge(ending, task().objective, Limits(memory_mb=100), usage)
    assert failure(result).kind == "out_of_memory"
    assert failure(judge(ending, task().objective, Limits(memory_mb=102), usage)).kind == "crashed"


def test_a_script_that_deletes_its_folder(run: Run, tmp_path: Path) -> None:
    result = run(
        CLIENT
        + """
import shutil
trial.report(val_accuracy=0.5)
time.sleep(0.1)
shutil.rmtree(trial.folder)
trial.report(val_accuracy=0.6)
assert not trial.should_stop()
trial.finish(val_accuracy=0.7)
"""
    )
    assert (failure(result).kind, len(result.epochs)) == ("crashed", 1)
    assert failure(result).message == "the trial's folder was deleted while the script ran"
    assert failure(result).stderr.startswith("tcs_hpt: cannot write to ")  # although the log is deleted too
    assert not (tmp_path / "trials/3").exists()


def test_a_missing_script(run: Run) -> None:
    result = run("", command=["{python}", "other.py"])
    assert failure(result).kind == "crashed"
    assert "No such file or directory" in failure(result).message


RESULTS: dict[str, tuple[str, str]] = {
    "garbage": (r"'\x00\xff'", "'utf-8' codec"),
    "half": ("""'{"val_accuracy": 0.'""", "Expecting"),
    "empty": ("''", "it is empty or not a file"),
    "list": ("'[0.5]'", "not a JSON object"),
    "too deep": ("'[' * 100000", "nested too deeply"),
    "too large": ("""'{"val_accuracy": 1, "x": "' + 'x' * 2**24 + '"}'""", "larger than 16 MiB"),
}


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_that_cannot_be_read(run: Run, name: str) -> None:
    content, message = RESULTS[name]
    result = run(
        CLIENT
        + f"trial.report(val_accuracy=0.5)\nopen('result.json', 'w', encoding='latin-1').write({content})"
    )
    assert failure(result).kind == "no_metric"
    assert message in failure(result).message


def test_a_result_that_is_a_folder_or_blocks(run: Run) -> None:
    for script in (
        "os.mkdir('result.json')",
        "os.mkfifo('result.json')",
        "os.symlink('/dev/zero', 'result.json')",
    ):
        result = run(script)
        assert (failure(result).kind, "empty or not a file" in failure(result).message) == ("no_metric", True)


def test_a_result_of_ten_megabytes(run: Run) -> None:
    result = run(
        "values = {f'm{i}': i for i in range(600_000)} | {'val_accuracy': 0.5}\n"
        "text = json.dumps(values); assert len(text) > 10**7\nopen('result.json', 'w').write(text)"
    )
    assert (result.value, len(result.metrics)) == (0.5, 257)


@pytest.mark.parametrize("number", ["1e999", "1" + "0" * 400, "1" + "0" * 5000, "NaN", "null", "-Infinity"])
def test_a_result_that_is_no_finite_number(run: Run, number: str) -> None:
    result = run(f"open('result.json', 'w').write('{{\"val_accuracy\": {number}}}')")
    assert (failure(result).kind, result.metrics) == ("diverged", {"val_accuracy": None})


@pytest.mark.parametrize("value", ['"0.5"', "true", "[1]", "{}"])
def test_a_result_of_another_type(run: Run, value: str) -> None:
    assert (
        failure(run(f"open('result.json', 'w').write('{{\"val_accuracy\": {value}}}')")).kind == "no_metric"
    )


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
