"""What a person declares: a task, its parameters, its objective, its limits, and how to study it.

Pure values: nothing here reads a file or starts a process. `catalog` turns a `task.toml` into a `TaskSpec`.
"""

from __future__ import annotations

from tcs_hpt.spec._base import Config, Frozen, Name, Scalar
from tcs_hpt.spec.fidelity import Fidelity, rungs_up_to
from tcs_hpt.spec.limits import Limits, StopRules
from tcs_hpt.spec.objective import WEIGHTED, Bound, Direction, Objective, Term
from tcs_hpt.spec.parameters import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    ParameterSpec,
    same_scalar,
)
from tcs_hpt.spec.script import (
    CONTEXT,
    EPOCH,
    PLACES,
    ConfigFile,
    ConfigFormat,
    EnvironmentName,
    MetricsFormat,
    MetricsSource,
    RunIn,
    Score,
    check_pattern,
    fill_placeholders,
    metric_groups,
    placeholders,
    switches,
)
from tcs_hpt.spec.study import BUDGETS, AnswerStyle, Keep, PruneRule, Start, StudySpec
from tcs_hpt.spec.task import Profile, ProfileName, TaskSpec
from tcs_hpt.spec.values import coerce, middle, same_choice

__all__ = [
    "BUDGETS",
    "CONTEXT",
    "EPOCH",
    "PLACES",
    "WEIGHTED",
    "AnswerStyle",
    "Bound",
    "CategoricalParameter",
    "Config",
    "ConfigFile",
    "ConfigFormat",
    "Direction",
    "EnvironmentName",
    "Fidelity",
    "FloatParameter",
    "Frozen",
    "IntParameter",
    "Keep",
    "Limits",
    "MetricsFormat",
    "MetricsSource",
    "Name",
    "Objective",
    "ParameterSpec",
    "Profile",
    "ProfileName",
    "PruneRule",
    "RunIn",
    "Scalar",
    "Score",
    "Start",
    "StopRules",
    "StudySpec",
    "TaskSpec",
    "Term",
    "check_pattern",
    "coerce",
    "fill_placeholders",
    "metric_groups",
    "middle",
    "placeholders",
    "rungs_up_to",
    "same_choice",
    "same_scalar",
    "switches",
]
