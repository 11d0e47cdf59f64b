"""Diagnoses and decisions against the textbook's, and the chance of being right by accident."""

from __future__ import annotations

from collections import Counter
from math import comb

import pytest

from tcs_hpt.experiments.example_state import Way
from tcs_hpt.experiments.questions import Answer
from tcs_hpt.experiments.sense import chance, sense
from tcs_hpt.experiments.states import STATES
from tests.experiments.answers import answer

WITH_REMEDY = [state for state in STATES.values() if state.moves]


def decision(choice: str, state: str = "diverged") -> Answer:
    return answer(choice, role="optimizer", state=state, options=tuple(STATES[state].changes))


def going(state: str, way: Way) -> list[str]:
    return [text for text in STATES[state].changes if STATES[state].way(text) == way]


def test_sense_counts_ways_and_what_a_coin_would_do() -> None:
    given = [
        decision("lr: 0.5 -> 0.05"),
        decision("momentum: 0.9 -> 0.7"),
        decision("lr: 0.5 -> 1"),
        decision("dropout: 0.3 -> 0", "underfitting"),
        decision("reg_lambda: 0.5 -> 0.8", "plateau"),  # no usual remedy: does not count
        answer("a", diagnosis="diverged"),
        answer("a", diagnosis="unstable", purpose="repeat", seed=1),
        answer("a", diagnosis="overfitting", purpose="repeat", seed=2),
        answer("a", diagnosis="diverged", purpose="again"),
    ]
    found = sense(given, STATES)
    assert (found.decisions, found.right, found.wrong) == (4, 3, 1)
    assert (found.states, found.states_in_all) == (2, 5)
    assert found.coin_right == found.coin_wrong == pytest.approx(3 * 3 / 8 + 0.5)
    # Of the 56 ways to call three of eight changes right, with three of them chosen once each: one gives all three,
    # 15 give two. In the other state four of eight are right, one of them chosen.
    assert found.p_right == pytest.approx((1 + 15 * 0.5) / 56)
    # One wrong at least: all but none among the three (10 of 56) and not the one either.
    assert found.p_wrong == pytest.approx(1 - 10 / 56 * 0.5)
    assert (found.favourite, found.favourite_share) == ("learning rate", 0.5)
    assert (found.diagnoses, found.diagnoses_right) == (3, 2)
    assert found.diagnoses_guessed == pytest.approx(3 * 2 / 7)
    assert sense([], STATES).p_right is None


@pytest.mark.parametrize("way", ["right", "wrong"])
@pytest.mark.parametrize("orders", [1, 4, 100])
def test_who_always_takes_one_change_makes_one_draw_per_state_however_often_asked(
    way: Way, orders: int
) -> None:
    choices = [(state, Counter({going(state.name, way)[0]: orders})) for state in WITH_REMEDY]
    draws = [state.coin(way) for state in WITH_REMEDY]
    assert chance(choices[:1], way) == pytest.approx(draws[0])
    assert chance(choices[:3], way) == pytest.approx(draws[0] * draws[1] * draws[2])
    assert chance(choices, way) == pytest.approx(0.375**4 * 0.5)


def test_three_states_and_any_number_of_orders_prove_nothing_about_a_stubborn_model() -> None:
    three = [state.name for state in WITH_REMEDY[:3]]
    given = [decision(going(name, "wrong")[0], name) for name in three for _ in range(4)]
    found = sense(given, STATES)
    assert (found.wrong, found.decisions, found.states) == (12, 12, 3)
    assert found.p_wrong == pytest.approx(0.375**2 * 0.5)  # taken as twelve draws: 2e-5


def test_different_changes_that_are_all_right_say_more_than_one_of_them_four_times() -> None:
    state = STATES["underfitting"]
    right = going(state.name, "right")
    assert chance([(state, Counter(right))], "right") == pytest.approx(1 / comb(8, 4))
    assert chance([(state, Counter({right[0]: 4}))], "right") == pytest.approx(0.5)


def test_the_chance_is_one_when_nothing_went_that_way() -> None:
    state = STATES["diverged"]
    assert chance([(state, Counter(going("diverged", "open")))], "right") == 1.0
    assert chance([], "right") is None
