from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tcs_hpt.client import METRIC_NAME, CurrentTrial
from tcs_hpt.errors import UserError
from tcs_hpt.integrations._reporting import LONGEST, Reporter, as_number, legal_name, role_of
from tests.test_architecture import PACKAGE, imported_rooms

Lines = Callable[[], list[dict[str, Any]]]
Result = Callable[[], dict[str, Any] | None]


def test_the_best_epoch_ends_the_trial(trial: CurrentTrial, lines: Lines, result: Result) -> None:
    reporter = Reporter(best="val_loss", direction="minimize")
    for epoch, loss in enumerate((0.9, math.nan, 0.4, 0.4, 0.7), start=1):
        reporter.report(epoch, {"val_loss": loss, "n": epoch})
    reporter.finish_with_best()
    assert [line["val_loss"] for line in lines()] == [0.9, None, 0.4, 0.4, 0.7]
    assert reporter.best_epoch == 3  # the earlier of two
    assert result() == {"val_loss": 0.4, "n": 3.0}


def test_never_finite_is_diverged(trial: CurrentTrial, result: Result) -> None:
    reporter = Reporter(best="score", direction="maximize")
    reporter.report(1, {"score": math.nan})
    reporter.report(2, {"score": math.inf})
    reporter.finish_with_best()
    assert reporter.best_epoch is None
    assert result() == {"score": None}


def test_without_best_nothing_is_finished(trial: CurrentTrial, result: Result) -> None:
    reporter = Reporter()
    reporter.report(1, {"a": 2.0})
    reporter.report(2, {"a": 1.0})
    reporter.finish_with_best()
    assert result() is None
    assert (reporter.best_epoch, reporter.best_metrics) == (None, {"a": 1.0})


def test_a_metric_that_is_not_there_is_named_at_once(trial: CurrentTrial) -> None:
    reporter = Reporter(best="val_acc", direction="maximize")
    reporter.report(1, {"train_loss": 1.0}, complete=False)
    with pytest.raises(UserError, match="'val_acc', which epoch 2 does not have") as caught:
        reporter.report(2, {"train_loss": 1.0, "val_accuracy": 0.5})
    assert "train_loss, val_accuracy" in caught.value.hint


def test_best_and_direction_belong_together(trial: CurrentTrial) -> None:
    with pytest.raises(ValueError, match="belong together"):
        Reporter(best="val_loss")
    with pytest.raises(ValueError, match="belong together"):
        Reporter(direction="maximize")
    with pytest.raises(ValueError, match="must be 'maximize' or 'minimize', got 'max'"):
        Reporter(best="val_loss", direction="max")  # type: ignore[arg-type]


def test_names(trial: CurrentTrial) -> None:
    reporter = Reporter(prefix="fold1_", names={"eval_f1": "val_f1_macro"})
    assert reporter.named("val_f1", "eval_f1") == "fold1_val_f1_macro"
    assert reporter.named("val/loss", "eval_loss") == "fold1_val_loss"
    # A prefix must not make a test metric one that proposers see.
    assert reporter.named("test_loss", "test_loss") == "test_fold1_loss"


@given(st.text(max_size=80))
def test_every_name_becomes_a_legal_one(name: str) -> None:
    assert METRIC_NAME.fullmatch(legal_name(name))
    assert legal_name(legal_name(name)) == legal_name(name)


def test_legal_names() -> None:
    assert [legal_name(n) for n in ("val/acc", "ndcg@5", "1st", "a" * 70, "/", "val.a-b")] == [
        "val_acc",
        "ndcg_5",
        "_1st",
        "a" * LONGEST,
        "metric",
        "val.a-b",
    ]


def test_only_single_numbers_count() -> None:
    numbers = (3, np.float32(0.5), np.array([2.0]), torch.tensor(4.0, requires_grad=True), 10**400)
    assert [as_number(n) for n in numbers] == [3.0, 0.5, 2.0, 4.0, math.inf]
    for other in (True, np.bool_(True), "1", None, [1.0], np.array([1.0, 2.0]), torch.ones(2), {"a": 1}):
        assert as_number(other) is None


def test_roles_of_data_sets() -> None:
    assert [role_of(n) for n in ("Train", "training", "eval", "dvalid", "test", "validation_1")] == [
        "train",
        "train",
        "val",
        "val",
        "test",
        None,
    ]


def test_callbacks_import_the_training_side_only() -> None:
    # A training script's environment has what it trains with, and loads nothing of the engine.
    for name in ("_reporting", "transformers", "lightning", "xgboost", "lightgbm", "sklearn"):
        path = PACKAGE / "integrations" / f"{name}.py"
        assert imported_rooms(path) <= {"client", "errors", "integrations"}, path
        assert "_mlflow" not in path.read_text()
        assert "_optuna" not in path.read_text()


@pytest.mark.parametrize(
    ("library", "package"),
    [
        ("transformers", "transformers"),
        ("lightning", "lightning"),
        ("xgboost", "xgboost"),
        ("lightgbm", "lightgbm"),
        ("sklearn", "scikit-learn"),
    ],
)
def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, library: str, package: str) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    for loaded in [m for m in sys.modules if m.startswith(f"{library}.")]:
        monkeypatch.setitem(sys.modules, loaded, None)
    name = f"tcs_hpt.integrations.{library}"
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(UserError, match=f"{name} needs {package}") as caught:
        __import__(name)
    assert caught.value.hint == f"Run `pip install {package}` in the environment that trains."
