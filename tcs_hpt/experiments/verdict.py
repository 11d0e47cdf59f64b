"""What the figures mean to somebody who wants to tune with this model. Pure.

The thresholds are ours. None of them says that a model tunes well: on a few made-up states one can see that it cannot,
and hints that it can. What a model's choice is worth in a study is measured by comparing `tcs` with `coin`.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

from tcs_hpt.experiments.figures import Figures
from tcs_hpt.records import Role
from tcs_hpt.spec import Frozen

LEAST_VALID = 0.8
"""Share of questions that must get a usable answer: below it somebody else decides more than every fifth time."""
GOOD_VALID = 0.95
"""The same, to be called good: at most one stand-in in two studies of ten trials."""
GOOD_AT_ONCE = 0.8
"""Share that must be usable without a repair round, to be called good: every repair costs a second call."""
PLACE_DOUBT = 0.01
"""Chances below this count as choosing by place: two agents are tested, so 1 in 50 checks cries wolf."""
GOOD_SAME = 0.5
"""Share of choices that must survive another order of the list, to be called good: more often than not."""
GOOD_FOLLOWED = 0.5
"""Share of decisions that must follow the analysis, to be called good: else its explanations are not the reasons."""
ONE_TUNE = 0.9
"""Share of decisions about one kind of hyperparameter, over states with different problems, from which a model seems to
have a favourite rather than a reason."""
COIN_DOUBT = 0.05
"""Chances below this count as better than a coin; a hint, since the states are few and made up. Who takes the same change
in every order of a list gets there only by being right in all five states that have a remedy (p = 0.010)."""
HARM_DOUBT = 0.01
"""Chances below this count as worse than a coin: enough to advise against a model, so it takes more. Who takes the same
change in every order gets there by being wrong in all five states (p = 0.0099)."""
VERY_ALIKE, FAIRLY_ALIKE = 0.8, 0.4
"""Share of pairs of answers to one prompt that agree, for the words; eight options at random give 0.125."""


class Verdict(StrEnum):
    """Whether a model is good enough to tune with."""

    GOOD = "good"
    USABLE = "usable"
    NOT_USABLE = "not usable"


class Finding(Frozen):
    """One property of the model in words."""

    about: str
    """The property; empty when it is that of the finding before."""
    text: str


class Judgement(Frozen):
    """The verdict, why, and what it rests on."""

    verdict: Verdict
    because: str
    """One or two sentences."""
    findings: tuple[Finding, ...]


def judge(found: Figures) -> Judgement:
    """The verdict on a model and the sentences that support it."""
    against = _objections(found)
    lacking = _shortcomings(found)
    if against:
        verdict, because = Verdict.NOT_USABLE, f"{_joined(against)}."
    elif lacking:
        verdict = Verdict.USABLE
        because = (
            f"{_joined(lacking)}. A study offers it vetted changes only, so it can do little harm; what the study "
            "gains comes from that list more than from this model's choice."
        )
    else:
        verdict = Verdict.GOOD
        because = (
            "It answers validly, chooses contents rather than places, and steers better than a coin here."
        )
    findings = (
        Finding(about="Valid", text=_valid(found)),
        Finding(about="Consistent", text=_consistent(found)),
        Finding(about="Learning rates", text=_learning_rates(found)),
        Finding(about="Chooses by place", text=f"analysis: {_by_place(found, 'analysis')}"),
        Finding(about="", text=f"optimizer: {_by_place(found, 'optimizer')}"),
        Finding(about="Same seed", text=_same_seed(found)),
        Finding(about="Agreement", text=_agreement(found)),
        Finding(about="Diagnosis", text=_diagnosis(found)),
        Finding(about="Steering", text=_steering(found)),
    )
    return Judgement(verdict=verdict, because=because, findings=findings)


# -- the verdict --------------------------------------------------------------------------------------------


def _objections(found: Figures) -> list[str]:
    """What makes a model not usable."""
    against = []
    for role, valid in found.validity.items():
        if valid.asked and valid.in_the_end < LEAST_VALID * valid.asked:
            against.append(
                f"{valid.asked - valid.in_the_end} of {valid.asked} {role} questions got no usable answer"
            )
    if found.sense.p_wrong is not None and found.sense.p_wrong < HARM_DOUBT:
        against.append(
            f"it steers the wrong way more often than a coin ({found.sense.wrong} of {found.sense.decisions} decisions "
            f"in {found.sense.states} states)"
        )
    return against


def _shortcomings(found: Figures) -> list[str]:
    """What a good model would not show; figures that are missing count as shortcomings."""
    lacking = []
    asked = sum(v.asked for v in found.validity.values())
    if sum(v.in_the_end for v in found.validity.values()) < GOOD_VALID * asked:
        lacking.append("some questions get no usable answer")
    elif sum(v.at_once for v in found.validity.values()) < GOOD_AT_ONCE * asked:
        lacking.append("many answers need a repair round")
    chances = [p.p_value for p in found.places.values() if p.p_value is not None]
    same = [s.same for s in found.stability.values() if s.same is not None]
    if not chances or not same:
        lacking.append("too few answers to tell whether it chooses by place")
    elif min(chances) < PLACE_DOUBT:
        lacking.append("it chooses places in the list")
    elif min(same) < GOOD_SAME:
        lacking.append("its choice depends on the order of the list")
    if found.sense.p_right is None:
        lacking.append("what its choice is worth was not measured")
    elif found.sense.states < found.sense.states_in_all:
        lacking.append(
            f"it decided in {found.sense.states} of the {found.sense.states_in_all} states that have a usual remedy, "
            "too few to tell what its choice is worth"
        )
    elif found.sense.p_right >= COIN_DOUBT:
        lacking.append("nothing shows that its choice is worth more than a coin's")
    if _has_favourite(found):
        lacking.append(f"it changes the {found.sense.favourite} whatever the problem")
    if found.followed < GOOD_FOLLOWED * found.decisions:
        lacking.append("it mostly decides against its own analysis")
    return lacking


def _has_favourite(found: Figures) -> bool:
    share = found.sense.favourite_share
    return share is not None and share >= ONE_TUNE


# -- the findings -------------------------------------------------------------------------------------------


def _valid(found: Figures) -> str:
    asked = sum(v.asked for v in found.validity.values())
    at_once = sum(v.at_once for v in found.validity.values())
    in_the_end = sum(v.in_the_end for v in found.validity.values())
    if at_once == asked:
        return f"always, all {asked} answers at once."
    never = asked - in_the_end
    text = f"{at_once} of {asked} answers at once, {in_the_end - at_once} more after a repair round, {never} never."
    kinds: dict[str, int] = {}
    for valid in found.validity.values():
        for kind, times in valid.problems.items():
            kinds[kind] = kinds.get(kind, 0) + times
    ranked = sorted(kinds.items(), key=lambda item: (-item[1], item[0]))
    return f"{text} Wrong: {', '.join(f'{kind} ({times})' for kind, times in ranked)}."


def _consistent(found: Figures) -> str:
    measured = [(c.alike, c.top_share, c.at_random) for c in found.consistency]
    usable = [(a, t, r) for a, t, r in measured if a is not None and t is not None]
    if not usable:
        return _TOO_FEW
    agree, top, coin = (sum(column) / len(usable) for column in zip(*usable, strict=True))
    word = "very" if agree >= VERY_ALIKE else "fairly" if agree >= FAIRLY_ALIKE else "hardly"
    return (
        f"{word}. Two answers to one prompt agree in {_percent(agree)} of cases (a coin: {_percent(coin)}); "
        f"the most frequent one is given {_percent(top)} of the time."
    )


def _learning_rates(found: Figures) -> str:
    parts = [
        f"{c.state} {_span(c.learning_rates)} (n = {len(c.learning_rates)}"
        + (f", spread {c.learning_rate_spread:.2f} decades)" if c.learning_rate_spread is not None else ")")
        for c in found.consistency
        if c.learning_rates
    ]
    if not parts:
        return "none was proposed under the same prompt."
    return f"proposed under the same prompt: {'; '.join(parts)}."


def _span(rates: Sequence[float]) -> str:
    low, high = min(rates), max(rates)
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _by_place(found: Figures, role: Role) -> str:
    place, stable = found.places[role], found.stability[role]
    if place.p_value is None or stable.same is None or stable.at_random is None or stable.by_place is None:
        return _TOO_FEW
    biased = place.p_value < PLACE_DOUBT
    top = max(range(len(place.counts)), key=lambda i: place.counts[i])
    where = f", place {top + 1} in {place.counts[top]} of {place.answers}" if biased else ""
    return (
        f"{'yes' if biased else f'no sign of it in {place.answers} answers'} ({_chance(place.p_value)}{where}). When the list is reordered, "
        f"{_percent(stable.same)} of choices stay the same (a coin: {_percent(stable.at_random)}, by place: "
        f"{_percent(stable.by_place)})."
    )


def _same_seed(found: Figures) -> str:
    if found.repetition is None:
        return "not measured."
    if found.repetition.same_text:
        return "the same answer, letter by letter."
    if found.repetition.same_choice:
        return "the same choice in other words; a study cannot be repeated exactly."
    return "another choice; a study cannot be repeated."


def _agreement(found: Figures) -> str:
    if not found.decisions:
        return "not measured; no decision could be used."
    text = f"the optimizer follows the analysis in {found.followed} of {found.decisions} decisions."
    analyses = found.validity["analysis"].in_the_end
    if found.fitting < analyses:
        text += f" The parts of an analysis fit together in {found.fitting} of {analyses}."
    return text


def _diagnosis(found: Figures) -> str:
    sense = found.sense
    if not sense.diagnoses:
        return "not measured; no analysis could be used."
    return (
        f"names the known problem in {sense.diagnoses_right} of {sense.diagnoses} analyses "
        f"(guessing: {sense.diagnoses_guessed:.1f}); the report that it reads names it too."
    )


def _steering(found: Figures) -> str:
    sense = found.sense
    if sense.p_right is None:
        return "not measured; it needs decisions in a state that has a usual remedy."
    worth = "better than a coin" if sense.p_right < COIN_DOUBT else "not shown to be better than a coin"
    over = f"{_chance(sense.p_right)} over {sense.states} state{'s' if sense.states != 1 else ''}"
    return (
        f"{sense.right} of {sense.decisions} decisions go the textbook's way (a coin: {sense.coin_right:.1f}) and "
        f"{sense.wrong} against it (a coin: {sense.coin_wrong:.1f}): {worth} ({over}). "
        + (f"Its favourite is the {sense.favourite}, whatever the problem. " if _has_favourite(found) else "")
        + "A hint, not a proof: the states are few and made up."
    )


_TOO_FEW = "too few answers to tell."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _chance(p_value: float) -> str:
    return "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}" if p_value < 0.1 else f"p = {p_value:.2f}"


def _joined(parts: Sequence[str]) -> str:
    text = "; ".join(parts)
    return text[0].upper() + text[1:]
