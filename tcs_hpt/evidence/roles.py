"""What a hyperparameter does, read off its name."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

Role: TypeAlias = Literal[
    "learning_rate",
    "regularization",
    "capacity",
    "duration",
    "batch_size",
    "momentum",
    "optimizer",
    "other",
]

_PATTERNS: tuple[tuple[Role, str], ...] = (
    ("momentum", r"momentum|(^|_)beta_?[12]?$|nesterov"),
    ("optimizer", r"optimi[sz]er|solver|booster|kernel|activation"),
    (
        "regularization",
        r"decay|dropout|(^|_)(l1|l2|alpha|lambda|reg|gamma)(_|$)|regulari[sz]|smoothing|min_child",
    ),
    ("learning_rate", r"(^|_)(lr|eta)(_|$|\d)|learning_rate|step_size"),
    ("batch_size", r"batch"),
    ("duration", r"epoch|n_estimators|(num|max|n)_(steps|iter|rounds|trees)|max_iter|iterations|patience"),
    (
        "capacity",
        r"hidden|layers?($|_)|units|width|depth|embed|(^|_)dim($|_)|channels|filters|heads|leaves|rank|(^|_)r$",
    ),
)
_COMPILED = tuple((role, re.compile(pattern)) for role, pattern in _PATTERNS)


def role_of(name: str) -> Role:
    """The role that a parameter's name tells; the first pattern that matches decides, `other` when none does."""
    lowered = name.lower().replace("-", "_").replace(".", "_")
    return next((role for role, pattern in _COMPILED if pattern.search(lowered)), "other")
