from __future__ import annotations

import importlib.util
import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tcs_hpt.catalog import load_task
from tcs_hpt.execution import Job
from tcs_hpt.execution.folder import prepare
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import Scalar
from tcs_hpt.testing.tasks import TaskContract, prepared_data

TASK = load_task("xgboost_house_price")
SPEC = TASK.spec.with_profile("smoke")
SPACE = SearchSpace(SPEC.params)

Train = Callable[..., tuple[list[dict[str, Any]], dict[str, Any]]]


class TestXgboostHousePrice(TaskContract):
    task = "xgboost_house_price"
    test_score = "test_r2"
    needs = "house_prices"
    seeded = False  # the defaults use all houses and all features for each tree; with a part of them it is, see below


@pytest.fixture
def table() -> Path:
    return prepared_data("house_prices") / "house_prices" / "housing_545.csv"


@pytest.fixture(scope="module")
def script() -> Iterator[Any]:
    """The task's script as a module."""
    spec = importlib.util.spec_from_file_location("xgboost_house_price_train", TASK.folder / "train.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")
        spec.loader.exec_module(module)
        yield module


@pytest.fixture(autouse=True)
def no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TCS_HPT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.delenv("TCS_HPT_DATA_DIR", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def train(script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Trains in this process, on the table made up for tests; what comes back is every epoch, and the result."""

    def train(
        values: dict[str, Scalar], *, stop: bool = False, seed: int = 0, **fixed: Scalar
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        spec = SPEC.model_copy(update={"fixed": {**SPEC.fixed, **fixed}})
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        config = {**SPACE.defaults(), **values}
        prepare(Job(1, spec, TASK.folder, folder, config, seed, "smoke", None), folder)
        if stop:
            (folder / "stop").touch()
        monkeypatch.setenv("TCS_HPT_TRIAL_DIR", str(folder))
        script.main()
        epochs = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        return epochs, json.loads((folder / "result.json").read_text())

    return train


def refit(script: Any, estimates: list[float]) -> Any:
    """A model of five houses and two others, whose trees say `estimates`, in standard deviations."""
    prices = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 2.0, 4.0])
    model = script.Model(np.arange(7.0)[:, None], prices, np.arange(5), np.array([5, 6]), {"nthread": 1})

    class Stub:
        def predict(self, matrix: Any) -> Any:
            return np.array(estimates[: matrix.num_row()], dtype=np.float32)

    model.booster = Stub()
    return model


def test_the_table_is_read_as_it_is(script: Any, table: Path) -> None:
    features, prices = script.read(table)
    assert features.shape == (545, 12)
    assert prices[0] == 13300000
    assert features[0].tolist() == [7420, 4, 2, 3, 1, 0, 0, 0, 1, 2, 1, 2]  # furnished
    assert features[-1].tolist() == [3850, 3, 1, 2, 1, 0, 0, 0, 0, 0, 0, 0]  # unfurnished
    assert np.isfinite(features).all()


def test_the_order_is_fixed_and_a_part_is_the_first_of_it(script: Any, table: Path) -> None:
    data_dir = table.parent.parent
    features, prices = script.load(data_dir, 545, False)
    assert sorted(prices) == sorted(script.read(table)[1])
    assert (prices != script.read(table)[1]).any()
    part, few = script.load(data_dir, 150, False)
    assert np.array_equal(part, features[:150])
    assert np.array_equal(few, prices[:150])


def test_the_test_houses_are_in_no_fold(script: Any, train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[set[int], set[int]]] = []

    class Spy(script.Model):  # type: ignore[misc]
        def __init__(self, features: Any, prices: Any, train: Any, val: Any, settings: Any) -> None:
            made.append((set(train.tolist()), set(val.tolist())))
            super().__init__(features, prices, train, val, settings)

    monkeypatch.setattr(script, "Model", Spy)
    train({}, max_rows=100, folds=5, repeats=2)
    *folds, (rest, test) = made
    assert test == set(range(20))
    assert rest == set(range(20, 100))
    assert len(folds) == 10
    assert all(a | b == rest and not a & b and len(b) == 16 for a, b in folds)
    assert len({frozenset(b) for _, b in folds}) == 10  # another cut each time
    again = list(made)
    made.clear()
    train({"lr": 0.5}, seed=3, max_rows=100, folds=5, repeats=2)
    assert made == again


@pytest.mark.parametrize(
    ("name", "value", "theirs"),
    [
        ("lr", 0.07, "eta"),
        ("max_depth", 9, "max_depth"),
        ("min_child_weight", 4, "min_child_weight"),
        ("subsample", 0.75, "subsample"),
        ("colsample_bytree", 0.625, "colsample_bytree"),
        ("gamma", 0.25, "gamma"),
        ("reg_alpha", 0.5, "reg_alpha"),
        ("reg_lambda", 0.125, "reg_lambda"),
    ],
)
def test_xgboost_gets_each_value(script: Any, name: str, value: float, theirs: str) -> None:
    settings = script.booster_settings({**SPACE.defaults(), name: value}, 7)
    assert settings[theirs] == value
    model = script.Model(np.arange(6.0)[:, None], np.arange(6.0), np.arange(4), np.array([4, 5]), settings)
    model.boost(0)
    learner = json.loads(model.booster.save_config())["learner"]
    assert learner["generic_param"]["seed"] == "7"
    assert learner["generic_param"]["nthread"] == "1"
    assert learner["objective"]["name"] == "reg:squarederror"
    tree = learner["gradient_booster"]["tree_train_param"]
    assert float(tree[theirs]) == pytest.approx(value)


def test_the_defaults_are_those_of_xgboost(script: Any) -> None:
    ours = script.booster_settings(SearchSpace(TASK.spec.params).defaults(), 0)
    model = script.Model(np.arange(6.0)[:, None], np.arange(6.0), np.arange(4), np.array([4, 5]), {})
    model.boost(0)
    theirs = json.loads(model.booster.save_config())["learner"]["gradient_booster"]["tree_train_param"]
    names = set(ours) & set(theirs)
    assert names == {name for name in SPACE.names if name not in ("lr", "n_estimators")} | {"eta"}
    assert {n: float(theirs[n]) for n in names} == pytest.approx({n: ours[n] for n in names})
    assert SearchSpace(TASK.spec.params).defaults()["n_estimators"] == 100


def test_the_device_is_the_one_xgboost_was_built_for(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for cuda, device in (True, "cuda"), (False, "cpu"):
        monkeypatch.setattr(script.xgb, "build_info", lambda cuda=cuda: {"USE_CUDA": cuda})
        assert script.booster_settings(SPACE.defaults(), 0)["device"] == device


def test_without_a_gpu_xgboost_goes_on_without_one(script: Any) -> None:
    settings = script.booster_settings(SPACE.defaults(), 0) | {"device": "cuda"}
    model = script.Model(np.arange(9.0)[:, None], np.arange(9.0), np.arange(6), np.arange(6, 9), settings)
    model.boost(0)  # warnings are errors here
    assert math.isfinite(model.scores()["val_r2"])


def test_there_are_as_many_trees_as_estimators(
    script: Any, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Any] = []
    original = script.Model

    def spy(*args: Any) -> Any:
        made.append(original(*args))
        return made[-1]

    monkeypatch.setattr(script, "Model", spy)
    epochs, result = train({"n_estimators": 7})
    assert [model.booster.num_boosted_rounds() for model in made] == [
        7,
        7,
        7,
    ]  # two folds, and the last for the test
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3, 4, 5, 6, 7]
    assert result["rounds"] == 7


@pytest.mark.parametrize(("rounds", "reported"), [(100, 100), (101, 51), (250, 84), (500, 100)])
def test_at_most_a_hundred_epochs_are_reported_and_the_last_round_always(
    train: Train, rounds: int, reported: int
) -> None:
    epochs, result = train({"n_estimators": rounds, "max_depth": 3}, max_rows=30)
    numbers = [epoch["epoch"] for epoch in epochs]
    assert len(numbers) == reported
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == rounds == result["rounds"]


def test_the_score_is_the_mean_of_the_last_round(script: Any, train: Train) -> None:
    epochs, result = train({"lr": 1.0, "n_estimators": 30})
    last = epochs[-1]
    assert all(result[name] == last[name] for name in last if name not in ("epoch", "lr", "seconds"))
    assert max(epoch["val_r2"] for epoch in epochs) > result["val_r2"]  # an earlier round was better
    assert {*result} == {
        *(f"{part}_{metric}" for part in ("train", "val") for metric in ("r2", "rmse", "mae")),
        *("val_r2_sd", "test_r2", "rounds"),
    }
    assert {*last} == {*result, "epoch", "lr", "seconds"} - {"val_r2_sd", "test_r2", "rounds"}
    good, bad = refit(script, [0.0, 0.0, 0.0, 0.0, 0.0]), refit(script, [1.0, 1.0, 1.0, 1.0, 1.0])
    found, spread = script.mean_scores([good, bad])
    assert found["val_r2"] == pytest.approx((good.scores()["val_r2"] + bad.scores()["val_r2"]) / 2)
    assert spread == pytest.approx(abs(good.scores()["val_r2"] - bad.scores()["val_r2"]) / 2)


def test_scores_are_in_units_of_the_price(script: Any) -> None:
    scores = refit(script, [0.0, 0.0, 0.0, 0.0, 0.0]).scores()  # every house costs the mean, 3
    assert scores["train_r2"] == pytest.approx(0)
    assert scores["train_rmse"] == pytest.approx(math.sqrt(2))
    assert scores["train_mae"] == pytest.approx(1.2)
    assert scores["val_rmse"] == scores["val_mae"] == pytest.approx(1)


def test_estimates_that_are_not_finite_are_no_error(script: Any) -> None:
    assert all(math.isnan(v) for v in refit(script, [math.nan] * 5).scores().values())


@pytest.mark.parametrize("name", ["subsample", "colsample_bytree"])
def test_the_seed_decides_which_part_a_tree_sees(train: Train, name: str) -> None:
    part = train({name: 0.5}, seed=0)[1]
    assert part == train({name: 0.5}, seed=0)[1]
    assert part != train({name: 0.5}, seed=1)[1]


def test_a_request_to_stop_ends_it_with_a_result(train: Train) -> None:
    epochs, result = train({"n_estimators": 500}, stop=True)
    assert [epoch["epoch"] for epoch in epochs] == [1]
    assert result["rounds"] == 1
    assert math.isfinite(result["test_r2"])


def test_divergence_is_a_result_and_not_a_crash(train: Train) -> None:
    # Inside the declared ranges the training stays finite; a step size far outside them does not.
    epochs, result = train({"lr": 1e30})
    assert epochs[-1]["val_r2"] is None  # how the engine is told of a number that is not finite
    assert len(epochs) < 20
    assert result == {"val_r2": None}


@pytest.mark.parametrize("place", ["house_prices", "housing-prices-dataset", ""])
def test_the_file_of_kaggle_is_found_and_nothing_is_written(
    script: Any, table: Path, tmp_path: Path, place: str
) -> None:
    mine = tmp_path / "mine"
    (mine / place).mkdir(parents=True)
    text = table.read_text(encoding="utf-8")
    (mine / place / "Housing.csv").write_text(text, encoding="utf-8", newline="\r\n")
    before = sorted(mine.rglob("*"))
    found, expected = script.load(mine, 545, False), script.load(table.parent.parent, 545, False)
    assert np.array_equal(found[0], expected[0])
    assert np.array_equal(found[1], expected[1])
    assert sorted(mine.rglob("*")) == before


@pytest.mark.parametrize("spoil", [lambda t: t.replace("stories", "floors"), lambda t: t[: len(t) // 2]])
def test_another_table_is_refused(
    script: Any, table: Path, tmp_path: Path, spoil: Callable[[str], str]
) -> None:
    (tmp_path / "Housing.csv").write_text(spoil(table.read_text()))
    with pytest.raises(script.data.DataUnavailable) as raised:
        script.load(tmp_path, 545, False)
    assert str(raised.value).startswith(
        f"{tmp_path / 'Housing.csv'} is not the table of 545 houses of https://"
    )
    assert "\n" not in str(raised.value)


def run(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(folder / "train.py")],
        env={k: v for k, v in os.environ.items() if k != "TCS_HPT_TRIAL_DIR"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_copy_without_data_trains_at_smoke_and_else_says_what_is_missing(tmp_path: Path) -> None:
    copy = shutil.copytree(TASK.folder, tmp_path / "copy", ignore=shutil.ignore_patterns("__pycache__"))
    done = run(copy, TCS_HPT_PROFILE="smoke")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1].startswith("finished ")
    done = run(copy, TCS_HPT_PROFILE="quick", TCS_HPT_DATA_DIR=str(tmp_path / "mine"))
    assert done.returncode == 1
    assert done.stderr == (
        "The table of house prices is not here (Kaggle hands it out to people with an account: "
        "https://www.kaggle.com/datasets/yasserh/housing-prices-dataset): "
        f"put Housing.csv into {tmp_path / 'mine' / 'house_prices'}\n"
    )


def test_a_missing_library_is_named_with_the_command(tmp_path: Path) -> None:
    (tmp_path / "xgboost.py").write_text("raise ModuleNotFoundError(\"No module named 'xgboost'\")")
    done = run(TASK.folder, PYTHONPATH=str(tmp_path), PYTHONDONTWRITEBYTECODE="1")
    assert done.returncode == 1
    assert done.stderr == (
        "xgboost_house_price needs xgboost (No module named 'xgboost'): pip install 'tcs-hpt[tabular]'\n"
    )
