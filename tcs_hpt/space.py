"""The search space: which configurations exist, which are the same, and which lie next to each other.

All functions are pure. A *configuration* maps every active parameter to a value and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tcs_hpt.spec import (
    CategoricalParameter,
    Config,
    FloatParameter,
    IntParameter,
    ParameterSpec,
    Scalar,
    middle,
    same_scalar,
)

Key = tuple[tuple[str, Scalar], ...]
"""Identity of a configuration: active parameters after rounding, in the space's order."""

LOG_DIGITS = 3
"""Significant digits of a log float that count; more are the same configuration."""
LINEAR_PARTS = 1000
"""A linear float is rounded to the range divided by this."""


@dataclass(frozen=True)
class Violation:
    """One way in which a configuration is outside the space."""

    parameter: str
    rule: str
    """`unknown`, `missing`, `inactive`, `type`, `range`, `step` or `choice`."""
    message: str

    def __str__(self) -> str:
        return self.message


@dataclass(frozen=True)
class Change:
    """One parameter set to another value."""

    parameter: str
    old: Scalar | None
    new: Scalar

    @property
    def text(self) -> str:
        """As agents see it: `lr: 0.01 -> 0.003`."""
        old = "unset" if self.old is None else format_value(self.old)
        return f"{self.parameter}: {old} -> {format_value(self.new)}"


