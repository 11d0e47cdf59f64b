"""The Optimizer Agent: turns the latest analysis into the next configuration.

Its prompt has the five parts of the TCS-HPT paper, section 3.1: persona and goal, performance context, latest analysis,
constrained search space, structured answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from tcs_hpt.agents.analysis import Attempt, shared_context
from tcs_hpt.agents.answers import (
    Choice,
    Parsed,
    choice_schema,
    cold_start_schema,
    free_schema,
    read_choice,
    read_cold_start,
    read_free,
)
from tcs_hpt.agents.conversation import Answered, ask, call_seed
from tcs_hpt.llm import ChatModel
from tcs_hpt.prompts import render
from tcs_hpt.records import Analysis
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import AnswerStyle, Config, Scalar, TaskSpec
from tcs_hpt.summary import Situation

CHOICE_TOKENS = 160
"""Bound of a decision."""
COLD_START_TOKENS = 480
"""Bound of a whole starting configuration."""
COLD_VALUES = 7
"""Values per parameter that a cold start is chosen from."""

Check = Callable[[Choice], tuple[str, ...]]


class OptimizerAgent:
    """Asks one model for configurations of one study. The arguments are those of `AnalysisAgent`."""

    def __init__(
        self,
        model: ChatModel,
        task: TaskSpec,
        *,
        answers: AnswerStyle = "choice",
        description: str = "",
        seed: int = 0,
        on_attempt: Attempt = lambda role, attempt: None,
    ) -> None:
        self._model = model
        self._task = task
        self._space = SearchSpace(task.params)
        self._answers = answers
        self._description = description
        self._seed = seed
        self._on_attempt = on_attempt

    def propose(
        self,
        analysis: Analysis,
        options: Mapping[str, Config],
        *,
        situation: Situation,
        base: Config,
        newest: Mapping[str, Scalar],
        position: int,
        check: Check,
    ) -> Answered[Choice]:
        """Decide on the configuration of the coming trial.

        Args:
            analysis: What the Analysis Agent said.
            options: The single changes on offer, in the order to be shown, with the configuration each gives.
            situation: The performance context.
            base: The configuration that is changed.
            newest: Last tested value of every parameter, for those that a change switches on.
            position: Place of the coming trial in the budget; model seeds depend on it.
            check: The guard; its reasons are shown in the repair round.
        """
        free = self._answers == "free"
        prompt = render(
            "optimizer.v1",
            **shared_context(self._task, self._space, self._description),
            free=free,
            metric=situation.metric,
            best=situation.best,
            gap=situation.gap,
            trend=situation.trend,
            base=base,
            analysis=analysis,
            options=list(options),
        )

        def read(text: str) -> Parsed[Choice]:
            return read_free(text, self._space, base, newest) if free else read_choice(text, options)

        return ask(
            self._model,
            prompt,
            "optimizer",
            read,
            schema=free_schema() if free else choice_schema(list(options)),
            max_tokens=CHOICE_TOKENS,
            seed=partial(call_seed, self._seed, position, "optimizer"),
            check=check,
            on_attempt=partial(self._on_attempt, "optimizer"),
        )

    def cold_start(self, check: Check) -> Answered[Choice]:
        """Choose one of about seven values for every parameter, in one answer."""
        choices = self.cold_values(self._space)
        return ask(
            self._model,
            render(
                "cold_start.v1",
                **shared_context(self._task, self._space, self._description),
                choices=choices,
            ),
            "cold_start",
            lambda text: read_cold_start(text, self._space, choices),
            schema=cold_start_schema(choices),
            max_tokens=COLD_START_TOKENS,
            seed=partial(call_seed, self._seed, 1, "cold_start"),
            check=check,
            on_attempt=partial(self._on_attempt, "cold_start"),
        )

    @staticmethod
    def cold_values(space: SearchSpace) -> dict[str, Sequence[Scalar]]:
        """The values that a cold start is chosen from, by parameter."""
        return {name: space.values(name, COLD_VALUES) for name in space.names}
