"""A record in Optuna's form: one trial as optuna-dashboard and `optuna.load_study` would show it. Pure.

Optuna numbers trials from 0 in the order of their creation; our number is the user attribute `trial`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from tcs_hpt.records import EpochRecord, Trial
from tcs_hpt.space import check_value
from tcs_hpt.spec import CategoricalParameter, FloatParameter, ParameterSpec, Scalar, StudySpec

if TYPE_CHECKING:  # importing Optuna costs a third of a second, which only writers pay
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

NUMBER = "trial"
"""The user attribute that holds our number."""

_LARGEST_STEP = 2**31 - 1
"""What Optuna's column for the epoch holds."""


def can_become(have: FrozenTrial, wanted: FrozenTrial) -> bool:
    """Whether an Optuna trial shows the record already, or can be brought to show it."""
    if have.params != wanted.params:
        return False
    if have.state.is_finished():
        return (
            have.state == wanted.state
            and have.values == wanted.values
            and have.user_attrs == wanted.user_attrs
            and comparable(have.intermediate_values) == comparable(wanted.intermediate_values)
        )
    return set(have.user_attrs) <= set(wanted.user_attrs) and set(have.intermediate_values) <= set(
        wanted.intermediate_values
    )


def comparable(values: Mapping[int, float]) -> dict[int, float | None]:
    """NaN, which equals nothing, as None."""
    return {step: None if math.isnan(value) else value for step, value in values.items()}


def frozen(spec: StudySpec, trial: Trial) -> FrozenTrial:
    """A record as Optuna would show it."""
    from optuna.trial import FrozenTrial, TrialState

    if trial.state == "finished" and trial.value is not None:
        # Optuna's word for a trial that did not get all its epochs: it does not count for the best.
        state = TrialState.PRUNED if trial.partial else TrialState.COMPLETE
    else:
        state = TrialState.RUNNING if trial.state == "running" else TrialState.FAIL
    params: dict[str, Any] = {}
    distributions: dict[str, BaseDistribution] = {}
    for name, value in trial.config.items():
        parameter = spec.task.params.get(name)
        # The guard lets nothing else run; if it ever did, the mirror would go without rather than stop the study.
        if parameter is not None and check_value(name, parameter, value) is None:
            distribution, show = _distribution(parameter)
            distributions[name] = distribution
            # As Optuna will read it back: it keeps numbers as floats, so a whole number above 2**53 changes.
            params[name] = distribution.to_external_repr(distribution.to_internal_repr(show(value)))
    begin, end = _times(trial)
    return FrozenTrial(
        number=trial.number - 1,
        trial_id=-1,
        state=state,
        value=trial.value if state in (TrialState.COMPLETE, TrialState.PRUNED) else None,
        datetime_start=begin,
        datetime_complete=end if state.is_finished() else None,
        params=params,
        distributions=distributions,
        user_attrs=_attributes(trial),
        system_attrs={},
        intermediate_values=intermediate(spec, trial.epochs),
    )


def _times(trial: Trial) -> tuple[datetime, datetime]:
    """Start and end in local time without a zone, as Optuna writes them."""
    try:
        begin = datetime.fromisoformat(trial.started_at)
    except ValueError:
        begin = datetime.now()
    if begin.tzinfo is not None:
        begin = begin.astimezone().replace(tzinfo=None)
    return begin, begin + timedelta(seconds=trial.usage.wall_seconds)


def _attributes(trial: Trial) -> dict[str, Any]:
    failure = f"{trial.failure.kind}: {trial.failure.message}" if trial.failure else ""
    possible = {
        NUMBER: trial.number,
        "source": trial.proposal.source,
        "change": trial.proposal.change,
        "reason": trial.proposal.reason,
        "fallback": trial.proposal.fallback,
        "failure": failure,
        "interrupted": trial.state == "interrupted",
        "replicate_of": trial.replicate_of,
        "fidelity": trial.fidelity,
        "promoted_from": trial.promoted_from,
        "metrics": dict(trial.metrics),
    }
    return {k: v for k, v in possible.items() if v not in ("", None, False, {})}


def intermediate(spec: StudySpec, epochs: Sequence[EpochRecord]) -> dict[int, float]:
    """The objective by epoch; NaN where it was not finite, absent where it was not reported or Optuna cannot count."""
    metric = spec.task.objective.metric
    found: dict[int, float] = {}
    for epoch in epochs:
        if abs(epoch.epoch) > _LARGEST_STEP:
            continue
        if metric in epoch.metrics or metric in epoch.non_finite:
            value = epoch.metrics.get(metric)
            found[epoch.epoch] = math.nan if value is None else value
    return found


def _distribution(parameter: ParameterSpec) -> tuple[BaseDistribution, Callable[[Scalar], Scalar]]:
    """Optuna's form of a parameter, and how a value is written in it."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(parameter, CategoricalParameter):
        if len(set(parameter.choices)) < len(parameter.choices):  # Optuna takes True for 1
            return CategoricalDistribution([repr(c) for c in parameter.choices]), repr
        return CategoricalDistribution(parameter.choices), lambda value: value
    high = _reachable(parameter.low, parameter.high, parameter.step)
    if isinstance(parameter, FloatParameter):
        return FloatDistribution(
            parameter.low, high, log=parameter.log, step=parameter.step
        ), lambda value: value
    return IntDistribution(
        parameter.low, int(high), log=parameter.log, step=parameter.step or 1
    ), lambda value: value


def _reachable(low: float, high: float, step: float | None) -> float:
    """The highest value that steps from `low` reach; Optuna warns about a `high` that is not one."""
    if step is None:
        return high
    start, end, by = (Decimal(str(number)) for number in (low, high, step))
    return float((end - start) // by * by + start)
