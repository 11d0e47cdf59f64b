from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tcs_hpt.errors import UserError
from tcs_hpt.spec import Objective, middle
from tests.build import PARAMS, study, task


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"x": {"type": "float", "low": 1, "high": 0}}, "`low` must be below `high`"),
        ({"x": {"type": "float", "low": 0, "high": 1, "log": True}}, "above 0 on a log scale"),
        ({"x": {"type": "float", "low": 0, "high": 1, "default": 2}}, "`default` must be between"),
        ({"x": {"type": "float", "low": 1, "high": 2, "log": True, "step": 0.1}}, "cannot be combined"),
        ({"x": {"type": "int", "low": 1, "high": 10, "step": 4, "default": 4}}, "low plus a multiple of step"),
        ({"x": {"type": "categorical", "choices": ["a", "a"]}}, "must differ"),
        ({"x": {"type": "categorical", "choices": ["a", "b"], "default": "c"}}, "one of the choices"),
        ({"x": {"type": "float", "low": 0, "high": 1, "when": {"y": [1]}}}, "is not a parameter"),
        ({"x": {"type": "float", "low": 0, "high": 1}, "y": {"type": "int", "low": 0, "high": 3, "when": {"x": [0]}}}, "a float"),
        (
            {
                "x": {"type": "categorical", "choices": ["a", "b"], "when": {"y": ["a"]}},
                "y": {"type": "categorical", "choices": ["a", "b"], "when": {"x": ["a"]}},
            },
            "circle",
        ),
    ],
)  # fmt: skip
def test_impossible_parameters_are_refused(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        task(params)


def test_tuning_on_the_test_set_is_refused() -> None:
    with pytest.raises(ValidationError, match="validation data"):
        Objective(metric="test_accuracy", direction="maximize")


def test_a_profile_may_have_a_target_of_its_own() -> None:
    spec = task(profiles={"quick": {"target": 0.5}, "paper": {}})
    assert spec.objective.target == 0.97
    assert spec.with_profile("quick").objective.target == 0.5
    assert spec.with_profile("paper").objective.target == 0.97


def test_a_profile_overrides_ranges_fixed_values_and_limits() -> None:
    spec = task(
        fixed={"max_train": 1000},
        profiles={
            "quick": {
                "fixed": {"max_train": 100},
                "limits": {"trial_seconds": 60},
                "params": {"epochs": {"high": 5, "default": 3}},
            }
        },
    )
    quick = spec.with_profile("quick")
    assert quick.fixed == {"max_train": 100}
    assert quick.limits.trial_seconds == 60
    assert (quick.params["epochs"].high, quick.params["epochs"].default) == (5, 3)  # type: ignore[union-attr]
    assert spec.with_profile(None) is spec
    with pytest.raises(UserError, match="no profile 'paper'"):
        spec.with_profile("paper")


def test_fixing_a_parameter_moves_it_to_the_fixed_set() -> None:
    narrowed = task().narrowed(fix={"lr": "0.01", "optimizer": "sgd"})
    assert narrowed.fixed == {"lr": 0.01, "optimizer": "sgd"}
    assert "lr" not in narrowed.params
    assert narrowed.params["momentum"].when == {}  # its condition is met for good


def test_fixing_a_parent_elsewhere_removes_its_children() -> None:
    narrowed = task().narrowed(fix={"optimizer": "adam"})
    assert "momentum" not in narrowed.params
    assert "momentum" not in narrowed.fixed
    assert "momentum" not in task().narrowed(fix={"optimizer": "adam", "momentum": 0.5}).fixed


def test_only_tunes_the_named_and_fixes_the_rest_at_their_defaults() -> None:
    narrowed = task().narrowed(only=("lr", "epochs"))
    assert list(narrowed.params) == ["lr", "epochs"]
    assert narrowed.fixed["hidden_size"] == 100
    assert "momentum" not in narrowed.fixed


@pytest.mark.parametrize(
    ("fix", "message"),
    [
        ({"learning_rate": "1"}, "no parameter 'learning_rate'"),
        ({"lr": "fast"}, "must be a number"),
        ({"lr": "5"}, "between 0.0001 and 1.0"),
        ({"epochs": "2.5"}, "whole number"),
        ({"optimizer": "lion"}, "one of adam, sgd"),
    ],
)
def test_wrong_fixed_values_say_what_is_allowed(fix: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        task().narrowed(fix=fix)


def test_conditions_on_conditions_go_with_their_parents() -> None:
    params: dict[str, Any] = {
        "a": {"type": "categorical", "choices": ["x", "y"]},
        "b": {"type": "categorical", "choices": ["x", "y"], "when": {"a": ["y"]}},
        "c": {"type": "float", "low": 0, "high": 1, "when": {"b": ["x"]}},
    }
    assert list(task(params).narrowed(fix={"a": "x"}).params) == []
    assert list(task(params).narrowed(fix={"a": "y"}).params) == ["b", "c"]
    with pytest.raises(UserError, match="c cannot be tuned alone"):
        task(params).narrowed(only=("c",))


def test_choices_may_be_typed_as_they_are_shown() -> None:
    spec = task({"wd": {"type": "categorical", "choices": [0.0, 1e-4, 0.01]}})
    assert spec.narrowed(fix={"wd": "1e-4"}).fixed == {"wd": 1e-4}
    assert spec.narrowed(fix={"wd": "0"}).fixed == {"wd": 0.0}


def test_a_fixed_value_must_be_finite() -> None:
    with pytest.raises(UserError, match="same type"):
        task(fixed={"max_train": 10}).narrowed(fix={"max_train": "nan"})


def test_the_middle_is_on_the_parameters_own_scale() -> None:
    params = task({n: {k: v for k, v in p.items() if k != "default"} for n, p in PARAMS.items()}).params
    assert middle(params["lr"]) == pytest.approx(0.01)
    assert middle(params["batch_size"]) == 64
    assert middle(params["epochs"]) == 21


@pytest.mark.parametrize("name", ["../../evil", "a b", "a/b", "", ".hidden"])
def test_a_study_name_cannot_be_a_path(name: str) -> None:
    with pytest.raises(ValidationError):
        study(name=name)


def test_specs_survive_json() -> None:
    spec = study()
    assert type(spec).model_validate_json(spec.model_dump_json(by_alias=True)) == spec
