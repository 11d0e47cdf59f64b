from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import xgboost

from tcs_hpt.client import CurrentTrial
from tcs_hpt.errors import UserError
from tcs_hpt.integrations.xgboost import TcsCallback

Lines = Callable[[], list[dict[str, Any]]]
Result = Callable[[], dict[str, Any] | None]

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(120, 4))
Y = (X[:, 0] + RANDOM.normal(size=120) > 0).astype(int)
TRAIN = xgboost.DMatrix(X[:80], Y[:80])
VAL = xgboost.DMatrix(X[80:], Y[80:])
PARAMS = {"objective": "binary:logistic", "eval_metric": ["logloss", "error"], "nthread": 1, "eta": 0.9}


def train(watch: TcsCallback, *others: Any, rounds: int = 12, **names: xgboost.DMatrix) -> xgboost.Booster:
    sets = [(data, name) for name, data in (names or {"train": TRAIN, "val": VAL}).items()]
    return xgboost.train(PARAMS, TRAIN, rounds, evals=sets, verbose_eval=False, callbacks=[watch, *others])


def test_rounds_are_epochs_and_the_best_ends_the_trial(
    trial: CurrentTrial, lines: Lines, result: Result
) -> None:
    watch = TcsCallback(best="val_logloss", direction="minimize")
    booster = train(watch)
    assert [line["epoch"] for line in lines()] == list(range(1, 13))
    assert set(lines()[0]) == {"epoch", "train_logloss", "train_error", "val_logloss", "val_error"}
    best = min(lines(), key=lambda line: line["val_logloss"])
    assert best["epoch"] < 12  # it overfits
    assert watch.best_epoch == best.pop("epoch")
    assert result() == best
    # The number of rounds to predict with is the epoch.
    predicted = booster.predict(VAL, iteration_range=(0, watch.best_epoch))
    loss = -np.mean(np.log(np.where(Y[80:] == 1, predicted, 1 - predicted)))
    assert loss == pytest.approx(best["val_logloss"], abs=1e-4)
    watch.finish(test_error=0.25)
    assert result() == {**best, "test_error": 0.25}


def test_a_stop_file_ends_the_training(trial: CurrentTrial, lines: Lines, result: Result) -> None:
    class Engine(xgboost.callback.TrainingCallback):
        def before_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            if epoch == 3:
                (trial.folder / "stop").touch()
            return False

    booster = train(TcsCallback(), Engine(), rounds=50)
    assert len(lines()) == booster.num_boosted_rounds() == 4
    assert result() is None  # nobody said what is best


def test_names_of_the_scikit_learn_interface(trial: CurrentTrial, lines: Lines) -> None:
    def fit(sets: list[tuple[Any, Any]], watch: TcsCallback) -> dict[str, Any]:
        model = xgboost.XGBClassifier(n_estimators=1, n_jobs=1, eval_metric="auc", callbacks=[watch])
        model.fit(X[:80], Y[:80], eval_set=sets, verbose=False)
        return lines()[-1]

    train_set, val_set = (X[:80], Y[:80]), (X[80:], Y[80:])
    assert set(fit([val_set], TcsCallback())) == {"epoch", "val_auc"}
    unnamed = {"epoch", "validation_0_auc", "validation_1_auc"}
    assert set(fit([train_set, val_set], TcsCallback())) == unnamed
    named = TcsCallback(names={"validation_0": "train", "validation_1-auc": "area"}, prefix="a_")
    assert set(fit([train_set, val_set], named)) == {"epoch", "a_train_auc", "a_area"}


def test_test_data_stays_hidden(trial: CurrentTrial, lines: Lines) -> None:
    train(TcsCallback(prefix="x_"), rounds=1, test=VAL, ranking=VAL)
    assert {n for n in lines()[0] if "error" in n} == {"test_x_error", "x_ranking_error"}


def test_cross_validation(trial: CurrentTrial, lines: Lines, result: Result) -> None:
    watch = TcsCallback(best="val_logloss", direction="minimize")
    found: Any = xgboost.cv(PARAMS, TRAIN, 3, nfold=3, callbacks=[watch], as_pandas=False)
    assert [line["val_logloss"] for line in lines()] == pytest.approx(found["test-logloss-mean"])
    assert [line["val_logloss_std"] for line in lines()] == pytest.approx(found["test-logloss-std"])
    assert watch.best_epoch == 1 + int(np.argmin(found["test-logloss-mean"]))
    assert (result() or {})["train_error"] == pytest.approx(found["train-error-mean"][watch.best_epoch - 1])


def test_a_second_training_starts_anew(trial: CurrentTrial) -> None:
    watch = TcsCallback(best="train_logloss", direction="minimize")
    train(watch, rounds=5)
    train(watch, rounds=2)
    assert watch.best_epoch == 2


def test_no_such_metric(trial: CurrentTrial) -> None:
    with pytest.raises(UserError, match="'val_auc', which epoch 1 does not have"):
        train(TcsCallback(best="val_auc", direction="maximize"))


def test_by_hand_it_prints(by_hand: None, capsys: pytest.CaptureFixture[str]) -> None:
    train(TcsCallback(best="val_error", direction="minimize"), rounds=2)
    first, second, end = capsys.readouterr().out.splitlines()
    assert first.startswith("epoch   1  train_logloss ")
    assert second.startswith("epoch   2  ")
    assert end.startswith("finished   train_logloss ")


TWO = """
import os, sys
import numpy as np, xgboost
from xgboost import RabitTracker, collective
from tcs_hpt.client import CurrentTrial
from tcs_hpt.integrations.xgboost import TcsCallback

class Asked(CurrentTrial):
    def should_stop(self):
        return self.number == 1 and super().should_stop()  # the other worker does not see the file yet

settings = {"params": {}, "fixed": {}, "seed": 0, "profile": "", "data_dir": None}
meeting = RabitTracker(host_ip="127.0.0.1", n_workers=2)
meeting.start()
arguments = meeting.worker_args()
child = os.fork()
with collective.CommunicatorContext(**arguments, dmlc_task_id=str(int(not child))):
    rank = collective.get_rank()
    trial = Asked({**settings, "trial": rank}, __import__("pathlib").Path(sys.argv[1]))
    x = np.random.default_rng(rank).normal(size=(40, 2))
    data = xgboost.DMatrix(x, (x[:, 0] > 0).astype(int), nthread=1)
    callback = TcsCallback(trial, best="train_logloss", direction="minimize")
    booster = xgboost.train(
        {"objective": "binary:logistic", "eta": 0.1, "nthread": 1}, data, 20,
        evals=[(data, "train")], verbose_eval=False, callbacks=[callback],
    )
    os.write(2, f"worker {rank}: {booster.num_boosted_rounds()} rounds\\n".encode())  # in one piece
if not child:
    os._exit(0)
os.waitpid(child, 0)
meeting.wait_for()
"""


def test_workers_stop_together_and_one_reports(trial: CurrentTrial, lines: Lines, result: Result) -> None:
    (trial.folder / "stop").touch()
    # Newer Pythons warn of a fork with threads.
    command = [sys.executable, "-W", "ignore", "-c", TWO, str(trial.folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    said = sorted(line for line in done.stderr.splitlines() if line.startswith("worker"))
    assert said == ["worker 0: 1 rounds", "worker 1: 1 rounds"], done.stderr
    assert len(lines()) == 1
    assert result() is not None
