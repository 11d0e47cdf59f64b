"""Which configurations show that a parameter reaches the training, and in what two runs differ. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tcs_hpt.space import SearchSpace, check_value
from tcs_hpt.spec import Config, Scalar, same_scalar


@dataclass(frozen=True)
class Reported:
    """What a script reported in one run."""

    epochs: tuple[dict[str, Any], ...]
    """Metrics by name, with the epoch's number under `epoch`."""
    result: dict[str, Any]
    """The final metrics."""


@dataclass(frozen=True)
class Change:
    """One parameter with another value."""

    name: str
    config: Config
    base: Config
    """What to compare with: the defaults, or with another parameter set that switches this one on."""


def single_changes(space: SearchSpace) -> tuple[Change, ...]:
    """For every parameter one change, in the space's order; one that can never be switched on is left out."""
    changes = []
    for name in space.names:
        config = another_value(space, name)
        if name in config and space.contains(config):
            base = space.completed({n: v for n, v in config.items() if n != name})
            changes.append(Change(name, config, base))
    return tuple(changes)


def another_value(space: SearchSpace, name: str) -> Config:
    """A configuration that differs from the defaults in one parameter, by about half of its scale.

    The parameter is switched on first, if another one has to be set for that.
    """
    values: Config = {}
    waiting = [name]
    for child in waiting:  # grows while it is walked: conditions may hang on conditions
        for parent, allowed in space.params[child].when.items():
            if not any(same_scalar(space.defaults().get(parent), v) for v in allowed):
                # A profile may have narrowed the parent's range.
                inside = [v for v in allowed if check_value(parent, space.params[parent], v) is None]
                values[parent] = (inside or list(allowed))[0]
            waiting.append(parent)
    return space.completed({**values, name: _far_from_default(space, name)})


def _far_from_default(space: SearchSpace, name: str) -> Scalar:
    default = space.default(name)
    place = space.to_unit(name, default)
    # Half a scale of two values may round back to the default; one of the ends never does.
    for other in (place + (0.5 if place < 0.5 else -0.5), 0.0, 1.0):
        value = space.from_unit(name, other)
        if not same_scalar(space.round(name, value), space.round(name, default)):
            return value
    raise ValueError(f"{name} has a single value")


def differing(a: Reported, b: Reported) -> frozenset[str]:
    """Names of the metrics that are not the same in two runs, in any epoch or at the end; `epoch` for other epochs."""
    names = {n for run in (a, b) for metrics in (*run.epochs, run.result) for n in metrics}
    return frozenset(n for n in names if _values(a, n) != _values(b, n))


def _values(run: Reported, name: str) -> list[Any]:
    return [metrics.get(name, _ABSENT) for metrics in (*run.epochs, run.result)]


_ABSENT = object()
"""Apart from None, which stands for a number that is not finite."""
