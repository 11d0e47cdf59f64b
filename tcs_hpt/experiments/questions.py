"""What a model is asked to find out whether it is good enough, and what it answered.

Every question is one that a study asks: the Analysis Agent's, and the Optimizer Agent's after it, with the same
prompts, schemas, temperature and repair round. Only the states are fixed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tcs_hpt.agents import AnalysisAgent, OptimizerAgent
from tcs_hpt.agents.conversation import gave_nothing
from tcs_hpt.errors import ModelError
from tcs_hpt.evidence.roles import role_of
from tcs_hpt.experiments.example_state import ExampleState
from tcs_hpt.guard import AGENT_RULES, check
from tcs_hpt.llm import ChatModel
from tcs_hpt.records import Analysis, ModelCall, Role, last_tested
from tcs_hpt.spec import Frozen

Purpose: TypeAlias = Literal["order", "repeat", "again"]
"""`order`: the list in another order. `repeat`: the same prompt, another seed. `again`: the same prompt and seed."""

DEAD = 3
"""Questions in a row that the model failed to answer at all before the check gives up; the first one alone suffices."""


@dataclass(frozen=True)
class Question:
    """One thing to ask."""

    state: ExampleState
    options: tuple[str, ...]
    """The changes on offer, in the order to be shown."""
    order: int
    """Which of the state's orders it is, from 0."""
    seed: int
    """Stands in for the study's seed, from which the agents derive the model's."""
    purpose: Purpose

    @property
    def roles(self) -> tuple[Role, ...]:
        """Whom it asks: a new order is decided on too, a repetition only analysed."""
        return ("analysis", "optimizer") if self.purpose == "order" else ("analysis",)


class Answer(Frozen):
    """What one agent answered, and how it came about."""

    state: str
    order: int
    seed: int
    purpose: Purpose
    role: Role
    options: tuple[str, ...]
    """The changes on offer, in the order in which they were shown."""
    choice: str | None
    """The one that was chosen; None when no attempt could be used."""
    diagnosis: str = ""
    """The problem that an analysis named."""
    recommended: str = ""
    """What the analysis had recommended to the optimizer."""
    note: str = ""
    """What did not fit together in an analysis."""
    learning_rate: float | None = None
    """The new learning rate, where the choice changes one."""
    calls: tuple[ModelCall, ...]
    """The first attempt and, if it could not be used, the repair round; without the prompts, which would be repeated."""

    @property
    def place(self) -> int | None:
        """Where in the list the choice stood, from 0."""
        return None if self.choice is None else self.options.index(self.choice)


def plan(
    states: Sequence[ExampleState], *, repeats: int, orders: int, repeat_in: int | None = None
) -> tuple[Question, ...]:
    """All questions, one state after the other, so that a model can keep what does not change.

    The orders of a state are different rotations of one shuffled list: whoever chooses by place never chooses the same
    change in two of them. Which rotations is drawn, since evenly spaced ones would show a favourite at a few places only.
    All seeds differ, since equal ones would make the choices of different questions alike,
    except in one question that is asked twice.

    Args:
        states: Where the study stands, in each.
        repeats: How often the same prompt is asked, with different seeds; at least 1.
        orders: In how many orders the list is shown; at most as many as it is long.
        repeat_in: How many of the states, from the first, are asked about again with the same prompt; all by default.
    """
    questions: list[Question] = []
    for number, state in enumerate(states):
        generator = random.Random(state.name)
        shuffled = generator.sample(list(state.changes), len(state.changes))
        shifts = generator.sample(range(len(shuffled)), orders)
        for order, shift in enumerate(shifts):
            options = (*shuffled[shift:], *shuffled[:shift])
            questions.append(Question(state, options, order, len(questions), "order"))
        first = questions[-orders]
        for _ in range(repeats - 1 if repeat_in is None or number < repeat_in else 0):
            questions.append(Question(state, first.options, 0, len(questions), "repeat"))
        if state is states[0]:
            questions.append(Question(state, first.options, 0, first.seed, "again"))
    return tuple(questions)


def ask(model: ChatModel, questions: Sequence[Question]) -> Iterator[Answer]:
    """Ask one question after the other; answers come as they are given.

    An analysis that cannot be used leaves its decision out: there is nothing to decide on.

    Raises:
        ModelError: The model fails at the first question, or at several in a row.
    """
    silent = 0
    for number, question in enumerate(questions):
        analysed, analysis = _analyse(model, question)
        yield analysed
        silent = silent + 1 if all(gave_nothing(call) for call in analysed.calls) else 0
        if silent and (number == 0 or silent == DEAD):
            raise ModelError(
                analysed.calls[-1].problems[0], hint="Check its name and server; see `tcs-hpt models list`."
            )
        if analysis is not None and "optimizer" in question.roles:
            yield _decide(model, question, analysis)


def _analyse(model: ChatModel, question: Question) -> tuple[Answer, Analysis | None]:
    state = question.state
    answered = AnalysisAgent(model, state.task, seed=question.seed).analyze(
        state.context.report_text,
        question.options,
        base_number=state.base.number,
        position=state.context.position,
    )
    analysis = answered.value
    choice = None if analysis is None else analysis.specific_recommendation
    answer = _answer(question, "analysis", choice, answered.calls)
    if analysis is None:
        return answer, None
    said = {"diagnosis": analysis.problem_diagnosis, "note": analysis.note}
    return answer.model_copy(update=said), analysis


def _decide(model: ChatModel, question: Question, analysis: Analysis) -> Answer:
    state, space = question.state, question.state.context.space
    answered = OptimizerAgent(model, state.task, seed=question.seed).propose(
        analysis,
        {text: state.configs[text] for text in question.options},
        situation=state.context.report.situation,
        base=state.base.config,
        newest=last_tested(state.trials, space.names),
        position=state.context.position,
        check=lambda choice: (
            check(choice.config, space, state.trials, AGENT_RULES, state.base.config).reasons
        ),
    )
    choice = None
    if answered.value is not None:
        (choice,) = (t for t, config in state.configs.items() if config == answered.value.config)
    answer = _answer(question, "optimizer", choice, answered.calls)
    return answer.model_copy(update={"recommended": analysis.specific_recommendation})


def _answer(question: Question, role: Role, choice: str | None, calls: Sequence[ModelCall]) -> Answer:
    rate = None
    if choice is not None:
        change = question.state.changes[choice]
        if role_of(change.parameter, question.state.context.space.names) == "learning_rate":
            rate = float(change.new)
    return Answer(
        state=question.state.name,
        order=question.order,
        seed=question.seed,
        purpose=question.purpose,
        role=role,
        options=question.options,
        choice=choice,
        learning_rate=rate,
        calls=tuple(call.model_copy(update={"messages": ()}) for call in calls),
    )
