from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from tcs_hpt.errors import UserError
from tcs_hpt.spec import ConfigFile, MetricsSource, Objective, StudySpec, TaskSpec, middle
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


SCRIPT: dict[str, Any] = {
    "run_in": "task",
    "env": {"LR": "{lr}", "RATE": "x{momentum}"},
    "config": {"template": "a.yml", "keys": {"epochs": "train.epochs", "seed": "seed"}},
    "metrics": {
        "source": "stdout",
        "format": "pattern",
        "patterns": ["(?P<val_accuracy>.)"],
        "score": "best",
    },
}


def test_what_is_said_of_an_unchanged_script_survives_every_way_that_specs_are_stored() -> None:
    spec = study(task(**SCRIPT, profiles={"quick": {"target": 0.5}}))
    for read in (
        StudySpec.model_validate_json(spec.model_dump_json(by_alias=True)),
        StudySpec.model_validate(json.loads(json.dumps(spec.model_dump(by_alias=True)))),
    ):
        assert read == spec
        assert read.model_dump() == spec.model_dump()
    quick = spec.task.with_profile("quick")
    assert (quick.config, quick.metrics, quick.env) == (spec.task.config, spec.task.metrics, spec.task.env)


def test_specs_of_earlier_versions_are_read_and_equal_those_of_the_same_manifest() -> None:
    stored = study().model_dump(by_alias=True)
    for field in ("run_in", "env", "config", "metrics"):
        del stored["task"][field]
    assert (
        StudySpec.model_validate(stored).model_dump() == study().model_dump()
    )  # so a study can be continued


def test_where_values_go_in_a_file() -> None:
    assert task().config_paths() == {}
    spec = task(**SCRIPT, fixed={"size": 3})
    assert spec.config_paths() == {
        "optimizer": "optimizer",
        "hidden_size": "hidden_size",
        "batch_size": "batch_size",
        "weight_decay": "weight_decay",
        "size": "size",
        "epochs": "train.epochs",
        "seed": "seed",
    }  # without what the environment hands over
    assert spec.config is not None
    assert spec.config.written_format == "yaml"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"run_in": "home"}, "'trial' or 'task'"),
        ({"env": {"TCS_HPT_TRIAL_DIR": "x"}}, "must not set TCS_HPT_TRIAL_DIR"),
        ({"env": {"A B": "x"}}, "should match pattern"),
        ({"config": {"format": "json"}, "fixed": {"config": "a"}}, "`config` cannot be the name"),
        ({"metrics": {**SCRIPT["metrics"], "patterns": ["(?P<acc>.)"]}}, "no group of `patterns` is called"),
    ],
)
def test_tasks_that_contradict_themselves_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        task(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"patterns": ()}, "`patterns` is missing"),
        ({"patterns": ("(",)}, "no regular expression"),
        ({"patterns": ("(.)",)}, "needs named groups"),
        ({"names": {"a": "b"}}, "`names` has no use"),
        ({"format": "jsonl"}, "`patterns` belong to"),
        ({"format": "csv", "patterns": ()}, "must be pattern or jsonl for stdout"),
        ({"source": ""}, "at least 1 character"),
    ],
)
def test_metrics_that_cannot_be_read_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        MetricsSource.model_validate(SCRIPT["metrics"] | changes)


def test_the_format_of_a_file_has_to_be_known() -> None:
    assert ConfigFile(template="a.JSON").written_format == "json"
    assert ConfigFile(template="a.conf", format="toml").written_format == "toml"
    for wrong in ({}, {"template": "a.conf"}):
        with pytest.raises(ValidationError, match="`format` is needed"):
            ConfigFile.model_validate(wrong)


def test_a_placeholder_that_was_always_allowed_still_is() -> None:
    params = {"config": {"type": "categorical", "choices": ["small", "large"]}}
    assert isinstance(task(params, command=["x", "{config}"]), TaskSpec)
