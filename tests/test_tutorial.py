"""The tutorial does what it says: its files are written, its commands run in order, and what it shows is seen."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(\w+)(?: file=(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?")


def plain(text: str) -> str:
    """Text without what differs from run to run: numbers and the width of columns."""
    return " ".join(NUMBER.sub("#", text).split())


def test_the_tutorial_does_what_it_says(tmp_path: Path) -> None:
    found = BLOCK.findall(TUTORIAL.read_text(encoding="utf-8"))
    assert {kind for kind, _, _ in found} == {"python", "sh", "text"}
    bin_folder = str(Path(sys.executable).parent)
    environment = {
        **os.environ,
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "TCS_HPT_STORE": str(tmp_path / "home" / "studies.db"),
        "COLUMNS": "160",
    }
    home = tmp_path / "project"
    home.mkdir()
    said = ""
    for kind, file, content in found:
        if kind == "python":
            (home / file).write_text(content, encoding="utf-8")
        elif kind == "sh":
            done = subprocess.run(
                ["sh", "-e", "-c", content],
                cwd=home,
                env=environment,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, f"{content}\n{done.stdout}\n{done.stderr}"
            said = done.stdout
        else:
            for line in content.splitlines():
                assert plain(line) in plain(said), f"{line!r} is not in:\n{said}"


def test_only_numbers_and_columns_are_let_through() -> None:
    assert plain("lr 3e-4") == plain("lr    0.001")
    assert plain("lr: 3 -> 4") != plain("lr: 3, 4")
