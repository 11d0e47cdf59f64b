from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcs_hpt.records import Trial, incumbent
from tcs_hpt.space import SearchSpace
from tcs_hpt.summary import estimate_tokens, render, summarize, trend
from tests.build import epochs, histories, history, spaces, task, trial
from tests.golden_files import assert_golden

SPEC = task()
SPACE = SearchSpace(SPEC.params)


def text(trials: list[Trial], **kwargs: Any) -> str:
    return render(summarize(SPEC, trials, total_trials=10), **kwargs)


@pytest.mark.parametrize("count", [0, 1, 3, 5, 6])
def test_golden_reports(count: int) -> None:
    assert_golden(f"report_after_{count}.txt", text(history(SPEC)[:count]))


def test_golden_report_without_curves_and_with_missing_metrics() -> None:
    space = SearchSpace(SPEC.params)
    first = trial(1, space.defaults(), 0.9, metrics={"val_accuracy": 0.9})
    second = trial(2, space.changed(first.config, "epochs", 20), 0.91, 1, curve=epochs(1, 0.95))
    assert_golden("report_bare.txt", text([first, second]))


def test_golden_report_when_everything_failed() -> None:
    first = trial(1, SPACE.defaults(), None, message="ModuleNotFoundError: No module named 'torch'")
    second = trial(
        2, SPACE.changed(first.config, "lr", 0.01), None, 1, kind="timeout", message="ran over 60 s"
    )
    assert_golden("report_all_failed.txt", text([first, second]))


def test_the_test_score_is_never_shown() -> None:
    assert "0.1235" not in text(history(SPEC))
    assert "test_accuracy" not in text(history(SPEC))


def scores(*values: float | None) -> list[Trial]:
    return [trial(i + 1, {}, v) for i, v in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((), "first"),
        ((0.9,), "first"),
        ((None,), "first"),
        ((0.9, 0.92), "improving"),
        ((0.9, 0.88), "worsening"),
        ((0.9, None), "worsening"),
        ((0.9, 0.8, 0.85), "recovering"),
        ((None, 0.8), "recovering"),
        ((0.9, 0.9001), "improving"),
        ((0.9, 0.9), "stagnating"),
        ((0.9, 0.8, 0.7, 0.85), "stagnating"),
        ((0.9, 0.8, 0.7, 0.95), "improving"),
    ],
)
def test_trends(values: tuple[float | None, ...], expected: str) -> None:
    assert trend(scores(*values), SPEC.objective) == expected


def test_the_report_compares_with_base_and_previous() -> None:
    report = summarize(SPEC, history(SPEC), total_trials=10)
    assert [(c.relation, c.other) for c in report.comparisons] == [("base", 4), ("previous", 5)]
    assert report.comparisons[0].gain == pytest.approx(-0.0075)
    assert [c.text for c in report.comparisons[0].changes] == ["hidden_size: 100 -> 24"]


def test_unexplored_regions_are_on_the_parameters_own_scale() -> None:
    report = summarize(SPEC, history(SPEC)[:1], total_trials=10)
    by_name = {p.name: p for p in report.parameters}
    assert by_name["lr"].unexplored == ("0.001..1", "1e-4..0.001")
    assert by_name["optimizer"].unexplored == ("sgd",)
    assert by_name["momentum"].current is None


def test_failures_carry_their_class_and_the_change_that_led_there() -> None:
    report = summarize(SPEC, history(SPEC), total_trials=10)
    assert [(f.number, f.kind) for f in report.failures] == [(5, "diverged")]
    assert "Trial 5 diverged after lr: 0.003 -> 0.3: val_accuracy was not finite" in render(report)


def test_interrupted_and_running_trials_are_left_out() -> None:
    extra = trial(7, SPACE.defaults(), None, state="interrupted")
    running = trial(8, SPACE.defaults(), None, state="running", failure=None)
    assert text([*history(SPEC), extra, running]) == text(history(SPEC))


@given(st.data(), spaces())
@settings(max_examples=60)
def test_reports_do_not_depend_on_record_order(data: st.DataObject, space: SearchSpace) -> None:
    spec = task({n: p.model_dump() for n, p in space.params.items()})
    trials = data.draw(histories(space))
    mixed = list(trials)
    random.Random(1).shuffle(mixed)
    assert summarize(spec, trials, total_trials=20) == summarize(spec, mixed, total_trials=20)
    assert render(summarize(spec, trials, total_trials=20)) == render(summarize(spec, mixed, total_trials=20))


@given(st.data(), spaces(max_size=30), st.integers(200, 600))
@settings(max_examples=60)
def test_reports_stay_within_their_budget(data: st.DataObject, space: SearchSpace, budget: int) -> None:
    spec = task({n: p.model_dump() for n, p in space.params.items()})
    trials = data.draw(histories(space))
    rendered = render(summarize(spec, trials, total_trials=20), max_tokens=budget)
    assert estimate_tokens(rendered) <= budget
    assert rendered.startswith("CURRENT SITUATION\n")


@pytest.mark.parametrize("count", [1, 2, 10, 100, 1000])
@pytest.mark.parametrize("width", [1, 7, 30])
def test_long_histories_of_wide_spaces_stay_within_the_default_budget(count: int, width: int) -> None:
    spec = task(
        {
            f"regularization_parameter_{i}": {"type": "float", "low": 1e-6, "high": 1.0, "log": True}
            for i in range(width)
        }
    )
    space, generator = SearchSpace(spec.params), random.Random(0)
    trials = []
    for number in range(1, count + 1):
        config = space.decode([generator.random() for _ in space.names])
        value = None if number % 7 == 3 else generator.random()
        message = "RuntimeError: " + "mat1 and mat2 shapes cannot be multiplied " * 20
        trials.append(trial(number, config, value, max(1, number - 1), message=message, curve=epochs(3, 0.5)))
    rendered = render(summarize(spec, trials, total_trials=1000))
    assert estimate_tokens(rendered) <= 600
    assert "INCUMBENT" in rendered
    best = incumbent(trials, spec.objective)
    assert best is not None
    assert f"trial {best.number}" in rendered
    if width == 30:
        assert "more parameters not shown" in rendered or "regularization_parameter_29" in rendered


def test_what_is_dropped_first() -> None:
    full, tight = text(history(SPEC), max_tokens=2000), text(history(SPEC), max_tokens=330)
    assert "against the previous" in full
    assert "against the previous" not in tight
    assert "against its base" in tight  # the comparison with the base outlives the one with the previous
    assert "PARAMETERS" in tight
