from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcs_hpt.errors import UserError
from tcs_hpt.evidence.blocks import ALL, BLOCKS, NONE, Block, without
from tcs_hpt.evidence.candidates import PER_PARAMETER, SHOWN, candidates
from tcs_hpt.evidence.gather import Evidence, gather
from tcs_hpt.evidence.memory import EarlierStudy, Tried, recall
from tcs_hpt.evidence.stagnation import ELSEWHERE_AFTER, FARTHER_AFTER, Stagnation, stagnation
from tcs_hpt.guard import AGENT_RULES, check
from tcs_hpt.records import Trial
from tcs_hpt.space import SearchSpace
from tcs_hpt.trajectory import Diagnosis
from tests.build import epochs, history, study, task, trial

SPEC = task()
SPACE = SearchSpace(SPEC.params)
START = SPACE.defaults()
UNKNOWN = Diagnosis(("unknown",), 0)


def found(trials: list[Trial], blocks: frozenset[Block], **changes: Any) -> Evidence:
    evidence = gather(SPEC, trials, UNKNOWN, blocks=blocks, start=START, **changes)
    assert evidence is not None
    return evidence


def texts(evidence: Evidence) -> list[str]:
    return [c.change.text for c in evidence.listed.candidates]


def stuck(count: int) -> list[Trial]:
    """A good second trial, and `count` single changes of it that did not help."""
    base = SPACE.completed({**START, "lr": 0.01, "hidden_size": 64})
    trials = [trial(1, START, 0.85), trial(2, base, 0.9, 1)]
    for number, value in enumerate((1e-6, 1e-5, 1e-3, 1e-2, 0.1, 0.2, 0.3, 0.5)[:count], start=3):
        trials.append(trial(number, {**base, "weight_decay": value}, 0.88, 2))
    return trials


def test_without_blocks_the_plain_list_is_left() -> None:
    plain = candidates(SPACE, history(SPEC), SPEC.objective, UNKNOWN, start=START)
    assert found(history(SPEC), NONE).listed == plain
    assert found(history(SPEC), NONE).notes == ()


def test_what_is_known_by_name_prefers_a_sensible_value() -> None:
    """A step from a senseless learning rate towards the usual ones is worth more than without the block."""
    senseless = SPACE.completed({**START, "lr": 1.0})
    trials = [trial(1, senseless, None, kind="diverged")]
    plain, known = (found(trials, blocks) for blocks in (NONE, frozenset[Block]({"knowledge"})))

    def scores(evidence: Evidence) -> dict[str, float]:
        return {c.change.text: c.score for c in evidence.listed.candidates}

    both = scores(plain).keys() & scores(known).keys()
    gained = {text: scores(known)[text] - scores(plain)[text] for text in both}
    assert gained["lr: 1 -> 0.1"] > gained["hidden_size: 100 -> 240"] == 0
    assert any("lr" in note for note in known.notes)


def test_what_the_surrogate_is_sure_will_hurt_is_ranked_lower_and_says_so() -> None:
    """Every trial with a large learning rate collapsed; the list says so of another one."""
    one = task({"lr": {"type": "float", "low": 1e-5, "high": 1.0, "log": True, "default": 1e-3}})
    values = {0.001: 0.9, 0.002: 0.91, 0.0005: 0.89, 0.3: 0.1, 0.5: 0.1, 0.8: 0.1, 0.2: 0.12, 0.9: 0.1}
    trials = [trial(n, {"lr": lr}, v) for n, (lr, v) in enumerate(values.items(), start=1)]
    lists = [
        gather(one, trials, UNKNOWN, blocks=blocks, start={"lr": 1e-3})
        for blocks in (NONE, frozenset[Block]({"surrogate"}))
    ]
    assert lists[0] is not None
    assert lists[1] is not None
    plain = {c.change.text: c.score for c in lists[0].listed.candidates}
    hurting = [c for c in lists[1].listed.candidates if c.hurts]
    assert hurting
    assert any(float(c.change.new) > 0.01 for c in hurting)
    assert all(c.reason.startswith("The trials so far say ") for c in hurting)
    assert all(c.score < plain[c.change.text] for c in hurting if "sure" in c.reason)
    assert not lists[1].listed.candidates[0].hurts


