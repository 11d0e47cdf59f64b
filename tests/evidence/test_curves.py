from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcs_hpt.evidence.curves import (
    Outlook,
    Verdict,
    dominated,
    early_best,
    epochs_setting,
    forecast,
    more_epochs,
    notes,
)
from tcs_hpt.records import EpochRecord, Trial
from tcs_hpt.spec import Config, Objective
from tests.build import trial
from tests.evidence.curves import (
    ACCURACY,
    COST,
    LOSS,
    OVERFITTED,
    SCORE,
    line,
    noisy,
    ran,
    records,
    saturating,
)

# -- more epochs ------------------------------------------------------------------------------------------------


def advised(values: Sequence[float | None], objective: Objective = ACCURACY) -> Outlook:
    found = more_epochs(records(values, objective), objective)
    assert found is not None
    return found


def test_a_rising_curve_would_gain_by_more_epochs() -> None:
    found = advised(saturating(10, 0.9, 10.0))
    truth = 0.9 * (math.exp(-1) - math.exp(-1.5))
    assert found.advice == "helps"
    assert found.forecast.epoch == 15
    assert found.gain == pytest.approx(truth, rel=0.5)


def test_a_saturated_curve_would_not() -> None:
    assert advised(noisy(saturating(30, 0.9, 2.0), 0.0005)).advice == "adds nothing"
    assert advised([1 - v for v in saturating(30, 0.9, 2.0)], LOSS).advice == "adds nothing"


def test_a_curve_of_noise_is_not_said_to_gain() -> None:
    wrong = sum(advised(noisy([0.8] * 12, 0.01, seed)).advice == "helps" for seed in range(40))
    assert wrong <= 2


@pytest.mark.parametrize("values", [[], [0.5], [0.5, 0.6], [None, None, None, None]])
def test_too_few_epochs_give_no_advice(values: list[float | None]) -> None:
    assert more_epochs(records(values), ACCURACY) is None


def test_missing_epochs_are_passed_over() -> None:
    whole = saturating(12, 0.9, 10.0)
    gaps: list[float | None] = [v if i != 5 else None for i, v in enumerate(whole)]
    assert advised(gaps).advice == "helps"


# -- an early best ----------------------------------------------------------------------------------------------


def test_a_curve_that_turns_has_its_best_epoch_early() -> None:
    found = early_best(records(OVERFITTED), ACCURACY)
    assert found is not None
    assert (found.epoch, found.last) == (10, 30)
    assert 0.08 < found.lost < 0.16


def test_losses_turn_the_other_way() -> None:
    found = early_best(records([1 - v for v in OVERFITTED], LOSS), LOSS)
    assert found is not None
    assert found.epoch == 10


@pytest.mark.parametrize(
    "values", [saturating(20), [0.9] * 20, [0.5, 0.9, 0.4], [0.1, 0.2, 0.3, 0.4, 0.3, 0.2]]
)
def test_other_curves_have_no_early_best(values: list[float]) -> None:
    assert early_best(records(values), ACCURACY) is None


def test_noise_rarely_looks_like_an_early_best() -> None:
    curves = [records(noisy(saturating(20, 0.9, 2.0), 0.02, seed)) for seed in range(200)]
    assert sum(early_best(c, ACCURACY) is not None for c in curves) <= 10


# -- running trials ---------------------------------------------------------------------------------------------

GOOD = ran(saturating(20, 0.95, 3.0), number=3)


def judged(values: Sequence[float | None], others: Sequence[Trial] = (GOOD,), total: int = 20) -> Verdict:
    return dominated(records(values), others, ACCURACY, total_epochs=total)


def test_a_run_that_settles_far_below_the_best_is_dominated() -> None:
    verdict = judged(saturating(10, 0.6, 2.0))
    assert verdict.dominated
    assert verdict.chance is not None
    assert verdict.chance < 0.05
    assert verdict.reason.startswith("val_accuracy 0.")
    assert verdict.reason.endswith("is expected at epoch 20, and trial 3 reached 0.9488")


def test_a_run_that_learns_slowly_but_steadily_is_not() -> None:
    verdict = judged([0.05 * i for i in range(1, 11)])
    assert not verdict.dominated
    assert "may still beat trial 3" in verdict.reason


