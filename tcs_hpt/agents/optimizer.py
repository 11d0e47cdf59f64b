"""The Optimizer Agent: turns the latest analysis into the next configuration.

Its prompt has the five parts of the TCS-HPT paper, section 3.1: persona and goal, performance context, latest analysis,
constrained search space, structured answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tcs_hpt.agents._agent import Agent
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
from tcs_hpt.agents.conversation import Answered
from tcs_hpt.prompts import render
from tcs_hpt.records import Analysis
from tcs_hpt.spec import AnswerStyle, Config, Scalar
from tcs_hpt.summary import Situation

CHOICE_TOKENS = 160
"""Bound of a decision."""
COLD_START_TOKENS = 480
"""Bound of a whole starting configuration."""
Check = Callable[[Choice], tuple[str, ...]]


class OptimizerAgent(Agent):
    """Asks one model for configurations of one study."""

    def propose(
        self,
        analysis: Analysis,
        options: Mapping[str, Config],
        *,
        situation: Situation | None,
        base: Config,
        newest: Mapping[str, Scalar],
        position: int,
        check: Check,
        answers: AnswerStyle = "choice",
        template: str = "optimizer.v1",
    ) -> Answered[Choice]:
        """Decide on the configuration of the coming trial.

        Args:
            analysis: What the Analysis Agent said.
            options: The single changes on offer, in the order to be shown, with the configuration each gives.
            situation: The performance context; None where a method has none.
            base: The configuration that is changed.
            newest: Last tested value of every parameter, for those that a change switches on.
            position: Place of the coming trial in the budget; model seeds depend on it.
            check: The guard; its reasons are shown in the repair round.
            answers: From the list, or numbers of the model's own.
            template: How it is asked.
        """
        free = answers == "free"
        performance: dict[str, object] = {}
        if situation is not None:
            performance = {
                "metric": situation.metric,
                "best": situation.best,
                "gap": situation.gap,
                "trend": situation.trend,
            }
        prompt = render(
            template,
            **self._shared(),
            **performance,
            free=free,
            base=base,
            analysis=analysis,
            options=list(options),
        )

        def read(text: str) -> Parsed[Choice]:
            return read_free(text, self._space, base, newest) if free else read_choice(text, options)

        return self._ask(
            "optimizer",
            prompt,
            read,
            schema=free_schema() if free else choice_schema(list(options)),
            max_tokens=CHOICE_TOKENS,
            position=position,
            check=check,
        )

    def cold_start(self, values: Mapping[str, Sequence[Scalar]], check: Check) -> Answered[Choice]:
        """Choose one of a few values for every parameter, in one answer.

        They are shown in an order drawn by the seed: in their natural order a small model takes the first or the last.

        Args:
            values: What to choose from, by parameter.
            check: The guard.
        """
        order = np.random.default_rng(self._seed)
        choices = {
            name: tuple(offered[int(i)] for i in order.permutation(len(offered)))
            for name, offered in values.items()
        }
        return self._ask(
            "cold_start",
            render("cold_start.v1", **self._shared(), choices=choices),
            lambda text: read_cold_start(text, self._space, choices),
            schema=cold_start_schema(choices),
            max_tokens=COLD_START_TOKENS,
            check=check,
        )
