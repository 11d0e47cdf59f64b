"""Whole checks of models whose character is known."""

from __future__ import annotations

import json
import random

import pytest

from tcs_hpt.errors import UserError
from tcs_hpt.experiments.model_check import ModelCheck, conclude, make_plan
from tcs_hpt.experiments.questions import ask
from tcs_hpt.experiments.states import STATES
from tcs_hpt.experiments.verdict import Verdict
from tcs_hpt.llm import ChatRequest
from tcs_hpt.llm.scripted import ScriptedModel
from tests.experiments.models import at_random, by_content, by_place, choosing, invalid, sometimes


def checked(model: ScriptedModel, *, quick: bool = False, repeats: int | None = 3) -> ModelCheck:
    plan = make_plan(quick=quick, repeats=repeats)
    return conclude(model.name, plan, list(ask(model, plan.questions)))


def text(check: ModelCheck, about: str) -> str:
    return next(f.text for f in check.judgement.findings if f.about == about)


def test_the_sizes() -> None:
    assert make_plan().calls == 4 * (4 * 2 + 9) + 2 * 4 * 2 + 1 == 85
    assert make_plan(quick=True).calls == 13
    assert make_plan(quick=True).states == ("diverged", "overfitting")
    assert make_plan(["plateau"], repeats=2).calls == 4 * 2 + 1 + 1
    with pytest.raises(UserError, match="no example state"):
        make_plan(["nothing"])


@pytest.mark.parametrize("place", [0, 3, 7])
def test_one_who_always_takes_a_place_is_found_out(place: int) -> None:
    check = checked(by_place(place))
    for role in ("analysis", "optimizer"):
        assert check.figures.places[role].counts[place] == 24
        assert (check.figures.places[role].p_value or 1.0) < 0.001
        assert check.figures.stability[role].same == check.figures.stability[role].by_place == 0.0
    assert f"yes (p < 0.001, place {place + 1} in 24 of 24)" in text(check, "Chooses by place")
    assert check.judgement.verdict is not Verdict.GOOD
    assert "chooses places" in check.judgement.because


def test_one_who_always_takes_the_usual_remedy_is_good() -> None:
    check = checked(by_content("right"))
    assert check.judgement.verdict is Verdict.GOOD
    assert check.figures.stability["optimizer"].same == 1.0
    assert min(p.p_value or 0.0 for p in check.figures.places.values()) > 0.01
    assert check.figures.sense.right == check.figures.sense.decisions == 20
    assert check.figures.decisions == check.figures.followed == 24
    assert "no sign of it" in text(check, "Chooses by place")
    assert "better than a coin (p = 0.010 over 5 states)" in text(check, "Steering")


def test_one_who_always_takes_the_opposite_is_not_usable() -> None:
    check = checked(by_content("wrong"))
    assert check.judgement.verdict is Verdict.NOT_USABLE
    assert "wrong way more often than a coin (20 of 20 decisions in 5 states)" in check.judgement.because


@pytest.mark.parametrize("missing", [s.name for s in STATES.values() if s.moves])
def test_nobody_is_good_who_was_not_asked_about_every_remedy(missing: str) -> None:
    plan = make_plan([name for name in STATES if name != missing], repeats=3)
    for character in (by_content("right"), any_right()):  # who varies reaches any p-value in fewer states
        check = conclude("m", plan, list(ask(character, plan.questions)))
        assert check.judgement.verdict is Verdict.USABLE
        assert "4 of the 5 states that have a usual remedy" in check.judgement.because


def test_one_wrong_habit_is_no_reason_to_call_a_model_harmful() -> None:
    plan = make_plan(["diverged", "overfitting", "underfitting"], repeats=3)
    check = conclude("m", plan, list(ask(by_content("wrong"), plan.questions)))
    assert check.figures.sense.wrong == check.figures.sense.decisions == 12
    assert check.judgement.verdict is Verdict.USABLE


def any_right() -> ScriptedModel:
    """Any change that goes the textbook's way, drawn by the seed."""

    def pick(listed: list[str], request: ChatRequest) -> str:
        state = next(s for s in STATES.values() if set(s.changes) == set(listed))
        right = [text for text in state.changes if state.way(text) == "right"] or list(state.changes)
        return random.Random(request.seed).choice(right)

    return choosing(pick)


