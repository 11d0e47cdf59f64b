"""What a task says, besides its parameters, about which entries hold."""

from __future__ import annotations

import re

from tcs_hpt.evidence.knowledge._family import Inferred
from tcs_hpt.evidence.knowledge._matching import entries_of
from tcs_hpt.evidence.knowledge._names import optimizer, plain
from tcs_hpt.spec import Scalar, TaskSpec

_REGRESSION = re.compile(r"(^|_)(r2|rmse|mse|mae|mape|error|rmsle)(_|$)")
_CLASSIFICATION = re.compile(r"acc|auc|f1|precision|recall|log_?loss|cross_entropy")
_SAID_OPTIMIZER = re.compile(r"\b(adamw|adam|sgd|rmsprop|adagrad)\b")


def listed(concept: str, value: Scalar) -> str:
    """A value of a parameter that decides about others, as conditions list it."""
    return optimizer(value) if concept == "optimizer" else plain(value)


def told(task: TaskSpec, text: str) -> dict[str, str]:
    """What words and the metric tell: the optimizer where no parameter does, and the goal."""
    said = f"{task.title} {task.description} {text}".lower()
    found: dict[str, str] = {}
    optimizers = set(_SAID_OPTIMIZER.findall(said))
    if len(optimizers) == 1:
        found["optimizer"] = optimizers.pop()
    metric = task.objective.metric.lower()
    if _REGRESSION.search(metric):
        found["goal"] = "regression"
    elif _CLASSIFICATION.search(metric):
        found["goal"] = "classification"
    return found


def plain_momentum(task: TaskSpec, name: str | None) -> bool:
    """Whether a momentum is tuned whatever else is chosen: then the optimizer is sgd."""
    return name is not None and not task.params[name].when


def fixed_concepts(task: TaskSpec, inferred: Inferred) -> dict[str, Scalar]:
    """Fixed values by what they mean."""
    found: dict[str, Scalar] = {}
    if inferred.family is None:
        return found
    for name in sorted(task.fixed, key=lambda n: (len(n), n)):
        entries = entries_of(name, inferred.family)
        if entries:
            found.setdefault(entries[0].concept, task.fixed[name])
    return found
