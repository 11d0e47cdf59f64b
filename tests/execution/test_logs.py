from __future__ import annotations

import os
import re
import threading
from pathlib import Path

import pytest

from tcs_hpt.execution.logs import Log
from tests.execution.fake_scripts import CLIENT, HEADER, Run, executor, failure, make_job

NOTE = re.compile(rb"\n\[\.\.\. about (\d+) bytes left out \.\.\.\]\n")


def test_short_output_is_left_alone(tmp_path: Path) -> None:
    log = Log(tmp_path / "log", 100)
    (tmp_path / "log").write_bytes(b"x" * 100)
    log.trim()
    assert (tmp_path / "log").read_bytes() == b"x" * 100
    log.close()


def test_begin_and_end_are_kept_and_the_rest_is_counted(tmp_path: Path) -> None:
    log, path = Log(tmp_path / "log", 4000), tmp_path / "log"
    script = log.open_for_script()
    written = b""
    for i in range(5000):
        line = f"line {i}\n".encode()
        written += line
        os.write(script, line)
        log.trim()
        assert path.stat().st_size <= 4000
    content = path.read_bytes()
    note = NOTE.search(content)
    assert note is not None
    assert len(NOTE.findall(content)) == 1
    head, tail = content[: note.start()], content[note.end() :]
    assert written.startswith(head)
    assert head.startswith(b"line 0\n")
    assert head.endswith(b"\n")
    assert written.endswith(tail)
    assert tail.startswith(b"line ")
    assert len(head) + int(note[1]) + len(tail) == len(written)
    assert log.read_end(9) == written[-9:]
    os.close(script)
    log.close()


def test_what_is_printed_while_the_log_is_cut_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, path = Log(tmp_path / "log", 4000), tmp_path / "log"
    pwrite = os.pwrite

    def meanwhile(handle: int, data: bytes, offset: int) -> int:
        monkeypatch.undo()
        with path.open("ab") as file:
            file.write(b"meanwhile\n")
        return pwrite(handle, data, offset)

    path.write_bytes(b"x" * 5000)
    monkeypatch.setattr(os, "pwrite", meanwhile)
    log.trim()
    content = path.read_bytes()
    assert content.endswith(b"xmeanwhile\n")
    assert len(content) < 4000
    log.close()


def test_one_endless_line_is_cut_too(tmp_path: Path) -> None:
    log, path = Log(tmp_path / "log", 4000), tmp_path / "log"
    for _ in range(10):
        with path.open("ab") as file:
            file.write(b"x" * 3000)
        log.trim()
    content = path.read_bytes()
    assert len(content) <= 4000
    note = NOTE.search(content)
    assert note is not None
    assert len(content) - len(note[0]) + int(note[1]) == 30_000
    log.close()


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_huge_output_is_bounded_while_it_is_written(tmp_path: Path, name: str) -> None:
    script = (
        HEADER
        + CLIENT
        + f"""
line = "x" * 99 + chr(10)
print("first", file=sys.{name})
for _ in range(200): sys.{name}.write(line * 10000)
print("last", file=sys.{name})
trial.finish(val_accuracy=1)
"""
    )
    job = make_job(tmp_path, script)
    path = job.folder / f"{name}.log"
    largest, over = 0, threading.Event()

    def watch() -> None:
        nonlocal largest
        while not over.wait(0.002):
            if path.exists():
                largest = max(largest, path.stat().st_size)

    watcher = threading.Thread(target=watch)
    watcher.start()
    result = executor(log_bytes=100_000).run(job, lambda _: None)
    over.set()
    watcher.join()
    assert result.state == "finished"
    # 200 MB were written; between two looks a script manages some tens of MB even on a fast disk.
    assert largest < 120e6
    content = path.read_bytes()
    assert len(content) <= 100_000
    assert content.startswith(b"first\n")
    assert content.endswith(b"last\n")  # the line before it may be among what is lost in the moment of a cut
    note = NOTE.search(content)
    assert note is not None
    assert int(note[1]) > 190e6  # what is lost in the moment of a cut is not all counted


def test_an_error_after_huge_output_is_found(tmp_path: Path) -> None:
    script = """
import sys, time
for i in range(200000): print('warning', i, file=sys.stderr)
time.sleep(0.3)  # what is printed in the moment of a cut may be lost
print('the last one', file=sys.stderr)
1/0
"""
    result = executor(log_bytes=50_000).run(make_job(tmp_path, script), lambda _: None)
    assert (failure(result).kind, failure(result).message) == (
        "crashed",
        "ZeroDivisionError: division by zero",
    )
    assert "the last one" in failure(result).stderr


def test_a_deleted_log_is_bounded_too(tmp_path: Path) -> None:
    log = Log(tmp_path / "log", 1000)
    script = log.open_for_script()
    (tmp_path / "log").unlink()
    for _ in range(10):
        os.write(script, b"x" * 1000)
        log.trim()
    assert os.fstat(script).st_size <= 1000
    assert log.read_end(5) == b"xxxxx"
    os.close(script)
    log.close()


def test_a_script_may_use_its_output_as_a_file(run: Run, tmp_path: Path) -> None:
    # Through a pipe this would fail: there is nothing to seek in.
    result = run(
        CLIENT
        + "print('a'); sys.stdout.flush(); os.fstat(1).st_size == 2 or 1/0\ntrial.finish(val_accuracy=1)"
    )
    assert result.state == "finished"
    assert (tmp_path / "trials/3/stdout.log").read_text() == "a\n"
