from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tcs_hpt.catalog import load_task
from tcs_hpt.execution import Job, LocalExecutor, RunResult
from tcs_hpt.records import EpochRecord
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import Scalar

TASK = load_task("mlp_digits")
SPEC = TASK.spec.with_profile("smoke")
SPACE = SearchSpace(SPEC.params)
SGD: dict[str, Scalar] = {"optimizer": "sgd", "lr": 0.1}

Metrics = dict[str, Any]
Train = Callable[..., list[Metrics]]


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Trains in this process; what comes back is every epoch and then the result, without timings."""

    def train(values: dict[str, Scalar], seed: int = 0, max_train: int = 200) -> list[Metrics]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        settings = {
            "params": SPACE.completed(values),
            "fixed": {"max_train": max_train},
            "seed": seed,
            "profile": "smoke",
            "trial": 1,
        }
        (folder / "config.json").write_text(json.dumps(settings))
        monkeypatch.setenv("TCS_HPT_TRIAL_DIR", str(folder))
        monkeypatch.setenv("OMP_NUM_THREADS", "1")
        runpy.run_path(str(TASK.folder / "train.py"), run_name="__main__")
        epochs = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        for epoch in epochs:
            assert epoch.pop("seconds") > 0
        return [*epochs, json.loads((folder / "result.json").read_text())]

    return train


@pytest.mark.parametrize(
    ("base", "name", "value"),
    [
        ({}, "lr", 0.002),
        ({}, "optimizer", "sgd"),
        (SGD, "momentum", 0.5),
        ({}, "hidden_size", 50),
        ({}, "batch_size", 100),
        ({}, "weight_decay", 1.0),
        ({}, "epochs", 2),
    ],
)
def test_each_parameter_reaches_the_model(
    train: Train, base: dict[str, Scalar], name: str, value: Scalar
) -> None:
    assert train(base) != train({**base, name: value})


def test_the_fixed_value_and_the_seed_reach_the_training(train: Train) -> None:
    assert train({}) != train({}, max_train=100)
    assert train({}) != train({}, seed=1)


@pytest.mark.parametrize("values", [{}, SGD])
def test_the_same_seed_gives_the_same_result(train: Train, values: dict[str, Scalar]) -> None:
    assert train(values, seed=3) == train(values, seed=3)


def test_the_result_is_the_best_epoch(train: Train) -> None:
    *epochs, result = train({"lr": 0.03, "batch_size": 32, "epochs": 5})
    best = max(epochs, key=lambda e: e["val_accuracy"])
    assert [e["epoch"] for e in epochs] == [1, 2, 3, 4, 5]
    assert result["best_epoch"] == best["epoch"]
    assert result["val_accuracy"] == best["val_accuracy"]
    assert result["val_loss"] == best["val_loss"]
    assert 0.5 < result["test_accuracy"] <= 1


def test_a_batch_larger_than_the_data_is_no_error(train: Train) -> None:
    assert train({"batch_size": 256}, max_train=50)[-1]["val_accuracy"] > 0


def test_the_split_is_disjoint_and_balanced() -> None:
    load = runpy.run_path(str(TASK.folder / "train.py"))["load"]
    parts = load(600)
    assert [len(x) for x, _ in parts] == [600, 600, 597]
    for _, labels in parts:
        assert min((labels == digit).sum() for digit in range(10)) >= 55
    again = load(600)
    assert all((a[0] == b[0]).all() for a, b in zip(parts, again, strict=True))


def run(tmp_path: Path, values: dict[str, Scalar]) -> RunResult:
    seen: list[EpochRecord] = []
    job = Job(1, SPEC, TASK.folder, tmp_path / "1", SPACE.completed(values), 0, "smoke")
    result = LocalExecutor(poll_seconds=0.01).run(job, seen.append)
    assert tuple(seen) == result.epochs
    return result


def test_a_trial_finishes_above_chance(tmp_path: Path) -> None:
    result = run(tmp_path, {"lr": 0.01, "batch_size": 32})
    assert result.state == "finished", result.failure
    assert [e.epoch for e in result.epochs] == [1, 2, 3]
    assert result.value is not None
    assert 0.4 < result.value <= 1
    assert {"train_loss", "train_accuracy", "val_loss", "val_accuracy", "seconds"} == set(
        result.epochs[0].metrics
    )
    assert set(result.metrics) == {"val_accuracy", "val_loss", "test_accuracy", "best_epoch"}


def test_divergence_is_a_result_and_not_a_crash(tmp_path: Path) -> None:
    # Inside the declared ranges this network is bounded and does not overflow; a step size far outside them does.
    result = run(tmp_path, {"optimizer": "sgd", "lr": 1e100, "momentum": 0.99})
    assert result.failure is not None
    assert result.failure.kind == "diverged"
    assert result.epochs[-1].non_finite
    assert result.usage.exit_code == 0
