"""Is this model good enough? The consistency study of the TCS-HPT paper as a health check.

`questions` says what is asked and asks it, `figures` computes, `verdict` puts it into words; this module puts them
together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tcs_hpt.experiments.figures import Figures, figures
from tcs_hpt.experiments.questions import Answer, Question, plan
from tcs_hpt.experiments.states import STATES, find_states
from tcs_hpt.experiments.verdict import Judgement, judge
from tcs_hpt.spec import Frozen

REPEATS = 10
"""Times that the same prompt is asked, as in the paper."""
REPEAT_IN = 4
"""States, from the first, in which it is asked; the further ones tell by their decisions only."""
ORDERS = 4
"""Orders in which the list is shown. Over six states a model that takes one of eight places 60 % of the time is found out
in 49 of 50 checks, one that does so 36 % of the time in 2 of 5; that its choices change with the order shows earlier.
More orders would not show better whether it steers: there the states count (`sense.chance`)."""
QUICK_REPEATS, QUICK_ORDERS, QUICK_STATES = 3, 2, 2
"""A quick check: 13 calls."""


@dataclass(frozen=True)
class CheckPlan:
    """What a check will ask."""

    questions: tuple[Question, ...]

    @property
    def calls(self) -> int:
        """Calls of the model when no answer needs a repair round; at most twice as many."""
        return sum(len(q.roles) for q in self.questions)

    @property
    def states(self) -> tuple[str, ...]:
        """Names of the states, in order."""
        return tuple(dict.fromkeys(q.state.name for q in self.questions))


class ModelCheck(Frozen):
    """What a check found."""

    model: str
    partial: bool
    """Whether it ended before all questions were asked."""
    planned_calls: int
    states: Mapping[str, str]
    """Name -> what is wrong there."""
    judgement: Judgement
    figures: Figures
    answers: tuple[Answer, ...]
    """Raw, in the order in which they were given."""

    def to_json(self) -> dict[str, Any]:
        """Every figure and every raw answer, in JSON's own types."""
        return self.model_dump(mode="json")


def make_plan(states: Sequence[str] = (), *, repeats: int | None = None, quick: bool = False) -> CheckPlan:
    """The questions of a check.

    Args:
        states: Names of example states; all of them when empty, and the first two in a quick check.
        repeats: Times that the same prompt is asked, at least 1; by default 10, and 3 in a quick check.
        quick: About a dozen calls.

    Raises:
        UserError: There is no such state.
    """
    names = list(states) or list(STATES)[: QUICK_STATES if quick else None]
    usual = QUICK_REPEATS if quick else REPEATS
    orders = QUICK_ORDERS if quick else ORDERS
    times = usual if repeats is None else repeats
    return CheckPlan(plan(find_states(names), repeats=times, orders=orders, repeat_in=REPEAT_IN))


def conclude(
    model: str, planned: CheckPlan, answers: Sequence[Answer], *, partial: bool = False
) -> ModelCheck:
    """Figures and verdict from the answers so far."""
    found = figures(answers, STATES)
    return ModelCheck(
        model=model,
        partial=partial,
        planned_calls=planned.calls,
        states={name: STATES[name].title for name in planned.states},
        judgement=judge(found),
        figures=found,
        answers=tuple(answers),
    )
