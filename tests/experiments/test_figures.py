"""Figures against examples that were computed by hand."""

from __future__ import annotations

import math

import pytest

from tcs_hpt.experiments.figures import alike, consistency, entropy, figures, kind_of, spread, validity
from tcs_hpt.experiments.places import place_p_value, places, stability
from tcs_hpt.experiments.questions import Answer, ask, plan
from tcs_hpt.experiments.speed import rates, speed
from tcs_hpt.experiments.states import STATES, find_states
from tests.experiments.answers import answer, call
from tests.experiments.models import by_place, invalid, sometimes

TURNED = ("c", "d", "a", "b")


# -- validity ---


def test_validity_counts_first_answers_and_those_after_repair() -> None:
    bad = call(problems=("the answer holds no JSON object",))
    cut = call(problems=("reasoning is missing", "the answer was cut after 160 tokens; be brief"))
    found = validity(
        [
            answer("a"),
            answer("a", calls=(bad, call(attempt=2))),
            answer(None, calls=(bad, bad)),
            answer("b", calls=(cut, call(attempt=2))),
        ]
    )
    assert (found.asked, found.at_once, found.in_the_end) == (4, 1, 3)
    assert found.problems == {"no JSON": 2, "cut off": 1}


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        ("", "empty"),
        ("Lower it.", "no JSON"),
        ('{"specific_recommendation": "lr: 3 -> 4"}', "not from the list"),
        ('{"reasoning": "why not"}', "a part is missing"),
    ],
)
def test_kinds_name_what_the_parser_really_says(reply: str, kind: str) -> None:
    model = sometimes([reply], by_place())
    first = next(ask(model, plan(find_states(["diverged"]), repeats=1, orders=1)))
    assert kind_of(first.calls[0].problems) == kind


def test_a_guards_reasons_are_a_refusal() -> None:
    assert kind_of(("lr must be between 1e-5 and 1, got 3",)) == "refused"


# -- consistency ---


def test_alike_is_the_share_of_pairs() -> None:
    assert alike(["a", "a", "b", "a"]) == pytest.approx(3 / 6)
    assert alike(["a", "a"]) == 1.0
    assert alike(["a", "b", "c"]) == 0.0
    assert alike(["a"]) is None


def test_entropy_is_a_share_of_the_largest_possible() -> None:
    assert entropy([4], 8) == 0.0
    assert entropy([1, 1, 1, 1], 8) == pytest.approx(1.0)  # four answers cannot be more different
    assert entropy([2, 2], 2) == pytest.approx(1.0)
    assert entropy([3, 2], 2) == pytest.approx(1.0)  # five answers cannot be more even
    # H = ln 4 - (3/4) ln 3 for counts 3 and 1; the largest of four answers is ln 4.
    assert entropy([3, 1], 8) == pytest.approx((math.log(4) - 0.75 * math.log(3)) / math.log(4))
    assert entropy([1], 8) is None


def test_the_spread_of_learning_rates_is_in_decades() -> None:
    assert spread([0.1, 0.001]) == pytest.approx(math.sqrt(2))  # -1 and -3: mean -2, variance 2
    assert spread([0.01, 0.01, 0.01]) == 0.0
    assert spread([0.01]) is None


def test_consistency_is_about_one_prompt_only() -> None:
    given = [
        answer("a", learning_rate=0.1),
        answer("a", purpose="repeat", seed=1, learning_rate=0.1),
        answer("b", purpose="repeat", seed=2, learning_rate=0.001),
        answer(None, purpose="repeat", seed=3),
        answer("d", order=1, seed=4, options=TURNED),  # another order
        answer("a", purpose="again"),  # the first once more
        answer("c", role="optimizer"),
    ]
    (found,) = consistency(given)
    assert found.counts == {"a": 2, "b": 1}
    assert found.answers == 3
    assert found.top_share == pytest.approx(2 / 3)
    assert found.alike == pytest.approx(1 / 3)
    assert found.at_random == 0.25
    assert found.learning_rates == (0.1, 0.1, 0.001)
    assert found.learning_rate_spread == pytest.approx(2 / math.sqrt(3))  # -1, -1, -3


# -- places ---


def test_four_times_the_same_of_eight_places() -> None:
    # Exactly: only "all four alike" is as uneven, and its probability is 8 / 8^4.
    assert place_p_value([3, 3, 3, 3], [8] * 4) == pytest.approx(8 / 8**4, abs=0.0015)


def test_perfectly_even_places_are_no_evidence() -> None:
    assert place_p_value(list(range(8)), [8] * 8) == 1.0
    assert place_p_value([1], [8]) is None


def test_the_p_value_of_a_coin_with_two_sides() -> None:
    # Six of six heads or tails: 2 / 2^6; five or more to one: (2 + 12) / 64.
    assert place_p_value([0] * 6, [2] * 6) == pytest.approx(2 / 64, abs=0.006)
    assert place_p_value([0, 0, 0, 1, 0, 0], [2] * 6) == pytest.approx(14 / 64, abs=0.015)


