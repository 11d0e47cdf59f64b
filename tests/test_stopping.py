from __future__ import annotations

from typing import Any

import pytest

from tcs_hpt.loop import stop_reason
from tcs_hpt.loop._recovery import judged, to_retry
from tcs_hpt.records import Failure, Trial, Usage
from tcs_hpt.space import SearchSpace
from tests.build import study, task, trial

SPACE = SearchSpace(task().params)


def scores(*values: float | None) -> list[Trial]:
    return [trial(i + 1, {}, v) for i, v in enumerate(values)]


def reason(trials: list[Trial], spent: float = 0.0, budget: int = 10, **stop: Any) -> str | None:
    return stop_reason(study(trials=budget, stop=stop), trials, spent)


def test_the_budget_counts_failed_and_running_trials_but_not_interrupted_ones() -> None:
    trials = [*scores(0.5, None), trial(3, {}, None, state="running", failure=None)]
    assert reason(trials, budget=3) == "trials"
    assert reason([*trials[:2], trial(3, {}, None, state="interrupted")], budget=3) is None


def test_time_is_up() -> None:
    assert reason(scores(0.5), spent=60.0, seconds=60) == "seconds"
    assert reason(scores(0.5), spent=59.0, seconds=60) is None


def test_the_target_stops_only_when_asked() -> None:
    assert reason(scores(0.5, 0.97)) is None
    assert reason(scores(0.5, 0.97), target=True) == "target"
    assert reason(scores(0.5, 0.96), target=True) is None


def test_patience_counts_trials_since_the_best() -> None:
    assert reason(scores(0.5, 0.4, 0.3), patience=2) == "patience"
    assert reason(scores(0.5, 0.4, 0.6), patience=2) is None
    assert reason(scores(None, None, None), patience=2) is None  # failures have their own rule


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.9, 0.95, 0.949, 0.9495, 0.94, 0.93, 0.948), "converged"),
        ((0.9, 0.95, 0.949, 0.9495, 0.94), None),  # too few since the best
        ((0.9, 0.95, 0.80, 0.82, 0.7, 0.6, 0.5), None),  # a lonely peak, not a plateau
    ],
)
def test_convergence_needs_a_flat_top(values: tuple[float, ...], expected: str | None) -> None:
    assert reason(scores(*values), converged=True) == expected


def test_a_broken_script_does_not_burn_the_night() -> None:
    assert reason(scores(0.5, None, None, None, None, None)) == "failures"
    assert reason(scores(0.5, None, None, None, None)) is None
    assert reason(scores(*[None] * 9), failures=0) is None


def killed(number: int, exit_code: int = -9) -> Trial:
    return trial(
        number, SPACE.defaults(), None, message="ended by a signal", usage=Usage(exit_code=exit_code)
    )


def test_a_kill_from_outside_is_an_interruption_once_and_a_crash_the_second_time() -> None:
    first = judged(killed(1), [], SPACE)
    assert first.state == "interrupted"
    assert first.failure is not None
    assert first.failure.origin == "outside"
    second = judged(killed(2), [first], SPACE)
    assert second.state == "failed"


def test_a_segmentation_fault_is_a_crash_at_once() -> None:
    assert judged(killed(1, exit_code=-11), [], SPACE).state == "failed"


def test_every_interrupted_trial_is_retried_once_in_order() -> None:
    trials = [
        trial(1, {}, 0.5),
        trial(2, {"lr": 0.1}, None, state="interrupted"),
        trial(3, {"lr": 0.2}, None, state="interrupted"),
        trial(4, {"lr": 0.1}, 0.4, retry_of=2),
    ]
    again = to_retry(trials)
    assert again is not None
    assert again.number == 3
    assert to_retry([*trials, trial(5, {"lr": 0.2}, None, state="running", failure=None, retry_of=3)]) is None


def test_engine_deaths_are_retried_without_limit() -> None:
    failure = Failure(kind="interrupted", message="m", origin="engine")
    trials = [trial(1, {}, None, state="interrupted", failure=failure)]
    for number in range(2, 6):
        again = to_retry(trials)
        assert again is not None
        assert again.number == number - 1
        trials.append(trial(number, {}, None, state="interrupted", failure=failure, retry_of=again.number))
