"""Parameters that exist only while others have certain values: what may be declared, and what fixed values settle."""

from __future__ import annotations

from collections.abc import Mapping

from tcs_hpt.spec._base import Scalar
from tcs_hpt.spec.parameters import CategoricalParameter, FloatParameter, ParameterSpec, same_scalar


def check_conditions(params: Mapping[str, ParameterSpec]) -> None:
    """Whether every `when` names a parameter and values that it can have, and none hangs on itself.

    Raises:
        ValueError: The first that does not.
    """
    for name, parameter in params.items():
        for parent, values in parameter.when.items():
            _check_condition(name, parent, values, params)
    _check_cycles(params)


def _check_condition(
    name: str, parent: str, values: tuple[Scalar, ...], params: Mapping[str, ParameterSpec]
) -> None:
    if parent not in params:
        raise ValueError(f"`when` of {name!r} names {parent!r}, which is not a parameter")
    spec = params[parent]
    if isinstance(spec, CategoricalParameter):
        wrong = [v for v in values if not any(same_scalar(v, c) for c in spec.choices)]
        if wrong:
            raise ValueError(
                f"`when` of {name!r}: {wrong} are not choices of {parent!r}; its choices: {list(spec.choices)}"
            )
    elif isinstance(spec, FloatParameter):
        raise ValueError(f"`when` of {name!r} names {parent!r}, a float; a condition needs choices or an int")


def _check_cycles(params: Mapping[str, ParameterSpec]) -> None:
    settled: set[str] = set()
    waiting = dict(params)
    while waiting:
        ready = [n for n, p in waiting.items() if all(parent in settled for parent in p.when)]
        if not ready:
            raise ValueError(f"`when` goes round in a circle: {', '.join(sorted(waiting))}")
        for name in ready:
            settled.add(name)
            del waiting[name]


def is_off(parameter: ParameterSpec, fixed: Mapping[str, Scalar], tuned: Mapping[str, ParameterSpec]) -> bool:
    """Whether a condition of the parameter can never be met."""
    return any(
        parent not in tuned
        and (parent not in fixed or not any(same_scalar(fixed[parent], v) for v in values))
        for parent, values in parameter.when.items()
    )


def drop_settled(parameter: ParameterSpec, fixed: Mapping[str, Scalar]) -> ParameterSpec:
    """The parameter without the conditions that fixed values already meet."""
    when = {
        parent: values
        for parent, values in parameter.when.items()
        if parent not in fixed or not any(same_scalar(fixed[parent], v) for v in values)
    }
    return parameter.model_copy(update={"when": when})
