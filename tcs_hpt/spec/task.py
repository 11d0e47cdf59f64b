"""A task: what is tuned, what is measured, and how its script is told and read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from tcs_hpt.errors import UserError
from tcs_hpt.spec._base import Config, Frozen, Name, Scalar
from tcs_hpt.spec.conditions import check_conditions, drop_settled, is_off
from tcs_hpt.spec.limits import Limits
from tcs_hpt.spec.objective import Objective
from tcs_hpt.spec.parameters import CategoricalParameter, ParameterSpec
from tcs_hpt.spec.script import (
    ConfigFile,
    EnvironmentName,
    MetricsSource,
    RunIn,
    metric_groups,
    placeholders,
    switches,
)
from tcs_hpt.spec.values import coerce, like, middle

ProfileName: TypeAlias = str


class Profile(Frozen):
    """A size of the same task: overrides of the target, fixed values, limits and ranges."""

    target: float | None = None
    """The value that would satisfy the user at this size; the objective's own if not given."""
    fixed: Mapping[Name, Scalar] = {}
    limits: Mapping[str, Any] = {}
    params: Mapping[Name, Mapping[str, Any]] = {}


class TaskSpec(Frozen):
    """A task folder's manifest: what is tuned and what is measured."""

    schema_version: Literal[1] = Field(alias="schema")
    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=64)]
    title: str = ""
    description: str = ""
    """What the model and the data are, in plain words; travels into every prompt."""
    command: tuple[str, ...] = Field(min_length=1)
    """The program and its arguments. `{name}` is the value of a parameter or of one of `PLACES`.

    An argument `{name?--flag}` is there while a true-or-false value is true, and left out while it is false."""
    run_in: RunIn = "trial"
    """Where the script runs: in the trial's own folder, or in that of the task as by hand."""
    env: Mapping[EnvironmentName, str] = {}
    """Environment variables of the script; placeholders are filled as in `command`."""
    config: ConfigFile | None = None
    """A file of values that is written for each trial; None for none."""
    metrics: MetricsSource | None = None
    """Where the script's own numbers are; None for the files that `tcs_hpt.current_trial()` writes."""
    objective: Objective
    params: Mapping[Name, ParameterSpec] = {}
    fixed: Mapping[Name, Scalar] = {}
    """Values handed to the script that are never tuned."""
    limits: Limits = Limits()
    profiles: Mapping[Name, Profile] = {}

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)

    @model_validator(mode="after")
    def _check_names(self) -> TaskSpec:
        both = sorted(set(self.params) & set(self.fixed))
        if both:
            raise ValueError(f"a name must be tuned or fixed, not both: {', '.join(both)}")
        check_conditions(self.params)
        return self

    @model_validator(mode="after")
    def _check_script(self) -> TaskSpec:
        ours = [name for name in self.env if name.upper().startswith("TCS_HPT_")]
        if ours:
            raise ValueError(
                f"`env` must not set {ours[0]}: variables that begin with TCS_HPT_ are the engine's"
            )
        for name in dict.fromkeys(n for t in (*self.command, *self.env.values()) for n in switches(t)):
            if not self._is_switch(name):
                raise ValueError(
                    f"`command` gives a flag or not by {{{name}?...}}, so {name} must have the choices true and false"
                )
        if self.config is not None and ("config" in self.params or "config" in self.fixed):
            raise ValueError("`config` cannot be the name of a parameter beside a table [config]")
        patterns = () if self.metrics is None else self.metrics.patterns
        wanting = self.objective.missing(metric_groups(patterns)) if patterns else []
        if wanting:
            raise ValueError(f"no group of `patterns` is called {wanting[0]}, the objective's metric")
        return self

    def _is_switch(self, name: str) -> bool:
        """Whether a value is true or false, as far as it is declared here; a profile may declare it."""
        if name in self.params:
            parameter = self.params[name]
            return isinstance(parameter, CategoricalParameter) and all(
                isinstance(choice, bool) for choice in parameter.choices
            )
        return isinstance(self.fixed.get(name, True), bool)

    def config_paths(self) -> dict[str, str]:
        """Where values go in the file of [config], as dotted paths by their names; empty without such a table.

        It may name some that have no value in a trial.
        """
        if self.config is None:
            return {}
        told = {name for text in (*self.command, *self.env.values()) for name in placeholders(text)}
        own = {name: name for name in (*self.params, *self.fixed) if name not in told}
        return own | dict(self.config.keys)

    def with_profile(self, profile: ProfileName | None) -> TaskSpec:
        """The task at one of its sizes; `None` is the bare manifest.

        Raises:
            UserError: The manifest has no such profile.
        """
        if profile is None:
            return self
        if profile not in self.profiles:
            known = ", ".join(self.profiles) or "none"
            raise UserError(
                f"task {self.name!r} has no profile {profile!r}", hint=f"Profiles of this task: {known}."
            )
        chosen = self.profiles[profile]
        raw = self.model_dump(by_alias=True)
        for name, overrides in chosen.params.items():
            raw["params"].setdefault(name, {}).update(overrides)
        raw["fixed"] = {**raw["fixed"], **chosen.fixed}
        raw["limits"] = {**raw["limits"], **chosen.limits}
        if chosen.target is not None:
            raw["objective"]["target"] = chosen.target
        return TaskSpec.model_validate(raw)

    def with_defaults(self, config: Config) -> TaskSpec:
        """The task that starts from another configuration; parameters that it lacks keep their defaults."""
        params = {
            name: parameter.model_copy(update={"default": config[name]}) if name in config else parameter
            for name, parameter in self.params.items()
        }
        return self.model_copy(update={"params": params})

    def narrowed(self, *, fix: Mapping[str, Scalar] | None = None, only: tuple[str, ...] = ()) -> TaskSpec:
        """The task with some parameters moved to the fixed set.

        Args:
            fix: Values for parameters that shall not be tuned.
            only: If given, every other parameter is fixed at its default.

        Raises:
            UserError: A name is unknown, a value is outside its range, or a parameter has no default.
        """
        fix = dict(fix or {})
        unknown = sorted((set(fix) - set(self.params) - set(self.fixed)) | (set(only) - set(self.params)))
        if unknown:
            raise UserError(
                f"task {self.name!r} has no parameter {', '.join(map(repr, unknown))}",
                hint=f"Its parameters: {', '.join(self.params) or 'none'}.",
            )
        keep = set(only) or set(self.params)
        fixed = dict(self.fixed)
        params = dict(self.params)
        for name, parameter in self.params.items():
            if name in fix:
                fixed[name] = coerce(parameter, fix[name], name)
            elif name not in keep:
                fixed[name] = middle(parameter) if parameter.default is None else parameter.default
            else:
                continue
            del params[name]
        fixed.update({n: like(self.fixed[n], v, n) for n, v in fix.items() if n in self.fixed})
        while idle := [n for n in fixed if n in self.params and is_off(self.params[n], fixed, params)]:
            for name in idle:  # the parameter that would switch it on is fixed elsewhere
                del fixed[name]
        for name in list(params):
            params[name] = drop_settled(params[name], fixed)
        while gone := [n for n, p in params.items() if any(q not in params for q in p.when)]:
            for name in gone:  # its condition can no longer be met, nor can those that hang on it
                del params[name]
        lost = [n for n in only if n not in params and n not in fix]
        if lost:
            conditions = " and ".join(
                f"{p} is {' or '.join(map(str, vs))}" for p, vs in self.params[lost[0]].when.items()
            )
            raise UserError(
                f"{lost[0]} cannot be tuned alone: it exists only when {conditions}",
                hint=f"Add {', '.join(self.params[lost[0]].when)} to --only, or fix it with --fix.",
            )
        return self.model_copy(update={"params": params, "fixed": fixed})
