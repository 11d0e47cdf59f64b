from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import MiniBatchKMeans
from sklearn.ensemble import (
    AdaBoostClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression, SGDClassifier, SGDRegressor
from sklearn.metrics import accuracy_score, log_loss, make_scorer
from sklearn.model_selection import cross_val_score, cross_validate
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

from tcs_hpt.client import CurrentTrial
from tcs_hpt.errors import UserError
from tcs_hpt.integrations.sklearn import fit_in_epochs, report_cross_validation, report_staged

Lines = Callable[[], list[dict[str, Any]]]
Result = Callable[[], dict[str, Any] | None]

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(150, 5))
Y = np.where(X[:, 0] + X[:, 1] + RANDOM.normal(size=150) > 0, "yes", "no")
NUMBERS = X[:, 0] + RANDOM.normal(size=150) / 4
VALIDATION = (X[100:], Y[100:])


# -- epochs --------------------------------------------------------------------------------------------------


def test_passes_are_epochs_and_the_best_ends_the_trial(
    trial: CurrentTrial, lines: Lines, result: Result
) -> None:
    model, epoch, metrics = fit_in_epochs(
        SGDClassifier(random_state=0, learning_rate="constant", eta0=0.5),
        X[:100],
        Y[:100],
        epochs=6,
        validation=VALIDATION,
        best="val_accuracy",
        direction="maximize",
    )
    assert [line["epoch"] for line in lines()] == [1, 2, 3, 4, 5, 6]
    assert [set(line) for line in lines()] == [{"epoch", "val_accuracy", "train_accuracy"}] * 6
    best = max(lines(), key=lambda line: line["val_accuracy"])
    assert best["epoch"] < 6
    assert epoch == best.pop("epoch")
    assert result() == metrics == best
    # The model of that epoch, not of the last.
    assert model.score(*VALIDATION) == best["val_accuracy"]
    assert model.score(X[:100], Y[:100]) == best["train_accuracy"]


def test_without_best_the_last_epoch_counts(trial: CurrentTrial, lines: Lines, result: Result) -> None:
    estimator = MLPClassifier((4,), random_state=0)
    model, epoch, metrics = fit_in_epochs(
        estimator, X[:100], Y[:100], epochs=3, validation=VALIDATION, score_train=False
    )
    assert model is estimator
    assert epoch is None
    assert result() is None
    assert metrics == {name: value for name, value in lines()[-1].items() if name != "epoch"}
    assert [line["train_loss"] for line in lines()] == estimator.loss_curve_


def test_each_pass_has_its_own_order_by_the_seed(trial: CurrentTrial) -> None:
    class Watched(SGDRegressor):  # type: ignore[misc]
        def partial_fit(self, X: Any, y: Any) -> Any:
            seen.append(tuple(y))
            return super().partial_fit(X, y)

    def orders() -> list[tuple[float, ...]]:
        seen.clear()
        fit_in_epochs(Watched(), X, NUMBERS, epochs=2, validation=(X, NUMBERS), scoring="r2")
        return list(seen)

    seen: list[tuple[float, ...]] = []
    first, second = orders()
    assert first != second
    assert sorted(first) == sorted(second) == sorted(NUMBERS)
    assert orders() == [first, second]


def test_a_stop_file_ends_the_training(trial: CurrentTrial, lines: Lines) -> None:
    def scorer(model: Any, data: Any, targets: Any) -> float:
        if len(model.estimators_) == 4:
            (trial.folder / "stop").touch()
        return float(model.score(data, targets))

    forest = RandomForestClassifier(random_state=0)
    fit_in_epochs(forest, X[:100], Y[:100], epochs=50, validation=VALIDATION, step=2, scoring=scorer)
    assert [set(line) for line in lines()] == [{"epoch", "val_score", "train_score"}] * 2
    assert forest.n_estimators == len(forest.estimators_) == 4


def test_trees_are_added(trial: CurrentTrial, lines: Lines) -> None:
    grown = GradientBoostingClassifier(random_state=0)
    fit_in_epochs(grown, X[:100], Y[:100], epochs=3, validation=VALIDATION)
    at_once = GradientBoostingClassifier(random_state=0, n_estimators=3).fit(X[:100], Y[:100])
    np.testing.assert_array_equal(grown.predict_proba(X), at_once.predict_proba(X))
    histogram = HistGradientBoostingClassifier(random_state=0)
    fit_in_epochs(histogram, X[:100], Y[:100], epochs=3, validation=VALIDATION, step=4)
    assert histogram.n_iter_ == 12


def test_what_is_fitted_at_once_is_refused(trial: CurrentTrial) -> None:
    for estimator in (SVC(), LogisticRegression()):
        with pytest.raises(UserError, match=r"fitted at once") as caught:
            fit_in_epochs(estimator, X, Y, epochs=2, validation=VALIDATION)
        assert "trial.finish" in caught.value.hint


