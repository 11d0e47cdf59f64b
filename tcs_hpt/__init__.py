"""Small local language models tune the hyperparameters of a training script.

In a training script:

    import tcs_hpt

    trial = tcs_hpt.current_trial()
    for epoch in range(trial.params["epochs"]):
        ...
        trial.report(epoch=epoch, train_loss=..., val_accuracy=...)
    trial.finish(val_accuracy=best)

From Python, without a script of its own:

    result = tcs_hpt.tune(objective, {"lr": tcs_hpt.Float(1e-5, 1e-1, log=True)}, direction="maximize")

Importing this package imports nothing heavy: names are resolved when they are first used (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tcs_hpt.client import CurrentTrial, current_trial
    from tcs_hpt.errors import ModelError, StoreError, TaskError, TcsHptError, UserError
    from tcs_hpt.tuning import Categorical, Float, Int, StudyResult, tune

__version__ = "0.1.0"

__all__ = [
    "Categorical",
    "CurrentTrial",
    "Float",
    "Int",
    "ModelError",
    "StoreError",
    "StudyResult",
    "TaskError",
    "TcsHptError",
    "UserError",
    "__version__",
    "current_trial",
    "tune",
]

_HOMES = {
    "Categorical": "tcs_hpt.tuning",
    "CurrentTrial": "tcs_hpt.client",
    "Float": "tcs_hpt.tuning",
    "Int": "tcs_hpt.tuning",
    "ModelError": "tcs_hpt.errors",
    "StoreError": "tcs_hpt.errors",
    "StudyResult": "tcs_hpt.tuning",
    "TaskError": "tcs_hpt.errors",
    "TcsHptError": "tcs_hpt.errors",
    "UserError": "tcs_hpt.errors",
    "current_trial": "tcs_hpt.client",
    "tune": "tcs_hpt.tuning",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