def test_stagnation_counts_trials_after_the_best() -> None:
    assert stagnation(stuck(0), SPEC.objective) == Stagnation(0)
    assert stagnation(stuck(4), SPEC.objective) == Stagnation(4)
    assert stagnation([trial(1, START, None)], SPEC.objective) == Stagnation(0)
    running = trial(9, {**START, "lr": 0.5}, None, 2, state="running", failure=None)
    assert stagnation([*stuck(2), running], SPEC.objective) == Stagnation(2)


def test_a_study_that_is_stuck_looks_farther() -> None:
    def largest(blocks: frozenset[Block]) -> float:
        listed = found(stuck(FARTHER_AFTER), blocks).listed.candidates
        numeric = [c for c in listed[:4] if c.change.parameter in ("lr", "hidden_size", "epochs")]
        return sum(
            abs(
                SPACE.to_unit(c.change.parameter, c.change.new)
                - SPACE.to_unit(c.change.parameter, c.change.old or 0)
            )
            for c in numeric
        ) / len(numeric)

    assert largest(frozenset({"stagnation"})) > largest(NONE)
    notes = found(stuck(FARTHER_AFTER), frozenset({"stagnation"})).notes
    assert notes == (f"No new best for {FARTHER_AFTER} trials: look farther away.",)


def test_a_study_that_stays_stuck_starts_from_another_good_trial() -> None:
    trials = stuck(ELSEWHERE_AFTER)
    evidence = found(trials, frozenset({"stagnation"}))
    assert evidence.listed.base == trials[0]  # two parameters away from the incumbent
    assert evidence.notes == (f"No new best for {ELSEWHERE_AFTER} trials: start from another good trial.",)
    again = found(stuck(ELSEWHERE_AFTER + 1), frozenset({"stagnation"}))
    assert again.listed.base == trials[1]
    assert found(trials, NONE).listed.base == trials[1]


def test_curves_speak_of_the_base() -> None:
    trials = [trial(1, START, 0.8, curve=epochs(10, 0.9, speed=30.0))]
    notes = found(trials, frozenset({"curves"})).notes
    assert any("epochs would probably raise val_accuracy" in note for note in notes), notes
    assert found(trials, NONE).notes == ()


def test_memory_offers_what_was_best_before() -> None:
    best = {**START, "lr": 0.02}
    earlier = EarlierStudy(
        "before", SPEC, None, "2026-01-01T00:00:00+00:00", 8, 0, Tried(1, START, 0.8), Tried(5, best, 0.95)
    )
    memory = recall(study(SPEC, name="now"), [earlier])
    trials = [trial(1, START, 0.8)]
    with_it = found(trials, ALL, memory=memory)
    assert texts(with_it)[0] == "lr: 0.001 -> 0.02"
    assert "earlier study" in with_it.listed.candidates[0].reason
    assert "lr: 0.001 -> 0.02" not in texts(found(trials, without(["memory"]), memory=memory))
    assert "lr: 0.001 -> 0.02" not in texts(found(trials, ALL))


@given(
    st.integers(0, 9),
    st.sets(st.sampled_from(list(BLOCKS))),
    st.lists(st.floats(0, 1), min_size=9, max_size=9),
)
def test_whatever_the_blocks_say_the_list_keeps_the_rules(
    count: int, chosen: set[Block], scores: list[float]
) -> None:
    trials: list[Trial] = []
    for number in range(1, count + 1):
        evidence = gather(SPEC, trials, UNKNOWN, blocks=frozenset(chosen), start=START)
        assert evidence is not None
        listed = evidence.listed
        assert 1 <= len(listed.candidates) <= SHOWN
        for one in listed.candidates:
            assert check(one.config, SPACE, trials, AGENT_RULES, listed.base_config).accepted
        names = [c.change.parameter for c in listed.candidates]
        assert max(names.count(n) for n in names) <= PER_PARAMETER
        assert [c.score for c in listed.candidates] == sorted(
            (c.score for c in listed.candidates), reverse=True
        )
        assert gather(SPEC, trials[::-1], UNKNOWN, blocks=frozenset(chosen), start=START) == evidence
        taken = listed.candidates[0].config if trials else START
        base = listed.base.number if listed.base else None
        trials.append(trial(number, taken, scores[number - 1], base if trials else None))


def test_an_unknown_block_is_refused_with_a_guess() -> None:
    with pytest.raises(UserError, match="no evidence block 'surogate'") as refused:
        without(["surogate"])
    assert "`surrogate`" in refused.value.hint
    assert without(["memory", "curves"]) == frozenset({"knowledge", "surrogate", "stagnation"})
