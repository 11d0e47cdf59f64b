"""A script that is run by hand, outside a trial: the defaults of its manifest."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcs_hpt import client
from tcs_hpt.catalog import list_tasks, load_task
from tcs_hpt.client import current_trial
from tcs_hpt.errors import UserError
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import TaskSpec

MANIFEST = """
schema = 1
name = "hand"
command = ["{python}", "train.py"]
[objective]
metric = "val_accuracy"
direction = "maximize"
[params.momentum]
type = "float"
low = 0.0
high = 0.99
when = { optimizer = ["sgd"] }
[params.optimizer]
type = "categorical"
choices = ["adam", "sgd", "rmsprop", "lion"]
[params.lr]
type = "float"
low = 1e-5
high = 1
log = true
[params.epochs]
type = "int"
low = 1
high = 40
default = 20
[fixed]
max_train = 600
[profiles.smoke]
fixed = { max_train = 6 }
[profiles.smoke.params.epochs]
high = 3
default = 2
"""

SCRIPT = """
import json, tcs_hpt
trial = tcs_hpt.current_trial()
print(json.dumps([trial.params, trial.seed, trial.profile, trial.number, trial.should_stop()]))
trial.report(train_loss=0.123456, val_accuracy=float("nan"))
trial.finish(val_accuracy=0.5)
"""


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TRIAL_DIR", "DATA_DIR", "PROFILE", "SEED"):
        monkeypatch.delenv(f"TCS_HPT_{name}", raising=False)
    monkeypatch.setattr(client, "_made", {})


def by_hand(folder: Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    (folder / "train.py").write_text(SCRIPT)
    return subprocess.run(
        [sys.executable, os.path.relpath(folder / "train.py", cwd)],
        cwd=cwd,
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def test_by_hand_the_defaults_are_used_and_metrics_are_printed(tmp_path: Path) -> None:
    folder, cwd = tmp_path / "task", tmp_path / "elsewhere"
    folder.mkdir()
    cwd.mkdir()
    (cwd / "stop").touch()
    (folder / "task.toml").write_bytes(b"\xef\xbb\xbf" + MANIFEST.encode())
    done = by_hand(folder, cwd)
    first, *rest = done.stdout.splitlines()
    params = {"optimizer": "sgd", "momentum": 0.495, "lr": 0.00316, "epochs": 20, "max_train": 600}
    assert json.loads(first) == [params, 0, "", 0, False]
    assert rest == ["epoch   1  train_loss 0.1235  val_accuracy not finite", "finished   val_accuracy 0.5"]
    done = by_hand(folder, cwd, TCS_HPT_PROFILE="smoke", TCS_HPT_SEED="4")
    params |= {"epochs": 2, "max_train": 6}
    assert json.loads(done.stdout.splitlines()[0]) == [params, 4, "smoke", 0, False]
    assert [p.name for p in cwd.iterdir()] == ["stop"]


def test_by_hand_what_is_wrong_is_said(tmp_path: Path) -> None:
    assert "tasks show mlp_digits" in by_hand(tmp_path, tmp_path).stderr
    (tmp_path / "task.toml").write_text("name = x")
    assert "tcs-hpt tasks check" in by_hand(tmp_path, tmp_path).stderr
    (tmp_path / "task.toml").write_text('[params.lr]\ntype = "float"')
    assert "tcs-hpt tasks check" in by_hand(tmp_path, tmp_path).stderr
    (tmp_path / "task.toml").write_text(MANIFEST)
    assert "Profiles of this task: smoke." in by_hand(tmp_path, tmp_path, TCS_HPT_PROFILE="big").stderr
    assert "whole number, got 'x'" in by_hand(tmp_path, tmp_path, TCS_HPT_SEED="x").stderr


def test_by_hand_needs_no_script_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "task.toml").write_text(MANIFEST)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    monkeypatch.setattr(sys, "argv", [""])
    trial = current_trial()
    assert trial.params["epochs"] == 20
    assert trial.artifact("m.pt") == tmp_path / "artifacts/m.pt"
    monkeypatch.setenv("TCS_HPT_PROFILE", "none")
    with pytest.raises(UserError):
        current_trial()


@pytest.mark.parametrize("name", list_tasks())
def test_defaults_are_those_of_the_space(name: str) -> None:
    task = load_task(name)
    raw = tomllib.loads((task.folder / "task.toml").read_text())
    assert client._defaults(raw["params"]) == SearchSpace(task.spec.params).defaults()


numbers = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))


@st.composite
def parameters(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["float", "int", "categorical"]))
    if kind == "categorical":
        return {"type": kind, "choices": draw(st.lists(st.sampled_from("abcdef"), min_size=2, unique=True))}
    log, low = draw(st.booleans()), draw(numbers)
    low = abs(low) + 0.001 if log else low
    high = low + draw(st.floats(0.01, 1e6)) + (1 if kind == "int" else 0)
    if kind == "int":
        low, high = int(low) + (1 if log else 0), int(high) + 2
    table: dict[str, Any] = {"type": kind, "low": low, "high": high, "log": log}
    if not log and draw(st.booleans()):
        table["step"] = max((high - low) // 3, 1) if kind == "int" else (high - low) / 3
    if draw(st.booleans()):
        table["default"] = low
    return table


@given(st.lists(parameters(), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_defaults_are_those_of_any_space(tables: list[dict[str, Any]], random: Any) -> None:
    params = {f"p{i}": t for i, t in enumerate(tables)}
    parents = [n for n, t in params.items() if t["type"] == "categorical"]
    for name, table in params.items():
        if name not in parents and parents:
            parent = random.choice(parents)
            table["when"] = {parent: [random.choice(params[parent]["choices"])]}
    objective = {"metric": "m", "direction": "minimize"}
    raw = {"schema": 1, "name": "t", "command": ["x"], "objective": objective, "params": params}
    space = SearchSpace(TaskSpec.model_validate(raw).params)
    assert client._defaults(params) == space.defaults()
