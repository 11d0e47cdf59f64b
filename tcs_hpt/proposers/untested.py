"""Configurations by enumeration: for grids, and to find what random draws miss in a space that is nearly used up."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import numpy as np

from tcs_hpt.evidence.candidates import tested_keys
from tcs_hpt.records import Trial
from tcs_hpt.space import LINEAR_PARTS, LOG_DIGITS, SearchSpace
from tcs_hpt.spec import CategoricalParameter, Config, IntParameter, Scalar, same_scalar


def configurations(space: SearchSpace, values: Callable[[str], Iterable[Scalar]]) -> Iterator[Config]:
    """Every combination of the values, lazily; a parameter that is not active is left out.

    Args:
        space: Where to look.
        values: The values of a parameter, by its name; no two that count as the same.
    """

    def following(index: int, config: Config) -> Iterator[Config]:
        if index == len(space.parents_first):
            yield {n: config[n] for n in space.names if n in config}
            return
        name = space.parents_first[index]
        if not is_active(space, name, config):
            yield from following(index + 1, config)
            return
        for value in values(name):
            yield from following(index + 1, config | {name: value})

    return following(0, {})


def is_active(space: SearchSpace, name: str, config: Mapping[str, Scalar]) -> bool:
    """Whether a parameter has a value in a configuration that holds all active ones before it, parents first."""
    return all(
        parent in config and any(same_scalar(config[parent], v) for v in values)
        for parent, values in space.params[name].when.items()
    )


def untested(space: SearchSpace, trials: Sequence[Trial], random: np.random.Generator) -> Config | None:
    """A configuration that no trial has tested, or None when there is none.

    Looks at no more configurations than there are trials, and one. Which one it finds depends on `random`: the values of
    each parameter are gone through from a random one on.
    """
    tested = tested_keys(space, trials)
    distinct = {name: _rotated(all_values(space, name), random) for name in space.names}
    return next((c for c in configurations(space, distinct.__getitem__) if space.key(c) not in tested), None)


def all_values(space: SearchSpace, name: str) -> Sequence[Scalar]:
    """Every value of a parameter that counts as different from the others; rising, or in the order of the choices."""
    parameter = space.params[name]
    if isinstance(parameter, CategoricalParameter):
        return parameter.choices
    if isinstance(parameter, IntParameter):
        return range(parameter.low, parameter.high + 1, parameter.step or 1)
    low, high = parameter.low, parameter.high
    if parameter.log:
        digits = 10 ** (LOG_DIGITS - 1)
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        written = [float(f"{m}e{d - LOG_DIGITS + 1}") for d in decades for m in range(digits, 10 * digits)]
        numbers = [low, *(n for n in written if low < n < high), high]
    else:
        unit = parameter.step or (high - low) / LINEAR_PARTS
        numbers = [low + i * unit for i in range(math.floor((high - low) / unit + 1e-9) + 1)]
    return tuple(dict.fromkeys(space.round(name, n) for n in numbers))


def _rotated(values: Sequence[Scalar], random: np.random.Generator) -> Iterable[Scalar]:
    return _Rotated(values, int(random.integers(len(values))))


class _Rotated:
    """A sequence read from one place on, round the end; any number of times."""

    def __init__(self, values: Sequence[Scalar], start: int) -> None:
        self._values = values
        self._start = start

    def __iter__(self) -> Iterator[Scalar]:
        count = len(self._values)
        return (self._values[(self._start + i) % count] for i in range(count))