def test_what_has_no_classes(trial: CurrentTrial, lines: Lines) -> None:
    fit_in_epochs(SGDRegressor(), X, NUMBERS, epochs=1, validation=(X, NUMBERS))
    assert set(lines()[0]) == {"epoch", "val_r2", "train_r2"}

    def inertia(model: Any, data: Any, _: Any) -> float:
        return float(model.score(data))

    clusters = MiniBatchKMeans(3, n_init=1, random_state=0)
    fit_in_epochs(clusters, X, Y, epochs=1, validation=(X, Y), scoring={"inertia": inertia})
    assert set(lines()[1]) == {"epoch", "val_inertia", "train_inertia"}


# -- stages --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "estimator",
    [
        GradientBoostingClassifier(n_estimators=8, learning_rate=1.0, random_state=0),
        HistGradientBoostingClassifier(max_iter=8, learning_rate=1.0, random_state=0),
        AdaBoostClassifier(n_estimators=8, random_state=0),
    ],
    ids=lambda e: type(e).__name__,
)
def test_stages_are_epochs(trial: CurrentTrial, lines: Lines, result: Result, estimator: Any) -> None:
    estimator.fit(X[:100], Y[:100])
    trained = report_staged(
        estimator,
        *VALIDATION,
        train=(X[:100], Y[:100]),
        scoring=["accuracy", "neg_log_loss", "roc_auc"],
        best="val_neg_log_loss",
        direction="maximize",
    )
    data, targets = VALIDATION
    assert [line["val_accuracy"] for line in lines()] == [
        accuracy_score(targets, predicted) for predicted in estimator.staged_predict(data)
    ]
    assert [line["val_neg_log_loss"] for line in lines()] == pytest.approx(
        [-log_loss(targets, predicted) for predicted in estimator.staged_predict_proba(data)]
    )
    assert lines()[-1]["train_accuracy"] == estimator.score(X[:100], Y[:100])
    best = max(lines(), key=lambda line: line["val_neg_log_loss"])
    assert trained.epoch == best.pop("epoch")
    assert result() == best == trained.metrics


def test_stages_of_a_regressor_and_a_scorer_of_ones_own(trial: CurrentTrial, lines: Lines) -> None:
    model = GradientBoostingRegressor(n_estimators=3, random_state=0).fit(X[:100], NUMBERS[:100])
    report_staged(model, X[100:], NUMBERS[100:])
    assert lines()[-1]["val_r2"] == model.score(X[100:], NUMBERS[100:])
    worst = make_scorer(lambda y, p: np.max(np.abs(y - p)), greater_is_better=False)
    report_staged(model, X[100:], NUMBERS[100:], scoring=worst, names={"val_score": "val_worst"})
    expected = -np.max(np.abs(model.predict(X[100:]) - NUMBERS[100:]))
    assert lines()[-1] == {"epoch": 3, "val_worst": pytest.approx(expected)}


def test_what_has_no_stages_is_refused(trial: CurrentTrial) -> None:
    forest = RandomForestClassifier(2).fit(X, Y)
    with pytest.raises(UserError, match="RandomForestClassifier has no stages"):
        report_staged(forest, X, Y)


def test_no_such_metric(trial: CurrentTrial) -> None:
    model = AdaBoostClassifier(n_estimators=2).fit(X, Y)
    with pytest.raises(UserError, match="'val_f1', which epoch 1 does not have"):
        report_staged(model, X, Y, best="val_f1", direction="maximize")


# -- cross-validation ----------------------------------------------------------------------------------------


def test_a_cross_validation_ends_the_trial(trial: CurrentTrial, lines: Lines, result: Result) -> None:
    scores = cross_validate(
        LogisticRegression(),
        X,
        Y,
        cv=3,
        scoring=["accuracy", "f1_macro"],
        return_train_score=True,
        return_estimator=True,
    )
    found = report_cross_validation(scores, prefix="cv_", names={"val_f1_macro": "val_f1"})
    assert lines() == [{"epoch": 1, **found}]
    assert result() == found
    assert found["cv_val_accuracy"] == np.mean(scores["test_accuracy"])
    assert found["cv_val_accuracy_std"] == np.std(scores["test_accuracy"])
    roles = ("val_accuracy", "val_f1", "train_accuracy", "train_f1_macro")
    assert set(found) == {f"cv_{name}{end}" for name in roles for end in ("", "_std")}


def test_plain_scores(trial: CurrentTrial, result: Result) -> None:
    report_cross_validation(cross_val_score(LogisticRegression(), X, Y, cv=3))
    assert set(result() or {}) == {"val_score", "val_score_std"}
    report_cross_validation([0.5, float("nan")])
    assert result() == {"val_score": None, "val_score_std": None}
    with pytest.raises(UserError, match="no scores"):
        report_cross_validation({"fit_time": [1.0]})


def test_by_hand_it_prints(by_hand: None, capsys: pytest.CaptureFixture[str]) -> None:
    report_cross_validation([0.5, 0.7])
    fit_in_epochs(
        SGDRegressor(),
        X,
        NUMBERS,
        epochs=1,
        validation=(X, NUMBERS),
        best="val_r2",
        direction="maximize",
    )
    cross, end, epoch, last = capsys.readouterr().out.splitlines()
    assert cross == "epoch   1  val_score 0.6  val_score_std 0.1"
    assert end == "finished   val_score 0.6  val_score_std 0.1"
    assert epoch.startswith("epoch   1  val_r2 ")
    assert last.startswith("finished   val_r2 ")
