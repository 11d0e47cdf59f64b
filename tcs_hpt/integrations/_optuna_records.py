"""Optuna's search spaces and trials as ours, and configurations back as Optuna's parameters. Pure.

Names and choices that our records cannot hold, such as `layer 1` or None, travel under a name of their own and come back as they
were.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import FrozenTrial, TrialState
from pydantic import ValidationError

from tcs_hpt.proposers._optuna_space import _reachable
from tcs_hpt.records import EpochRecord, Failure, Proposal, Trial, Usage
from tcs_hpt.space import SearchSpace, check_value
from tcs_hpt.spec import (
    CategoricalParameter,
    Config,
    Direction,
    FloatParameter,
    IntParameter,
    ParameterSpec,
    TaskSpec,
    same_scalar,
)
from tcs_hpt.tuning.space import checked

PROPOSAL = "tcs_hpt:proposal"
"""The system attribute in which a trial keeps what was proposed for it and why."""

_LONGEST = 64
_EPOCHS = 1000
"""Most intermediate values that are shown of a trial."""


class Translation:
    """A search space of Optuna as the task of a study.

    Args:
        distributions: The parameters, none with a single value.
        study_name: What the task is called.
        metric: What the objective is called.
        direction: Which way is better.
        declared: Parameters that were declared in our words, with their conditions, in place of what the distributions say.
        fixed: Values that are settled, by Optuna's names: these parameters, and what they switch off, are not of the space.
    """

    def __init__(
        self,
        distributions: Mapping[str, BaseDistribution],
        *,
        study_name: str,
        metric: str,
        direction: Direction,
        declared: Mapping[str, ParameterSpec] | None = None,
        fixed: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        self._distributions = dict(distributions)
        self._ours = _named(list(distributions))
        params = {self._ours[n]: parameter_of(d) for n, d in distributions.items()}
        own = {
            "schema": 1,
            "name": identifier(study_name, _LONGEST),
            "title": study_name,
            "command": ("optuna",),
            "objective": {"metric": metric, "direction": direction},
            "params": params if declared is None else dict(declared),
        }
        self.task = checked(TaskSpec, own)
        settled = self.config(fixed)
        self.task = self.task.narrowed(
            fix={n: v for n, v in settled.items() if check_value(n, self.task.params[n], v) is None}
        )
        self.space = SearchSpace(self.task.params)

    def ours(self, name: str) -> str:
        """A parameter's name in our records."""
        return self._ours[name]

    def config(self, params: Mapping[str, Any]) -> Config:
        """Optuna's parameters as a configuration; those that are not of this space are left out."""
        found: Config = {}
        for name, distribution in self._distributions.items():
            if name not in params or self._ours[name] not in self.task.params:
                continue
            parameter, value = self.task.params[self._ours[name]], params[name]
            if isinstance(parameter, CategoricalParameter) and isinstance(
                distribution, CategoricalDistribution
            ):
                try:
                    found[self._ours[name]] = parameter.choices[int(distribution.to_internal_repr(value))]
                except ValueError:  # of other choices than those of this space
                    continue
            else:
                found[self._ours[name]] = value
        return found

    def params(self, config: Config) -> dict[str, Any]:
        """A configuration as Optuna's parameters, with the types that their distributions have."""
        names = {ours: name for name, ours in self._ours.items()}
        return {names[ours]: self._told(names[ours], value) for ours, value in config.items()}

    def _told(self, name: str, value: Any) -> Any:
        distribution, parameter = self._distributions[name], self.task.params[self._ours[name]]
        if isinstance(parameter, CategoricalParameter) and isinstance(distribution, CategoricalDistribution):
            place = next(i for i, choice in enumerate(parameter.choices) if same_scalar(choice, value))
            return distribution.choices[place]
        return int(value) if isinstance(distribution, IntDistribution) else float(value)

    def records(self, trials: Sequence[FrozenTrial]) -> list[Trial]:
        """The trials as records, without those that lie outside this space or wait to be run.

        Optuna's trial 0 is our trial 1. Infeasible trials and pruned ones that would be the best count as failed: neither
        may become the base of a change.
        """
        complete = [t for t in trials if t.state == TrialState.COMPLETE and _is_scored(t)]
        sign = 1.0 if self.task.objective.direction == "maximize" else -1.0
        best = max((sign * _value(t) for t in complete), default=-math.inf)
        found = (self._record(trial, sign, best) for trial in sorted(trials, key=lambda t: t.number))
        return [record for record in found if record is not None]

    def _record(self, trial: FrozenTrial, sign: float, best: float) -> Trial | None:
        if trial.state == TrialState.WAITING:
            return None
        proposal = proposal_of(trial)
        config = self.config(trial.params)
        if trial.state == TrialState.RUNNING and proposal is not None:
            config = {**proposal.config, **config}  # what it has asked for so far, and what it will be told
        if not self.space.contains(config):
            return None
        if proposal is None:
            proposal = Proposal(config=config, source="start" if trial.number == 0 else "optuna")
        metric = self.task.objective.metric
        failure = None if trial.state == TrialState.RUNNING else _failure(trial, sign, best)
        finished = trial.state != TrialState.RUNNING and failure is None
        value = _value(trial) if finished else None
        seconds = trial.duration.total_seconds() if trial.duration is not None else 0.0
        return Trial(
            number=trial.number + 1,
            config=config,
            state="finished" if finished else "failed" if failure is not None else "running",
            proposal=proposal.model_copy(update={"config": config}),
            value=value,
            metrics={metric: value} if finished else {},
            epochs=_epochs(trial.intermediate_values, metric),
            failure=failure,
            usage=Usage(wall_seconds=max(seconds, 0.0)),
        )


