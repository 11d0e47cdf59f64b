"""`tune --fidelity`, as a user types it, with a script that goes on from its checkpoint."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tcs_hpt.records import Trial
from tcs_hpt.store import Store
from tcs_hpt.tuning import Float, tune

HPT = [sys.executable, "-c", "from tcs_hpt.cli import main; main()"]

TRAIN = """
import json, os, time
import tcs_hpt
trial = tcs_hpt.current_trial()
kept = trial.folder / "checkpoint.json"
done = json.loads(kept.read_text())["epoch"] if kept.exists() else 0
for epoch in range(done + 1, trial.params["epochs"] + 1):
    while epoch == 5 and done == 1 and os.path.exists("hold"):
        time.sleep(0.02)
    trial.report(epoch=epoch, val_accuracy=1 - 0.8**epoch - abs(trial.params["lr"] - 0.1))
    kept.write_text(json.dumps({"epoch": epoch}))
"""
MANIFEST = """
schema = 1
name = "mine"
command = ["{python}", "train.py"]
run_in = "task"
[objective]
metric = "val_accuracy"
direction = "maximize"
[params.lr]
type = "float"
low = 1e-4
high = 1.0
log = true
default = 0.001
[params.epochs]
type = "int"
low = 1
high = 27
default = 9
"""
TUNE = ("tune", ".", "--method", "expert", "--trials", "3", "--fidelity", "epochs", "--name", "s")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "TCS_HPT_STORE": str(tmp_path / "home" / "studies.db"), "COLUMNS": "160"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    made = tmp_path / "project"
    made.mkdir()
    (made / "train.py").write_text(TRAIN)
    (made / "task.toml").write_text(MANIFEST)
    return made


def hpt(environment: dict[str, str], project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*HPT, *arguments],
        env=environment,
        cwd=project,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def trials(environment: dict[str, str]) -> list[Trial]:
    with Store.open(environment["TCS_HPT_STORE"]) as store:
        return store.load_trials("s")


def first_epochs(found: list[Trial]) -> list[tuple[int | None, int]]:
    """Of each trial its fidelity and the first epoch that it trained itself."""
    return [(t.fidelity, t.epochs[0].epoch) for t in found if t.state == "finished"]


EXPECTED = [(1, 1), (None, 2), (1, 1), (1, 1), (3, 2), (None, 4)]
"""The start, the start in full, two more, the better one with 3 and with 9; each goes on where it was."""


def test_a_study_from_the_command_line(environment: dict[str, str], project: Path) -> None:
    done = hpt(environment, project, *TUNE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert first_epochs(trials(environment)) == EXPECTED
    said = " ".join(done.stdout.split())
    assert (
        "3 configurations with epochs 1 first, the best third again with 3, the best of these with 9: 6 trials in all"
        in said
    )
    assert "trial 1/6 val_accuracy" in said
    assert "with epochs 1 of 9 (best -)" in said
    assert "Fewer epochs first" in said
    assert "--fix epochs=9" in said
    listed = hpt(environment, project, "studies")
    assert "6/6" in listed.stdout
    exported = json.loads(hpt(environment, project, "export", "s", "--best", "--format", "json").stdout)
    assert exported["epochs"] == 9
    shown = hpt(environment, project, "show", "s")
    assert "Fewer epochs first" in shown.stdout


def test_a_study_whose_engine_was_killed_goes_on(environment: dict[str, str], project: Path) -> None:
    (project / "hold").touch()
    engine = subprocess.Popen(
        [*HPT, *TUNE], env=environment, cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 60
        checkpoint = (
            Path(environment["TCS_HPT_STORE"]).parent / "studies" / "s" / "trial_0002" / "checkpoint.json"
        )
        while not (checkpoint.exists() and '"epoch": 4' in checkpoint.read_text()):
            assert time.monotonic() < deadline, "the start in full never came to its fourth epoch"
            assert engine.poll() is None
            time.sleep(0.02)
    finally:
        engine.send_signal(signal.SIGKILL)
        engine.wait()
    done = hpt(environment, project, *TUNE)
    assert done.returncode == 0, done.stdout + done.stderr
    found = trials(environment)
    assert [t.number for t in found if t.state == "interrupted"] == [2]
    again = next(t for t in found if t.retry_of == 2)
    assert (again.fidelity, again.promoted_from) == (None, 1)
    # Each goes on where it was, the one that was cut off in its fifth epoch.
    assert first_epochs(found) == [EXPECTED[0], (None, 5), *EXPECTED[2:]]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fidelity", "epoch"], "no parameter 'epoch'"),
        (["--fidelity", "lr"], "not a whole number"),
        (["--fidelity", "epochs", "--prune", "median"], "would both end trials early"),
        (["--fidelity", "epochs=2..3"], "no room below epochs=3"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_sentence(
    arguments: list[str], said: str, environment: dict[str, str], project: Path
) -> None:
    done = hpt(environment, project, "tune", ".", "--method", "expert", *arguments)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr


def test_a_function_begins_with_fewer_epochs_too(tmp_path: Path) -> None:
    given: list[int] = []

    def objective(params: dict[str, Any], trial: Any) -> float:
        given.append(params["epochs"])
        return float(1 - 0.8 ** params["epochs"] - abs(params["lr"] - 0.1))

    result = tune(
        objective,
        {"lr": Float(1e-4, 1.0, log=True, default=1e-3), "epochs": 9},
        direction="maximize",
        method="expert",
        trials=3,
        fidelity="epochs",
        store=tmp_path / "s.db",
        progress=False,
    )
    assert given == [1, 9, 1, 1, 3, 9]
    assert result.best_params["epochs"] == 9
    assert result.best_trial.fidelity is None
    assert list(result.trials["fidelity"].fillna(9)) == given
    assert '<section id="rungs">' in result.report().path.read_text()
