"""The Analysis Agent: finds the root cause in a state report and recommends one change.

Its reasoning order and six-part answer are those of the TCS-HPT paper, section 3.4. The parts that code can check are
closed choices; the prose comes last.
"""

from __future__ import annotations

from collections.abc import Sequence

from tcs_hpt.agents._agent import Agent, shared_context
from tcs_hpt.agents.answers import PROBLEMS, analysis_schema, read_analysis
from tcs_hpt.agents.conversation import Answered
from tcs_hpt.prompts import Prompt, render
from tcs_hpt.records import OUTCOMES, Analysis
from tcs_hpt.spec import Config, TaskSpec

WITH_SIZES = frozenset({"analysis.v2"})
"""Templates that also ask how large the expected outcome is."""
ANALYSIS_TOKENS = 360
"""Bound of an analysis; about 120 tokens are its closed part."""


class AnalysisAgent(Agent):
    """Asks one model for analyses of one study."""

    def analyze(
        self,
        report: str,
        options: Sequence[str],
        *,
        base_number: int | None,
        position: int,
        template: str = "analysis.v1",
    ) -> Answered[Analysis]:
        """Diagnose the report and recommend one of `options` for the coming trial.

        Args:
            report: What is known of all experiments: the state report's text, or log lines.
            options: Single changes as text, in the order to be shown.
            base_number: The trial that the changes start from.
            position: Place of the coming trial in the budget; model seeds depend on it.
            template: How it is asked.
        """
        parameters = _about(options)
        return self._ask(
            "analysis",
            analysis_prompt(
                template,
                self._task,
                self._description,
                report=report,
                options=options,
                base_number=base_number,
            ),
            lambda text: read_analysis(text, parameters, options),
            schema=analysis_schema(parameters, options, sizes=template in WITH_SIZES),
            max_tokens=ANALYSIS_TOKENS,
            position=position,
        )

    def bootstrap(self, base: Config) -> Answered[Analysis]:
        """Assess the given starting configuration, before any trial ran."""
        parameters = list(base)[:8]
        return self._ask(
            "bootstrap",
            render("bootstrap.v1", **self._shared(), problems=PROBLEMS, base=base),
            lambda text: read_analysis(text, parameters),
            schema=analysis_schema(parameters),
            max_tokens=ANALYSIS_TOKENS,
        )


def analysis_prompt(
    template: str,
    task: TaskSpec,
    description: str,
    *,
    report: str,
    options: Sequence[str],
    base_number: int | None,
) -> Prompt:
    """The question for an analysis; the arguments are those of `AnalysisAgent.analyze`."""
    return render(
        template,
        **shared_context(task, description),
        problems=PROBLEMS,
        outcomes=OUTCOMES,
        report=report,
        options=options,
        base_number=base_number,
    )


def _about(options: Sequence[str]) -> list[str]:
    """The parameters that a list of changes is about, in its order."""
    return list(dict.fromkeys(option.split(":", 1)[0] for option in options))
