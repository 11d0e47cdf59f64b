"""A search space in Optuna's terms, there and back.

A choice is told by its place in the list, since Optuna takes True for 1. For samplers that model the space, choices that are
rising numbers are told as whole numbers, so that it is known which of them are close, and steps without number as a continuous
scale.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeAlias

from tcs_hpt.proposers.untested import is_active
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import (
    CategoricalParameter,
    Config,
    FloatParameter,
    IntParameter,
    ParameterSpec,
    Scalar,
    same_scalar,
)

NumericParameter: TypeAlias = FloatParameter | IntParameter

if TYPE_CHECKING:  # importing Optuna costs a third of a second
    import optuna
    from optuna.distributions import BaseDistribution


STEPS = 10_000
"""Most values of a stepped parameter; Optuna's Gaussian process writes them all down."""


class OptunaSpace:
    """Draws configurations through Optuna, and tells it of recorded ones.

    Args:
        space: The search space.
        modelled: Whether it is for a sampler that models the space (above), rather than for plain draws.
    """

    def __init__(self, space: SearchSpace, *, modelled: bool = True) -> None:
        self._space = space
        self._modelled = modelled

    def draw(self, trial: optuna.Trial) -> Config:
        """One configuration, parents first, through Optuna's define-by-run interface."""
        config: Config = {}
        for name in self._space.parents_first:
            if is_active(self._space, name, config):
                config[name] = self._suggested(trial, name)
        return {n: config[n] for n in self._space.names if n in config}

    def _suggested(self, trial: optuna.Trial, name: str) -> Scalar:
        parameter = self._space.params[name]
        if isinstance(parameter, CategoricalParameter):
            count = len(parameter.choices)
            if self._as_number(parameter):
                return parameter.choices[trial.suggest_int(name, 0, count - 1)]
            return parameter.choices[trial.suggest_categorical(name, range(count))]
        if self._as_continuous(parameter):
            return self._space.round(
                name, trial.suggest_float(name, parameter.low, parameter.high, log=parameter.log)
            )
        high = _reachable(parameter)
        if isinstance(parameter, IntParameter):
            return trial.suggest_int(
                name, parameter.low, int(high), step=parameter.step or 1, log=parameter.log
            )
        value = trial.suggest_float(name, parameter.low, high, step=parameter.step, log=parameter.log)
        return min(max(value, parameter.low), parameter.high)  # exp(log(low)) may be a little less than low

    def distributions(self, config: Mapping[str, Scalar]) -> dict[str, BaseDistribution]:
        """Of each parameter of a configuration, the distribution that `draw` draws it from."""
        return {name: self._distribution(self._space.params[name]) for name in config}

    def _distribution(self, parameter: ParameterSpec) -> BaseDistribution:
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if isinstance(parameter, CategoricalParameter):
            count = len(parameter.choices)
            if self._as_number(parameter):
                return IntDistribution(0, count - 1)
            return CategoricalDistribution(range(count))
        if self._as_continuous(parameter):
            return FloatDistribution(parameter.low, parameter.high, log=parameter.log)
        high = _reachable(parameter)
        if isinstance(parameter, IntParameter):
            return IntDistribution(parameter.low, int(high), log=parameter.log, step=parameter.step or 1)
        return FloatDistribution(parameter.low, high, log=parameter.log, step=parameter.step)

    def params(self, config: Mapping[str, Scalar]) -> dict[str, Any]:
        """A recorded configuration as Optuna's parameters."""
        return {name: self._told(self._space.params[name], value) for name, value in config.items()}

    def _told(self, parameter: ParameterSpec, value: Scalar) -> Any:
        if isinstance(parameter, CategoricalParameter):
            return next(i for i, choice in enumerate(parameter.choices) if same_scalar(choice, value))
        if self._as_continuous(parameter):
            return float(value)
        if parameter.step is None:
            return value
        # Optuna is stricter than we are about how far from a step a value may lie.
        parts = math.floor((float(value) - parameter.low) / parameter.step + 0.5)
        number = min(parameter.low + parts * parameter.step, _reachable(parameter))
        return int(number) if isinstance(parameter, IntParameter) else number

    def _as_number(self, parameter: CategoricalParameter) -> bool:
        return self._modelled and parameter.ordered

    def _as_continuous(self, parameter: NumericParameter) -> bool:
        step = parameter.step or (1 if isinstance(parameter, IntParameter) else None)
        return self._modelled and step is not None and (parameter.high - parameter.low) / step > STEPS


def _reachable(parameter: NumericParameter) -> float:
    """The highest value that steps from `low` reach; Optuna warns about a `high` that is not one."""
    if parameter.step is None:
        return parameter.high
    start, end, by = (Decimal(str(n)) for n in (parameter.low, parameter.high, parameter.step))
    return float((end - start) // by * by + start)
