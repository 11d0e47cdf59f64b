from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.dev import report
from benchmarks.dev.problems import WORST, problems, scales
from benchmarks.dev.studies import Row
from tcs_hpt.errors import UserError
from tests.dev_rows import row


def study(problem: str, method: str, seed: int, *regrets: float | None, **changes: Any) -> list[Row]:
    instances = scales()[problem]
    scale = instances[seed % len(instances)]

    def value(wanted: float) -> float:
        if problems()[problem].log_score:
            return float(scale.best_known * (scale.median_random / scale.best_known) ** wanted)
        return scale.best_known + wanted * (scale.median_random - scale.best_known)

    return [
        row(problem, method, seed, i, None if r is None else value(r), **changes)
        for i, r in enumerate(regrets, 1)
    ]


def test_an_outcome_is_the_best_and_the_mean_regret() -> None:
    (one,) = report.outcomes([study("slice", "tpe", 5, 0.5, None)])
    assert (one.method, one.problem, one.seed, one.failed, one.trials) == ("tpe", "slice", 5, 1, 2)
    assert one.best == pytest.approx(0.5)
    assert one.mean == pytest.approx((0.5 + WORST) / 2)
    assert one.seconds == 1.0


def made(better: Callable[[int], float]) -> list[list[Row]]:
    return [
        study(problem, method, seed, regret_, 1.0)
        for problem in ("car", "slice", "vehicle")
        for seed in range(4)
        for method, regret_ in (("coin", 0.5), ("mine", better(seed)))
    ]


def test_the_report_compares_every_method_with_the_control() -> None:
    text = report.markdown(report.outcomes(made(lambda seed: 0.3 + 0.02 * seed)), "coin")
    assert text.startswith("3 problems, 4 seeds, 12 studies of every method. ")
    summary = [line for line in text.splitlines() if line.startswith("| `")]
    assert summary[0].startswith(
        "| `mine` | 0.330 (0.330 to 0.330) | 0.665 (0.665 to 0.665) | 1.00 | 0.0 % |"
    )
    assert summary[1].startswith(
        "| `coin` | 0.500 (0.500 to 0.500) | 0.750 (0.750 to 0.750) | 2.00 | 0.0 % |"
    )
    assert summary[2].startswith("| `mine` | -0.170 (-0.18")
    assert "| 0.000 | -0.085 (-0.0" in summary[2]
    assert "| car | 0.330 | 0.500 |" in text


def test_equal_methods_share_their_rank_and_differ_by_nothing() -> None:
    text = report.markdown(report.outcomes(made(lambda seed: 0.5)), "coin")
    assert text.count("| 1.50 |") == 2
    assert "| `mine` | +0.000 (+0.000 to +0.000) | 1.000 |" in text


def test_only_problems_and_seeds_that_all_methods_have_are_compared() -> None:
    studies = [*made(lambda seed: 0.2), study("segment", "coin", 0, 0.0, 0.0)]
    text = report.markdown(report.outcomes(studies), "coin")
    assert text.startswith("3 problems, 4 seeds, 12 studies of every method (1 studies without a counterpart")
    assert "segment" not in text


def test_starts_are_told_apart_and_budgets_are_not_mixed() -> None:
    cold = study("car", "coin", 0, 0.9, 0.9, start="cold")
    longer = study("car", "coin", 0, 0.1, 0.1, budget=20)
    both = [study("car", "coin", 0, 0.4, 0.4), cold]
    assert {o.method for o in report.outcomes(both)} == {"coin, defaults", "coin, cold"}
    with pytest.raises(UserError, match="studies of 2, 20 trials"):
        report.outcomes([*both, longer])
    assert [o.best for o in report.outcomes([*both, longer], trials=20)] == [pytest.approx(0.1)]
    with pytest.raises(UserError, match="no method 'tpe'"):
        report.markdown(report.outcomes(both), "tpe")
