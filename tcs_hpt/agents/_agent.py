"""What both agents have in common: a model, a study to talk about, and how a question is put."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from tcs_hpt.agents.answers import Parsed
from tcs_hpt.agents.conversation import Answered, ask, call_seed
from tcs_hpt.llm import ChatModel
from tcs_hpt.prompts import Prompt
from tcs_hpt.records import Role
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import TaskSpec
from tcs_hpt.summary import scale_text

Attempt = Callable[[Role, int], None]

T = TypeVar("T")


class Agent:
    """Asks one model about one study.

    Args:
        model: The language model.
        task: With profile and overrides applied.
        description: What the user said about model, data and goal.
        seed: The study seed.
        on_attempt: Called before each call with the role and the attempt.
    """

    def __init__(
        self,
        model: ChatModel,
        task: TaskSpec,
        *,
        description: str = "",
        seed: int = 0,
        on_attempt: Attempt = lambda role, attempt: None,
    ) -> None:
        self._model = model
        self._task = task
        self._space = SearchSpace(task.params)
        self._description = description
        self._seed = seed
        self._on_attempt = on_attempt

    def _shared(self) -> dict[str, object]:
        return shared_context(self._task, self._description)

    def _ask(
        self,
        role: Role,
        prompt: Prompt,
        read: Callable[[str], Parsed[T]],
        *,
        schema: dict[str, Any],
        max_tokens: int,
        position: int = 1,
        check: Callable[[T], tuple[str, ...]] = lambda _: (),
    ) -> Answered[T]:
        """Ask on behalf of a role; the model's seeds depend on the place in the budget, from 1."""
        return ask(
            self._model,
            prompt,
            role,
            read,
            schema=schema,
            max_tokens=max_tokens,
            seed=partial(call_seed, self._seed, position, role),
            check=check,
            on_attempt=partial(self._on_attempt, role),
        )


def shared_context(task: TaskSpec, description: str) -> dict[str, object]:
    """What every template says of the task: it, the user's words, and each parameter with its scale."""
    space = SearchSpace(task.params)
    lines = []
    for name, parameter in task.params.items():
        conditions = " and ".join(
            f"{parent} is {' or '.join(map(str, values))}" for parent, values in parameter.when.items()
        )
        notes = [parameter.description, f"only when {conditions}" if conditions else ""]
        lines.append((name, scale_text(space, name), "; ".join(n for n in notes if n)))
    return {"task": task, "description": " ".join(description.split()), "space": lines}
