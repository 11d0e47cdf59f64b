"""Whether a model chooses a change or a place in the list. Pure.

Small models favour places: one of 1.5 billion parameters took the first of six in 36 % of 108 choices and the fifth in
28 %, whatever stood there.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tcs_hpt.experiments.questions import Answer
from tcs_hpt.records import Role
from tcs_hpt.spec import Frozen

DRAWS = 9999
"""Simulated lists of places behind a p-value; the smallest one is 1 / (1 + DRAWS)."""


class Places(Frozen):
    """Where in the list the choices stood, over lists whose order was shuffled."""

    role: Role
    answers: int
    counts: tuple[int, ...]
    """By place, the first one first."""
    p_value: float | None
    """How likely counts as uneven as these are when every place is equally likely."""


class Stability(Frozen):
    """The same list in different orders."""

    role: Role
    pairs: int
    """Pairs of answers about one state with different orders."""
    same: float | None
    """Share of them with the same choice."""
    by_place: float | None
    """What it would be for whoever always takes the same place."""
    at_random: float | None
    """What it would be for a coin."""


def places(answers: Sequence[Answer], role: Role) -> Places:
    """How often each place was chosen, and whether that is more uneven than chance.

    One answer for each order counts. Repetitions of one order would make whoever always prefers the same change look
    like one who prefers its place. The statistic is Pearson's chi-square against equally likely places; the counts are
    too small for its limiting distribution, so the p-value is simulated. Whoever chooses contents looks more even than
    chance rather than less, since rotations show a change at a new place each time.
    """
    chosen = [a for a in answers if a.role == role and a.purpose == "order" and a.place is not None]
    size = max((len(a.options) for a in chosen), default=0)
    counts = Counter(a.place for a in chosen)
    return Places(
        role=role,
        answers=len(chosen),
        counts=tuple(counts[i] for i in range(size)),
        p_value=place_p_value([a.place or 0 for a in chosen], [len(a.options) for a in chosen]),
    )


def place_p_value(chosen: Sequence[int], lengths: Sequence[int]) -> float | None:
    """Monte Carlo p-value of "every place is equally likely"; the same input gives the same value.

    Args:
        chosen: Place of each choice, from 0; shape [N].
        lengths: Length of the list it was chosen from; shape [N].

    Returns:
        The p-value, None below two answers.
    """
    if len(chosen) < 2:
        return None
    from scipy import stats  # takes most of a second to import

    sizes = np.asarray(lengths)
    expected = np.array([np.sum(1 / sizes[sizes > i]) for i in range(sizes.max())])
    generator = np.random.default_rng(0)

    def draw(size: tuple[int, ...]) -> NDArray[np.float64]:
        drawn: NDArray[np.float64] = np.floor(generator.random(size) * sizes)
        return drawn

    def statistic(drawn: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
        counts = np.stack([np.sum(drawn == i, axis=axis) for i in range(len(expected))], axis=-1)
        found: NDArray[np.float64] = np.sum((counts - expected) ** 2 / expected, axis=-1)
        return found

    result = stats.monte_carlo_test(
        np.asarray(chosen, dtype=np.float64),
        draw,
        statistic,
        vectorized=True,
        n_resamples=DRAWS,
        alternative="greater",
    )
    return float(result.pvalue)


def stability(answers: Sequence[Answer], role: Role) -> Stability:
    """How often the same change is chosen when the list is shown in another order."""
    usable = [a for a in answers if a.role == role and a.purpose != "again" and a.choice is not None]
    pairs = [
        (a, b)
        for a, b in itertools.combinations(usable, 2)
        if a.state == b.state and a.options != b.options and len(a.options) == len(b.options)
    ]
    if not pairs:
        return Stability(role=role, pairs=0, same=None, by_place=None, at_random=None)
    return Stability(
        role=role,
        pairs=len(pairs),
        same=sum(a.choice == b.choice for a, b in pairs) / len(pairs),
        by_place=sum(_overlap(a.options, b.options) for a, b in pairs) / len(pairs),
        at_random=sum(1 / len(a.options) for a, _ in pairs) / len(pairs),
    )


def _overlap(a: Sequence[str], b: Sequence[str]) -> float:
    """Share of places where two orders show the same change."""
    return sum(x == y for x, y in zip(a, b, strict=True)) / len(a)
