"""Bringing what is known into the range that the user declared."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from tcs_hpt.evidence.knowledge._entry import Entry
from tcs_hpt.evidence.knowledge._names import optimizer, plain
from tcs_hpt.space import SearchSpace, check_value, format_value
from tcs_hpt.spec import CategoricalParameter, IntParameter, ParameterSpec, Scalar


@dataclass(frozen=True)
class Fitted:
    """A first value inside the user's range, and the part of the range that is worth trying."""

    value: Scalar
    low: float | None
    high: float | None
    cut: bool
    """Whether the usual first value had to move to stay inside."""
    near: bool
    """Whether all usual values lie outside, though near."""


def choice_name(entry: Entry, choice: object) -> str:
    """A choice as the entry lists it."""
    return optimizer(choice) if entry.concept == "optimizer" else plain(choice)


def as_switch(parameter: ParameterSpec) -> Mapping[str, Scalar] | None:
    """The values that mean on and off, if the parameter is such a switch."""
    if isinstance(parameter, IntParameter):
        return {"false": 0, "true": 1} if (parameter.low, parameter.high) == (0, 1) else None
    if isinstance(parameter, CategoricalParameter) and len(parameter.choices) == 2:
        names = {{"0": "false", "1": "true"}.get(plain(c), plain(c)): c for c in parameter.choices}
        return names if set(names) == {"false", "true"} else None
    return None


def numbers(parameter: ParameterSpec) -> tuple[float, ...]:
    """The numeric choices, or the ends of the range; rising."""
    if isinstance(parameter, CategoricalParameter):
        found = (c for c in parameter.choices if isinstance(c, int | float) and not isinstance(c, bool))
        return tuple(sorted(float(c) for c in found if math.isfinite(c)))
    return float(parameter.low), float(parameter.high)


def applies(entry: Entry, parameter: ParameterSpec) -> bool:
    """Whether the parameter's type is one that the entry speaks of."""
    if entry.switch:
        return as_switch(parameter) is not None
    if isinstance(parameter, CategoricalParameter):
        listed = any(choice_name(entry, c) in entry.worth for c in parameter.choices if isinstance(c, str))
        return listed or (entry.first is not None and bool(numbers(parameter)))
    if entry.first is None:
        return False
    return not (isinstance(parameter, IntParameter) and entry.high <= 1)  # a whole number is no fraction


def fit(entry: Entry, space: SearchSpace, name: str, factor: float = 1.0) -> Fitted | str:
    """The entry's advice in the space, or why it has none.

    Args:
        entry: One that `applies`.
        space: Holds `name`.
        name: The parameter.
        factor: What the entry's numbers are multiplied with.
    """
    parameter = space.params[name]
    switch = as_switch(parameter) if entry.switch else None
    if switch is not None:
        best = max(entry.worth, key=lambda k: entry.worth[k])
        return Fitted(switch[best], None, None, False, False)
    if isinstance(parameter, CategoricalParameter):
        return _fit_choices(entry, parameter, factor)
    if entry.first is None:
        return "nothing is known of its choices"
    bottom, top = numbers(parameter)
    fitted = _interval(entry, bottom, top, factor)
    if isinstance(fitted, str):
        return fitted
    value, low, high, near = fitted
    rounded = _allowed(space, name, value)
    if rounded is None:
        return "no usual value is allowed here"
    return Fitted(rounded, low, high, _moved(value, _scaled(entry.first, factor)), near)


