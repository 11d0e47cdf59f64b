"""The Analysis Agent: finds the root cause in a state report and recommends one change.

Its reasoning order and six-part answer are those of the TCS-HPT paper, section 3.4. The parts that code can check are
closed choices; the prose comes last.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from tcs_hpt.agents.answers import PROBLEMS, analysis_schema, read_analysis
from tcs_hpt.agents.conversation import Answered, ask, call_seed
from tcs_hpt.llm import ChatModel
from tcs_hpt.prompts import render
from tcs_hpt.records import OUTCOMES, Analysis, Role
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import Config, TaskSpec
from tcs_hpt.summary import scale_text

ANALYSIS_TOKENS = 360
"""Bound of an analysis; about 120 tokens are its closed part."""

Attempt = Callable[[Role, int], None]


class AnalysisAgent:
    """Asks one model for analyses of one study.

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

    def analyze(
        self, report: str, options: Sequence[str], *, base_number: int | None, position: int
    ) -> Answered[Analysis]:
        """Diagnose the report and recommend one of `options` for the coming trial.

        Args:
            report: Text of the state report.
            options: Single changes as text, in the order to be shown.
            base_number: The trial that the changes start from.
            position: Place of the coming trial in the budget; model seeds depend on it.
        """
        parameters = _about(options)
        prompt = render(
            "analysis.v1",
            **self._shared(),
            report=report,
            options=options,
            outcomes=OUTCOMES,
            base_number=base_number,
        )
        return ask(
            self._model,
            prompt,
            "analysis",
            lambda text: read_analysis(text, parameters, options),
            schema=analysis_schema(parameters, options),
            max_tokens=ANALYSIS_TOKENS,
            seed=partial(call_seed, self._seed, position, "analysis"),
            on_attempt=partial(self._on_attempt, "analysis"),
        )

    def bootstrap(self, base: Config) -> Answered[Analysis]:
        """Assess the given starting configuration, before any trial ran."""
        parameters = list(base)[:8]
        return ask(
            self._model,
            render("bootstrap.v1", **self._shared(), base=base),
            "bootstrap",
            lambda text: read_analysis(text, parameters),
            schema=analysis_schema(parameters),
            max_tokens=ANALYSIS_TOKENS,
            seed=partial(call_seed, self._seed, 1, "bootstrap"),
            on_attempt=partial(self._on_attempt, "bootstrap"),
        )

    def _shared(self) -> dict[str, object]:
        return shared_context(self._task, self._space, self._description) | {"problems": PROBLEMS}


def shared_context(task: TaskSpec, space: SearchSpace, description: str) -> dict[str, object]:
    """What every template says of the task: it, the user's words, and each parameter with its scale."""
    lines = []
    for name, parameter in task.params.items():
        conditions = " and ".join(
            f"{parent} is {' or '.join(map(str, values))}" for parent, values in parameter.when.items()
        )
        notes = [parameter.description, f"only when {conditions}" if conditions else ""]
        lines.append((name, scale_text(space, name), "; ".join(n for n in notes if n)))
    return {"task": task, "description": " ".join(description.split()), "space": lines}


def _about(options: Sequence[str]) -> list[str]:
    """The parameters that a list of changes is about, in its order."""
    return list(dict.fromkeys(option.split(":", 1)[0] for option in options))
