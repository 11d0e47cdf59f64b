"""What docs/service.md shows is what happens."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.service.served import Served, serving

PAGE = (Path(__file__).parents[2] / "docs" / "service.md").read_text(encoding="utf-8")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path) as made:
        yield made


def commands() -> Iterator[tuple[str, str]]:
    """Path and body of every curl that sends JSON."""
    joined = PAGE.replace("\\\n", "")
    for body, path in re.findall(
        r"curl --json '(.*?)'\s+http://127\.0\.0\.1:8765/api/v1(\S+)", joined, re.DOTALL
    ):
        yield path, body


def test_the_requests_of_the_page_are_taken(served: Served) -> None:
    seen = []
    for path, body in commands():
        answer = httpx.post(f"{served.url}/api/v1{path}", json=json.loads(body))
        assert answer.status_code < 300, (path, answer.text)
        seen.append(path)
    assert seen.count("/studies") == 2
    assert "/studies/mine/trials/1/tell" in seen
    story = httpx.get(f"{served.url}/api/v1/studies/mine/trials/1").json()
    assert (story["value"], story["epochs"]) == (0.83, 1)


def test_the_trainer_of_the_page_trains_a_study_to_its_end(
    served: Served,
    tmp_path: Path,
) -> None:
    program = re.search(r"```python file=trainer.py\n(.*?)```", PAGE, re.DOTALL)
    assert program is not None
    (tmp_path / "trainer.py").write_text(program[1])
    body = next(json.loads(b) for p, b in commands() if p == "/studies" and "manifest" in b)
    made = httpx.post(f"{served.url}/api/v1/studies", json=body | {"trials": 4, "name": "mine"})
    assert made.status_code == 201
    trainers = [
        subprocess.Popen([sys.executable, "trainer.py", served.url, "mine"], cwd=tmp_path) for _ in range(2)
    ]
    assert [t.wait(120) for t in trainers] == [0, 0]
    shown = httpx.get(f"{served.url}/api/v1/studies/mine").json()
    assert (shown["state"], shown["trials_done"]) == ("finished", 4)
    assert shown["best"] == pytest.approx(0.5 + 0.1 * shown["best_config"]["layers"] - 0.1 / 3)


def test_the_options_of_the_page_are_those_of_the_command() -> None:
    from typer.testing import CliRunner

    from tcs_hpt.cli.app import app

    offered = set(re.findall(r"--[a-z][a-z-]+", CliRunner().invoke(app, ["serve", "--help"]).output))
    table = PAGE.split("| option | what |")[1].split("##")[0]
    assert set(re.findall(r"--[a-z][a-z-]+", table)) == offered - {"--help"}