def test_a_coin_is_usable_and_called_one() -> None:
    check = checked(at_random(), repeats=10)
    assert check.judgement.verdict is Verdict.USABLE
    assert "nothing shows that its choice is worth more than a coin's" in check.judgement.because
    assert "hardly" in text(check, "Consistent")
    stable = check.figures.stability["analysis"]
    assert abs((stable.same or 0.0) - (stable.at_random or 0.0)) < 0.1
    assert "no sign of it" in text(check, "Chooses by place")
    assert check.figures.repetition is not None
    assert check.figures.repetition.same_text


def test_one_who_never_answers_validly_is_not_usable() -> None:
    check = checked(invalid(), quick=True)
    assert check.judgement.verdict is Verdict.NOT_USABLE
    assert "9 of 9 analysis questions got no usable answer" in check.judgement.because
    assert "Wrong: no JSON (9)" in text(check, "Valid")
    assert "not measured" in text(check, "Agreement")


def test_one_who_needs_a_repair_now_and_then_is_not_held_back_by_it() -> None:
    check = checked(sometimes(["hm"], by_content("right")))
    assert check.judgement.verdict is Verdict.GOOD
    assert text(check, "Valid") == (
        "56 of 57 answers at once, 1 more after a repair round, 0 never. Wrong: no JSON (1)."
    )


def test_one_who_decides_against_the_analysis_is_seen() -> None:
    right, wrong = by_content("right"), by_content("wrong")
    model = ScriptedModel(then=lambda r: (right if r.lane == "analysis" else wrong).complete(r).text)
    check = checked(model)
    # On the plateau nothing is right or wrong, so both take the same.
    assert "follows the analysis in 4 of 24 decisions" in text(check, "Agreement")
    assert "mostly decides against its own analysis" in _all_reasons(right)


def _all_reasons(right: ScriptedModel) -> str:
    """Why a model that decides rightly, but not as it analysed, is not good."""
    other = choosing(lambda listed, r: min(o for o in listed if not o.startswith(("lr", "dropout", "learn"))))
    check = checked(ScriptedModel(then=lambda r: (other if r.lane == "analysis" else right).complete(r).text))
    assert check.judgement.verdict is Verdict.USABLE
    return check.judgement.because


def test_one_with_a_favourite_is_seen() -> None:
    def rate(listed: list[str], request: ChatRequest) -> str:
        return next(o for o in sorted(listed) if o.startswith(("lr", "learning_rate")))

    check = checked(choosing(rate), quick=True)
    assert check.figures.sense.favourite == "learning rate"
    assert check.figures.sense.favourite_share == 1.0
    assert "it changes the learning rate whatever the problem" in check.judgement.because
    assert "Its favourite is the learning rate, whatever the problem." in text(check, "Steering")
    only = make_plan(["diverged"], repeats=2)
    alone = conclude("m", only, list(ask(choosing(rate), only.questions)))
    assert alone.figures.sense.favourite_share is None


def test_diagnoses_are_counted() -> None:
    check = checked(choosing(lambda listed, r: listed[0], problem="overfitting"), quick=True)
    assert "in 4 of 8 analyses" in text(check, "Diagnosis")


def test_a_check_that_was_cut_short_has_its_figures() -> None:
    plan = make_plan()
    for count in (1, 2, 5, 30):
        answers = [a for a, _ in zip(ask(by_place(), plan.questions), range(count), strict=False)]
        check = conclude("m", plan, answers, partial=True)
        assert check.partial
        assert len(check.answers) == count
        assert check.judgement.verdict is Verdict.USABLE
        assert check.planned_calls == 85


def test_json_holds_every_figure_and_every_raw_answer() -> None:
    check = checked(by_place(), quick=True, repeats=None)
    read = json.loads(json.dumps(check.to_json(), allow_nan=False))
    assert ModelCheck.model_validate(read) == check
    assert len(read["answers"]) == 13
    assert all(c["reply"].startswith("{") for a in read["answers"] for c in a["calls"])
    assert read["judgement"]["verdict"] == "usable"
    assert read["figures"]["places"]["analysis"]["counts"][0] == 4
