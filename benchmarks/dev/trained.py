"""Problems that really train: scikit-learn on the data it brings along, 5 to 500 ms a trial on one core.

The split of the data never changes; the training seed is the study's. Defaults are the library's own as far as the space can
say them. Learning curves are the stages of boosting, the growth of a forest, and the epochs of networks and linear models.
"""

from __future__ import annotations

import math
import warnings
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import Ridge, SGDClassifier
from sklearn.metrics import accuracy_score, log_loss, root_mean_squared_error
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, RobustScaler, StandardScaler
from sklearn.svm import SVC

from benchmarks.dev._base import Problem, task
from tcs_hpt.client import CurrentTrial

Array = NDArray[np.float64]
POINTS = 30
"""Of a learning curve, at most; a forest of 150 trees need not be looked at 150 times."""


class Part(NamedTuple):
    """Rows and what is to be predicted of them."""

    x: Array
    y: Array


class Split(NamedTuple):
    """Data in three parts."""

    train: Part
    val: Part
    test: Part


@lru_cache
def split(name: str, train: int) -> Split:
    """A bundled data set with `train` rows for training and the rest in two equal parts; always the same."""
    load = {"digits": load_digits, "diabetes": load_diabetes, "cancer": load_breast_cancer}[name]
    x, y = load(return_X_y=True)
    if name == "digits":
        x = x / 16.0
    strata = None if name == "diabetes" else y
    train_x, x, train_y, y = train_test_split(x, y, train_size=train, stratify=strata, random_state=0)
    strata = None if name == "diabetes" else y
    val_x, test_x, val_y, test_y = train_test_split(x, y, train_size=0.5, stratify=strata, random_state=0)
    return Split(Part(train_x, train_y), Part(val_x, val_y), Part(test_x, test_y))


def _points(last: int) -> set[int]:
    """Where to look at something that grows to `last`: evenly, the end included."""
    return {math.ceil(last * i / POINTS) for i in range(1, POINTS + 1)}


def boosting(params: dict[str, Any], trial: CurrentTrial) -> dict[str, float]:
    """Gradient boosting; the score is that of the last stage."""
    data = split("diabetes", 220)
    model = GradientBoostingRegressor(**params, random_state=trial.seed).fit(*data.train)
    points = _points(params["n_estimators"])
    metrics: dict[str, float] = {}
    stages = zip(*(model.staged_predict(part.x) for part in data), strict=True)
    for stage, (train, val, test) in enumerate(stages, 1):
        if stage in points:
            errors = [
                root_mean_squared_error(p.y, found) for p, found in zip(data, (train, val, test), strict=True)
            ]
            metrics = dict(zip(("train_rmse", "val_rmse", "test_rmse"), errors, strict=True))
            trial.report(epoch=stage, **metrics)
    return metrics


def forest(params: dict[str, Any], trial: CurrentTrial) -> dict[str, float]:
    """A random forest that is looked at while it grows."""
    data = split("digits", 400)
    sizes = sorted(_points(params["n_estimators"]))[2::3]
    model = RandomForestClassifier(**params | {"n_estimators": 1}, warm_start=True, random_state=trial.seed)
    metrics: dict[str, float] = {}
    for size in sorted({*sizes, params["n_estimators"]}):
        model.set_params(n_estimators=size).fit(*data.train)
        found = [accuracy_score(part.y, model.predict(part.x)) for part in data]
        metrics = dict(zip(("train_accuracy", "val_accuracy", "test_accuracy"), found, strict=True))
        trial.report(epoch=size, **metrics)
    return metrics


def svm(params: dict[str, Any], trial: CurrentTrial) -> dict[str, float]:
    """A support vector machine; there is no curve to look at."""
    data = split("digits", 300)
    scaler = {"standard": StandardScaler(), "none": None}[params["scaler"]]
    own = {n: v for n, v in params.items() if n not in ("scaler", "class_weight")}
    weight = None if params["class_weight"] == "none" else params["class_weight"]
    model = make_pipeline(scaler or "passthrough", SVC(**own, class_weight=weight, random_state=trial.seed))
    model.fit(*data.train)
    found = [float(model.score(*part)) for part in data]
    return dict(zip(("train_accuracy", "val_accuracy", "test_accuracy"), found, strict=True))


