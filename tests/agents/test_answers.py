from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcs_hpt.agents.answers import (
    REASONING_LETTERS,
    analysis_schema,
    choice_schema,
    read_analysis,
    read_choice,
    read_cold_start,
    read_free,
    read_object,
)
from tcs_hpt.space import SearchSpace
from tests.build import task

SPACE = SearchSpace(task().params)
BASE = SPACE.defaults()
OPTIONS = {
    "lr: 0.001 -> 0.003": {**BASE, "lr": 0.003},
    "epochs: 10 -> 20": {**BASE, "epochs": 20},
}
ANALYSIS: dict[str, Any] = {
    "problem_diagnosis": "underfitting",
    "impact_assessment": {"lr": "high", "epochs": "medium"},
    "primary_action": "lr",
    "specific_recommendation": "lr: 0.001 -> 0.003",
    "expected_outcome": "improves",
    "reasoning": "A larger step reaches the minimum sooner.",
}


def analysis(**changes: Any) -> str:
    return json.dumps({k: v for k, v in (ANALYSIS | changes).items() if v is not ...})


def test_the_six_parts_are_read() -> None:
    found = read_analysis(analysis(), ["lr", "epochs"], list(OPTIONS)).value
    assert found is not None
    assert (found.problem_diagnosis, found.primary_action) == ("underfitting", "lr")
    assert found.impact_assessment == {"lr": "high", "epochs": "medium"}
    assert found.specific_recommendation == "lr: 0.001 -> 0.003"
    assert found.expected_outcome == "improves"
    assert found.note == ""


def test_an_action_beside_the_recommendation_is_noted_not_followed() -> None:
    found = read_analysis(analysis(primary_action="epochs"), ["lr", "epochs"], list(OPTIONS)).value
    assert found is not None
    assert found.primary_action == "lr"
    assert found.note == "the primary action was epochs, the recommendation is about lr"


def test_a_recommendation_that_is_not_on_the_list_is_a_problem() -> None:
    found = read_analysis(analysis(specific_recommendation="lr: 0.001 -> 5"), ["lr"], list(OPTIONS))
    assert found.value is None
    assert "specific_recommendation must be one of lr: 0.001 -> 0.003" in found.problems[0]


def test_missing_side_parts_are_noted() -> None:
    text = analysis(problem_diagnosis=..., expected_outcome="magic", impact_assessment="all high")
    found = read_analysis(text, ["lr", "epochs"], list(OPTIONS)).value
    assert found is not None
    assert found.problem_diagnosis == "not stated"
    assert found.expected_outcome is None
    assert found.impact_assessment == {}
    assert "problem_diagnosis is missing" in found.note
    assert "expected_outcome must be one of" in found.note