def format_value(value: Scalar | None) -> str:
    """A value as people write it; numbers with at most four significant digits, small ones as 1e-4."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if value == int(value) and abs(value) < 1e6:
            return str(int(value))
        text = f"{value:.6g}" if abs(value) >= 1000 else f"{value:.4g}"
        if 0 < abs(value) < 1e-3 and "e" not in text:
            mantissa, exponent = f"{value:.3e}".split("e")
            text = f"{mantissa.rstrip('0').rstrip('.')}e{exponent}"
        return text.replace("e-0", "e-").replace("e+0", "e+")
    return str(value)


class SearchSpace:
    """The space that the parameters of a task span.

    Args:
        params: Parameters by name, in the order of the manifest. Conditions are assumed valid (`TaskSpec` checks them).
    """

    def __init__(self, params: Mapping[str, ParameterSpec]) -> None:
        self.params = dict(params)
        self.names = tuple(self.params)
        self.parents_first = self._order()
        """All names, each after the parameters that its condition depends on."""

    def _order(self) -> tuple[str, ...]:
        done: list[str] = []
        while len(done) < len(self.names):
            ready = [
                n
                for n in self.names
                if n not in done and all(parent in done for parent in self.params[n].when)
            ]
            if not ready:
                raise ValueError(f"conditions that cannot be met: {sorted(set(self.names) - set(done))}")
            done += ready
        return tuple(done)

    # -- what is inside -------------------------------------------------------------------------------------

    def active(self, config: Mapping[str, Scalar]) -> tuple[str, ...]:
        """Names that a configuration must have, given the values of the parents; in the space's order."""
        on: set[str] = set()
        for name in self.parents_first:
            when = self.params[name].when
            if all(
                parent in on and parent in config and any(same_scalar(config[parent], v) for v in values)
                for parent, values in when.items()
            ):
                on.add(name)
        return tuple(n for n in self.names if n in on)

    def violations(self, config: Mapping[str, Any]) -> list[Violation]:
        """Everything that keeps `config` out of the space; empty when it is inside. Never raises."""
        found = [Violation(n, "unknown", f"{n} is not a parameter") for n in config if n not in self.params]
        active = self.active(config)
        for name in self.names:
            if name in config and name not in active:
                conditions = " and ".join(
                    f"{p} is {' or '.join(format_value(v) for v in vs)}"
                    for p, vs in self.params[name].when.items()
                )
                found.append(Violation(name, "inactive", f"{name} exists only when {conditions}"))
            elif name in active and name not in config:
                found.append(Violation(name, "missing", f"{name} has no value"))
            elif name in active:
                problem = check_value(name, self.params[name], config[name])
                if problem is not None:
                    found.append(problem)
        return found

    def contains(self, config: Mapping[str, Any]) -> bool:
        """Whether `config` has exactly the active parameters, each with an allowed value."""
        return not self.violations(config)

    # -- which are the same ---------------------------------------------------------------------------------

    def round(self, name: str, value: Scalar) -> Scalar:
        """The representative of all values that count as the same, always inside the range."""
        parameter = self.params[name]
        if isinstance(parameter, CategoricalParameter):
            return next((c for c in parameter.choices if same_scalar(c, value)), value)
        number = float(value)
        if parameter.step is not None:
            parts = math.floor((number - parameter.low) / parameter.step + 0.5)
            parts = min(parts, math.floor((parameter.high - parameter.low) / parameter.step + 1e-9))
            number = parameter.low + max(parts, 0) * parameter.step
        if isinstance(parameter, IntParameter):
            return int(min(max(math.floor(number + 0.5), parameter.low), parameter.high))
        if parameter.step is None and parameter.log:
            number = float(f"{number:.{LOG_DIGITS - 1}e}")
        elif parameter.step is None:
            unit = (parameter.high - parameter.low) / LINEAR_PARTS
            number = parameter.low + math.floor((number - parameter.low) / unit + 0.5) * unit
        return min(max(float(f"{number:.12g}"), parameter.low), parameter.high)

    def tidy(self, name: str, value: Scalar) -> Scalar:
        """An allowed value near `value` that is short to write: three digits of a log float, whole steps.

        Linear floats keep as many decimals as a thousandth of the range needs.
        """
        parameter = self.params[name]
        if not isinstance(parameter, FloatParameter) or parameter.log or parameter.step is not None:
            return self.round(name, value)
        decimals = math.ceil(-math.log10((parameter.high - parameter.low) / LINEAR_PARTS))
        return min(max(round(float(value), decimals), parameter.low), parameter.high)

    def rounded(self, config: Mapping[str, Scalar]) -> Config:
        """`config` with every value rounded; the active set stays the same."""
        return {n: self.round(n, config[n]) for n in self.names if n in config}

    def key(self, config: Mapping[str, Scalar]) -> Key:
        """Identity of a configuration; equal keys are duplicates."""
        rounded = self.rounded(config)
        return tuple((n, _identity(rounded[n])) for n in self.active(rounded) if n in rounded)

    def differences(self, a: Mapping[str, Scalar], b: Mapping[str, Scalar]) -> tuple[str, ...]:
        """Names whose rounded values differ, or that only one side has; in the space's order."""
        a, b = self.rounded(a), self.rounded(b)
        return tuple(
            n for n in self.names if (n in a) != (n in b) or (n in a and not same_scalar(a[n], b[n]))
        )

    # -- where a configuration comes from -------------------------------------------------------------------

    def default(self, name: str) -> Scalar:
        """The declared default, else the middle of the scale."""
        parameter = self.params[name]
        return self.tidy(name, middle(parameter)) if parameter.default is None else parameter.default

    def defaults(self) -> Config:
        """The configuration a study starts from."""
        return self.completed({})

    def middles(self) -> Config:
        """The middle of every scale, whatever the defaults say."""
        return self.completed({n: self.tidy(n, middle(p)) for n, p in self.params.items()})

    def completed(
        self, values: Mapping[str, Scalar], last_tested: Mapping[str, Scalar] | None = None
    ) -> Config:
        """A configuration from `values`: inactive ones dropped, missing ones filled in.

        A missing active parameter takes `last_tested`'s value, else its default.
        """
        last_tested = last_tested or {}
        config: Config = {}
        for name in self.parents_first:
            if name not in self.active(config | {name: 0}):
                continue
            if name in values:
                config[name] = values[name]
            elif name in last_tested and check_value(name, self.params[name], last_tested[name]) is None:
                config[name] = last_tested[name]
            else:
                config[name] = self.default(name)
        return {n: config[n] for n in self.names if n in config}

    def changed(
        self,
        base: Mapping[str, Scalar],
        name: str,
        value: Scalar,
        last_tested: Mapping[str, Scalar] | None = None,
    ) -> Config:
        """`base` with one parameter set; children it switches on are filled in, those it switches off vanish."""
        return self.completed({**base, name: value}, last_tested)

    def changed_parameters(self, base: Mapping[str, Scalar], config: Mapping[str, Scalar]) -> tuple[str, ...]:
        """Which parameters were *set* to get from `base` to `config`.

        Children that appear or vanish because a parent changed do not count.
        """
        different = self.differences(base, config)
        before, after = set(self.active(base)), set(self.active(config))
        return tuple(n for n in different if not ((n in after) != (n in before) and self.params[n].when))

    # -- geometry -------------------------------------------------------------------------------------------

    def to_unit(self, name: str, value: Scalar) -> float:
        """Place of a value on its own scale, in [0, 1]; choices are spread evenly."""
        parameter = self.params[name]
        if isinstance(parameter, CategoricalParameter):
            index = next(i for i, c in enumerate(parameter.choices) if same_scalar(c, value))
            return index / (len(parameter.choices) - 1)
        low, high, number = float(parameter.low), float(parameter.high), float(value)
        if parameter.log:
            low, high, number = math.log(low), math.log(high), math.log(number)
        return min(max((number - low) / (high - low), 0.0), 1.0)

    def from_unit(self, name: str, place: float) -> Scalar:
        """The tidy value at a place in [0, 1] of a parameter's scale; outside is clipped."""
        parameter = self.params[name]
        place = min(max(place, 0.0), 1.0)
        if isinstance(parameter, CategoricalParameter):
            return parameter.choices[math.floor(place * (len(parameter.choices) - 1) + 0.5)]
        low, high = float(parameter.low), float(parameter.high)
        if parameter.log:
            number = math.exp(math.log(low) + place * (math.log(high) - math.log(low)))
        else:
            number = low + place * (high - low)
        return self.tidy(name, number)

    def encode(self, config: Mapping[str, Scalar]) -> NDArray[np.float64]:
        """`config` in the unit cube. Shape [D], the space's order; inactive parameters are NaN."""
        return np.array(
            [self.to_unit(n, config[n]) if n in config else math.nan for n in self.names], dtype=np.float64
        )

    def decode(self, point: Sequence[float] | NDArray[np.float64]) -> Config:
        """The configuration at a point of the unit cube, shape [D]; NaN takes the default."""
        values = {
            n: self.from_unit(n, float(u))
            for n, u in zip(self.names, point, strict=True)
            if not math.isnan(u)
        }
        return self.completed(values)

    def distance(self, a: Mapping[str, Scalar], b: Mapping[str, Scalar]) -> float:
        """Mean per-parameter distance in [0, 1] over all parameters active in either.

        Numbers and ordered choices count their distance on the scale, unordered choices 0 or 1, and a parameter
        that only one side has counts 1.
        """
        names = [n for n in self.names if n in a or n in b]
        if not names:
            return 0.0
        total = 0.0
        for name in names:
            parameter = self.params[name]
            if name not in a or name not in b:
                total += 1.0
            elif isinstance(parameter, CategoricalParameter) and not parameter.ordered:
                total += not same_scalar(a[name], b[name])
            else:
                total += abs(self.to_unit(name, a[name]) - self.to_unit(name, b[name]))
        return total / len(names)

    def values(self, name: str, count: int) -> tuple[Scalar, ...]:
        """About `count` different values spread evenly over a parameter's scale, rising, ends included.

        Log scales give round numbers where the range holds enough of them.
        """
        parameter = self.params[name]
        if isinstance(parameter, CategoricalParameter):
            return parameter.choices
        places = [i / (count - 1) for i in range(count)]
        return _unique([nice(self, name, self.from_unit(name, u)) for u in places])

    def json_schema(self) -> dict[str, Any]:
        """JSON Schema of an object that holds any of the parameters, each inside its range."""
        return {
            "type": "object",
            "properties": {n: value_schema(p) for n, p in self.params.items()},
            "additionalProperties": False,
        }