@np.errstate(over="ignore", invalid="ignore")
def mlp(params: dict[str, Any], trial: CurrentTrial) -> dict[str, float]:
    """A multilayer perceptron, epoch by epoch; the score is that of the last one."""
    data = split("digits", 400)
    model = MLPClassifier(
        hidden_layer_sizes=(params["hidden_size"],) * params["n_layers"],
        activation=params["activation"],
        solver=params["solver"],
        learning_rate_init=params["learning_rate_init"],
        momentum=params.get("momentum", 0.9),
        beta_1=params.get("beta_1", 0.9),
        batch_size=params["batch_size"],
        alpha=params["alpha"],
        random_state=trial.seed,
    )
    metrics: dict[str, float] = {}
    for epoch in range(1, params["epochs"] + 1):
        try:
            model.partial_fit(*data.train, classes=np.arange(10))
        except ValueError:  # scikit-learn raises when weights are no longer finite
            if all(np.isfinite(w).all() for w in model.coefs_):
                raise
            return {"val_accuracy": math.nan}
        for name, part in zip(("train", "val"), data, strict=False):
            likely = model.predict_proba(part.x)
            if not np.isfinite(likely).all():
                return {"val_accuracy": math.nan}
            metrics[f"{name}_loss"] = log_loss(part.y, likely, labels=model.classes_)
            metrics[f"{name}_accuracy"] = float(np.mean(likely.argmax(axis=1) == part.y))
        trial.report(epoch=epoch, **metrics)
    return metrics | {"test_accuracy": float(model.score(*data.test))}


@np.errstate(over="ignore", invalid="ignore")
def linear(params: dict[str, Any], trial: CurrentTrial) -> dict[str, float]:
    """Logistic regression by stochastic gradient descent on columns as they are, so that large steps really diverge."""
    data = split("cancer", 300)
    scaler = {"standard": StandardScaler(), "robust": RobustScaler(), "none": None}[params["scaler"]]
    if scaler is not None:
        scaler.fit(data.train.x)
        data = Split(*(Part(scaler.transform(part.x), part.y) for part in data))
    own = {n: v for n, v in params.items() if n not in ("scaler", "epochs")}
    model = SGDClassifier(**own, loss="log_loss", random_state=trial.seed)
    metrics: dict[str, float] = {}
    for epoch in range(1, params["epochs"] + 1):
        try:
            model.partial_fit(*data.train, classes=np.array([0, 1]))
        except ValueError:  # "Floating-point under-/overflow occurred"
            return {"val_log_loss": math.nan}
        for name, part in zip(("train", "val", "test"), data, strict=True):
            likely = model.predict_proba(part.x)
            metrics[f"{name}_log_loss"] = log_loss(part.y, likely, labels=[0, 1])
            metrics[f"{name}_accuracy"] = float(np.mean(likely.argmax(axis=1) == part.y))
        trial.report(epoch=epoch, **metrics)
    return metrics


