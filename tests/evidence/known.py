"""What is known of a task, and where it starts."""

from __future__ import annotations

from typing import Any

from tcs_hpt.evidence.knowledge import Knowledge, knowledge
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import TaskSpec
from tests.evidence.spaces import SPACES, plain_task


def known(name: str) -> tuple[TaskSpec, Knowledge]:
    title, params = SPACES[name]
    spec = plain_task(params, title)
    return spec, knowledge(spec)


def start(spec: TaskSpec, text: str = "") -> dict[str, Any]:
    return knowledge(spec, text).start(SearchSpace(spec.params))[0]
