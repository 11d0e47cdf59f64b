from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcs_hpt.space import Change, SearchSpace, format_value
from tests.build import configs, spaces, task


@pytest.fixture
def space() -> SearchSpace:
    return SearchSpace(task().params)


def test_defaults_leave_inactive_parameters_out(space: SearchSpace) -> None:
    assert space.defaults() == {
        "lr": 0.001,
        "optimizer": "adam",
        "hidden_size": 100,
        "batch_size": 128,
        "weight_decay": 1e-4,
        "epochs": 10,
    }


def test_a_change_switches_children_on_and_off(space: SearchSpace) -> None:
    base = space.defaults()
    sgd = space.changed(base, "optimizer", "sgd")
    assert sgd["momentum"] == 0.9
    assert space.changed_parameters(base, sgd) == ("optimizer",)
    assert space.changed(sgd, "optimizer", "adam") == base
    assert space.changed_parameters(sgd, base) == ("optimizer",)


def test_a_child_takes_its_last_tested_value_when_switched_on_again(space: SearchSpace) -> None:
    sgd = space.changed(space.defaults(), "optimizer", "sgd", {"momentum": 0.5})
    assert sgd["momentum"] == 0.5


def test_a_child_with_another_value_counts_as_a_second_change_only_when_it_was_there(
    space: SearchSpace,
) -> None:
    sgd = space.changed(space.defaults(), "optimizer", "sgd")
    moved = {**sgd, "momentum": 0.3}
    assert space.changed_parameters(sgd, moved) == ("momentum",)
    assert space.changed_parameters(sgd, {**moved, "lr": 0.1}) == ("lr", "momentum")


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"lr": 2.0}, "range"),
        ({"lr": "0.1"}, "type"),
        ({"lr": math.nan}, "range"),
        ({"lr": math.inf}, "range"),
        ({"lr": True}, "type"),
        ({"lr": None}, "type"),
        ({"hidden_size": 32.0}, "type"),
        ({"hidden_size": 10**400}, "range"),
        ({"optimizer": "adamw"}, "choice"),
        ({"optimizer": ["adam"]}, "choice"),
        ({"batch_size": "64"}, "choice"),
        ({"momentum": 0.5}, "inactive"),
        ({"depth": 3}, "unknown"),
    ],
)
def test_violations_name_the_rule(space: SearchSpace, change: dict[str, Any], rule: str) -> None:
    found = space.violations({**space.defaults(), **change})
    assert [v.rule for v in found] == [rule]
    assert found[0].parameter == next(iter(change))


def test_missing_parameters_are_violations(space: SearchSpace) -> None:
    assert {v.rule for v in space.violations({})} == {"missing"}


def test_true_is_not_the_choice_one() -> None:
    space = SearchSpace(task({"n": {"type": "categorical", "choices": [0, 1]}}).params)
    assert space.contains({"n": 1})
    assert not space.contains({"n": True})


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ({"lr": 0.001}, {"lr": 0.0010001}, True),
        ({"lr": 0.001}, {"lr": 0.00101}, False),
        ({"momentum": 0.9, "optimizer": "sgd"}, {"momentum": 0.90001, "optimizer": "sgd"}, True),
        ({"momentum": 0.9, "optimizer": "sgd"}, {"momentum": 0.902, "optimizer": "sgd"}, False),
    ],
)
def test_identity_after_rounding(
    space: SearchSpace, a: dict[str, Any], b: dict[str, Any], same: bool
) -> None:
    base = space.defaults()
    assert (space.key(space.completed({**base, **a})) == space.key(space.completed({**base, **b}))) is same


def test_steps_are_counted_from_low() -> None:
    space = SearchSpace(task({"x": {"type": "float", "low": 0.1, "high": 1.0, "step": 0.2}}).params)
    assert space.contains({"x": 0.5})
    assert not space.contains({"x": 0.6})
    assert space.round("x", 0.62) == pytest.approx(0.7)
    assert space.round("x", 99.0) == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-4, "1e-4"),
        (0.003, "0.003"),
        (0.00031, "3.1e-4"),
        (64, "64"),
        (1.0, "1"),
        (True, "true"),
        ("sgd", "sgd"),
        (None, "none"),
        (123456.789, "123457"),
        (0.0, "0"),
    ],
)
def test_values_are_written_short(value: Any, text: str) -> None:
    assert format_value(value) == text


def test_a_change_reads_as_the_agents_see_it() -> None:
    assert Change("lr", 0.01, 0.003).text == "lr: 0.01 -> 0.003"


def test_values_cover_the_scale_with_round_numbers(space: SearchSpace) -> None:
    assert [format_value(v) for v in space.values("lr", 5)] == ["1e-4", "0.001", "0.01", "0.1", "1"]


@given(st.data(), spaces())
def test_decoded_points_are_inside_and_round_trip(data: st.DataObject, space: SearchSpace) -> None:
    config = data.draw(configs(space))
    assert space.violations(config) == []
    again = space.decode(space.encode(config))
    assert space.key(again) == space.key(config)


@given(st.data(), spaces())
def test_encode_stays_in_the_unit_cube(data: st.DataObject, space: SearchSpace) -> None:
    point = space.encode(data.draw(configs(space)))
    active = point[~np.isnan(point)]
    assert ((active >= 0) & (active <= 1)).all()


@given(st.data(), spaces())
def test_rounding_is_idempotent_and_stays_inside(data: st.DataObject, space: SearchSpace) -> None:
    config = data.draw(configs(space))
    for name, value in config.items():
        rounded = space.round(name, value)
        assert space.round(name, rounded) == rounded
        tidy = space.tidy(name, value)
        assert space.violations({**config, name: tidy}) == [] or space.active(
            {**config, name: tidy}
        ) != space.active(config)


@given(st.data(), spaces())
def test_distance_is_a_symmetric_bounded_premetric(data: st.DataObject, space: SearchSpace) -> None:
    a, b = data.draw(configs(space)), data.draw(configs(space))
    assert space.distance(a, a) == 0
    assert space.distance(a, b) == pytest.approx(space.distance(b, a))
    assert 0 <= space.distance(a, b) <= 1


@given(st.data(), spaces())
def test_values_are_inside_the_space(data: st.DataObject, space: SearchSpace) -> None:
    for name in space.names:
        values = space.values(name, 7)
        assert len(set(map(repr, values))) == len(values)
        for value in values:
            config = space.completed({name: value})
            assert space.contains(config)
