"""Earlier studies of a task, to be remembered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tcs_hpt.evidence.memory import EarlierStudy, Tried
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import Scalar, TaskSpec
from tests.build import PARAMS, task

TASK = task()
START = SearchSpace(TASK.params).defaults()


def earlier(
    name: str = "old",
    found: Mapping[str, Scalar] | None = None,
    *,
    spec: TaskSpec = TASK,
    began: float | None = 0.80,
    best: float | None = 0.90,
    profile: str | None = None,
    day: int = 1,
    finished: int = 10,
) -> EarlierStudy:
    """A study that began with its defaults and was best with some other values."""
    space = SearchSpace(spec.params)
    config = space.completed({**space.defaults(), **({"lr": 0.01} if found is None else found)})
    return EarlierStudy(
        name=name,
        task=spec,
        profile=profile,
        created_at=f"2026-01-{day:02d}T00:00:00+00:00",
        finished=finished,
        failed=1,
        start=Tried(1, space.defaults(), began),
        best=None if best is None else Tried(4, config, best),
    )


def changed(**changes: Any) -> TaskSpec:
    """The task with another declaration of some parameters; None leaves one out."""
    params = {name: spec for name, spec in {**PARAMS, **changes}.items() if spec is not None}
    return task(params)
