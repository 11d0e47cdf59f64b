"""Single values of parameters: the middle of a scale, and what a person typed."""

from __future__ import annotations

import math

from tcs_hpt.errors import UserError
from tcs_hpt.spec._base import Scalar
from tcs_hpt.spec.parameters import CategoricalParameter, IntParameter, ParameterSpec, on_step, same_scalar


def middle(parameter: ParameterSpec) -> Scalar:
    """The middle of a parameter's own scale: geometric for log, the first of an even number of choices' centre."""
    if isinstance(parameter, CategoricalParameter):
        return parameter.choices[(len(parameter.choices) - 1) // 2]
    centre = (
        math.sqrt(parameter.low) * math.sqrt(parameter.high)
        if parameter.log
        else parameter.low + (parameter.high - parameter.low) / 2
    )
    if parameter.step is not None:
        centre = parameter.low + parameter.step * math.floor((centre - parameter.low) / parameter.step + 0.5)
    value = round(centre) if isinstance(parameter, IntParameter) else float(centre)
    return min(max(value, parameter.low), parameter.high)


def coerce(parameter: ParameterSpec, value: object, name: str) -> Scalar:
    """`value`, perhaps typed as text, as a value of this parameter.

    Raises:
        UserError: It is not one.
    """
    if isinstance(parameter, CategoricalParameter):
        for choice in parameter.choices:
            if same_choice(choice, value):
                return choice
        raise UserError(
            f"{name} must be one of {', '.join(map(str, parameter.choices))}, got {value!r}",
            hint="Choose one of the listed values.",
        )
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise UserError(f"{name} must be a number, got {value!r}", hint="Write it as in 0.01 or 1e-2.")
    if isinstance(parameter, IntParameter):
        if number != int(number):
            raise UserError(f"{name} must be a whole number, got {value!r}", hint="Leave out the fraction.")
        number = int(number)
    if parameter.step is not None and not on_step(number, parameter.low, parameter.step):
        raise UserError(
            f"{name} must be {parameter.low} plus a multiple of {parameter.step}, got {value!r}",
            hint="Choose a value on the grid.",
        )
    if not parameter.low <= number <= parameter.high:
        raise UserError(
            f"{name} must be between {parameter.low} and {parameter.high}, got {value!r}",
            hint="Choose a value in the range, or widen the range in the task.toml.",
        )
    return number


def same_choice(choice: Scalar, value: object) -> bool:
    """Whether a value, perhaps typed as text, means this choice: `1e-4` is 0.0001, `SGD` is `sgd`."""
    if same_scalar(choice, value):
        return True
    if not isinstance(value, str):
        return False
    if value.strip().lower() == str(choice).lower():
        return True
    if isinstance(choice, bool | str):
        return False
    try:
        return float(value) == choice
    except ValueError:
        return False


def like(old: Scalar, value: Scalar, name: str) -> Scalar:
    """`value`, perhaps typed as text, as a value of the same type as `old`."""
    if not isinstance(value, str) or isinstance(old, str):
        return value
    try:
        if isinstance(old, bool):
            return {"true": True, "false": False}[value.lower()]
        number = int(value) if isinstance(old, int) and value.lstrip("+-").isdigit() else float(value)
        if not math.isfinite(number):
            raise ValueError
        return number
    except (KeyError, ValueError):
        raise UserError(
            f"{name} is fixed at {old!r}; {value!r} is not a value of the same type",
            hint=f"Write it as in --fix {name}={old}.",
        ) from None
