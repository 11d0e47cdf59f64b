"""Report scikit-learn estimators to the trial: pass by pass, stage by stage, or a cross-validation.

    from tcs_hpt.integrations.sklearn import fit_in_epochs

    model, epoch, metrics = fit_in_epochs(
        SGDClassifier(alpha=trial.params["alpha"]), X_train, y_train, epochs=20, validation=(X_val, y_val),
        best="val_accuracy", direction="maximize",
    )

All three functions name a score after its scorer: `val_accuracy` and `train_accuracy`. As scikit-learn has it, more of a
score is always better: `val_neg_log_loss` is to be maximized.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from tcs_hpt.client import CurrentTrial
from tcs_hpt.errors import UserError
from tcs_hpt.integrations._reporting import Direction, Reporter, as_number, missing

try:
    from sklearn.base import is_classifier
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.metrics import get_scorer
    from sklearn.utils import shuffle
    from sklearn.utils.multiclass import unique_labels
except ImportError as error:
    raise missing("sklearn", error, package="scikit-learn") from error

Scorer: TypeAlias = Callable[[Any, Any, Any], float]
Scoring: TypeAlias = str | Scorer | Sequence[str] | Mapping[str, str | Scorer]
"""As `cross_validate` takes it."""

RESPONSES = ("predict", "predict_proba", "decision_function")
"""What an estimator answers with, and some also in stages: `staged_predict`."""


class Trained(NamedTuple):
    """What came of a training."""

    estimator: Any
    """The fitted estimator; of `fit_in_epochs` with `best`, as it was after the best epoch."""
    epoch: int | None
    """Number of the best epoch; None without `best`."""
    metrics: dict[str, float]
    """All metrics of that epoch by reported name; without `best`, of the last."""


def fit_in_epochs(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    epochs: int,
    validation: tuple[Any, Any],
    step: int = 1,
    scoring: Scoring | None = None,
    score_train: bool = True,
    trial: CurrentTrial | None = None,
    prefix: str = "",
    names: Mapping[str, str] | None = None,
    best: str | None = None,
    direction: Direction | None = None,
) -> Trained:
    """Train an estimator bit by bit, report each epoch, and end early when the engine asks for it.

    An estimator with `partial_fit` (`SGDClassifier`, `MLPClassifier`, ...) passes once over the data per epoch, each time in
    another order, drawn from the trial's seed. One with `warm_start` and `n_estimators` (forests, bagging, gradient
    boosting), or histogram gradient boosting, gets `step` more trees per epoch. Where the estimator has a `loss_`, it is
    reported as `train_loss`.

    With `best`, the trial is finished with all metrics of the best epoch, and the estimator of that epoch is returned, a copy.
    Without it, the last one is, and the script calls `trial.finish`, or the last epoch counts.

    Args:
        estimator: Not fitted. It is trained itself and, for trees, its `warm_start` and number of trees are set.
        X: Training data.
        y: Its targets.
        epochs: At most so many.
        validation: Data and targets to score on.
        step: Trees that an epoch adds.
        scoring: Scores to report; accuracy of a classifier, R2 of a regressor if not given. A scorer of your own is `val_score`.
        score_train: Whether to score on the training data too, which costs a prediction per epoch and shows overfitting.
        trial: Where to report; `tcs_hpt.current_trial()` if not given.
        prefix: Put before every name.
        names: The usual name of a metric -> the name to report, e.g. `{"val_f1_macro": "val_f1"}`.
        best: The reported name of the metric that says which epoch is the best.
        direction: Whether more of it is better.

    Raises:
        UserError: The estimator can only be fitted at once; there is no trial; or no metric `best`.
        ValueError: Of `best` and `direction` only one is given.
    """
    reporter = Reporter(trial, prefix=prefix, names=names, best=best, direction=direction)
    advance = _advance(estimator, X, y, step, reporter.trial.seed)
    scorers = _scorers(estimator, scoring)
    kept = estimator
    for epoch in range(1, epochs + 1):
        advance(epoch)
        metrics = _scores(scorers, estimator, "val", *validation)
        if score_train:
            metrics |= _scores(scorers, estimator, "train", X, y)
        if (loss := as_number(getattr(estimator, "loss_", None))) is not None:
            metrics["train_loss"] = loss
        _report(reporter, epoch, metrics)
        if reporter.best_epoch == epoch:
            kept = copy.deepcopy(estimator)
        if reporter.should_stop():
            break
    reporter.finish_with_best()
    return Trained(kept, reporter.best_epoch, reporter.best_metrics)


def report_staged(
    estimator: Any,
    X: Any,
    y: Any,
    *,
    train: tuple[Any, Any] | None = None,
    scoring: Scoring | None = None,
    trial: CurrentTrial | None = None,
    prefix: str = "",
    names: Mapping[str, str] | None = None,
    best: str | None = None,
    direction: Direction | None = None,
) -> Trained:
    """Report each stage of a boosted estimator that is fitted already, as an epoch.

    For what has `staged_predict`: `GradientBoosting...`, `HistGradientBoosting...`, `AdaBoost...`. It costs one prediction,
    since stages build on each other. A training that shall be seen while it runs, or end early, needs `fit_in_epochs`.

    With `best`, the trial is finished with all metrics of the best stage. The estimator stays as it is, with all stages.
    Without `best` the script calls `trial.finish`, or the last stage counts.

    Args:
        estimator: Fitted.
        X: Validation data.
        y: Its targets.
        train: Training data and targets, to score on too.
        scoring: Scores to report; accuracy of a classifier, R2 of a regressor if not given. A scorer of your own is `val_score`.
        trial: Where to report; `tcs_hpt.current_trial()` if not given.
        prefix: Put before every name.
        names: The usual name of a metric -> the name to report, e.g. `{"val_f1_macro": "val_f1"}`.
        best: The reported name of the metric that says which stage is the best.
        direction: Whether more of it is better.

    Raises:
        UserError: The estimator has no stages; there is no trial; or no metric `best`.
        ValueError: Of `best` and `direction` only one is given.
    """
    if not hasattr(estimator, "staged_predict"):
        raise UserError(
            f"{type(estimator).__name__} has no stages",
            hint="Train it with fit_in_epochs, or report its score with trial.finish.",
        )
    reporter = Reporter(trial, prefix=prefix, names=names, best=best, direction=direction)
    scorers = _scorers(estimator, scoring)
    sets = {"val": (X, y)} if train is None else {"val": (X, y), "train": train}
    stages = {role: _Stages(estimator, data) for role, (data, _) in sets.items()}
    for stage in range(1, _number_of_stages(estimator) + 1):
        metrics: dict[str, float] = {}
        for role, (data, targets) in sets.items():
            stages[role].number = stage
            metrics |= _scores(scorers, stages[role], role, data, targets)
        _report(reporter, stage, metrics)
    reporter.finish_with_best()
    return Trained(estimator, reporter.best_epoch, reporter.best_metrics)


def report_cross_validation(
    scores: Mapping[str, Any] | Sequence[float],
    *,
    trial: CurrentTrial | None = None,
    prefix: str = "",
    names: Mapping[str, str] | None = None,
) -> dict[str, float]:
    """Report what a cross-validation found and end the trial with it: its mean is the trial's result.

    The scores on the folds left out, which scikit-learn calls `test_...`, are validation scores here: `val_accuracy`, their
    mean, and `val_accuracy_std`, the standard deviation between folds; those on the training folds are `train_accuracy`.
    A fold without a score makes the mean, and so the trial, not finite.

    Args:
        scores: From `cross_validate`, or the array from `cross_val_score`, which becomes `val_score`.
        trial: Where to report; `tcs_hpt.current_trial()` if not given.
        prefix: Put before every name.
        names: The usual name of a metric -> the name to report, e.g. `{"val_score": "val_accuracy"}`.

    Returns:
        What was reported, e.g. to finish again with more: `trial.finish(**found, test_accuracy=...)`.

    Raises:
        UserError: There is no trial, or no score.
    """
    reporter = Reporter(trial, prefix=prefix, names=names)
    by_name = scores if isinstance(scores, Mapping) else {"test_score": scores}
    metrics: dict[str, float] = {}
    for own, folds in by_name.items():
        role, _, score = own.partition("_")
        if role not in ("test", "train") or not score:
            continue  # times, estimators, indices
        usual = f"{'val' if role == 'test' else role}_{score}"
        name = reporter.named(usual, usual)
        metrics |= {name: float(np.mean(folds)), f"{name}_std": float(np.std(folds))}
    if not metrics:
        raise UserError(
            "there are no scores to report", hint="Give what cross_validate or cross_val_score returned."
        )
    reporter.report(1, metrics)
    reporter.trial.finish(**metrics)
    return metrics


def _report(reporter: Reporter, epoch: int, metrics: Mapping[str, float]) -> None:
    reporter.report(epoch, {reporter.named(name, name): value for name, value in metrics.items()})


def _scorers(estimator: Any, scoring: Scoring | None) -> dict[str, Scorer]:
    if scoring is None:
        scoring = "accuracy" if is_classifier(estimator) else "r2"
    if isinstance(scoring, str):
        scoring = {scoring: scoring}
    elif callable(scoring):
        scoring = {"score": scoring}
    elif not isinstance(scoring, Mapping):
        scoring = {name: name for name in scoring}
    return {name: get_scorer(scorer) for name, scorer in scoring.items()}


def _scores(scorers: Mapping[str, Scorer], estimator: Any, role: str, X: Any, y: Any) -> dict[str, float]:
    return {f"{role}_{name}": scorer(estimator, X, y) for name, scorer in scorers.items()}


def _advance(estimator: Any, X: Any, y: Any, step: int, seed: int) -> Callable[[int], None]:
    """What trains the estimator for one epoch, given the epoch's number."""
    if hasattr(estimator, "partial_fit"):
        # `classes` must be there at the first call, for a part of the data may lack some.
        extra = {"classes": unique_labels(y)} if is_classifier(estimator) else {}

        def passes(epoch: int) -> None:
            # SGD with a fixed `random_state` would see the same order every time.
            order = np.random.default_rng([seed, epoch]).integers(2**31)
            estimator.partial_fit(*shuffle(X, y, random_state=int(order)), **extra)

        return passes
    parameters = estimator.get_params()
    boosted = isinstance(estimator, HistGradientBoostingClassifier | HistGradientBoostingRegressor)
    trees = "max_iter" if boosted else "n_estimators"
    if "warm_start" not in parameters or trees not in parameters:
        raise UserError(
            f"{type(estimator).__name__} has neither partial_fit nor warm_start with {trees}, so it is fitted at once",
            hint="Fit it yourself and report its score with trial.finish.",
        )

    def grows(epoch: int) -> None:
        estimator.set_params(**{"warm_start": True, trees: epoch * step}).fit(X, y)

    return grows


def _number_of_stages(estimator: Any) -> int:
    for name in ("n_iter_", "n_estimators_"):  # histogram gradient boosting, gradient boosting
        if hasattr(estimator, name):
            return int(getattr(estimator, name))
    return len(estimator.estimators_)


class _Stages:
    """A boosted estimator as it was at stage `number`, for a scorer that asks for a prediction on `X`.

    Everything else is that of the whole estimator. Stages must be asked for in rising order. Only the kinds of answer that
    a scorer wants are computed.
    """

    def __init__(self, estimator: Any, X: Any) -> None:
        self.number = 1
        self._estimator = estimator
        self._X = X
        self._stages: dict[str, Iterator[Any]] = {}
        self._answers: dict[str, tuple[int, Any]] = {}

    def __getattr__(self, name: str) -> Any:
        if name not in RESPONSES:
            return getattr(self._estimator, name)
        staged = getattr(self._estimator, f"staged_{name}")

        def answer(X: Any) -> Any:
            stages = self._stages.setdefault(name, iter(staged(self._X)))
            number, found = self._answers.get(name, (0, None))
            while number < self.number:
                number, found = number + 1, next(stages)
            self._answers[name] = number, found
            return found

        answer.__name__ = name  # scorers look at it
        return answer
