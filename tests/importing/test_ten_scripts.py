"""From `init --yes` to a finished study, for ten scripts in the styles that people use; nothing is edited by hand."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tcs_hpt.catalog import load_task
from tcs_hpt.cli.app import app
from tcs_hpt.store import Store

SCRIPTS = Path(__file__).parents[1] / "scripts"
METRICS = {
    "argparse_torch": "val_acc",
    "transformers_trainer": "eval_accuracy",
    "lightning_csv": "val_acc",
    "hydra_conf": "val_auc",
    "click_logging": "validation_rmse",
    "yaml_config": "validation_loss",
    "constants": "val_acc",
    "sklearn_pipeline": "cv_accuracy",
    "xgboost_native": "validation_auc",
    "shell": "val_accuracy",
}
CURVES = {"argparse_torch", "transformers_trainer", "lightning_csv", "hydra_conf", "yaml_config", "constants"}


def test_there_is_a_folder_for_each() -> None:
    assert {p.name for p in SCRIPTS.iterdir() if p.is_dir()} == set(METRICS)


@pytest.mark.parametrize("style", METRICS)
def test_three_trials_with_nothing_edited(
    style: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / style
    shutil.copytree(SCRIPTS / style, folder)
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    script = "run.sh" if style == "shell" else "train.py"
    monkeypatch.chdir(folder)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    run = CliRunner()

    made = run.invoke(app, ["init", script, "--yes"])
    assert made.exit_code == 0, made.output + str(made.exception)
    assert "tcs-hpt tune ." in made.output

    store = tmp_path / "store.db"
    arguments = ["--method", "random", "--trials", "3", "--name", "s", "--store", str(store), "--quiet"]
    tuned = run.invoke(app, ["tune", script, *arguments, "--python", sys.executable])
    assert tuned.exit_code == 0, tuned.output + str(tuned.exception)

    with Store.open(str(store)) as opened:
        trials = opened.load_trials("s")
        metric = opened.get_study("s").task.objective.metric
    assert metric == METRICS[style]
    assert [t.state for t in trials] == ["finished"] * 3, [t.failure for t in trials]
    assert all(t.value is not None for t in trials)
    # The parameters reach the script: other values, other scores.
    assert len({t.value for t in trials}) > 1
    assert load_task(folder).spec.params.keys() == trials[0].config.keys()
    if style in CURVES:
        assert all(len(t.epochs) >= 1 for t in trials)
        assert max(len(t.epochs) for t in trials) > 1
    assert {p: p.read_bytes() for p in before} == before
