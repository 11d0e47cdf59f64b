"""Small builders and Hypothesis strategies that many tests share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from tcs_hpt.records import EpochRecord, Failure, FailureKind, Proposal, Trial
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import Config, StudySpec, TaskSpec

PARAMS: dict[str, Any] = {
    "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True, "default": 1e-3},
    "optimizer": {"type": "categorical", "choices": ["adam", "sgd"], "default": "adam"},
    "momentum": {
        "type": "float",
        "low": 0.0,
        "high": 0.99,
        "default": 0.9,
        "when": {"optimizer": ["sgd"]},
    },
    "hidden_size": {"type": "int", "low": 8, "high": 256, "log": True, "default": 100},
    "batch_size": {"type": "categorical", "choices": [16, 32, 64, 128, 256], "default": 128},
    "weight_decay": {"type": "float", "low": 1e-6, "high": 1.0, "log": True, "default": 1e-4},
    "epochs": {"type": "int", "low": 2, "high": 40, "default": 10},
}


def task(params: dict[str, Any] | None = None, **changes: Any) -> TaskSpec:
    fields: dict[str, Any] = {
        "schema": 1,
        "name": "digits",
        "title": "MLP on digits",
        "description": "A multi-layer perceptron classifies 8x8 images of handwritten digits.",
        "command": ["{python}", "train.py"],
        "objective": {"metric": "val_accuracy", "direction": "maximize", "target": 0.97},
        "params": PARAMS if params is None else params,
    }
    return TaskSpec.model_validate(fields | changes)


def study(spec: TaskSpec | None = None, **changes: Any) -> StudySpec:
    return StudySpec.model_validate({"name": "s", "task": spec or task()} | changes)


def epochs(
    count: int, top: float, *, overfit_from: int | None = None, speed: float = 3.0, train_ahead: float = 0.02
) -> tuple[EpochRecord, ...]:
    records = []
    for i in range(1, count + 1):
        rise = 0.0 if overfit_from is None else 0.05 * max(0, i - overfit_from)
        grown = 1 - math.exp(-i / speed)
        records.append(
            EpochRecord(
                epoch=i,
                metrics={
                    "train_loss": 2.3 * (1 - grown) + 0.01,
                    "val_loss": 2.3 * (1 - grown) + 0.1 + rise,
                    "train_accuracy": min(1.0, (top + train_ahead)) * grown,
                    "val_accuracy": top * grown,
                },
            )
        )
    return tuple(records)


def trial(
    number: int,
    config: Config,
    value: float | None,
    base: int | None = None,
    *,
    kind: FailureKind = "crashed",
    message: str = "ValueError: bad shape",
    curve: tuple[EpochRecord, ...] = (),
    **changes: Any,
) -> Trial:
    fields: dict[str, Any] = {
        "number": number,
        "config": config,
        "state": "finished" if value is not None else "failed",
        "value": value,
        "metrics": {"val_accuracy": value, "val_loss": 0.3, "test_accuracy": 0.123456}
        if value is not None
        else {},
        "epochs": curve,
        "failure": None if value is not None else Failure(kind=kind, message=message),
        "proposal": Proposal(config=config, source="agents" if base else "start", base_trial=base),
    }
    return Trial.model_validate(fields | changes)


def history(spec: TaskSpec) -> list[Trial]:
    """Six trials with a bit of everything: gains, a failure, a conditional parameter switched on, a loss."""
    space = SearchSpace(spec.params)
    first = space.defaults()
    faster = space.changed(first, "lr", 0.003)
    sgd = space.changed(faster, "optimizer", "sgd")
    longer = space.changed(faster, "epochs", 30)
    wild = space.changed(longer, "lr", 0.3)
    smaller = space.changed(longer, "hidden_size", 24)
    return [
        trial(1, first, 0.9125, curve=epochs(10, 0.95)),
        trial(2, faster, 0.9425, 1, curve=epochs(10, 0.96)),
        trial(3, sgd, 0.88, 2, curve=epochs(10, 0.9, speed=8)),
        trial(4, longer, 0.955, 2, curve=epochs(30, 0.955, overfit_from=14)),
        trial(5, wild, None, 4, kind="diverged", message="val_accuracy was not finite", curve=epochs(2, 0.2)),
        trial(6, smaller, 0.9475, 4, curve=epochs(30, 0.95)),
    ]


# -- strategies ---------------------------------------------------------------------------------------------


@st.composite
def parameter_specs(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["float", "log", "int", "int_log", "step", "categorical", "numbers", "bool"]))
    if kind == "categorical":
        count = draw(st.integers(2, 5))
        return {"type": "categorical", "choices": [f"c{i}" for i in range(count)]}
    if kind == "numbers":
        count = draw(st.integers(2, 6))
        return {"type": "categorical", "choices": [2**i for i in range(count)]}
    if kind == "bool":
        return {"type": "categorical", "choices": [True, False]}
    low: float
    if kind in ("int", "int_log"):
        whole = draw(st.integers(1, 50))
        return {
            "type": "int",
            "low": whole,
            "high": whole + draw(st.integers(1, 500)),
            "log": kind == "int_log",
        }
    if kind == "step":
        low = draw(st.sampled_from([-1.0, 0.0, 0.5]))
        return {
            "type": "float",
            "low": low,
            "high": low + 2.0,
            "step": draw(st.sampled_from([0.1, 0.25, 0.5])),
        }
    if kind == "log":
        low = 10.0 ** draw(st.integers(-7, -1))
        return {"type": "float", "low": low, "high": low * 10 ** draw(st.integers(1, 6)), "log": True}
    low = draw(st.floats(-100, 100))
    return {"type": "float", "low": low, "high": low + draw(st.floats(0.01, 1000))}


@st.composite
def spaces(draw: st.DrawFn, max_size: int = 6) -> SearchSpace:
    """Spaces of all kinds of parameters; later ones may hang on an earlier categorical one."""
    params: dict[str, Any] = {}
    parents: list[str] = []
    for i in range(draw(st.integers(1, max_size))):
        spec = draw(parameter_specs())
        hangs: bool = draw(st.booleans())
        if parents and hangs:
            parent = draw(st.sampled_from(parents))
            spec["when"] = {parent: [params[parent]["choices"][0]]}
        params[f"p{i}"] = spec
        if spec["type"] == "categorical":
            parents.append(f"p{i}")
    return SearchSpace(task(params).params)


@st.composite
def configs(draw: st.DrawFn, space: SearchSpace) -> Config:
    point = [draw(st.floats(0, 1)) for _ in space.names]
    return space.decode(point)


@st.composite
def histories(draw: st.DrawFn, space: SearchSpace, max_size: int = 12) -> list[Trial]:
    """Trials with any states, scores and bases."""
    trials: list[Trial] = []
    for number in range(1, draw(st.integers(0, max_size)) + 1):
        value = draw(st.one_of(st.none(), st.floats(-10, 10)))
        base = draw(st.sampled_from([None, *(t.number for t in trials)]))
        curve = draw(st.sampled_from([(), epochs(1, 0.5), epochs(5, 0.9), epochs(20, 0.9, overfit_from=6)]))
        state = (
            "finished" if value is not None else draw(st.sampled_from(["failed", "running", "interrupted"]))
        )
        failure = Failure(kind="crashed", message="boom") if state == "failed" else None
        trials.append(
            trial(number, draw(configs(space)), value, base, curve=curve, state=state, failure=failure)
        )
    return trials


def numbers(trials: Sequence[Trial]) -> list[int]:
    return [t.number for t in trials]
