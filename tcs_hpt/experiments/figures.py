"""Figures about a model, computed from its recorded answers. Pure: no model, no clock.

It is the consistency study of the TCS-HPT paper (section 4.1 and Figure 2) turned into a health check. The paper asks a
model ten times for a learning rate with the same prompt, and shows the values and how many answers could be used. Ours
counts the same over the questions that a study really asks, and adds what the paper does not look at: whether a model
chooses a change or a place in the list.

A figure that the answers do not support is None.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from tcs_hpt.experiments.example_state import ExampleState
from tcs_hpt.experiments.places import Places, Stability, places, stability
from tcs_hpt.experiments.questions import Answer
from tcs_hpt.experiments.sense import Sense, sense
from tcs_hpt.experiments.speed import Speed, speed
from tcs_hpt.records import Role
from tcs_hpt.spec import Frozen
from tcs_hpt.statistics import mean_std


class Validity(Frozen):
    """How often an answer could be used."""

    asked: int
    at_once: int
    """Without a repair round."""
    in_the_end: int
    """At once or after the repair round."""
    problems: dict[str, int]
    """What was wrong with the first answers that could not be used, most frequent kind first."""


class Consistency(Frozen):
    """The same prompt with different seeds, in one state."""

    state: str
    answers: int
    """That could be used; the `n` of the paper's Figure 2."""
    counts: dict[str, int]
    """Choice -> how often, most frequent first."""
    top_share: float | None
    """Share of the most frequent choice."""
    alike: float | None
    """Share of pairs of answers with the same choice; unlike `top_share` it does not depend on how many there are."""
    entropy: float | None
    """Of the choices, as a share of the largest possible: 0 all alike, 1 all different."""
    at_random: float
    """What `alike` would be for a coin."""
    learning_rates: tuple[float, ...]
    """Those that were proposed, in the order of the answers."""
    learning_rate_spread: float | None
    """Sample standard deviation of their decimal logarithms; 1 is a factor of ten."""


class Repetition(Frozen):
    """The same prompt and seed, asked twice."""

    same_text: bool
    same_choice: bool


class Figures(Frozen):
    """Everything that is measured."""

    validity: dict[Role, Validity]
    consistency: tuple[Consistency, ...]
    places: dict[Role, Places]
    stability: dict[Role, Stability]
    repetition: Repetition | None
    decisions: int
    """Decisions that could be used."""
    followed: int
    """Those that took what the analysis had recommended."""
    fitting: int
    """Usable analyses whose parts fit together."""
    sense: Sense
    speed: Speed


_ROLES: tuple[Role, ...] = ("analysis", "optimizer")


def figures(answers: Sequence[Answer], states: Mapping[str, ExampleState]) -> Figures:
    """All figures.

    Args:
        answers: In the order in which they were given.
        states: Those that the answers are about, by name.
    """
    decisions = [a for a in answers if a.role == "optimizer" and a.choice is not None]
    analyses = [a for a in answers if a.role == "analysis" and a.choice is not None]
    return Figures(
        validity={role: validity([a for a in answers if a.role == role]) for role in _ROLES},
        consistency=consistency(answers),
        places={role: places(answers, role) for role in _ROLES},
        stability={role: stability(answers, role) for role in _ROLES},
        repetition=repetition(answers),
        decisions=len(decisions),
        followed=sum(a.choice == a.recommended for a in decisions),
        fitting=sum(not a.note for a in analyses),
        sense=sense(answers, states),
        speed=speed(answers),
    )


# -- validity -----------------------------------------------------------------------------------------------

_KINDS: tuple[tuple[str, str], ...] = (
    ("the model failed: ", "the model failed"),
    ("the answer was cut", "cut off"),
    ("the answer is empty", "empty"),
    ("JSON object", "no JSON"),
    ("must be one of", "not from the list"),
    (" is missing", "a part is missing"),
)
"""What a problem says -> its kind; the first that applies to any problem of an answer counts."""


def kind_of(problems: Sequence[str]) -> str:
    """What was wrong with an answer, in a few words."""
    for text, kind in _KINDS:
        if any(text in problem for problem in problems):
            return kind
    return "refused"


def validity(answers: Sequence[Answer]) -> Validity:
    """How many answers could be used at once, how many in the end, and what was wrong with the others."""
    wrong = Counter(kind_of(a.calls[0].problems) for a in answers if a.calls[0].problems)
    return Validity(
        asked=len(answers),
        at_once=sum(not a.calls[0].problems for a in answers),
        in_the_end=sum(a.choice is not None for a in answers),
        problems=dict(wrong.most_common()),
    )


# -- consistency --------------------------------------------------------------------------------------------


def consistency(answers: Sequence[Answer]) -> tuple[Consistency, ...]:
    """Spread of the analyses' recommendations under one prompt, state by state."""
    asked: dict[str, list[Answer]] = {}
    for answer in answers:
        if answer.role == "analysis" and answer.order == 0 and answer.purpose != "again":
            asked.setdefault(answer.state, []).append(answer)
    return tuple(_consistency(state, given) for state, given in asked.items())


def _consistency(state: str, asked: Sequence[Answer]) -> Consistency:
    choices = [a.choice for a in asked if a.choice is not None]
    counts = Counter(choices)
    rates = tuple(a.learning_rate for a in asked if a.learning_rate is not None)
    size = len(asked[0].options)
    return Consistency(
        state=state,
        answers=len(choices),
        counts=dict(counts.most_common()),
        top_share=max(counts.values()) / len(choices) if choices else None,
        alike=alike(choices),
        entropy=entropy(list(counts.values()), size),
        at_random=1 / size,
        learning_rates=rates,
        learning_rate_spread=spread(rates),
    )


def alike(choices: Sequence[str]) -> float | None:
    """Share of pairs that agree, `sum(n (n - 1)) / (N (N - 1))` over the choices' counts n; None below two answers."""
    total = len(choices)
    if total < 2:
        return None
    return sum(n * (n - 1) for n in Counter(choices).values()) / (total * (total - 1))


def entropy(counts: Sequence[int], size: int) -> float | None:
    """Shannon entropy of the choices, divided by the largest that so many answers out of `size` options can have.

    None below two answers.
    """
    total = sum(counts)
    if total < 2:
        return None
    found = -sum(n / total * math.log(n / total) for n in counts if n)
    # The most even counts that whole numbers allow: `more` options one time more often than the others.
    each, more = divmod(total, size)
    most = -sum(
        times * n / total * math.log(n / total) for times, n in ((more, each + 1), (size - more, each)) if n
    )
    return found / most + 0.0  # no negative zero


def spread(rates: Sequence[float]) -> float | None:
    """Sample standard deviation of `log10(rate)`, in decades; None below two rates.

    The paper's Figure 2 shows proposed learning rates as dots on an axis; this is their spread as one number.
    Logarithms, because learning rates differ by factors.
    """
    if len(rates) < 2:
        return None
    return mean_std([math.log10(r) for r in rates]).std


def repetition(answers: Sequence[Answer]) -> Repetition | None:
    """Whether the question that was asked twice with one seed got one answer; None when it was not asked twice."""
    again = next((a for a in answers if a.purpose == "again"), None)
    if again is None:
        return None
    first = next(a for a in answers if a.role == again.role and a.seed == again.seed)
    return Repetition(
        same_text=[c.reply for c in first.calls] == [c.reply for c in again.calls],
        same_choice=first.choice == again.choice,
    )
