from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcs_hpt.spec import Direction
from tcs_hpt.statistics import (
    EXACT_PAIRS,
    mean_std,
    noise_floor,
    normalized_regret,
    paired_difference,
    sign_flip_test,
)

scores = st.integers(-1000, 1000).map(lambda n: n / 8)  # eighths are exact, so ties are ties
paired_scores = st.lists(st.tuples(scores, scores), min_size=1, max_size=8)


def split(pairs: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [a for a, _ in pairs], [b for _, b in pairs]


@pytest.mark.parametrize(
    ("values", "mean", "std"),
    [
        ([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0], 5.0, math.sqrt(32 / 7)),
        ([1.0, 3.0], 2.0, math.sqrt(2)),
        ([0.1, 0.1, 0.1], 0.1, 0.0),
        ([7.0], 7.0, None),
    ],
)
def test_mean_and_spread(values: list[float], mean: float, std: float | None) -> None:
    found = mean_std(values)
    assert found.mean == pytest.approx(mean)
    assert found.std == (pytest.approx(std, abs=0) if std is not None else None)


@pytest.mark.parametrize("values", [[], [1.0, math.nan], [math.inf]])
def test_no_statistics_without_finite_values(values: list[float]) -> None:
    with pytest.raises(ValueError, match=r"finite|at least one"):
        mean_std(values)


def test_noise_floor_is_the_spread_of_repeats_and_needs_two() -> None:
    assert noise_floor([[0.80, 0.82]]) == pytest.approx(0.02 / math.sqrt(2))
    assert noise_floor([[0.8, 0.8, 0.8]]) == 0
    # Variances of 2 (one degree of freedom) and 1 (two): 4 / 3.
    assert noise_floor([[0.0, 2.0], [5.0, 6.0, 7.0], [9.0]]) == pytest.approx(math.sqrt(4 / 3))
    with pytest.raises(ValueError, match="at least two"):
        noise_floor([[0.8], [0.9]])


def test_interval_of_a_clear_difference_excludes_zero() -> None:
    a = [0.80, 0.83, 0.79, 0.85, 0.81, 0.84, 0.82, 0.80]
    b = [x - d for x, d in zip(a, [0.03, 0.02, 0.04, 0.03, 0.05, 0.02, 0.03, 0.04], strict=True)]
    found = paired_difference(a, b)
    assert found.mean == pytest.approx(0.0325)
    assert 0.02 < found.low < found.mean < found.high < 0.05
    assert found.n == 8


def test_interval_of_two_pairs_are_the_two_differences() -> None:
    # The resampled mean is one difference, the other, or their middle, with 1/4, 1/4 and 1/2.
    found = paired_difference([1.0, 4.0], [0.0, 0.0])
    assert (found.low, found.mean, found.high) == (1.0, 2.5, 4.0)


def test_a_single_pair_says_nothing_and_equal_differences_everything() -> None:
    one = paired_difference([3.0], [1.0])
    assert (one.mean, one.low, one.high, one.n) == (2.0, -math.inf, math.inf, 1)
    same = paired_difference([3.0, 4.0, 5.0], [1.0, 2.0, 3.0])
    assert (same.mean, same.low, same.high) == (2.0, 2.0, 2.0)


def test_a_higher_confidence_gives_a_wider_interval() -> None:
    a, b = [1.0, 2.0, 4.0, 8.0, 3.0], [0.0] * 5
    narrow, wide = paired_difference(a, b, confidence=0.5), paired_difference(a, b, confidence=0.99)
    assert wide.low < narrow.low < narrow.high < wide.high
    with pytest.raises(ValueError, match="confidence"):
        paired_difference(a, b, confidence=95)


@settings(max_examples=40, deadline=None)
@given(paired_scores)
def test_interval_contains_the_mean_and_mirrors_when_swapped(pairs: list[tuple[float, float]]) -> None:
    a, b = split(pairs)
    found = paired_difference(a, b, resamples=200)
    assert found.low <= found.mean <= found.high
    mirrored = paired_difference(b, a, resamples=200)
    assert mirrored.mean == -found.mean
    assert mirrored.low == pytest.approx(-found.high, abs=1e-9)
    assert mirrored.high == pytest.approx(-found.low, abs=1e-9)
    assert paired_difference(a, b, resamples=200) == found


@pytest.mark.parametrize(
    ("differences", "p"),
    [
        ([1.0], 1.0),
        ([0.0, 0.0, 0.0], 1.0),
        ([1.0, 2.0], 0.5),
        ([1.0] * 6, 2 / 64),
        ([1.0, 2.0, 3.0, 4.0, 5.0, -1.0], 6 / 64),
        ([float(i) for i in range(1, EXACT_PAIRS + 1)], 2 / 2**EXACT_PAIRS),
    ],
)
def test_exact_p_values(differences: list[float], p: float) -> None:
    assert sign_flip_test(differences, [0.0] * len(differences)) == pytest.approx(p)


@settings(max_examples=60, deadline=None)
@given(paired_scores)
def test_p_value_is_the_share_of_sign_assignments(pairs: list[tuple[float, float]]) -> None:
    a, b = split(pairs)
    differences = [Fraction(x) - Fraction(y) for x, y in pairs]
    signed: list[Fraction] = [
        sum((s * d for s, d in zip(signs, differences, strict=True)), Fraction(0))
        for signs in itertools.product((1, -1), repeat=len(differences))
    ]
    share = sum(abs(total) >= abs(sum(differences, Fraction(0))) for total in signed) / len(signed)
    assert sign_flip_test(a, b) == pytest.approx(share)
    assert sign_flip_test(b, a) == pytest.approx(share)


def test_many_pairs_are_estimated_with_a_seed() -> None:
    a = [0.5, -0.2, 0.4, 0.1, 0.3, -0.1, 0.6, 0.2, -0.3, 0.4, 0.1, 0.2, 0.5, -0.4, 0.3, 0.1]
    b = [0.0] * len(a)
    first = sign_flip_test(a, b, seed=1)
    assert first == sign_flip_test(a, b, seed=1)
    assert first == pytest.approx(sign_flip_test(a, b, resamples=2**16), abs=0.01)  # all 65,536: exact
    assert 0.01 < first < 0.1


def test_pairs_must_match() -> None:
    with pytest.raises(ValueError, match="2 and 1"):
        sign_flip_test([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="2 and 1"):
        paired_difference([1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("best", "known", "median", "direction", "regret"),
    [
        (0.9, 0.9, 0.5, "maximize", 0.0),
        (0.5, 0.9, 0.5, "maximize", 1.0),
        (0.7, 0.9, 0.5, "maximize", 0.5),
        (0.1, 0.9, 0.5, "maximize", 2.0),
        (1.0, 0.9, 0.5, "maximize", -0.25),
        (0.1, 0.1, 0.5, "minimize", 0.0),
        (0.3, 0.1, 0.5, "minimize", 0.5),
        (0.9, 0.1, 0.5, "minimize", 2.0),
    ],
)
def test_regret(best: float, known: float, median: float, direction: Direction, regret: float) -> None:
    assert normalized_regret(best, known, median, direction) == pytest.approx(regret, abs=1e-12)


def test_regret_needs_a_scale() -> None:
    with pytest.raises(ValueError, match="better than"):
        normalized_regret(0.5, 0.5, 0.5, "maximize")
    with pytest.raises(ValueError, match="better than"):
        normalized_regret(0.5, 0.4, 0.6, "maximize")
    with pytest.raises(ValueError, match="finite"):
        normalized_regret(math.nan, 0.9, 0.5, "maximize")


@given(best=scores, known=scores, median=scores)
def test_regret_does_not_depend_on_which_way_is_better(best: float, known: float, median: float) -> None:
    if known > median:
        up = normalized_regret(best, known, median, "maximize")
        assert normalized_regret(-best, -known, -median, "minimize") == up
