"""Two further states with a usual remedy, so that a model that always answers a state in the same way can be judged.

For such a model every state is one draw, however often it is asked: being right in three states happens to a coin once in
14 times, in five states once in 100 times. The numbers are made up, like those of the other states.
"""

from __future__ import annotations

from tcs_hpt.experiments.example_state import (
    ExampleState,
    choice,
    curves_of,
    finished,
    float_,
    int_,
    make_task,
)
from tcs_hpt.space import SearchSpace


def _steps_too_large() -> ExampleState:
    """A recurrent network on tiny batches, whose score jumps up and down."""
    task = make_task(
        "gestures",
        "Recurrent network on hand gestures",
        "A GRU classifies recordings of 6 motion sensors into 9 gestures.",
        "val_accuracy",
        0.93,
        {
            "lr": float_(1e-5, 1.0, 0.05, log=True),
            "momentum": float_(0.5, 0.99, 0.95),
            "batch_size": int_(2, 256, 8, log=True),
            "hidden_size": int_(16, 256, 96, log=True),
            "dropout": float_(0.0, 0.5, 0.2),
            "epochs": int_(5, 60, 20),
        },
    )
    start = SearchSpace(task.params).defaults()
    return ExampleState(
        name="unstable",
        title="the steps are too large and too noisy, the score jumps",
        task=task,
        trials=(
            finished(
                1,
                start,
                "val_accuracy",
                0.781,
                curves_of(
                    2,
                    train_loss=(1.71, 1.12, 1.34, 0.86, 1.21, 0.79, 1.15, 0.81, 1.18, 0.84),
                    val_loss=(1.63, 1.05, 1.49, 0.83, 1.37, 0.8, 1.33, 0.82, 1.36, 0.85),
                    train_accuracy=(0.41, 0.62, 0.55, 0.76, 0.6, 0.79, 0.62, 0.78, 0.61, 0.77),
                    val_accuracy=(0.43, 0.64, 0.51, 0.761, 0.56, 0.781, 0.57, 0.772, 0.55, 0.765),
                ),
                None,
            ),
            finished(
                2,
                {**start, "hidden_size": 160},
                "val_accuracy",
                0.764,
                curves_of(
                    2,
                    train_loss=(1.78, 1.16, 1.41, 0.89, 1.27, 0.83, 1.22, 0.86, 1.24, 0.88),
                    val_loss=(1.69, 1.09, 1.55, 0.87, 1.44, 0.84, 1.4, 0.86, 1.42, 0.89),
                    train_accuracy=(0.39, 0.61, 0.53, 0.75, 0.58, 0.77, 0.6, 0.77, 0.59, 0.75),
                    val_accuracy=(0.41, 0.62, 0.49, 0.75, 0.53, 0.764, 0.55, 0.757, 0.53, 0.75),
                ),
                1,
            ),
        ),
        problems=frozenset({"unstable"}),
        offers=(
            ("lr", 0.01),
            ("lr", 0.3),
            ("momentum", 0.8),
            ("momentum", 0.98),
            ("batch_size", 64),
            ("batch_size", 2),
            ("dropout", 0.35),
            ("epochs", 40),
        ),
        moves={"lr": -1, "momentum": -1, "batch_size": 1},
    )


def _held_back() -> ExampleState:
    """A text classifier under so much regularization that it does not even learn its training set."""
    task = make_task(
        "reviews",
        "Small transformer on product reviews",
        "A transformer with two layers classifies 20,000 product reviews into 5 ratings.",
        "val_accuracy",
        0.72,
        {
            "lr": float_(1e-5, 0.01, 5e-4, log=True),
            "dropout": float_(0.0, 0.8, 0.6),
            "weight_decay": float_(1e-6, 0.5, 0.1, log=True),
            "label_smoothing": float_(0.0, 0.5, 0.35),
            "pooling": choice("mean", "mean", "max", "first"),
            "epochs": int_(5, 40, 20),
        },
    )
    start = SearchSpace(task.params).defaults()
    return ExampleState(
        name="overregularized",
        title="dropout, weight decay and label smoothing hold the training back",
        task=task,
        trials=(
            finished(
                1,
                start,
                "val_accuracy",
                0.523,
                curves_of(
                    2,
                    train_loss=(1.59, 1.54, 1.51, 1.5, 1.495, 1.493, 1.492, 1.491, 1.491, 1.49),
                    val_loss=(1.56, 1.49, 1.46, 1.45, 1.446, 1.444, 1.443, 1.443, 1.442, 1.442),
                    train_accuracy=(0.29, 0.38, 0.42, 0.44, 0.447, 0.45, 0.451, 0.452, 0.452, 0.453),
                    val_accuracy=(0.35, 0.45, 0.5, 0.517, 0.521, 0.5225, 0.5228, 0.5229, 0.523, 0.523),
                ),
                None,
            ),
            finished(
                2,
                {**start, "pooling": "max"},
                "val_accuracy",
                0.517,
                curves_of(
                    2,
                    train_loss=(1.6, 1.55, 1.52, 1.508, 1.502, 1.5, 1.499, 1.498, 1.498, 1.497),
                    val_loss=(1.57, 1.5, 1.47, 1.46, 1.455, 1.453, 1.452, 1.451, 1.451, 1.45),
                    train_accuracy=(0.28, 0.37, 0.41, 0.43, 0.437, 0.44, 0.441, 0.442, 0.442, 0.443),
                    val_accuracy=(0.34, 0.44, 0.492, 0.51, 0.5145, 0.516, 0.5165, 0.5168, 0.517, 0.517),
                ),
                1,
            ),
        ),
        problems=frozenset({"underfitting", "plateaued"}),
        offers=(
            ("dropout", 0.2),
            ("dropout", 0.75),
            ("weight_decay", 1e-3),
            ("weight_decay", 0.4),
            ("label_smoothing", 0.05),
            ("label_smoothing", 0.45),
            ("lr", 3e-4),
            ("epochs", 30),
        ),
        moves={"dropout": -1, "weight_decay": -1, "label_smoothing": -1},
    )


FURTHER = (_steps_too_large(), _held_back())