def _fit_choices(entry: Entry, parameter: CategoricalParameter, factor: float) -> Fitted | str:
    listed = {choice_name(entry, c): c for c in reversed(parameter.choices) if isinstance(c, str)}
    ranked = [(w, k) for k, w in entry.worth.items() if k in listed]
    options = numbers(parameter)
    if ranked:
        best = max(ranked, key=lambda pair: pair[0])  # ties keep the table's order
        if best[0] >= 0.5 or not options:
            return Fitted(listed[best[1]], None, None, best[0] < max(entry.worth.values()), False)
    if entry.first is None or not options:
        return "nothing is known of its choices"
    fitted = _interval(entry, options[0], options[-1], factor)
    if isinstance(fitted, str):
        return fitted
    value, low, high, near = fitted
    nearest = min(options, key=lambda o: (_apart(entry, o, value), o))
    choice = next(c for c in parameter.choices if not isinstance(c, bool | str) and float(c) == nearest)
    return Fitted(choice, low, high, _moved(nearest, _scaled(entry.first, factor)), near)


def _interval(
    entry: Entry, bottom: float, top: float, factor: float
) -> tuple[float, float, float, bool] | str:
    """First value, the range worth trying, and whether both were only near; inside `[bottom, top]`."""
    assert entry.first is not None
    first, low, high = (_scaled(v, factor) for v in (entry.first, entry.low, entry.high))
    if bottom <= high and top >= low:
        low, high = max(low, bottom), min(high, top)
        return min(max(first, low), high), low, high, False
    edge, gap_from = (top, low) if top < low else (bottom, high)
    if entry.log and (edge <= 0 or gap_from <= 0):
        near = False
    elif entry.log:
        near = abs(math.log10(edge) - math.log10(gap_from)) <= entry.reach
    else:
        near = abs(edge - gap_from) <= entry.reach * (high - low)
    if not near:
        usual = f"{format_value(_short(low))} to {format_value(_short(high))}"
        return f"usual values, {usual}, lie outside {format_value(bottom)} to {format_value(top)}"
    return edge, edge, edge, True


def _allowed(space: SearchSpace, name: str, value: float) -> Scalar | None:
    """The value as the parameter writes it; None when no allowed value is close."""
    parameter = space.params[name]
    assert not isinstance(parameter, CategoricalParameter)
    new: Scalar = _short(value)
    if isinstance(parameter, IntParameter) or parameter.step is not None:
        new = space.round(name, value)
    elif not parameter.low <= float(new) <= parameter.high:
        new = min(max(value, parameter.low), parameter.high)
    return new if check_value(name, parameter, new) is None else None


def _short(value: float) -> float:
    return float(f"{value:.2g}")


def _scaled(value: float, factor: float) -> float:
    return value if factor == 1 else _short(value * factor)


def _moved(value: float, first: float) -> bool:
    return abs(value - first) > 0.05 * max(abs(first), abs(value))


def _apart(entry: Entry, a: float, b: float) -> float:
    if entry.log:
        return abs(math.log(a) - math.log(b)) if a > 0 and b > 0 else math.inf if a != b else 0.0
    return abs(a - b)


def worth(entry: Entry, parameter: ParameterSpec, value: object, factor: float = 1.0) -> float:
    """How sensible a value is, in [0, 1]: 1 inside the range worth trying, falling with the distance outside.

    A third of the range's width away it is 0.5. What the entry does not speak of is 0.5.
    """
    if entry.switch:
        names = as_switch(parameter)
        found = next((k for k, v in (names or {}).items() if v == value), None)
        return entry.worth.get(found or "", 0.5)
    if isinstance(value, str):
        return entry.worth.get(choice_name(entry, value), 0.5)
    if isinstance(value, bool) or not isinstance(value, int | float) or entry.first is None:
        return 0.5
    number, low, high = float(value), _scaled(entry.low, factor), _scaled(entry.high, factor)
    if not math.isfinite(number):
        return 0.0
    if low <= number <= high:
        return 1.0
    if entry.log:
        if number <= 0:
            return entry.zero if number == 0 else 0.0
        low, high, number = math.log10(low), math.log10(high), math.log10(number)
    width = max((high - low) / 3, 0.25 if entry.log else 1e-12)
    outside = max(low - number, number - high) / width
    return 1 / (1 + outside * outside)
