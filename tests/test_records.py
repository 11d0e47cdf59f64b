from __future__ import annotations

import pytest

from tcs_hpt.records import bases, by_number, effect, incumbent, last_tested, measured_outcome, outcome
from tcs_hpt.spec import Objective
from tests.build import history, task, trial

UP = Objective(metric="val_accuracy", direction="maximize")
DOWN = Objective(metric="val_loss", direction="minimize")


@pytest.mark.parametrize(
    ("new", "old", "objective", "expected"),
    [
        (0.96, 0.95, UP, "improves"),
        (0.94, 0.95, UP, "worsens"),
        (0.9505, 0.95, UP, "about the same"),
        (0.3, 0.4, DOWN, "improves"),
        (0.5, 0.4, DOWN, "worsens"),
        (0.4, 0.4, DOWN, "about the same"),
        (0.0, 0.0, UP, "about the same"),
        (-2.0, -2.001, UP, "about the same"),
        (-1.0, -2.0, UP, "improves"),
        (1001.0, 1000.0, UP, "about the same"),
    ],
)
def test_outcomes_in_words(new: float, old: float, objective: Objective, expected: str) -> None:
    assert outcome(objective.gain(new, old), new, old) == expected


def test_a_measured_outcome_needs_both_scores() -> None:
    trials = by_number(
        [
            trial(1, {}, 0.9),
            trial(2, {}, None, 1),
            trial(3, {}, 0.91, 2),
            trial(4, {}, 0.91, 17),
            trial(5, {}, 0.92, 1),
        ]
    )
    assert [measured_outcome(t, trials, UP) for t in trials.values()] == [None] * 4 + ["improves"]
    assert effect(trials[5], trials, UP) == pytest.approx(0.02)


def test_the_incumbent_is_the_best_finished_trial_and_ties_keep_the_earlier() -> None:
    trials = [trial(3, {}, 0.5), trial(1, {}, 0.4), trial(2, {}, 0.5), trial(4, {}, None)]
    best = incumbent(trials, UP)
    assert best is not None
    assert best.number == 2
    lowest = incumbent(trials, DOWN)
    assert lowest is not None
    assert lowest.number == 1
    assert incumbent([trial(1, {}, None)], UP) is None


def test_bases_are_the_finished_trials_best_first_then_the_failures() -> None:
    spec = task()
    assert [t.number for t in bases(history(spec), spec.objective)] == [4, 6, 2, 1, 3, 5]
    failed = [trial(1, {}, None), trial(2, {}, None), trial(3, {}, None, state="interrupted")]
    assert [t.number for t in bases(failed, UP)] == [1, 2]
    assert bases([], UP) == []


def test_the_last_tested_value_is_the_newest() -> None:
    spec = task()
    newest = last_tested(history(spec), spec.params)
    assert newest["momentum"] == 0.9
    assert newest["hidden_size"] == 24