def test_only_the_best_finished_trial_counts() -> None:
    poor = ran(saturating(20, 0.3, 3.0), number=1)
    failed = trial(2, {}, None, curve=records(saturating(20, 0.99)))
    assert not judged(saturating(10, 0.6, 2.0), [poor, failed]).dominated
    assert judged(saturating(10, 0.6, 2.0), [poor, GOOD, failed]).dominated


@pytest.mark.parametrize(
    ("values", "others", "total", "reason"),
    [
        (saturating(10, 0.6), [], 20, "no finished trial"),
        ([0.1, 0.1], [GOOD], 20, "too few epochs"),
        ([], [GOOD], 20, "too few epochs"),
        ([0.1, 0.1, 0.1, None], [GOOD], 20, "not finite"),
        ([0.1] * 20, [GOOD], 20, "at its end"),
        ([0.1] * 4, [GOOD], 20, "too early"),
        (saturating(10, 0.99, 1.0), [GOOD], 20, "already as good as trial 3"),
        ([0.0] * 5, [ran([0.0] * 10 + [0.9] * 10, number=3)], 20, "not behind trial 3"),
    ],
)
def test_in_doubt_a_run_goes_on(
    values: list[float | None], others: list[Trial], total: int, reason: str
) -> None:
    verdict = judged(values, others, total)
    assert not verdict.dominated
    assert reason in verdict.reason


def test_a_score_that_no_epoch_reached_is_not_the_bar() -> None:
    averaged = trial(3, {}, 0.99, curve=records(saturating(20, 0.8, 3.0)))
    assert not judged(noisy(saturating(10, 0.795, 2.5), 0.004), [averaged]).dominated
    without_curve = trial(3, {}, 0.99)
    assert judged(noisy(saturating(10, 0.795, 2.5), 0.004), [without_curve]).dominated


def test_epochs_counted_from_zero_end_one_earlier() -> None:
    partial = records([0.1] * 20, start=0)
    assert "at its end" in dominated(partial, [GOOD], ACCURACY, total_epochs=20).reason


# -- the length of a run ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "setting", "length"),
    [
        (saturating(10, 0.9, 10.0), 10, "too short"),
        (OVERFITTED, 30, "too long"),
        (saturating(40, 0.9, 2.0), 40, "too long"),
        ([*saturating(14, 0.9, 10.0), *[0.69, 0.69, 0.69]], 200, "right"),
        ([0.5, 0.6], 2, "unclear"),
        (saturating(10, 0.9, 10.0), 3, "unclear"),
    ],
)
def test_the_number_of_epochs(values: list[float], setting: int, length: str) -> None:
    found = epochs_setting(ran(values, {"lr": 0.1, "epochs": setting}), ACCURACY)
    assert found is not None
    assert (found.parameter, found.length) == ("epochs", length)


def test_a_curve_in_another_unit_says_nothing_of_the_setting() -> None:
    found = epochs_setting(ran(saturating(10, 0.9, 10.0), {"max_steps": 1000}), ACCURACY)
    assert found is not None
    assert (found.length, found.reason) == ("unclear", "")


def test_trees_are_judged_like_epochs() -> None:
    points = tuple(EpochRecord(epoch=10 * i, metrics={"val_loss": 1 + 0.8 ** (i + 1)}) for i in range(1, 8))
    found = epochs_setting(trial(1, {"n_estimators": 70}, 1.1, curve=points), LOSS)
    assert found is not None
    assert found.length == "too short"


def test_epochs_from_zero_are_not_taken_for_an_early_end() -> None:
    found = epochs_setting(ran(saturating(5, 0.9, 5.0), {"epochs": 5}, start=0), ACCURACY)
    assert found is not None
    assert found.length == "too short"


@pytest.mark.parametrize("config", [{}, {"lr": 0.1}, {"epochs": "many"}])
def test_without_a_tuned_length_there_is_nothing_to_judge(config: Config) -> None:
    assert epochs_setting(ran(saturating(10), config), ACCURACY) is None


# -- words ------------------------------------------------------------------------------------------------------


def test_notes_of_a_rising_curve() -> None:
    first, second = notes(ran(saturating(10, 0.9, 10.0), {"epochs": 10}), ACCURACY)
    assert first.startswith("More epochs would probably raise val_accuracy clearly: 0.6")
    assert first.endswith("at epoch 15.")
    assert second == "epochs 10 looks too short."


