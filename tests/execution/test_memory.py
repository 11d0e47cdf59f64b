from __future__ import annotations

import sys

import pytest

from tests.execution.fake_scripts import CLIENT, Run, failure


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


# 100 MB that four forked children share: 100 MB and what each interpreter needs, not 500.
FORKS = """
block = bytearray(os.urandom(2**20) * 100)
for i in range(4):
    if not os.fork():
        {work}
        os._exit(0)
for i in range(4):
    os.wait()
trial.finish(val_accuracy=1)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not count shared pages")
def test_shared_memory_is_counted_once(run: Run) -> None:
    result = run(CLIENT + FORKS.format(work="time.sleep(1)"), limits={"memory_mb": 250})
    assert result.state == "finished"
    assert 100 < result.usage.peak_memory_mb < 250


def test_memory_that_is_written_to_after_the_fork_counts(run: Run) -> None:
    work = "block[::4096] = bytes([i + 1]) * len(block[::4096]); time.sleep(60)"
    result = run(CLIENT + FORKS.format(work=work), limits={"memory_mb": 250})
    assert failure(result).kind == "out_of_memory"
