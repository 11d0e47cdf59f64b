"""What a problem is, and how the programs of the bench end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tcs_hpt.execution import TrialFunction
from tcs_hpt.spec import Direction, TaskSpec

INTERRUPTED = 130
"""The exit status after Ctrl-C, as shells have it."""


@dataclass(frozen=True)
class Problem:
    """A task whose training is a Python function."""

    task: TaskSpec
    function: TrialFunction
    instances: int = 1
    """Recorded repetitions that are problems of their own; the study's seed chooses one, by remainder."""
    log_score: bool = False
    """Whether regret is measured on the logarithm of the score."""

    @property
    def name(self) -> str:
        """As a command line names it."""
        return self.task.name


def task(
    name: str, title: str, description: str, metric: str, direction: Direction, params: Mapping[str, Any]
) -> TaskSpec:
    """The task of a function; its command is never run."""
    return TaskSpec.model_validate(
        {
            "schema": 1,
            "name": name,
            "title": title,
            "description": description,
            "command": ["python", "-m", "benchmarks.dev"],
            "objective": {"metric": metric, "direction": direction},
            "params": params,
        }
    )