def _identity(value: Scalar) -> Scalar:
    """A hashable value that keeps `True` apart from `1`, which Python holds to be equal."""
    return f"bool:{value}" if isinstance(value, bool) else value


def _unique(values: Iterable[Scalar]) -> tuple[Scalar, ...]:
    return tuple(dict.fromkeys(values))


def nice(space: SearchSpace, name: str, value: Scalar) -> Scalar:
    """A value near `value` with one or two significant digits, if the parameter allows it.

    Log scales use one digit (0.003), linear ones two (0.15). Steps and choices stay as they are.
    """
    parameter = space.params[name]
    if isinstance(parameter, CategoricalParameter) or parameter.step is not None or isinstance(value, str):
        return value
    if value in (parameter.low, parameter.high) or value == 0:
        return value
    if isinstance(parameter, IntParameter):
        return space.round(name, float(f"{float(value):.1e}"))
    return space.tidy(name, float(f"{float(value):.{0 if parameter.log else 1}e}"))


def check_value(name: str, parameter: ParameterSpec, value: object) -> Violation | None:
    """What is wrong with one value, or None."""
    if isinstance(parameter, CategoricalParameter):
        if any(same_scalar(c, value) for c in parameter.choices):
            return None
        allowed = ", ".join(format_value(c) for c in parameter.choices)
        return Violation(name, "choice", f"{name} must be one of {allowed}, got {_short(value)}")
    wanted = "a whole number" if isinstance(parameter, IntParameter) else "a number"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return Violation(name, "type", f"{name} must be {wanted}, got {_short(value)}")
    if isinstance(parameter, IntParameter) and not isinstance(value, int):
        return Violation(name, "type", f"{name} must be a whole number, got {_short(value)}")
    if not parameter.low <= value <= parameter.high:  # NaN compares false and lands here
        low, high = format_value(parameter.low), format_value(parameter.high)
        return Violation(name, "range", f"{name} must be between {low} and {high}, got {_short(value)}")
    if parameter.step is not None:
        parts = (value - parameter.low) / parameter.step
        if abs(parts - round(parts)) > 1e-6:
            return Violation(
                name,
                "step",
                f"{name} must be {format_value(parameter.low)} plus a multiple of "
                f"{format_value(parameter.step)}, got {_short(value)}",
            )
    return None


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def value_schema(parameter: ParameterSpec) -> dict[str, Any]:
    """JSON Schema of one parameter's value."""
    if isinstance(parameter, CategoricalParameter):
        return {"enum": list(parameter.choices)}
    kind = "integer" if isinstance(parameter, IntParameter) else "number"
    return {"type": kind, "minimum": parameter.low, "maximum": parameter.high}


__all__ = [
    "Change",
    "Key",
    "SearchSpace",
    "Violation",
    "check_value",
    "format_value",
    "nice",
    "value_schema",
]
