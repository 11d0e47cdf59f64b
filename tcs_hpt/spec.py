"""What a person declares: a task, its parameters, its objective, its limits, and how to study it.

Pure values: nothing here reads a file or starts a process. `catalog.py` turns a `task.toml` into a `TaskSpec`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from tcs_hpt.errors import UserError

Scalar: TypeAlias = bool | int | float | str
"""A value of a parameter."""

Config: TypeAlias = dict[str, Scalar]
"""A configuration: the active parameters and their values."""

Direction: TypeAlias = Literal["maximize", "minimize"]
ProfileName: TypeAlias = str
Start: TypeAlias = Literal["defaults", "knowledge", "cold"]
AnswerStyle: TypeAlias = Literal["choice", "free"]

Name: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$", max_length=64)]
"""A parameter or metric name: what a command line, an environment variable and a model can all spell."""


class Frozen(BaseModel):
    """Immutable, and strict about unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class _Parameter(Frozen):
    when: Mapping[Name, tuple[Scalar, ...]] = {}
    """Active only while each named parameter has one of the listed values; empty means always."""
    description: str = ""
    """One sentence for people and models."""


class _Numeric(_Parameter):
    log: bool = False
    """Search on the logarithmic scale."""

    @model_validator(mode="after")
    def _check_range(self) -> _Numeric:
        low, high, step, default = (getattr(self, k) for k in ("low", "high", "step", "default"))
        if low >= high:
            raise ValueError(f"`low` must be below `high`, got low={low}, high={high}")
        if self.log and low <= 0:
            raise ValueError(f"`low` must be above 0 on a log scale, got low={low}")
        if step is not None:
            if self.log:
                raise ValueError(f"`step` cannot be combined with `log`, got step={step}")
            if step <= 0 or step > high - low:
                raise ValueError(f"`step` must be above 0 and at most high - low, got step={step}")
        if default is not None and not low <= default <= high:
            raise ValueError(
                f"`default` must be between low and high, got default={default}, low={low}, high={high}"
            )
        if default is not None and step is not None and not _on_step(default, low, step):
            raise ValueError(
                f"`default` must be low plus a multiple of step, got default={default}, low={low}, step={step}"
            )
        return self


def _on_step(value: float, low: float, step: float) -> bool:
    parts = (value - low) / step
    return abs(parts - round(parts)) <= 1e-6


class FloatParameter(_Numeric):
    """A real number in `[low, high]`."""

    type: Literal["float"] = "float"
    low: float
    high: float
    step: float | None = None
    """Distance between allowed values, counted from `low`."""
    default: float | None = None


class IntParameter(_Numeric):
    """A whole number in `[low, high]`."""

    type: Literal["int"] = "int"
    low: int
    high: int
    step: int | None = None
    default: int | None = None


class CategoricalParameter(_Parameter):
    """One of a list of values; a list of rising numbers counts as ordered."""

    type: Literal["categorical"] = "categorical"
    choices: tuple[Scalar, ...] = Field(min_length=2)
    default: Scalar | None = None

    @model_validator(mode="after")
    def _check_choices(self) -> CategoricalParameter:
        if len({(type(c) is bool, c) for c in self.choices}) != len(self.choices):
            raise ValueError(f"`choices` must differ from each other, got {list(self.choices)}")
        for choice in self.choices:
            if isinstance(choice, str) and (
                not choice.strip() or len(choice) > 64 or not choice.isprintable()
            ):
                raise ValueError(f"a choice must be 1 to 64 printable characters, got {choice!r}")
        if self.default is not None and not any(same_scalar(self.default, c) for c in self.choices):
            raise ValueError(f"`default` must be one of the choices, got default={self.default!r}")
        return self

    @property
    def ordered(self) -> bool:
        """Whether neighbouring choices are close to each other."""
        numbers = [c for c in self.choices if isinstance(c, int | float) and not isinstance(c, bool)]
        return len(numbers) == len(self.choices) and list(numbers) == sorted(numbers)


ParameterSpec: TypeAlias = Annotated[
    FloatParameter | IntParameter | CategoricalParameter, Field(discriminator="type")
]


def same_scalar(a: object, b: object) -> bool:
    """Equality that keeps `True` apart from `1`; `1` and `1.0` are the same number."""
    return (type(a) is bool) == (type(b) is bool) and a == b


