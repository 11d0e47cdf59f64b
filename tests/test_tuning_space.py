"""The space that a call of `tune` is given: short forms, parameters, conditions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tcs_hpt.errors import UserError
from tcs_hpt.spec import CategoricalParameter, FloatParameter, IntParameter
from tcs_hpt.tuning import Categorical, Float, Int, tune
from tcs_hpt.tuning.space import read_space


def test_the_short_forms_of_a_space() -> None:
    params, fixed = read_space(
        {
            "a": (1, 5),
            "b": (0.0, 0.5),
            "c": ["x", "y"],
            "d": [True, False],
            "e": 3,
            "f": ["only"],
            "g": (np.int64(1), np.float32(2)),  # type: ignore[dict-item]
            "h": range(1, 4),
            "i": Int(1, 1000, log=True),
        }
    )
    assert fixed == {"e": 3, "f": "only"}
    assert params == {
        "a": IntParameter(low=1, high=5),
        "b": FloatParameter(low=0.0, high=0.5),
        "c": CategoricalParameter(choices=("x", "y")),
        "d": CategoricalParameter(choices=(True, False)),
        "g": FloatParameter(low=1.0, high=2.0),
        "h": CategoricalParameter(choices=(1, 2, 3)),
        "i": IntParameter(low=1, high=1000, log=True),
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((1e-5, 1e-1), "does not say on which scale"),
        (("a", "b"), "neither a parameter nor one of the short forms"),
        ((1, 2, 3), "neither a parameter nor one of the short forms"),
        (None, "neither a parameter nor one of the short forms"),
    ],
)
def test_what_a_short_form_does_not_say_is_asked_for(given: Any, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read_space({"lr": given})
    assert "tcs_hpt.Float" in caught.value.hint


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Float(1.0, 0.1), "`low` must be below `high`, got low=1.0, high=0.1"),
        (lambda: Float(0.0, 0.1, log=True), "`low` must be above 0 on a log scale"),
        (lambda: Int(1, 5, default=7), "`default` must be between low and high"),
        (lambda: Int(1.5, 5), "IntParameter cannot be made: `low`"),  # type: ignore[arg-type]
        (lambda: Categorical(["a"]), "at least 2 items"),
        (lambda: Categorical(["a", None]), "`choices"),  # type: ignore[list-item]
    ],
)
def test_a_wrong_parameter_is_named_where_it_is_written(make: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make()


def test_conditions_are_those_of_a_manifest(tmp_path: Path) -> None:
    assert Float(0.5, 0.99, when={"optimizer": "sgd"}).when == {"optimizer": ("sgd",)}
    space: dict[str, Any] = {"a": (1, 5), "b": Float(0, 1, when={"nothing": [1]})}
    with pytest.raises(UserError, match="'nothing', which is not a parameter"):
        tune(
            lambda params, trial: 0.0,
            space,
            direction="maximize",
            method="expert",
            store=tmp_path / "s.db",
            progress=False,
        )
