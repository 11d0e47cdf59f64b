"""The form of one piece of knowledge: what an entry of the tables says, and of which models it says it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Confidence: TypeAlias = Literal["high", "medium", "low"]
"""`high`: published or a library's default for exactly this; `medium`: usual practice; `low`: a rule of thumb."""

Family: TypeAlias = Literal[
    "neural",
    "vision",
    "finetuning",
    "lora",
    "graph",
    "recommender",
    "sklearn_mlp",
    "boosting",
    "xgboost",
    "lightgbm",
    "catboost",
    "gbm",
    "hist_gbm",
    "forest",
    "svm",
    "linear",
    "logistic",
    "ridge",
    "lasso",
    "sgd_linear",
    "knn",
]

PARENTS: Mapping[Family, Family] = {
    "vision": "neural",
    "finetuning": "neural",
    "lora": "finetuning",
    "graph": "neural",
    "recommender": "neural",
    "sklearn_mlp": "neural",
    "xgboost": "boosting",
    "lightgbm": "boosting",
    "catboost": "boosting",
    "gbm": "boosting",
    "hist_gbm": "boosting",
    "logistic": "linear",
    "ridge": "linear",
    "lasso": "linear",
    "sgd_linear": "linear",
}
"""What a family does not say, its parent does."""

LABELS: Mapping[Family, str] = {
    "neural": "neural network",
    "vision": "convolutional network",
    "finetuning": "fine-tuned transformer",
    "lora": "LoRA",
    "graph": "graph network",
    "recommender": "click prediction network",
    "sklearn_mlp": "scikit-learn MLP",
    "boosting": "boosted trees",
    "xgboost": "XGBoost",
    "lightgbm": "LightGBM",
    "catboost": "CatBoost",
    "gbm": "scikit-learn boosting",
    "hist_gbm": "histogram boosting",
    "forest": "random forest",
    "svm": "SVM",
    "linear": "linear model",
    "logistic": "logistic regression",
    "ridge": "ridge regression",
    "lasso": "lasso",
    "sgd_linear": "linear model by SGD",
    "knn": "nearest neighbours",
}

BUDGET = 2.0
"""The reach of what the user's time limits: below all usual lengths the longest allowed one is still the best guess."""

UNSAID = ""
"""The value of a condition that the task does not tell."""

Given: TypeAlias = Mapping[str, tuple[str, ...]]
"""Concept -> values for which an entry holds, `UNSAID` among them where it also holds when nothing is known."""


@dataclass(frozen=True)
class Scaling:
    """How a value moves with another parameter: times `(other / at) ** power`."""

    concept: str
    at: float
    """Where the entry's numbers hold as they stand."""
    power: float
    limit: float = 4.0
    """The factor stays within `1 / limit` and `limit`."""

    def factor(self, other: float) -> float:
        """What to multiply with."""
        if not other > 0:
            return 1.0
        return min(max(math.pow(other / self.at, self.power), 1 / self.limit), self.limit)


@dataclass(frozen=True)
class Entry:
    """What is known of one hyperparameter of one family, perhaps under a condition."""

    names: tuple[str, ...]
    """How it is called, in snake case; the first is the concept that conditions and scalings refer to."""
    source: str
    """Paper with year and section, or documentation."""
    why: str
    """The first value in a few words, as a reason."""
    confidence: Confidence = "medium"
    first: float | None = None
    """A sensible first value; None where only choices by name are known."""
    low: float = 0.0
    high: float = 0.0
    """The range worth trying, ends included."""
    log: bool = False
    zero: float = 0.0
    """On a logarithmic scale: how sensible 0 is, which often means off."""
    worth: Mapping[str, float] = field(default_factory=dict)
    """Choices by name, lower case letters and digits only: how sensible each is, in [0, 1]; the best first."""
    given: Given = field(default_factory=dict)
    scalings: tuple[Scaling, ...] = ()
    reach: float = 0.5
    """How far the user's range may lie outside the range worth trying: in decades if logarithmic, else in its widths."""

    @property
    def concept(self) -> str:
        """The canonical name."""
        return self.names[0]

    @property
    def switch(self) -> bool:
        """Whether it is either on or off."""
        return "true" in self.worth


@dataclass(frozen=True)
class Interaction:
    """A sentence about parameters that depend on each other, for prompts."""

    families: tuple[Family, ...]
    needs: tuple[str, ...]
    """Concepts that must be in the space; `{concept}` in the text becomes the parameter's name."""
    text: str
    """At most about twelve words."""
    source: str
    among: Given = field(default_factory=dict)
    """Concept -> choices that must all be on offer."""


def chain(family: Family) -> tuple[Family, ...]:
    """The family and its ancestors, nearest first."""
    found = [family]
    while found[-1] in PARENTS:
        found.append(PARENTS[found[-1]])
    return tuple(found)


def on(*names: str, source: str, why: str, confidence: Confidence = "medium", off: float = 0.4) -> Entry:
    """A switch that is usually on; `off` says how sensible the other position is."""
    return Entry(names, source, why, confidence, worth={"true": 1.0, "false": off})