def ridge(params: dict[str, Any], trial: CurrentTrial) -> dict[str, float]:
    """Ridge regression on products of columns."""
    data = split("diabetes", 220)
    scaler = {"standard": StandardScaler(), "robust": RobustScaler(), "none": "passthrough"}[params["scaler"]]
    products = PolynomialFeatures(params["degree"], interaction_only=params["interaction_only"])
    model = make_pipeline(
        scaler, products, Ridge(alpha=params["alpha"], fit_intercept=params["fit_intercept"])
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Ill-conditioned matrix")  # what alpha is there for
        model.fit(*data.train)
    found = [root_mean_squared_error(part.y, model.predict(part.x)) for part in data]
    return dict(zip(("train_rmse", "val_rmse", "test_rmse"), found, strict=True))


def _real(low: float, high: float, default: float, **more: Any) -> dict[str, Any]:
    return {"type": "float", "low": low, "high": high, "default": default, **more}


def _log(low: float, high: float, default: float, **more: Any) -> dict[str, Any]:
    return _real(low, high, default, log=True, **more)


def _whole(low: int, high: int, default: int, **more: Any) -> dict[str, Any]:
    return {"type": "int", "low": low, "high": high, "default": default, **more}


def _choice(*choices: Any, default: Any, **more: Any) -> dict[str, Any]:
    return {"type": "categorical", "choices": list(choices), "default": default, **more}


PROBLEMS = (
    Problem(
        task(
            "boosting_diabetes",
            "Gradient boosting on diabetes",
            "Gradient-boosted regression trees predict the progress of diabetes after a year from ten measurements of 220 "
            "patients; noisy data that are easily overfitted. The score is the root mean squared error on 111 others.",
            "val_rmse",
            "minimize",
            {
                "learning_rate": _log(0.005, 1.0, 0.1, description="Shrinkage of every tree."),
                "n_estimators": _whole(10, 300, 100, log=True),
                "max_depth": _whole(1, 8, 3),
                "subsample": _real(0.3, 1.0, 1.0),
                "max_features": _real(0.1, 1.0, 1.0),
                "min_samples_leaf": _whole(1, 40, 1, log=True),
            },
        ),
        boosting,
    ),
    Problem(
        task(
            "forest_digits",
            "Random forest on digits",
            "A random forest reads 8x8 images of handwritten digits, from 400 labelled ones.",
            "val_accuracy",
            "maximize",
            {
                "n_estimators": _whole(5, 150, 100, log=True),
                "max_features": _log(
                    0.02, 1.0, 0.125, description="Share of the pixels that a split chooses from."
                ),
                "min_samples_leaf": _whole(1, 20, 1, log=True),
                "min_samples_split": _whole(2, 40, 2, log=True),
                "criterion": _choice("gini", "entropy", default="gini"),
                "bootstrap": _choice(True, False, default=True),
                "max_samples": _real(0.1, 1.0, 1.0, when={"bootstrap": [True]}),
            },
        ),
        forest,
    ),
    Problem(
        task(
            "svm_digits",
            "Support vector machine on digits",
            "A support vector machine reads 8x8 images of handwritten digits, from 300 labelled ones.",
            "val_accuracy",
            "maximize",
            {
                "C": _log(0.01, 1e3, 1.0, description="Cost of a misclassified image."),
                "kernel": _choice("rbf", "poly", "sigmoid", default="rbf"),
                "gamma": _log(
                    1e-4, 1.0, 0.0156, description="Reach of the kernel; 1/64 is the library's default."
                ),
                "degree": _whole(2, 5, 3, when={"kernel": ["poly"]}),
                "coef0": _real(-1.0, 1.0, 0.0, when={"kernel": ["poly", "sigmoid"]}),
                "scaler": _choice("none", "standard", default="none"),
                "class_weight": _choice("none", "balanced", default="none"),
            },
        ),
        svm,
    ),
    Problem(
        task(
            "mlp_digits",
            "Perceptron on digits",
            "A multilayer perceptron reads 8x8 images of handwritten digits, from 400 labelled ones.",
            "val_accuracy",
            "maximize",
            {
                "learning_rate_init": _log(1e-4, 0.3, 1e-3),
                "solver": _choice("adam", "sgd", default="adam"),
                "momentum": _real(0.0, 0.99, 0.9, when={"solver": ["sgd"]}),
                "beta_1": _real(0.5, 0.99, 0.9, when={"solver": ["adam"]}),
                "hidden_size": _whole(8, 128, 100, log=True),
                "n_layers": _whole(1, 2, 1),
                "activation": _choice("relu", "tanh", "logistic", default="relu"),
                "batch_size": _whole(16, 400, 200, log=True),
                "alpha": _log(1e-6, 10.0, 1e-4, description="Strength of the L2 penalty on the weights."),
                "epochs": _whole(5, 30, 20),
            },
        ),
        mlp,
    ),
    Problem(
        task(
            "linear_cancer",
            "Logistic regression on tumours",
            "Logistic regression by stochastic gradient descent tells benign from malignant tumours by 30 measurements, from "
            "300 labelled ones. The score is the logarithmic loss on validation data.",
            "val_log_loss",
            "minimize",
            {
                "alpha": _log(1e-7, 1.0, 1e-4, description="Strength of the penalty on the weights."),
                "penalty": _choice("l2", "l1", "elasticnet", default="l2"),
                "l1_ratio": _real(0.0, 1.0, 0.15, when={"penalty": ["elasticnet"]}),
                "learning_rate": _choice(
                    "optimal",
                    "constant",
                    "invscaling",
                    default="optimal",
                    description="How the step size goes down.",
                ),
                "eta0": _log(
                    1e-5,
                    10.0,
                    0.01,
                    when={"learning_rate": ["constant", "invscaling"]},
                    description="First step size.",
                ),
                "average": _choice(False, True, default=False),
                "scaler": _choice("none", "standard", "robust", default="none"),
                "epochs": _whole(2, 30, 10),
            },
        ),
        linear,
        log_score=True,
    ),
    Problem(
        task(
            "ridge_diabetes",
            "Ridge regression on diabetes",
            "Ridge regression on products of ten measurements predicts the progress of diabetes after a year, from 220 "
            "patients. The score is the root mean squared error on 111 others.",
            "val_rmse",
            "minimize",
            {
                "alpha": _log(1e-5, 1e5, 1.0, description="Strength of the penalty."),
                "degree": _whole(1, 4, 2),
                "interaction_only": _choice(False, True, default=False),
                "fit_intercept": _choice(True, False, default=True),
                "scaler": _choice("none", "standard", "robust", default="none"),
            },
        ),
        ridge,
        log_score=True,
    ),
)
