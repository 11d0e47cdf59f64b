from __future__ import annotations

import math
import random

import pytest

from tcs_hpt.evidence.curves import forecast
from tcs_hpt.trajectory import Curve
from tests.evidence.curves import line, noisy, saturating


@pytest.mark.parametrize("speed", [6.0, 9.0, 12.0])
def test_a_saturating_curve_is_continued_better_than_by_its_last_value(speed: float) -> None:
    whole = saturating(30, 0.9, speed)
    ahead = forecast(line(whole[:12]), 30)
    assert ahead is not None
    assert abs(ahead.value - whole[-1]) < 0.8 * abs(whole[11] - whole[-1])
    assert ahead.low <= whole[-1] <= ahead.high


def test_a_falling_loss_is_continued_but_not_below_zero() -> None:
    whole = [2 * i**-0.7 for i in range(1, 41)]
    ahead = forecast(line(whole[:15], lower=True), 40)
    assert ahead is not None
    assert ahead.low <= whole[-1] <= ahead.high
    assert ahead.value < whole[14]
    steep = forecast(line([1.0, 0.8, 0.6, 0.4, 0.2], lower=True), 50)
    assert steep is not None
    assert steep.low == 0.0


def test_an_accuracy_does_not_pass_one_but_a_score_may() -> None:
    steep = [0.5, 0.6, 0.7, 0.8, 0.9]
    bounded = forecast(line(steep, name="val_accuracy"), 20)
    free = forecast(line(steep), 20)
    assert bounded is not None
    assert free is not None
    assert bounded.high == 1.0
    assert free.high > 1.0


def test_a_forecast_is_less_sure_the_further_it_reaches() -> None:
    shown = line(noisy(saturating(15), 0.005))
    near, far = forecast(shown, 17), forecast(shown, 60)
    assert near is not None
    assert far is not None
    assert far.high - far.low > 1.5 * (near.high - near.low)


def test_a_noisy_curve_gives_a_wider_interval_than_a_smooth_one() -> None:
    smooth, rough = (forecast(line(noisy(saturating(20), size)), 30) for size in (0.001, 0.03))
    assert smooth is not None
    assert rough is not None
    assert rough.high - rough.low > 3 * (smooth.high - smooth.low)


def test_intervals_hold_what_they_promise_on_noisy_curves() -> None:
    held = []
    for seed in range(30):
        generator = random.Random(seed)
        whole = noisy(saturating(30, generator.uniform(0.5, 1), generator.uniform(2, 15)), 0.01, seed)
        ahead = forecast(line(whole[:15]), 30)
        assert ahead is not None
        held.append(ahead.low <= whole[-1] <= ahead.high)
    assert sum(held) / len(held) >= 0.75


def test_a_flat_curve_stays_where_it_is_without_being_certain_of_it() -> None:
    ahead = forecast(line([0.1] * 8), 20)
    assert ahead is not None
    assert ahead.value == pytest.approx(0.1, abs=1e-4)
    assert 0 < ahead.high - ahead.low < 0.01


def test_the_wild_start_of_a_training_does_not_matter() -> None:
    tail = saturating(20)
    calm, wild = forecast(line(tail), 30), forecast(line([-1e6, *tail[1:]]), 30)
    assert calm == wild


@pytest.mark.parametrize("values", [[], [0.5], [0.5, 0.6], [0.0, 0.0, 0.0, 0.0]])
def test_too_little_gives_no_forecast(values: list[float]) -> None:
    assert forecast(line(values), 20) is None


def test_what_is_past_is_not_forecast() -> None:
    assert forecast(line(saturating(10)), 10) is None


def test_epochs_may_be_counted_from_zero_and_have_gaps() -> None:
    points = tuple((e, 1 - math.exp(-(e + 1) / 8)) for e in (0, 1, 2, 4, 7, 8, 12))
    ahead = forecast(Curve("score", False, points), 20)
    assert ahead is not None
    assert ahead.low <= 1 - math.exp(-21 / 8) <= ahead.high


def test_long_curves_are_thinned() -> None:
    ahead = forecast(line(saturating(3000, 0.9, 1000.0)), 4000)
    assert ahead is not None
    assert ahead.value == pytest.approx(0.9 * (1 - math.exp(-4)), abs=0.01)
