from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tcs_hpt import client
from tcs_hpt.client import CurrentTrial, current_trial

SETTINGS = {"params": {"lr": 0.1}, "fixed": {}, "seed": 5, "profile": "quick", "trial": 2, "data_dir": None}
MANIFEST = """
schema = 1
name = "hand"
command = ["{python}", "train.py"]
[objective]
metric = "val_accuracy"
direction = "maximize"
[params.lr]
type = "float"
low = 0.01
high = 1.0
default = 0.1
"""


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TRIAL_DIR", "DATA_DIR", "PROFILE", "SEED"):
        monkeypatch.delenv(f"TCS_HPT_{name}", raising=False)
    monkeypatch.setattr(client, "_made", {})


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CurrentTrial:
    """The trial of this process, in a folder as the engine makes it."""
    folder = tmp_path / "trial"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(SETTINGS))
    monkeypatch.setenv("TCS_HPT_TRIAL_DIR", str(folder))
    return current_trial()


@pytest.fixture
def by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As when a person starts the script, with a manifest beside it."""
    (tmp_path / "task.toml").write_text(MANIFEST)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delattr(sys.modules["__main__"], "__file__", raising=False)
    monkeypatch.setattr(sys, "argv", [""])


@pytest.fixture
def lines(tmp_path: Path) -> Callable[[], list[dict[str, Any]]]:
    """What was reported so far."""

    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in (tmp_path / "trial/metrics.jsonl").read_text().splitlines()]

    return read


@pytest.fixture
def result(tmp_path: Path) -> Callable[[], dict[str, Any] | None]:
    """What the trial was finished with; None when it was not."""

    def read() -> dict[str, Any] | None:
        path = tmp_path / "trial/result.json"
        return dict(json.loads(path.read_text())) if path.exists() else None

    return read
