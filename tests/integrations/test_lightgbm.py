from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import lightgbm
import numpy as np
import pytest

from tcs_hpt.client import CurrentTrial
from tcs_hpt.errors import UserError
from tcs_hpt.integrations.lightgbm import TcsCallback, tcs_callback

Lines = Callable[[], list[dict[str, Any]]]
Result = Callable[[], dict[str, Any] | None]

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(160, 4))
Y = (X[:, 0] + RANDOM.normal(size=160) > 0).astype(int)
PARAMS = {
    "objective": "binary",
    "metric": ["binary_logloss", "auc"],
    "num_threads": 1,
    "learning_rate": 0.9,
    "min_data_in_leaf": 2,
    "verbosity": -1,
}


def train(watch: TcsCallback, *others: Any, rounds: int = 10, names: Any = ("train", "val")) -> Any:
    data = lightgbm.Dataset(X[:100], Y[:100])
    val = lightgbm.Dataset(X[100:], Y[100:], reference=data)
    sets = [data, val] if names is None or len(names) == 2 else [val]
    return lightgbm.train(
        PARAMS, data, rounds, valid_sets=sets, valid_names=names and list(names), callbacks=[watch, *others]
    )


def test_rounds_are_epochs_and_the_script_ends_the_trial(
    trial: CurrentTrial, lines: Lines, result: Result
) -> None:
    watch = tcs_callback(best="val_auc", direction="maximize")
    train(watch)
    assert [line["epoch"] for line in lines()] == list(range(1, 11))
    assert set(lines()[0]) == {"epoch", "train_binary_logloss", "train_auc", "val_binary_logloss", "val_auc"}
    assert result() is None
    watch.finish(test_auc=0.5)
    best = max(lines(), key=lambda line: line["val_auc"])
    assert watch.best_epoch == best.pop("epoch")
    assert result() == {**best, "test_auc": 0.5}


def stop_at(trial: CurrentTrial, iteration: int) -> Callable[[Any], None]:
    def engine(env: Any) -> None:
        if env.iteration == iteration:
            (trial.folder / "stop").touch()

    return engine


def test_a_stop_file_ends_the_training(trial: CurrentTrial, lines: Lines) -> None:
    booster = train(tcs_callback(), stop_at(trial, 2), rounds=50)
    assert len(lines()) == 3
    assert booster.best_iteration == booster.current_iteration() == 3


def test_a_training_that_was_stopped_knows_its_best_round(trial: CurrentTrial, lines: Lines) -> None:
    watch = tcs_callback(best="val_binary_logloss", direction="minimize")
    booster = train(watch, stop_at(trial, 8), rounds=50)
    best = min(lines(), key=lambda line: line["val_binary_logloss"])
    assert best["epoch"] < len(lines()) == 9
    assert booster.best_iteration == watch.best_epoch == best["epoch"]
    assert booster.best_score["val"]["binary_logloss"] == best["val_binary_logloss"]


def test_the_round_at_which_early_stopping_ends_is_there(trial: CurrentTrial, lines: Lines) -> None:
    booster = train(tcs_callback(), lightgbm.early_stopping(2, verbose=False), rounds=50)
    assert len(lines()) == booster.best_iteration + 2 < 50


def test_data_sets_without_names(trial: CurrentTrial, lines: Lines) -> None:
    def names(watch: TcsCallback, **options: Any) -> set[str]:
        train(watch, rounds=1, **options)
        return {name for name in lines()[-1] if name.endswith("auc")}

    assert names(tcs_callback(), names=None) == {"train_auc", "val_auc"}  # LightGBM knows the training data
    assert names(tcs_callback(), names=("valid_0",)) == {"val_auc"}
    assert names(tcs_callback(), names=("valid_0", "valid_1")) == {"valid_0_auc", "valid_1_auc"}
    mapped = tcs_callback(names={"valid_0": "train", "valid_1-auc": "area"}, prefix="p_")
    assert names(mapped, names=("valid_0", "valid_1")) == {"p_train_auc"}
    assert "p_area" in lines()[-1]


def test_cross_validation(trial: CurrentTrial, lines: Lines) -> None:
    watch = tcs_callback(best="val_auc", direction="maximize")
    found: Any = lightgbm.cv(
        PARAMS, lightgbm.Dataset(X, Y), 4, nfold=3, callbacks=[watch, stop_at(trial, 2)], stratified=False
    )
    means = [line["val_auc"] for line in lines()]
    assert len(means) == 3
    assert means[: watch.best_epoch] == pytest.approx(found["valid auc-mean"])
    assert lines()[0]["val_auc_std"] == pytest.approx(found["valid auc-stdv"][0])


def test_cross_validation_before_4_7(trial: CurrentTrial, lines: Lines) -> None:
    results = [("cv_agg", "valid auc", 0.75, True, 0.1), ("cv_agg", "train auc", 0.9, True, 0.05)]
    env = SimpleNamespace(iteration=0, begin_iteration=0, evaluation_result_list=results)
    tcs_callback()(env)  # type: ignore[arg-type]  # as that version makes it
    auc = {"val_auc": 0.75, "val_auc_std": 0.1, "train_auc": 0.9, "train_auc_std": 0.05}
    assert lines() == [{"epoch": 1, **auc}]


def test_the_scikit_learn_interface(trial: CurrentTrial, lines: Lines) -> None:
    model = lightgbm.LGBMClassifier(n_estimators=2, n_jobs=1, verbosity=-1)
    frame = lightgbm.LGBMClassifier(n_estimators=2, n_jobs=1, verbosity=-1)
    model.fit(X[:100], Y[:100], eval_X=X[100:], eval_y=Y[100:], callbacks=[tcs_callback()])
    assert [set(line) for line in lines()] == [{"epoch", "val_binary_logloss"}] * 2
    frame.fit(X[:100], Y[:100], callbacks=[tcs_callback()])
    assert len(lines()) == 2  # nothing was evaluated


def test_no_such_metric(trial: CurrentTrial) -> None:
    with pytest.raises(UserError, match="'val_loss', which epoch 1 does not have"):
        train(tcs_callback(best="val_loss", direction="minimize"))


def test_by_hand_it_prints(by_hand: None, capsys: pytest.CaptureFixture[str]) -> None:
    watch = tcs_callback(best="val_auc", direction="maximize")
    train(watch, rounds=2)
    watch.finish()
    first, _, end = capsys.readouterr().out.splitlines()
    assert first.startswith("epoch   1  train_")
    assert end.startswith("finished   train_")