class Objective(Frozen):
    """The number that decides, and which way is better. Read by code, never by a model."""

    metric: Name
    """Its name in `metrics.jsonl` and `result.json`."""
    direction: Direction
    target: float | None = None
    """The value that would satisfy the user."""

    def better(self, a: float, b: float) -> bool:
        """Whether score `a` beats score `b`."""
        return a > b if self.direction == "maximize" else a < b

    def gain(self, new: float, old: float) -> float:
        """Improvement from `old` to `new` in the metric's unit; positive is better."""
        return new - old if self.direction == "maximize" else old - new

    @model_validator(mode="after")
    def _check_metric(self) -> Objective:
        if self.metric.startswith("test_"):
            raise ValueError(
                f"`metric` must not be a test metric, got {self.metric!r}: tune on validation data"
            )
        return self


class Limits(Frozen):
    """What one trial may use."""

    trial_seconds: float | None = Field(default=None, gt=0)
    """Wall-clock seconds after which the trial is ended."""
    memory_mb: int | None = Field(default=None, gt=0)
    """Resident memory of the whole process tree, in MiB, above which the trial is ended."""


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
    """The program and its arguments; `{python}` is the interpreter, `{name}` the value of a parameter."""
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
        for name, parameter in self.params.items():
            for parent, values in parameter.when.items():
                _check_condition(name, parent, values, self.params)
        _check_cycles(self.params)
        return self

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
        fixed.update({n: _like(self.fixed[n], v, n) for n, v in fix.items() if n in self.fixed})
        while idle := [n for n in fixed if n in self.params and _is_off(self.params[n], fixed, params)]:
            for name in idle:  # the parameter that would switch it on is fixed elsewhere
                del fixed[name]
        for name in list(params):
            params[name] = _drop_settled(params[name], fixed)
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


def _is_off(
    parameter: ParameterSpec, fixed: Mapping[str, Scalar], tuned: Mapping[str, ParameterSpec]
) -> bool:
    """Whether a condition of the parameter can never be met."""
    return any(
        parent not in tuned
        and (parent not in fixed or not any(same_scalar(fixed[parent], v) for v in values))
        for parent, values in parameter.when.items()
    )


def _drop_settled(parameter: ParameterSpec, fixed: Mapping[str, Scalar]) -> ParameterSpec:
    """The parameter without the conditions that fixed values already meet."""
    when = {
        parent: values
        for parent, values in parameter.when.items()
        if parent not in fixed or not any(same_scalar(fixed[parent], v) for v in values)
    }
    return parameter.model_copy(update={"when": when})


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
    if parameter.step is not None and not _on_step(number, parameter.low, parameter.step):
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


def _like(old: Scalar, value: Scalar, name: str) -> Scalar:
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


class StopRules(Frozen):
    """When a study ends before its trials are used up. Budgets: they may change when a study is continued."""

    seconds: float | None = Field(default=None, gt=0)
    """Time spent on thinking and training, over all runs of the study; no trial is started after it."""
    target: bool = False
    """Stop when the objective's target is reached."""
    patience: int | None = Field(default=None, ge=1)
    """Trials in a row without a new best."""
    converged: bool = False
    """Stop when the state report says that the study has converged."""
    failures: int = Field(default=5, ge=0)
    """Trials in a row that failed, so that a broken script does not burn the night; 0 for never."""


Keep: TypeAlias = Literal["best", "all", "none"]
"""Whose artifacts are kept."""


class StudySpec(Frozen):
    """How a task is studied. Fixed when the study begins; only `BUDGETS` may change when it is continued."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=120)]
    """Also the name of its folder."""
    task: TaskSpec
    profile: ProfileName | None = None
    method: str = "tcs"
    trials: int = Field(default=10, ge=1)
    """The total of the study: trials that consumed budget, whatever became of them."""
    stop: StopRules = StopRules()
    keep: Keep = "best"
    seed: int = Field(default=0, ge=0)
    """Drives samplers and models; also the training seed of every trial."""
    start: Start = "defaults"
    answers: AnswerStyle = "choice"
    """`choice`: from a list of single changes; `free`: the optimizer writes numbers."""
    description: str = ""
    """What the user said about model, data and goal; travels into every prompt."""
    report_tokens: int = Field(default=600, ge=200)
    """Upper bound of the state report's length, in estimated tokens."""
    memory: bool = True
    """Whether earlier studies in the same store may offer their values; never within a comparison."""
    analysis_model: str = ""
    optimizer_model: str = ""
    comparison: str = ""
    """Name of the comparison that this study belongs to; empty for a study of its own."""


BUDGETS = frozenset({"trials", "stop", "keep"})
"""Fields of a `StudySpec` that may change when a study is continued."""
