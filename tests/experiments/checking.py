"""A task of a few lines, and its check."""

from __future__ import annotations

import json
from pathlib import Path

from tcs_hpt.experiments.task_check import CheckOptions, TaskCheck, check_task
from tcs_hpt.experiments.task_findings import Check

MANIFEST = """
schema = 1
name = "mine"
description = "A curve."
command = ["{python}", "train.py"]
[objective]
metric = "val_accuracy"
direction = "maximize"
[params.lr]
type = "float"
low = 1e-4
high = 1.0
log = true
default = 0.01
description = "Step size."
[params.optimizer]
type = "categorical"
choices = ["adam", "sgd"]
default = "sgd"
description = "Which one."
[params.momentum]
type = "float"
low = 0.0
high = 0.9
default = 0.5
when = { optimizer = ["adam"] }
description = "Only there for the switch."
[fixed]
epochs = 3
[limits]
trial_seconds = 100
[profiles.smoke]
fixed = { epochs = 2 }
"""
HEAD = """
import os, random, signal, sys, time
import tcs_hpt
trial = tcs_hpt.current_trial()
p = trial.params
"""
GOOD = (
    HEAD
    + """
random.seed(trial.seed)
score = random.random() + p["lr"] + (p.get("momentum", 3.0) if p["optimizer"] == "adam" else 0.0)
for epoch in range(1, p["epochs"] + 1):
    trial.report(epoch=epoch, val_accuracy=score * epoch, lr=p["lr"], seconds=time.time())
trial.finish(val_accuracy=score, test_accuracy=score / 2)
"""
)
QUICK = CheckOptions(once=True)


def my_task(tmp_path: Path, script: str, manifest: str = MANIFEST) -> Path:
    folder = tmp_path / "task"
    folder.mkdir()
    (folder / "task.toml").write_text(manifest)
    (folder / "train.py").write_text(script)
    return folder


def check(tmp_path: Path, script: str, options: CheckOptions = QUICK, manifest: str = MANIFEST) -> TaskCheck:
    home = tmp_path / "home"
    home.mkdir()
    seen: list[Check] = []
    done = check_task(my_task(tmp_path, script, manifest), home, options, on_check=seen.append)
    assert tuple(seen) == done.checks
    assert list(home.iterdir()) == []
    assert done.ok == ("failed" not in {c.status for c in done.checks})
    json.dumps(done.to_json(), allow_nan=False)
    return done


def statuses(done: TaskCheck) -> dict[str, str]:
    return {c.name: c.status for c in done.checks}


def found(done: TaskCheck, name: str) -> Check:
    return next(c for c in done.checks if c.name == name)
