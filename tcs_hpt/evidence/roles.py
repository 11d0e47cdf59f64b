"""What a hyperparameter does, read off its name and the names beside it."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Literal, TypeAlias

Role: TypeAlias = Literal[
    "learning_rate",
    "regularization",
    "sampling",
    "capacity",
    "duration",
    "batch_size",
    "momentum",
    "optimizer",
    "other",
]
"""`sampling`: the part of rows or columns that each step sees; less of it regularizes."""

_PATTERNS: tuple[tuple[Role, str], ...] = (
    (
        "other",  # names that hold another role's word
        r"kernel_size|batch_?norm|patience|bandwidth|warmup|lr_(decay|gamma|sched)|sched|lora_alpha|early_stop",
    ),
    ("momentum", r"momentum|(^|_)beta_?[12]?$|nesterov"),
    ("sampling", r"subsample|colsample|bagging_fraction|feature_fraction|max_features|max_samples"),
    ("optimizer", r"optimi[sz]er|solver|booster|kernel|activation|(^|_)act(_|$)"),
    (
        "regularization",
        r"decay|dropout|(^|_)(l1|l2|alpha|lambda|reg)(_|$)|regulari[sz]|smoothing|min_(child|samples|data|sum)",
    ),
    ("learning_rate", r"(^|_)(lr|eta)(_|$|\d)|learning_rate|step_size"),
    ("batch_size", r"batch"),
    (
        "duration",
        r"epoch|n_estimators|(num|max|n)_(steps|iter|rounds?|trees|boost)|max_iter|iterations|boost_round",
    ),
    (
        "capacity",
        r"hidden|layers?($|_)|units|(^|_)width|depth|embed|(^|_)dim($|_)|channels|filters|heads|leaves|rank|(^|_)r$",
    ),
)
_COMPILED = tuple((role, re.compile(pattern)) for role, pattern in _PATTERNS)
_BOOSTING = re.compile(r"min_child|reg_(alpha|lambda)|colsample")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def snake_case(name: str) -> str:
    """A name in lower case words joined by underscores: `learningRate`, `learning-rate` and `learning.rate` are one."""
    return re.sub(r"[-.\s]+", "_", _HUMP.sub("_", name)).lower()


def role_of(name: str, beside: Collection[str] = ()) -> Role:
    """The role that a parameter's name tells; the first pattern that matches decides, `other` when none does.

    Args:
        name: The parameter.
        beside: Names in the same space: `gamma` is a penalty in boosting and the reach of a kernel in an SVM.
    """
    lowered = snake_case(name)
    if lowered == "gamma":
        return "regularization" if any(_BOOSTING.search(n.lower()) for n in beside) else "capacity"
    return next((role for role, pattern in _COMPILED if pattern.search(lowered)), "other")