@pytest.mark.parametrize(
    "text",
    [
        '{"hyperparameters": "epochs: 10 -> 20", "reasoning": "longer"}',
        'Sure! Here is my answer:\n```json\n{"hyperparameters": "epochs: 10 -> 20", "reasoning": "x"}\n```',
        '{"hyperparameters": "epochs: 10 -> 20", "reasoning": "it was cut in the mid',
        '{"hyperparameters": "Epochs:10->20"}',
        "{'hyperparameters': 'epochs: 10 -> 20'}",
        '{"hyperparameters": "epochs: 10 -> 20"} {"hyperparameters": "lr: 0.001 -> 0.003"}',
        '{"reasoning": "first", "hyperparameters": "`epochs: 10 -> 20`", "extra": [1]}',
        '{"hyperparameters": "epochs=20"}',
        '{"hyperparameters": "epochs -> 20"}',
        '{"hyperparameters": {"epochs": 20}}',
    ],
)
def test_a_choice_is_read_from_many_forms(text: str) -> None:
    found = read_choice(text, OPTIONS)
    assert found.value is not None, found.problems
    assert found.value.config["epochs"] == 20


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        ("   \n", "empty"),
        ("I would raise the learning rate.", "no JSON object"),
        ("[1, 2]", "no JSON object"),
        ("{", "no readable JSON object"),
        ("{}", "no readable JSON object"),
        ('{"hyperparameters": "batch_size: 64 -> 128"}', "must be one of"),
        ('{"hyperparameters": ["epochs: 10 -> 20"]}', "must be one of"),
        ('{"hyperparameters": null}', "must be one of"),
        ('{"change": "epochs: 10 -> 20"}', "hyperparameters is missing"),
    ],
)
def test_an_unusable_choice_says_what_is_wrong(text: str, problem: str) -> None:
    found = read_choice(text, OPTIONS)
    assert found.value is None
    assert problem in found.problems[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"hyperparameters": "lr=0.01", "reasoning": "r"}', {"lr": 0.01}),
        ('{"hyperparameters": {"lr": "1e-2"}}', {"lr": 0.01}),
        ('{"hyperparameters": "lr: 0.001 -> 0.01"}', {"lr": 0.01}),
        ('{"hyperparameters": "lr = 0.01, epochs=12"}', {"lr": 0.01, "epochs": 12}),
        ('{"lr": 0.01}', {"lr": 0.01}),
        ("lr=0.01", {"lr": 0.01}),
        ('{"hyperparameters": "optimizer=SGD"}', {"optimizer": "sgd", "momentum": 0.7}),
        ('{"hyperparameters": "batch_size=\'64\'"}', {"batch_size": 64}),
    ],
)
def test_free_answers_as_in_the_paper(text: str, expected: dict[str, Any]) -> None:
    found = read_free(text, SPACE, BASE, {"momentum": 0.7})
    assert found.value is not None, found.problems
    assert found.value.config == SPACE.completed({**BASE, **expected})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"hyperparameters": "learning_rate=0.01"}', "no such hyperparameter"),
        ('{"hyperparameters": "lr=fast"}', "is not a value of it"),
        ('{"hyperparameters": "epochs=2.5"}', "is not a value of it"),
        ('{"hyperparameters": "lr=nan"}', "is not a value of it"),
        ('{"hyperparameters": "momentum=0.5"}', "has no effect"),
        ('{"hyperparameters": "raise it"}', "must be one name=value"),
        ("no idea", "must be one name=value"),
    ],
)
def test_unusable_free_answers_say_what_is_wrong(text: str, problem: str) -> None:
    found = read_free(text, SPACE, BASE, {})
    assert found.value is None
    assert problem in found.problems[0]


def test_a_cold_start_needs_a_value_from_every_list() -> None:
    choices = {name: SPACE.values(name, 7) for name in SPACE.names}
    good = {n: v[0] for n, v in choices.items()} | {"reasoning": "small first"}
    found = read_cold_start(json.dumps(good), SPACE, choices)
    assert found.value is not None
    assert "momentum" not in found.value.config  # adam was chosen
    assert SPACE.contains(found.value.config)
    bad = read_cold_start(json.dumps({**good, "lr": 0.5}), SPACE, choices)
    assert bad.value is None
    assert bad.problems[0].startswith("lr must be one of")


def test_closed_parts_come_before_the_prose() -> None:
    assert list(analysis_schema(["lr"], ["a"])["properties"])[-1] == "reasoning"
    assert list(choice_schema(["a"])["properties"]) == ["hyperparameters", "reasoning"]


def test_reasoning_is_one_printable_line_of_bounded_length() -> None:
    text = json.dumps({"hyperparameters": "epochs: 10 -> 20", "reasoning": "a\n\x00\ud800b" * 500})
    found = read_choice(text, OPTIONS).value
    assert found is not None
    assert len(found.reasoning) <= REASONING_LETTERS
    assert found.reasoning.isprintable()


@given(st.text(max_size=200))
def test_any_text_is_read_or_refused_but_never_raises(text: str) -> None:
    for read in (
        lambda t: read_object(t),
        lambda t: read_analysis(t, ["lr"], list(OPTIONS)),
        lambda t: read_choice(t, OPTIONS),
        lambda t: read_free(t, SPACE, BASE, {}),
    ):
        found = read(text)
        assert (found.value is None) == bool(found.problems)


@pytest.mark.parametrize(
    "text", ["[" * 50_000, '{"a":' * 50_000, "{" + '"' * 50_000, '{"a": ' + "9" * 50_000 + "}"]
)
def test_nested_and_endless_replies_are_refused_quickly(text: str) -> None:
    assert read_choice(text, OPTIONS).value is None
