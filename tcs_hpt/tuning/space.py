"""The search space of `tune()` as Python spells it: `Float(1e-5, 1e-1, log=True)`, `Int(1, 5)`, `Categorical(["adam", "sgd"])`.

The three give the same `ParameterSpec` that a manifest is read into. Short forms stand for the plainest of them: a tuple of two
numbers is a range, a list is choices, a single value is not tuned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from pydantic import BaseModel, ValidationError

from tcs_hpt.errors import UserError
from tcs_hpt.spec import CategoricalParameter, FloatParameter, IntParameter, ParameterSpec, Scalar

When: TypeAlias = Mapping[str, "Scalar | Sequence[Scalar]"]
"""A parameter's condition: it is active only while each named parameter has the value, or one of the values."""

ParameterLike: TypeAlias = "ParameterSpec | Sequence[Scalar] | Scalar"
"""What may stand for a parameter in a space."""

Model = TypeVar("Model", bound=BaseModel)

WIDE = 1000
"""A range whose ends differ by this factor could be meant on either scale, so a bare tuple is not enough to say it."""


def Float(
    low: float,
    high: float,
    *,
    log: bool = False,
    step: float | None = None,
    default: float | None = None,
    when: When | None = None,
    description: str = "",
) -> FloatParameter:
    """A real number in `[low, high]`.

    Args:
        low: The smallest value.
        high: The largest value.
        log: Whether values differ by factors rather than by steps, as those of a learning rate do.
        step: Distance between allowed values, counted from `low`; not with `log`.
        default: Where the study starts; the middle of the scale if not given.
        when: `{"optimizer": "sgd"}`: the parameter exists only while another has a value, or one of several.
        description: One sentence for people and models.

    Raises:
        UserError: The values do not fit together.
    """
    given = {"low": low, "high": high, "log": log, "step": step, "default": default}
    return checked(FloatParameter, _common(given, when, description))


def Int(
    low: int,
    high: int,
    *,
    log: bool = False,
    step: int | None = None,
    default: int | None = None,
    when: When | None = None,
    description: str = "",
) -> IntParameter:
    """A whole number in `[low, high]`; the arguments are those of `Float`.

    Raises:
        UserError: The values do not fit together.
    """
    given = {"low": low, "high": high, "log": log, "step": step, "default": default}
    return checked(IntParameter, _common(given, when, description))


def Categorical(
    choices: Sequence[Scalar],
    *,
    default: Scalar | None = None,
    when: When | None = None,
    description: str = "",
) -> CategoricalParameter:
    """One of a list of values; a list of rising numbers counts as ordered.

    Args:
        choices: At least two strings, numbers or truth values, all different.
        default: Where the study starts; the middle of the list if not given.
        when: As for `Float`.
        description: One sentence for people and models.

    Raises:
        UserError: The values do not fit together.
    """
    given = {"choices": [_plain(c) for c in choices], "default": _plain(default)}
    return checked(CategoricalParameter, _common(given, when, description))


def read_space(
    space: Mapping[str, ParameterLike],
) -> tuple[dict[str, ParameterSpec], dict[str, Scalar]]:
    """What is tuned, and the values that are not, by name.

    Raises:
        UserError: Something in the space cannot be read.
    """
    params: dict[str, ParameterSpec] = {}
    fixed: dict[str, Scalar] = {}
    for name, given in space.items():
        read = _read(name, _plain(given))
        if isinstance(read, FloatParameter | IntParameter | CategoricalParameter):
            params[name] = read
        else:
            fixed[name] = read
    return params, fixed


def checked(model: type[Model], fields: Mapping[str, Any]) -> Model:
    """The fields as a value of a specification.

    Raises:
        UserError: They are not one; every problem is named.
    """
    try:
        return model.model_validate(dict(fields))
    except ValidationError as error:
        problems = "; ".join(_problem(found) for found in error.errors())
        raise UserError(
            f"{model.__name__} cannot be made: {problems}",
            hint="Correct the arguments; `help(tcs_hpt.tune)` describes them.",
        ) from error


def _read(name: str, given: Any) -> ParameterSpec | Scalar:
    if isinstance(given, FloatParameter | IntParameter | CategoricalParameter | bool | int | float | str):
        return given
    if isinstance(given, tuple) and len(given) == 2 and all(_is_number(v) for v in given):
        return _range(name, *(_plain(v) for v in given))
    if isinstance(given, list | range) and len(given) == 1:
        return _read(name, _plain(given[0]))
    if isinstance(given, list | range):
        return Categorical(given)
    raise UserError(
        f"`space[{name!r}]` is neither a parameter nor one of the short forms, got {given!r}",
        hint="Write tcs_hpt.Float, Int or Categorical; or (low, high) for a range, a list for choices, one value to fix it.",
    )


def _range(name: str, low: Any, high: Any) -> ParameterSpec:
    kind = "Int" if isinstance(low, int) and isinstance(high, int) else "Float"
    if low > 0 and high / low >= WIDE:
        raise UserError(
            f"`space[{name!r}]` is a range over a factor of {high / low:g}, and a tuple does not say on which scale",
            hint=f"Write tcs_hpt.{kind}({low}, {high}, log=True), or without log=True if equal steps are meant.",
        )
    return Int(low, high) if kind == "Int" else Float(low, high)


def _common(given: dict[str, Any], when: When | None, description: str) -> dict[str, Any]:
    conditions = {
        name: [values] if isinstance(values, bool | int | float | str) else list(values)
        for name, values in (when or {}).items()
    }
    return {**given, "when": conditions, "description": description}


def _is_number(value: object) -> bool:
    return isinstance(_plain(value), int | float) and not isinstance(_plain(value), bool)


def _plain(value: Any) -> Any:
    """NumPy's scalars as Python's; everything else as it is."""
    is_scalar = hasattr(value, "item") and not getattr(value, "ndim", 0)
    return value.item() if is_scalar else value


def _problem(found: Any) -> str:
    place = ".".join(str(part) for part in found["loc"])
    message = str(found["msg"]).removeprefix("Value error, ")
    return f"`{place}`: {message}, got {found['input']!r}" if place else message
