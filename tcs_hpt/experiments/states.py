"""Little studies whose problem is known, to ask a model about: the same for every model and every machine.

The numbers are made for this purpose. They have the size that such trainings have, but nobody measured them, and no
claim about a data set can be read off them.

The changes on offer are fixed too, and differ from a product's list in one point: as many lead the wrong way as the
right one. A list that the evidence has vetted holds nothing wrong, so that any choice from it would look like knowledge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias

from tcs_hpt.errors import UserError
from tcs_hpt.proposers import ProposalContext
from tcs_hpt.records import EpochRecord, Failure, Proposal, Trial, bases, last_tested
from tcs_hpt.space import Change, SearchSpace
from tcs_hpt.spec import Config, Scalar, StudySpec, TaskSpec
from tcs_hpt.trajectory import Label

Way: TypeAlias = Literal["right", "wrong", "open"]
"""Where a change goes: as the textbook says, the opposite of it, or somewhere that it says nothing about."""


@dataclass(frozen=True)
class ExampleState:
    """A study in the middle, with what a textbook says about it."""

    name: str
    title: str
    """What is wrong, in a few words."""
    task: TaskSpec
    trials: tuple[Trial, ...]
    problems: frozenset[Label]
    """Diagnoses that are right."""
    offers: tuple[tuple[str, Scalar], ...]
    """The changes on offer: parameter and new value."""
    moves: Mapping[str, int] = field(default_factory=dict)
    """Parameter -> +1 where raising it is the usual remedy, -1 where lowering it is; empty when there is none."""

    @cached_property
    def context(self) -> ProposalContext:
        """What a proposer is told in this state."""
        study = StudySpec(name=f"check-{self.name}", task=self.task)
        return ProposalContext(study, self.trials, len(self.trials) + 1)

    @cached_property
    def base(self) -> Trial:
        """The trial that the changes start from."""
        return bases(self.trials, self.task.objective)[0]

    @cached_property
    def changes(self) -> Mapping[str, Change]:
        """The changes on offer by their text, in the order of `offers`."""
        found = [Change(name, self.base.config[name], value) for name, value in self.offers]
        return {change.text: change for change in found}

    @cached_property
    def configs(self) -> Mapping[str, Config]:
        """The configuration that each change gives, by its text, in the order of `offers`."""
        newest = last_tested(self.trials, self.context.space.names)
        return {
            text: self.context.space.changed(self.base.config, c.parameter, c.new, newest)
            for text, c in self.changes.items()
        }

    def way(self, text: str) -> Way:
        """Where a change on offer goes."""
        change = self.changes[text]
        wanted = self.moves.get(change.parameter)
        if wanted is None or change.old is None:
            return "open"
        place = self.context.space.to_unit
        raised = place(change.parameter, change.new) > place(change.parameter, change.old)
        return "right" if raised == (wanted > 0) else "wrong"

    def coin(self, way: Way) -> float:
        """Share of the changes on offer that go this way: how often a coin would take one of them."""
        return sum(self.way(text) == way for text in self.changes) / len(self.changes)


def find_states(names: Sequence[str]) -> tuple[ExampleState, ...]:
    """The example states of these names, in the given order, each once.

    Raises:
        UserError: There is no such state.
    """
    unknown = [n for n in names if n not in STATES]
    if unknown:
        raise UserError(f"there is no example state {unknown[0]!r}", hint=f"States: {', '.join(STATES)}.")
    return tuple(STATES[name] for name in dict.fromkeys(names))


# -- building -----------------------------------------------------------------------------------------------


def _task(
    name: str, title: str, description: str, metric: str, target: float, params: dict[str, Any]
) -> TaskSpec:
    return TaskSpec.model_validate(
        {
            "schema": 1,
            "name": name,
            "title": title,
            "description": description,
            "command": ["{python}", "train.py"],
            "objective": {"metric": metric, "direction": "maximize", "target": target},
            "params": params,
        }
    )


def _curves(every: int = 1, /, **metrics: Sequence[float | None]) -> tuple[EpochRecord, ...]:
    """One list per metric, reported every so many epochs; None is a number that was not finite."""
    rows = zip(*metrics.values(), strict=True)
    return tuple(
        EpochRecord(
            epoch=number * every,
            metrics=dict(zip(metrics, row, strict=True)),
            non_finite=tuple(n for n, v in zip(metrics, row, strict=True) if v is None),
        )
        for number, row in enumerate(rows, 1)
    )


def _finished(
    number: int, config: Config, metric: str, value: float, curves: tuple[EpochRecord, ...], base: int | None
) -> Trial:
    return Trial(
        number=number,
        config=config,
        state="finished",
        value=value,
        metrics={metric: value},
        epochs=curves,
        proposal=Proposal(config=config, source="agents" if base else "start", base_trial=base),
    )


def _diverged(number: int, config: Config, curves: tuple[EpochRecord, ...], base: int | None) -> Trial:
    return Trial(
        number=number,
        config=config,
        state="failed",
        failure=Failure(kind="diverged", message="train_loss was not finite in epoch 3"),
        epochs=curves,
        proposal=Proposal(config=config, source="agents" if base else "start", base_trial=base),
    )


def _float(low: float, high: float, default: float, *, log: bool = False) -> dict[str, Any]:
    return {"type": "float", "low": low, "high": high, "log": log, "default": default}


def _int(low: int, high: int, default: int, *, log: bool = False) -> dict[str, Any]:
    return {"type": "int", "low": low, "high": high, "log": log, "default": default}


def _choice(default: Scalar, *choices: Scalar) -> dict[str, Any]:
    return {"type": "categorical", "choices": list(choices), "default": default}


# -- the states ---------------------------------------------------------------------------------------------


def _learning_rate_too_high() -> ExampleState:
    """A convolutional network whose two trials both blew up."""
    task = _task(
        "images",
        "Small ResNet on colour photographs",
        "A ResNet-18 classifies 32x32 colour photographs into 10 classes.",
        "val_accuracy",
        0.9,
        {
            "lr": _float(1e-5, 1.0, 0.5, log=True),
            "momentum": _float(0.5, 0.99, 0.9),
            "batch_size": _choice(128, 32, 64, 128, 256),
            "weight_decay": _float(1e-6, 0.1, 5e-4, log=True),
            "dropout": _float(0.0, 0.5, 0.1),
            "epochs": _int(5, 100, 30),
        },
    )
    start = SearchSpace(task.params).defaults()
    return ExampleState(
        name="diverged",
        title="the learning rate is far too high, training diverged",
        task=task,
        trials=(
            _diverged(
                1,
                start,
                _curves(
                    train_loss=(6.91, 48.3, None),
                    val_loss=(4.87, 131.0, None),
                    val_accuracy=(0.112, 0.1, 0.1),
                ),
                None,
            ),
            _diverged(
                2,
                {**start, "weight_decay": 3e-5},
                _curves(
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
    task = _task(
        "citations",
        "Graph network on a citation graph",
        "A graph convolutional network classifies papers into 7 classes from 140 labelled nodes.",
        "val_accuracy",
        0.8,
        {
            "lr": _float(1e-5, 0.1, 0.01, log=True),
            "hidden_size": _int(8, 64, 48, log=True),
            "layers": _int(1, 5, 2),
            "dropout": _float(0.0, 0.7, 0.1),
            "weight_decay": _float(1e-6, 0.1, 1e-5, log=True),
            "activation": _choice("relu", "relu", "elu", "silu"),
            "epochs": _int(10, 200, 100),
        },
    )
    start = SearchSpace(task.params).defaults()
    return ExampleState(
        name="overfitting",
        title="the training labels are learned by heart, validation falls back",
        task=task,
        trials=(
            _finished(
                1,
                start,
                "val_accuracy",
                0.734,
                _curves(
                    10,
                    train_loss=(1.93, 1.52, 0.98, 0.51, 0.24, 0.11, 0.052, 0.027, 0.015, 0.009),
                    val_loss=(1.94, 1.71, 1.38, 1.12, 1.04, 1.09, 1.19, 1.31, 1.42, 1.53),
                    train_accuracy=(0.31, 0.66, 0.86, 0.95, 0.99, 1.0, 1.0, 1.0, 1.0, 1.0),
                    val_accuracy=(0.29, 0.52, 0.67, 0.72, 0.734, 0.73, 0.724, 0.716, 0.71, 0.706),
                ),
                None,
            ),
            _finished(
                2,
                {**start, "lr": 0.03},
                "val_accuracy",
                0.722,
                _curves(
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
    task = _task(
        "sensors",
        "Multilayer perceptron on sensor readings",
        "A multilayer perceptron classifies readings of 60 sensors into 12 states of a machine.",
        "val_accuracy",
        0.95,
        {
            "lr": _float(1e-5, 0.1, 1e-4, log=True),
            "hidden_size": _int(4, 512, 8, log=True),
            "layers": _int(1, 4, 1),
            "batch_size": _choice(128, 16, 32, 64, 128, 256),
            "weight_decay": _float(1e-6, 0.1, 1e-2, log=True),
            "dropout": _float(0.0, 0.5, 0.3),
            "epochs": _int(5, 100, 20),
        },
    )
    start = SearchSpace(task.params).defaults()
    return ExampleState(
        name="underfitting",
        title="the network is too small and learns too slowly",
        task=task,
        trials=(
            _finished(
                1,
                start,
                "val_accuracy",
                0.412,
                _curves(
                    2,
                    train_loss=(2.47, 2.4, 2.34, 2.28, 2.23, 2.18, 2.13, 2.09, 2.05, 2.01),
                    val_loss=(2.46, 2.39, 2.33, 2.28, 2.23, 2.18, 2.14, 2.1, 2.06, 2.02),
                    train_accuracy=(0.13, 0.18, 0.23, 0.27, 0.3, 0.33, 0.355, 0.375, 0.392, 0.406),
                    val_accuracy=(0.13, 0.18, 0.23, 0.27, 0.31, 0.34, 0.36, 0.38, 0.397, 0.412),
                ),
                None,
            ),
            _finished(
                2,
                {**start, "batch_size": 256},
                "val_accuracy",
                0.322,
                _curves(
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
    task = _task(
        "prices",
        "Boosted trees on house prices",
        "XGBoost predicts the prices of 545 houses from 12 columns.",
        "val_r2",
        0.7,
        {
            "learning_rate": _float(1e-3, 1.0, 0.1, log=True),
            "max_depth": _int(3, 11, 5),
            "min_child_weight": _float(1.0, 10.0, 3.0),
            "subsample": _float(0.5, 1.0, 0.8),
            "colsample_bytree": _float(0.5, 1.0, 0.8),
            "n_estimators": _int(100, 500, 250),
            "reg_lambda": _float(0.0, 1.0, 0.5),
        },
    )
    start = SearchSpace(task.params).defaults()
    curves = _curves(
        30,
        train_rmse=(0.92, 0.71, 0.63, 0.605, 0.598, 0.595, 0.593, 0.592),
        val_r2=(0.24, 0.49, 0.581, 0.602, 0.604, 0.6045, 0.604, 0.6043),
    )
    more_rows = _curves(
        30,
        train_rmse=(0.91, 0.7, 0.625, 0.601, 0.594, 0.592, 0.59, 0.589),
        val_r2=(0.25, 0.495, 0.583, 0.6021, 0.6036, 0.604, 0.6035, 0.6038),
    )
    deeper = _curves(
        30,
        train_rmse=(0.83, 0.58, 0.49, 0.462, 0.451, 0.446, 0.443, 0.441),
        val_r2=(0.28, 0.51, 0.588, 0.6014, 0.6033, 0.603, 0.6031, 0.6029),
    )
    slower = _curves(
        30,
        train_rmse=(1.04, 0.86, 0.73, 0.651, 0.617, 0.604, 0.599, 0.597),
        val_r2=(0.11, 0.33, 0.5, 0.571, 0.594, 0.601, 0.602, 0.6022),
    )
    return ExampleState(
        name="plateau",
        title="the curve is flat and three changes did not move it",
        task=task,
        trials=(
            _finished(1, start, "val_r2", 0.6043, curves, None),
            _finished(2, {**start, "learning_rate": 0.03}, "val_r2", 0.6022, slower, 1),
            _finished(3, {**start, "subsample": 0.9}, "val_r2", 0.6038, more_rows, 1),
            _finished(4, {**start, "max_depth": 7}, "val_r2", 0.6029, deeper, 1),
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
    for state in (_learning_rate_too_high(), _too_large_and_free(), _too_small(), _nothing_helps_any_more())
}
"""The built-in states by name; the first two are those of a quick check."""
