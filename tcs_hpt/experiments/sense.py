"""Whether a model's diagnoses and decisions go the textbook's way, on states whose problem is known. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations

from tcs_hpt.agents.answers import PROBLEMS
from tcs_hpt.evidence.roles import role_of
from tcs_hpt.experiments.example_state import ExampleState, Way
from tcs_hpt.experiments.questions import Answer
from tcs_hpt.spec import Frozen


class Sense(Frozen):
    """How the answers compare with a textbook, on states whose problem is known."""

    diagnoses: int
    """Analyses that could be used."""
    diagnoses_right: int
    diagnoses_guessed: float
    """How many would be right when guessing among all problems."""
    decisions: int
    """In states that have a usual remedy, one for each order of the list."""
    states: int
    """How many different states these are about."""
    states_in_all: int
    """How many there are with a usual remedy."""
    right: int
    """Decisions that go the textbook's way."""
    wrong: int
    """Decisions that go the opposite way."""
    coin_right: float
    """How many a coin would get right."""
    coin_wrong: float
    favourite: str
    """The kind of hyperparameter that most decisions change, e.g. `learning rate`; empty without decisions."""
    favourite_share: float | None
    """How many of the decisions change it; None unless they are about several states."""
    p_right: float | None
    """How likely tastes that know nothing of the remedies do at least as well; see `chance`."""
    p_wrong: float | None
    """How likely they go wrong at least as often."""


Choices = tuple[ExampleState, Counter[str]]
"""A state, and how often each of the changes on offer was chosen there."""


def sense(answers: Sequence[Answer], states: Mapping[str, ExampleState]) -> Sense:
    """Diagnoses and decisions against the textbook's."""
    analyses = [a for a in answers if a.role == "analysis" and a.purpose != "again" and a.choice is not None]
    decisions = [
        (states[a.state], a.choice)
        for a in answers
        if a.role == "optimizer" and a.choice is not None and states[a.state].moves
    ]
    chosen: dict[str, Counter[str]] = {}
    for state, choice in decisions:
        chosen.setdefault(state.name, Counter())[choice] += 1
    choices: list[Choices] = [(states[name], counts) for name, counts in chosen.items()]
    ways = Counter(state.way(choice) for state, choice in decisions)
    kinds = Counter(_kind_of_change(state, choice) for state, choice in decisions)
    favourite, times = kinds.most_common(1)[0] if kinds else ("", 0)
    return Sense(
        diagnoses=len(analyses),
        diagnoses_right=sum(a.diagnosis in states[a.state].problems for a in analyses),
        diagnoses_guessed=sum(len(states[a.state].problems) / len(PROBLEMS) for a in analyses),
        decisions=len(decisions),
        states=len(chosen),
        states_in_all=sum(bool(state.moves) for state in states.values()),
        right=ways["right"],
        wrong=ways["wrong"],
        coin_right=sum(state.coin("right") for state, _ in decisions),
        coin_wrong=sum(state.coin("wrong") for state, _ in decisions),
        favourite=favourite,
        favourite_share=times / len(decisions) if len(chosen) > 1 else None,
        p_right=chance(choices, "right"),
        p_wrong=chance(choices, "wrong"),
    )


def chance(choices: Sequence[Choices], way: Way) -> float | None:
    """How likely at least so many choices go this way by accident; exact.

    Decisions about one state are not independent: who likes a change takes it in whatever order the list stands. So the
    unit is the state. What was chosen there stays as it is, as often as it was, and which of the changes on offer go this
    way is permuted, every assignment within a state being equally likely and the states being independent: a permutation
    test within blocks. Who always takes the same change makes one draw for each state, however often he is asked.

    Args:
        choices: What was chosen in each state.
        way: `right` or `wrong`.

    Returns:
        The one-sided p-value, None without choices.
    """
    if not choices:
        return None
    ways_to_reach = Counter({0: 1})
    for state, counts in choices:
        texts = list(state.changes)
        going = sum(state.way(text) == way for text in texts)
        here = Counter(sum(counts[text] for text in some) for some in combinations(texts, going))
        together: Counter[int] = Counter()
        for before, times in ways_to_reach.items():
            for added, more in here.items():
                together[before + added] += times * more
        ways_to_reach = together
    seen = sum(counts[text] for state, counts in choices for text in counts if state.way(text) == way)
    extreme = sum(times for total, times in ways_to_reach.items() if total >= seen)
    return extreme / ways_to_reach.total()


def _kind_of_change(state: ExampleState, choice: str) -> str:
    role = role_of(state.changes[choice].parameter, state.context.space.names)
    return role.replace("_", " ")