def test_short_lists_do_not_count_as_a_bias_to_early_places() -> None:
    assert (place_p_value([0, 1] * 8 + [2, 3] * 2, [2] * 12 + [4] * 8) or 0.0) > 0.05


def test_places_take_one_answer_of_each_order() -> None:
    given = [
        answer("a"),
        answer("a", purpose="repeat", seed=1),
        answer("a", order=1, seed=2, options=TURNED),
        answer(None, order=2, seed=3, options=TURNED),
        answer("b", role="optimizer"),
    ]
    found = places(given, "analysis")
    assert (found.answers, found.counts) == (2, (1, 0, 1, 0))
    assert places(given, "optimizer").counts == (0, 1, 0, 0)
    assert places([], "analysis").p_value is None


def test_stability_compares_pairs_with_different_orders() -> None:
    swapped = ("b", "a", "c", "d")
    given = [
        answer("a"),
        answer("b", purpose="repeat", seed=1),
        answer("a", order=1, seed=2, options=TURNED),
        answer("a", order=2, seed=3, options=swapped),
        answer("a", state="plateau", seed=4, options=TURNED),  # another state
        answer("a", purpose="again"),
    ]
    found = stability(given, "analysis")
    # a-TURNED same, a-swapped same, b-TURNED, b-swapped different, TURNED-swapped same
    assert (found.pairs, found.same) == (5, 3 / 5)
    # ABCD and swapped share two of four places (twice), ABCD and TURNED none (twice), TURNED and swapped none
    assert found.by_place == pytest.approx((0.5 + 0.5 + 0 + 0 + 0) / 5)
    assert found.at_random == 0.25
    assert stability(given, "optimizer").same is None


# -- speed ---


def timed(seed: int, reading: float, deciding: float) -> list[Answer]:
    first = call(seconds=reading, prompt_tokens=900, completion_tokens=100)
    second = call("optimizer", seconds=deciding, prompt_tokens=600, completion_tokens=50)
    return [answer("a", seed=seed, calls=(first,)), answer("a", seed=seed, role="optimizer", calls=(second,))]


def test_a_decision_is_both_agents_and_the_first_one_stands_apart() -> None:
    given = [*timed(0, 30.0, 2.0), *timed(1, 3.0, 2.0), *timed(2, 5.0, 2.0)]
    given.append(answer("a", seed=3, purpose="repeat", calls=(call(seconds=99.0),)))
    found = speed(given)
    assert found.first_seconds == 30.0
    assert found.seconds_per_decision == 6.0
    assert (found.read_per_decision, found.written_per_decision) == (1500, 150)
    assert found.calls == 7
    assert speed(given[:2]).seconds_per_decision == 32.0  # there is no other
    assert speed(given[:1]).seconds_per_decision is None


def test_rates_are_a_line_through_the_calls() -> None:
    calls = [
        call(seconds=3.0 + n / 25, prompt_tokens=900, completion_tokens=n) for n in (80, 100, 120, 160, 200)
    ]
    read, written = rates(calls)
    assert read == pytest.approx(300)
    assert written == pytest.approx(25)
    assert rates(calls[:4]) == (None, None)
    alike = [call(seconds=3.0 + i, prompt_tokens=900, completion_tokens=100 + i) for i in range(5)]
    assert rates(alike) == (None, None)
    noisy = [c.model_copy(update={"seconds": s}) for c, s in zip(calls, (9, 3, 8, 2, 9), strict=True)]
    assert rates(noisy) == (None, None)
    instant = [c.model_copy(update={"seconds": 0.0}) for c in calls]
    assert rates(instant) == (None, None)


# -- all together ---


def test_nothing_is_invented_when_nothing_was_usable() -> None:
    answers = list(ask(invalid(), plan(find_states(["diverged"]), repeats=2, orders=2)))
    found = figures(answers, STATES)
    assert found.validity["analysis"].in_the_end == 0
    assert found.validity["optimizer"].asked == 0
    assert found.consistency[0].alike is None
    assert found.consistency[0].top_share is None
    assert found.places["analysis"].p_value is None
    assert found.repetition is not None
    assert found.decisions == found.followed == 0
    assert found.speed.seconds_per_decision is None


def test_the_same_seed_is_compared_by_text_and_by_choice() -> None:
    question = plan(find_states(["diverged"]), repeats=1, orders=1)
    first, _, again = list(ask(by_place(), question))
    same = figures([first, again], STATES).repetition
    assert same is not None
    assert (same.same_text, same.same_choice) == (True, True)
    other_words = again.model_copy(update={"calls": (call(reply="other words"),)})
    found = figures([first, other_words], STATES).repetition
    assert found is not None
    assert (found.same_text, found.same_choice) == (False, True)
    assert figures([first], STATES).repetition is None
