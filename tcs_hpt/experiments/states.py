"""Little studies whose problem is known, to ask a model about: the same for every model and every machine.

The numbers are made for this purpose. They have the size that such trainings have, but nobody measured them, and no
claim about a data set can be read off them.

The changes on offer are fixed too, and differ from a product's list in one point: as many lead the wrong way as the
right one. A list that the evidence has vetted holds nothing wrong, so that any choice from it would look like knowledge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tcs_hpt.errors import UserError
from tcs_hpt.experiments.example_state import (
    ExampleState,
    choice,
    curves_of,
    diverged,
    finished,
    float_,
    int_,
    make_task,
)
from tcs_hpt.experiments.further_states import FURTHER
from tcs_hpt.space import SearchSpace


def find_states(names: Sequence[str]) -> tuple[ExampleState, ...]:
    """The example states of these names, in the given order, each once.

    Raises:
        UserError: There is no such state.
    """
    unknown = [n for n in names if n not in STATES]
    if unknown:
        raise UserError(f"there is no example state {unknown[0]!r}", hint=f"States: {', '.join(STATES)}.")
    return tuple(STATES[name] for name in dict.fromkeys(names))


# -- the states ----------------------------------------------------------------------------------------


def _learning_rate_too_high() -> ExampleState:
    """A convolutional network whose two trials both blew up."""
    task = make_task(
        "images",
        "Small ResNet on colour photographs",
        "A ResNet-18 classifies 32x32 colour photographs into 10 classes.",
        "val_accuracy",
        0.9,
        {
            "lr": float_(1e-5, 1.0, 0.5, log=True),
            "momentum": float_(0.5, 0.99, 0.9),
            "batch_size": choice(128, 32, 64, 128, 256),
            "weight_decay": float_(1e-6, 0.1, 5e-4, log=True),
            "dropout": float_(0.0, 0.5, 0.1),
            "epochs": int_(5, 100, 30),
        },
    )
    start = SearchSpace(task.params).defaults()
    return ExampleState(
        name="diverged",
        title="the learning rate is far too high, training diverged",
        task=task,
        trials=(
            diverged(
                1,
                start,
                curves_of(
                    train_loss=(6.91, 48.3, None),
                    val_loss=(4.87, 131.0, None),
                    val_accuracy=(0.112, 0.1, 0.1),
                ),
                None,
            ),
            diverged(
                2,
                {**start, "weight_decay": 3e-5},
                curves_of(
                    train_loss=(7.26, 52.9, None),
                    val_loss=(5.02, 144.0, None),
                    val_accuracy=(0.104, 0.1, 0.1),
                ),
                1,
            ),
        ),
        problems=frozenset({"diverged", "unstable"}),
        offers=(
            ("lr", 0.05),
            ("lr", 1.0),
            ("momentum", 0.7),
            ("momentum", 0.97),
            ("lr", 0.005),
            ("lr", 0.8),
            ("dropout", 0.3),
            ("epochs", 60),
        ),
        moves={"lr": -1, "momentum": -1},
    )


def _too_large_and_free() -> ExampleState:
    """A graph network that learns its 140 labels by heart."""
    task = make_task(
        "citations",
        "Graph network on a citation graph",
        "A graph convolutional network classifies papers into 7 classes from 140 labelled nodes.",
        "val_accuracy",
        0.8,
        {
            "lr": float_(1e-5, 0.1, 0.01, log=True),
            "hidden_size": int_(8, 64, 48, log=True),
            "layers": int_(1, 5, 2),
            "dropout": float_(0.0, 0.7, 0.1),
            "weight_decay": float_(1e-6, 0.1, 1e-5, log=True),
            "activation": choice("relu", "relu", "elu", "silu"),
            "epochs": int_(10, 200, 100),
        },
    )
    start = SearchSpace(task.params).defaults()
    return ExampleState(
        name="overfitting",
        title="the training labels are learned by heart, validation falls back",
        task=task,
        trials=(
            finished(
                1,
                start,
                "val_accuracy",
                0.734,
                curves_of(
                    10,
                    train_loss=(1.93, 1.52, 0.98, 0.51, 0.24, 0.11, 0.052, 0.027, 0.015, 0.009),
                    val_loss=(1.94, 1.71, 1.38, 1.12, 1.04, 1.09, 1.19, 1.31, 1.42, 1.53),
                    train_accuracy=(0.31, 0.66, 0.86, 0.95, 0.99, 1.0, 1.0, 1.0, 1.0, 1.0),
                    val_accuracy=(0.29, 0.52, 0.67, 0.72, 0.734, 0.73, 0.724, 0.716, 0.71, 0.706),
                ),
                None,
            ),
            finished(
                2,
                {**start, "lr": 0.03},
                "val_accuracy",
                0.722,
                curves_of(
                    10,
                    train_loss=(1.88, 1.02, 0.36, 0.09, 0.031, 0.014, 0.008, 0.005, 0.003, 0.002),
                    val_loss=(1.9, 1.33, 1.08, 1.15, 1.32, 1.49, 1.61, 1.7, 1.79, 1.86),
                    train_accuracy=(0.36, 0.82, 0.97, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0),
                    val_accuracy=(0.33, 0.64, 0.722, 0.718, 0.708, 0.7, 0.696, 0.692, 0.69, 0.688),
                ),
                1,
            ),
        ),
        problems=frozenset({"overfitting"}),
        offers=(
            ("dropout", 0.5),
            ("dropout", 0.0),
            ("weight_decay", 1e-3),
            ("weight_decay", 1e-6),
            ("hidden_size", 16),
            ("hidden_size", 64),
            ("activation", "elu"),
            ("lr", 0.003),
        ),
        moves={"dropout": 1, "weight_decay": 1, "hidden_size": -1, "epochs": -1},
    )


def _too_small() -> ExampleState:
    """A network with eight units and a tiny learning rate."""
    task = make_task(
        "sensors",
        "Multilayer perceptron on sensor readings",
        "A multilayer perceptron classifies readings of 60 sensors into 12 states of a machine.",
        "val_accuracy",
        0.95,
        {
            "lr": float_(1e-5, 0.1, 1e-4, log=True),
            "hidden_size": int_(4, 512, 8, log=True),
            "layers": int_(1, 4, 1),
            "batch_size": choice(128, 16, 32, 64, 128, 256),
            "weight_decay": float_(1e-6, 0.1, 1e-2, log=True),
            "dropout": float_(0.0, 0.5, 0.3),
            "epochs": int_(5, 100, 20),
        },
    )
    start = SearchSpace(task.params).defaults()
    return ExampleState(
        name="underfitting",
        title="the network is too small and learns too slowly",
        task=task,
        trials=(
            finished(
                1,
                start,
                "val_accuracy",
                0.412,
                curves_of(
                    2,
                    train_loss=(2.47, 2.4, 2.34, 2.28, 2.23, 2.18, 2.13, 2.09, 2.05, 2.01),
                    val_loss=(2.46, 2.39, 2.33, 2.28, 2.23, 2.18, 2.14, 2.1, 2.06, 2.02),
                    train_accuracy=(0.13, 0.18, 0.23, 0.27, 0.3, 0.33, 0.355, 0.375, 0.392, 0.406),
                    val_accuracy=(0.13, 0.18, 0.23, 0.27, 0.31, 0.34, 0.36, 0.38, 0.397, 0.412),
                ),
                None,
            ),
            finished(
                2,
                {**start, "batch_size": 256},
                "val_accuracy",
                0.322,
                curves_of(
                    2,
                    train_loss=(2.49, 2.45, 2.41, 2.38, 2.35, 2.32, 2.29, 2.27, 2.25, 2.23),
                    val_loss=(2.48, 2.44, 2.41, 2.38, 2.35, 2.32, 2.29, 2.27, 2.25, 2.23),
                    train_accuracy=(0.11, 0.14, 0.17, 0.2, 0.22, 0.25, 0.27, 0.285, 0.3, 0.312),
                    val_accuracy=(0.11, 0.14, 0.17, 0.2, 0.23, 0.25, 0.27, 0.29, 0.306, 0.322),
                ),
                1,
            ),
        ),
        problems=frozenset({"underfitting", "still improving"}),
        offers=(
            ("lr", 3e-3),
            ("lr", 2e-5),
            ("hidden_size", 128),
            ("hidden_size", 4),
            ("epochs", 60),
            ("epochs", 10),
            ("dropout", 0.0),
            ("dropout", 0.5),
        ),
        moves={"lr": 1, "hidden_size": 1, "layers": 1, "epochs": 1, "weight_decay": -1, "dropout": -1},
    )


def _nothing_helps_any_more() -> ExampleState:
    """Boosted trees that three changes could not move; no textbook says what comes next."""
    task = make_task(
        "prices",
        "Boosted trees on house prices",
        "XGBoost predicts the prices of 545 houses from 12 columns.",
        "val_r2",
        0.7,
        {
            "learning_rate": float_(1e-3, 1.0, 0.1, log=True),
            "max_depth": int_(3, 11, 5),
            "min_child_weight": float_(1.0, 10.0, 3.0),
            "subsample": float_(0.5, 1.0, 0.8),
            "colsample_bytree": float_(0.5, 1.0, 0.8),
            "n_estimators": int_(100, 500, 250),
            "reg_lambda": float_(0.0, 1.0, 0.5),
        },
    )
    start = SearchSpace(task.params).defaults()
    curves = curves_of(
        30,
        train_rmse=(0.92, 0.71, 0.63, 0.605, 0.598, 0.595, 0.593, 0.592),
        val_r2=(0.24, 0.49, 0.581, 0.602, 0.604, 0.6045, 0.604, 0.6043),
    )
    more_rows = curves_of(
        30,
        train_rmse=(0.91, 0.7, 0.625, 0.601, 0.594, 0.592, 0.59, 0.589),
        val_r2=(0.25, 0.495, 0.583, 0.6021, 0.6036, 0.604, 0.6035, 0.6038),
    )
    deeper = curves_of(
        30,
        train_rmse=(0.83, 0.58, 0.49, 0.462, 0.451, 0.446, 0.443, 0.441),
        val_r2=(0.28, 0.51, 0.588, 0.6014, 0.6033, 0.603, 0.6031, 0.6029),
    )
    slower = curves_of(
        30,
        train_rmse=(1.04, 0.86, 0.73, 0.651, 0.617, 0.604, 0.599, 0.597),
        val_r2=(0.11, 0.33, 0.5, 0.571, 0.594, 0.601, 0.602, 0.6022),
    )
    return ExampleState(
        name="plateau",
        title="the curve is flat and three changes did not move it",
        task=task,
        trials=(
            finished(1, start, "val_r2", 0.6043, curves, None),
            finished(2, {**start, "learning_rate": 0.03}, "val_r2", 0.6022, slower, 1),
            finished(3, {**start, "subsample": 0.9}, "val_r2", 0.6038, more_rows, 1),
            finished(4, {**start, "max_depth": 7}, "val_r2", 0.6029, deeper, 1),
        ),
        problems=frozenset({"plateaued"}),
        offers=(
            ("learning_rate", 0.05),
            ("learning_rate", 0.2),
            ("max_depth", 4),
            ("min_child_weight", 5.0),
            ("subsample", 0.7),
            ("colsample_bytree", 0.6),
            ("n_estimators", 350),
            ("reg_lambda", 0.8),
        ),
    )


STATES: Mapping[str, ExampleState] = {
    state.name: state
    for state in (
        _learning_rate_too_high(),
        _too_large_and_free(),
        _too_small(),
        _nothing_helps_any_more(),
        *FURTHER,
    )
}
"""The built-in states by name; the first two are those of a quick check."""
