from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tcs_hpt.catalog import list_tasks
from tcs_hpt.cli import tasks
from tcs_hpt.errors import UserError

MANIFEST = """
schema = 1
name = "mine"
description = "A line."
command = ["{python}", "train.py"]
[objective]
metric = "val_loss"
direction = "minimize"
[params.lr]
type = "float"
low = 0.0
high = 1.0
default = 0.5
description = "Step size."
[limits]
trial_seconds = 60
[profiles.half]
limits = { memory_mb = 2000 }
[profiles.half.params.lr]
high = 0.5
"""
TRAIN = """
import sys
import tcs_hpt
trial = tcs_hpt.current_trial()
trial.report(epoch=1, val_loss=trial.params["lr"])
trial.finish(val_loss=trial.params["lr"])
"""

Run = Callable[..., Result]


@pytest.fixture
def task(tmp_path: Path) -> Path:
    folder = tmp_path / "my task"
    folder.mkdir()
    (folder / "task.toml").write_text(MANIFEST)
    (folder / "train.py").write_text(TRAIN)
    return folder


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv("TCS_HPT_DATA_DIR", raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: CliRunner().invoke(tasks.app, [str(a) for a in arguments])


def rows(done: Result) -> dict[str, str]:
    """Status by check, of the lines that tell of one."""
    lines = [line.split() for line in done.stdout.splitlines()]
    return {line[1]: line[0] for line in lines if len(line) > 2 and line[0] in ("ok", "warning", "failed")}


def test_check_prints_a_line_for_each_check_and_what_it_costs(run: Run, task: Path) -> None:
    done = run("check", task, "--thorough", "--seed", "4", "--data-dir", task)
    assert done.exit_code == 0, done.output
    assert set(rows(done).values()) == {"ok"}
    assert [line.split()[1] for line in done.stdout.splitlines()[:4]] == [
        "manifest",
        "defaults",
        "time",
        "run",
    ]
    assert re.search(
        r"\nA trial of the bare manifest takes .+ and [\d.]+ [kM]B; a study of ten about ", done.stdout
    )
    assert done.stdout.endswith(f"Ready for a study: tcs-hpt tune '{task}' --data-dir '{task}'\n")


def test_a_failed_check_ends_with_1_and_shows_standard_error(run: Run, task: Path) -> None:
    (task / "train.py").write_text("import sys\nprint('reading', file=sys.stderr)\nraise KeyError('label')")
    done = run("check", task)
    assert done.exit_code == 1
    assert rows(done)["run"] == "failed"
    assert "it crashed: KeyError: 'label'" in done.stdout
    assert "| reading\n" in done.stdout
    assert done.stdout.endswith("1 check failed: a study would not work yet.\n")


def test_warnings_end_with_0(run: Run, task: Path) -> None:
    (task / "train.py").write_text(TRAIN.replace("trial.report(", "dict("))
    done = run("check", task, "--once")
    assert done.exit_code == 0
    assert rows(done)["curve"] == "warning"
    assert "same" not in rows(done)
    assert "Ready for a study, with 1 warning: " in done.stdout


def test_json_is_one_object_and_nothing_else(run: Run, task: Path) -> None:
    done = run("check", task, "--json", "--once", "--profile", "half", "--python", sys.executable)
    found = json.loads(done.stdout)
    assert done.stderr == ""
    assert (found["ok"], found["task"], found["profile"]) == (True, "mine", "half")
    assert {c["name"]: c["status"] for c in found["checks"]}["metric"] == "ok"
    assert found["study_seconds"] == 10 * found["seconds"]
    assert found["peak_memory_mb"] > 0


def test_a_broken_manifest_is_a_failed_check_in_json_too(run: Run, task: Path) -> None:
    (task / "task.toml").write_text(MANIFEST.replace("high = 1.0", "high = -1.0"))
    done = run("check", task, "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert not found["ok"]
    assert "params.lr" in found["checks"][0]["details"][0]


def test_manifest_only_runs_nothing(run: Run, task: Path) -> None:
    (task / "train.py").write_text("raise RuntimeError  # before lr is read")
    done = run("check", task, "--manifest-only")
    assert done.exit_code == 0, done.output
    assert "Without --manifest-only the script is run too." in done.stdout


def test_names_are_whole_on_a_narrow_screen(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(tasks, "missing_extras", lambda requirements: {"graph": ("torch-geometric",)})
    lines = run("list").stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert [n for n in list_tasks() if not any(line.startswith(f"{n} ") for line in lines)] == []
    assert any(" graph" in line for line in lines)


def test_an_unknown_profile_is_wrong_use(run: Run, task: Path) -> None:
    assert isinstance(run("check", task, "--profile", "huge").exception, UserError)


def test_show_tells_the_space_of_a_profile(run: Run, task: Path) -> None:
    bare, half = run("show", task).stdout, run("show", task, "--profile", "half").stdout
    assert "limits: 60 s a trial\n" in bare
    assert "mine: mine, at half" in half
    assert "limits: 60 s a trial, 2000 MiB\n" in half
    assert re.search(r"^lr +0\.\.1 ", bare, re.MULTILINE)
    assert re.search(r"^lr +0\.\.0\.5 ", half, re.MULTILINE)


def test_list_names_the_extra_and_whether_it_is_here(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tasks, "missing_extras", lambda requirements: {"graph": ("torch-geometric",)})
    done = run("list").stdout
    assert [
        name for name in list_tasks() if not any(line.startswith(f"{name} ") for line in done.splitlines())
    ] == []
    assert "graph (not installed)" in done
    assert "pip install 'tcs-hpt[graph]'" in done
    assert "not installed: pip install 'tcs-hpt[graph]'" in run("show", "gcn_cora").stdout
    monkeypatch.setattr(tasks, "missing_extras", lambda requirements: {})
    done = run("list").stdout
    assert re.search(r"^gcn_cora .* graph *$", done, re.MULTILINE)
    assert "not installed" not in done.lower()