def proposal_of(trial: FrozenTrial) -> Proposal | None:
    """What was proposed for a trial and why: source, change, reason, analysis; None for one that Optuna chose itself."""
    told = trial.system_attrs.get(PROPOSAL)
    return Proposal.model_validate(told) if told is not None else None


def parameter_of(distribution: BaseDistribution) -> ParameterSpec:
    """A distribution as a parameter; choices that our records cannot hold become words."""
    if isinstance(distribution, IntDistribution):
        step = distribution.step if distribution.step > 1 else None
        return IntParameter(low=distribution.low, high=distribution.high, log=distribution.log, step=step)
    if isinstance(distribution, CategoricalDistribution):
        try:
            return CategoricalParameter.model_validate({"choices": distribution.choices})
        except ValidationError:
            return CategoricalParameter(choices=_words(distribution.choices))
    assert isinstance(distribution, FloatDistribution)  # Optuna has no other
    return FloatParameter(
        low=distribution.low, high=distribution.high, log=distribution.log, step=distribution.step
    )


def distribution_of(parameter: ParameterSpec) -> BaseDistribution:
    """A parameter as the distribution that an objective asks for with the same arguments."""
    if isinstance(parameter, CategoricalParameter):
        return CategoricalDistribution(parameter.choices)
    high, log = _reachable(parameter), parameter.log
    if isinstance(parameter, IntParameter):
        return IntDistribution(parameter.low, int(high), log=log, step=parameter.step or 1)
    return FloatDistribution(parameter.low, high, log=log, step=parameter.step)


def identifier(text: str, longest: int) -> str:
    """`text` as our names are written."""
    clean = re.sub(r"[^A-Za-z0-9_.-]", "_", text) or "_"
    return (clean if re.match(r"[A-Za-z_]", clean) else f"_{clean}")[:longest]


def _named(names: Sequence[str]) -> dict[str, str]:
    """Names of ours, all different; those that are valid stay."""
    taken = {n for n in names if identifier(n, _LONGEST) == n}
    found = {}
    for name in names:
        ours = name
        if name not in taken:
            clean = identifier(name, _LONGEST)
            ours = next(o for i in range(len(names) + 1) if (o := _numbered(clean, i)) not in taken)
            taken.add(ours)
        found[name] = ours
    return found


def _numbered(text: str, number: int) -> str:
    end = f"_{number + 1}" if number else ""
    return text[: _LONGEST - len(end)] + end


def _words(choices: Sequence[Any]) -> tuple[str, ...]:
    found: list[str] = []
    for choice in choices:
        word = "".join(c if c.isprintable() else " " for c in str(choice))[:_LONGEST].strip() or "empty"
        word = word.lower() if choice is None or isinstance(choice, bool) else word
        found.append(next(w for i in range(len(choices)) if (w := _numbered(word, i)) not in found))
    return tuple(found)


def _failure(trial: FrozenTrial, sign: float, best: float) -> Failure | None:
    """Why an ended trial has no score that counts."""
    if trial.state == TrialState.FAIL:
        return Failure(kind="crashed", message="the objective raised an exception or returned no number")
    broken = [name for name, value in trial.constraints.items() if value > 0]
    if broken:
        return Failure(kind="invalid", message=f"it violates the constraint {', '.join(broken)}")
    if trial.state == TrialState.PRUNED and (not _is_scored(trial) or sign * _value(trial) >= best):
        step = "before its first report" if trial.last_step is None else f"at step {trial.last_step}"
        return Failure(kind="timeout", message=f"it was pruned {step}, before it had finished")
    if not _is_scored(trial):
        return Failure(kind="diverged", message="the value of the objective is not finite")
    return None


def _is_scored(trial: FrozenTrial) -> bool:
    return trial.values is not None and math.isfinite(trial.values[0])


def _value(trial: FrozenTrial) -> float:
    return float(trial.values[0])


def _epochs(values: Mapping[int, float], metric: str) -> tuple[EpochRecord, ...]:
    steps = sorted(values)
    every = max(1, math.ceil(len(steps) / _EPOCHS))
    shown = steps[::-1][::every][::-1]  # the last one always
    return tuple(
        EpochRecord(epoch=s, metrics={metric: values[s]})
        if math.isfinite(values[s])
        else EpochRecord(epoch=s, metrics={metric: None}, non_finite=(metric,))
        for s in shown
    )
