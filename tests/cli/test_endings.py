"""How the command line ends, as a shell sees it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

MAIN = "from tcs_hpt.cli import main; main()"


def ended(code: str, *arguments: str, reads: bool = True) -> tuple[int, str]:
    """Exit status and standard error of a process whose output is read to its end, or by nobody at all."""
    reader, writer = os.pipe()
    if not reads:
        os.close(reader)  # gone before the first word
    try:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            stdout=subprocess.PIPE if reads else writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    finally:
        os.close(writer)
        if reads:
            os.close(reader)
    return done.returncode, done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["tasks", "list"]])
def test_a_reader_who_left_is_no_failure_and_makes_no_noise(arguments: list[str]) -> None:
    assert ended(MAIN, *arguments, reads=False) == (141, "")


def test_a_reader_who_stays_is_told_all() -> None:
    assert ended(MAIN, "--version") == (0, "")


def test_ctrl_c_ends_with_130_and_a_word() -> None:
    code = (
        "import os, signal\n"
        "from tcs_hpt.cli import app, main\n"
        "@app.app.command()\n"
        "def wait() -> None:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    signal.pause()\n"
        "main()\n"
    )
    assert ended(code, "wait") == (128 + signal.SIGINT, "interrupted\n")


def test_errors_end_with_2_or_1_and_their_hint() -> None:
    status, said = ended(MAIN, "tasks", "show", "nothing-of-this-name")
    assert status == 2
    assert said.startswith("error: ")
    assert "hint: " in said
    assert ended(MAIN, "no-such-command")[0] == 2
