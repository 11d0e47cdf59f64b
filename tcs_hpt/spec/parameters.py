"""The hyperparameters of a task: what each may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from tcs_hpt.spec._base import Frozen, Name, Scalar


class _Parameter(Frozen):
    when: Mapping[Name, tuple[Scalar, ...]] = {}
    """Active only while each named parameter has one of the listed values; empty means always."""
    description: str = ""
    """One sentence for people and models."""


class _Numeric(_Parameter):
    log: bool = False
    """Search on the logarithmic scale."""

    @model_validator(mode="after")
    def _check_range(self) -> _Numeric:
        low, high, step, default = (getattr(self, k) for k in ("low", "high", "step", "default"))
        if low >= high:
            raise ValueError(f"`low` must be below `high`, got low={low}, high={high}")
        if self.log and low <= 0:
            raise ValueError(f"`low` must be above 0 on a log scale, got low={low}")
        if step is not None:
            if self.log:
                raise ValueError(f"`step` cannot be combined with `log`, got step={step}")
            if step <= 0 or step > high - low:
                raise ValueError(f"`step` must be above 0 and at most high - low, got step={step}")
        if default is not None and not low <= default <= high:
            raise ValueError(
                f"`default` must be between low and high, got default={default}, low={low}, high={high}"
            )
        if default is not None and step is not None and not on_step(default, low, step):
            raise ValueError(
                f"`default` must be low plus a multiple of step, got default={default}, low={low}, step={step}"
            )
        return self


def on_step(value: float, low: float, step: float) -> bool:
    """Whether a number is `low` plus a multiple of `step`, up to rounding."""
    parts = (value - low) / step
    return abs(parts - round(parts)) <= 1e-6


class FloatParameter(_Numeric):
    """A real number in `[low, high]`."""

    type: Literal["float"] = "float"
    low: float
    high: float
    step: float | None = None
    """Distance between allowed values, counted from `low`."""
    default: float | None = None


class IntParameter(_Numeric):
    """A whole number in `[low, high]`."""

    type: Literal["int"] = "int"
    low: int
    high: int
    step: int | None = None
    default: int | None = None


class CategoricalParameter(_Parameter):
    """One of a list of values; a list of rising numbers counts as ordered."""

    type: Literal["categorical"] = "categorical"
    choices: tuple[Scalar, ...] = Field(min_length=2)
    default: Scalar | None = None

    @model_validator(mode="after")
    def _check_choices(self) -> CategoricalParameter:
        if len({(type(c) is bool, c) for c in self.choices}) != len(self.choices):
            raise ValueError(f"`choices` must differ from each other, got {list(self.choices)}")
        for choice in self.choices:
            if isinstance(choice, str) and (
                not choice.strip() or len(choice) > 64 or not choice.isprintable()
            ):
                raise ValueError(f"a choice must be 1 to 64 printable characters, got {choice!r}")
        if self.default is not None and not any(same_scalar(self.default, c) for c in self.choices):
            raise ValueError(f"`default` must be one of the choices, got default={self.default!r}")
        return self

    @property
    def ordered(self) -> bool:
        """Whether neighbouring choices are close to each other."""
        numbers = [c for c in self.choices if isinstance(c, int | float) and not isinstance(c, bool)]
        return len(numbers) == len(self.choices) and list(numbers) == sorted(numbers)


ParameterSpec: TypeAlias = Annotated[
    FloatParameter | IntParameter | CategoricalParameter, Field(discriminator="type")
]


def same_scalar(a: object, b: object) -> bool:
    """Equality that keeps `True` apart from `1`; `1` and `1.0` are the same number."""
    return (type(a) is bool) == (type(b) is bool) and a == b