def test_notes_of_a_falling_loss() -> None:
    values = [0.2 + math.exp(-i / 10) for i in range(1, 11)]
    (only,) = notes(ran(values, objective=LOSS), LOSS)
    assert only.startswith("More epochs would probably lower val_loss clearly: 0.")


def test_notes_of_an_overfitted_run() -> None:
    found = notes(ran(OVERFITTED, {"epochs": 30}), ACCURACY)
    assert found[0].startswith("val_accuracy was best at epoch 10 of 30 and then got worse by 0.1")
    assert found[1] == "epochs 30 looks too long; the best epoch was 10."


def test_notes_of_a_run_that_ended_by_itself() -> None:
    values = [*saturating(14, 0.9, 10.0), *[0.69, 0.69, 0.69]]
    assert notes(ran(values, {"epochs": 200}), ACCURACY) == (
        "Training ended by itself at epoch 17, so more of epochs changes nothing.",
    )


@pytest.mark.parametrize("values", [[], [0.9], [0.5, 0.9, 0.3, 0.95, 0.2, 0.9, 0.4, 0.9]])
def test_nothing_clear_gives_no_notes(values: list[float]) -> None:
    assert notes(trial(1, {}, 0.9, curve=records(values)), ACCURACY) == ()


# -- whatever comes ---------------------------------------------------------------------------------------------

ANY = st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False), st.floats(0, 1))


@given(
    st.lists(ANY, max_size=12),
    st.lists(ANY, max_size=12),
    st.lists(st.integers(0, 10**6), min_size=12, max_size=12, unique=True),
    st.sampled_from([ACCURACY, LOSS]),
    st.integers(1, 10**6),
)
@settings(max_examples=40, deadline=None)
def test_any_curve_gets_an_answer_and_always_the_same(
    values: list[float | None], other: list[float | None], places: list[int], objective: Objective, total: int
) -> None:
    partial = [
        EpochRecord(epoch=e, metrics={objective.metric: v}) for e, v in zip(places, values, strict=False)
    ]
    finished = [ran(other, {"epochs": total}, objective)] if any(v is not None for v in other) else []
    verdict = dominated(partial, finished, objective, total_epochs=total)
    assert verdict == dominated(partial[::-1], finished, objective, total_epochs=total)
    assert verdict.reason
    assert verdict.chance is None or 0 <= verdict.chance <= 1
    for one in [*finished, trial(9, {"epochs": total}, 0.5, curve=tuple(partial))]:
        found = notes(one, objective)
        assert found == notes(one, objective)
        assert len(found) <= 3
        assert all(len(note.split()) < 20 and note.endswith(".") for note in found)
        outlook = more_epochs(one.epochs, objective)
        if outlook is not None:
            assert outlook.forecast.low <= outlook.forecast.value <= outlook.forecast.high
            assert (
                math.isfinite(outlook.forecast.high - outlook.forecast.low) or outlook.forecast.high > 1e300
            )


@given(st.lists(st.floats(-1e3, 1e3), min_size=3, max_size=15), st.integers(16, 60))
@settings(max_examples=40, deadline=None)
def test_turning_the_direction_turns_the_sign_and_nothing_else(values: list[float], epoch: int) -> None:
    up, down = forecast(line(values), epoch), forecast(line([-v for v in values], lower=True), epoch)
    assert (up is None) == (down is None)
    if up is not None and down is not None:
        assert (up.value, up.low, up.high) == (-down.value, -down.high, -down.low)
    finished = [ran([*values, 0.0], objective=SCORE, number=2)]
    turned = [ran([-v for v in [*values, 0.0]], objective=COST, number=2)]
    partial, mirrored = records(values[:8], SCORE), records([-v for v in values[:8]], COST)
    one = dominated(partial, finished, SCORE, total_epochs=epoch)
    other = dominated(mirrored, turned, COST, total_epochs=epoch)
    assert (one.dominated, one.chance) == (other.dominated, other.chance)


@given(st.floats(0.3, 0.9), st.floats(0, 0.2))
@settings(max_examples=30, deadline=None)
def test_a_higher_bar_is_never_easier_to_beat(top: float, more: float) -> None:
    partial = records(noisy(saturating(8, top, 3.0), 0.01), SCORE)
    low, high = (
        dominated(partial, [trial(1, {}, bar)], SCORE, total_epochs=20)
        for bar in (top + 0.1, top + 0.1 + more)
    )
    assert low.chance is not None
    assert high.chance is not None
    assert high.chance <= low.chance
