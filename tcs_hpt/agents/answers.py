"""What the agents may answer: JSON Schemas, and the way from a reply's text to a value.

Parsing is lenient about form (code fences, prose around, a reply cut short) and strict about content. It never raises:
whatever a model writes becomes a value or a list of problems that the model can be shown. In every schema the closed
choices come before the prose, so that a reply that runs out of tokens has already decided.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, get_args

import json_repair

from tcs_hpt.records import OUTCOMES, SIZES, Analysis, Impact
from tcs_hpt.space import SearchSpace, value_schema
from tcs_hpt.spec import (
    CategoricalParameter,
    Config,
    IntParameter,
    ParameterSpec,
    Scalar,
    same_choice,
    same_scalar,
)
from tcs_hpt.trajectory import Label

PROBLEMS: tuple[str, ...] = tuple(label for label in get_args(Label) if label != "unknown")
"""What the Analysis Agent may diagnose: the labels of `trajectory.diagnose`."""
IMPACTS: tuple[Impact, ...] = get_args(Impact)
REASONING_LETTERS = 240
"""Longest reasoning that a schema allows and that is kept."""
READ_LETTERS = 20_000
"""A reply is read up to here; an answer is never longer."""

T = TypeVar("T")


@dataclass(frozen=True)
class Parsed(Generic[T]):
    """A value, or what is wrong with the reply."""

    value: T | None
    problems: tuple[str, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict)
    """The object as it was read; empty when there was none."""


@dataclass(frozen=True)
class Choice:
    """The Optimizer Agent's answer."""

    config: Config
    """The whole configuration; unchecked."""
    reasoning: str


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


_REASONING = {"type": "string", "maxLength": REASONING_LETTERS}


def analysis_schema(
    parameters: Sequence[str], options: Sequence[str] = (), *, sizes: bool = False
) -> dict[str, Any]:
    """The six-part answer; without `options` (before the first trial) there is nothing to recommend yet.

    With `sizes` the expected outcome has a size, too.
    """
    properties: dict[str, Any] = {
        "problem_diagnosis": {"enum": list(PROBLEMS)},
        "impact_assessment": _object({name: {"enum": list(IMPACTS)} for name in parameters}),
        "primary_action": {"enum": list(parameters)},
    }
    if options:
        properties["specific_recommendation"] = {"enum": list(options)}
        properties["expected_outcome"] = {"enum": list(OUTCOMES)}
        if sizes:
            properties["expected_size"] = {"enum": list(SIZES)}
    return _object(properties | {"reasoning": _REASONING})


def choice_schema(options: Sequence[str]) -> dict[str, Any]:
    """One change from the list, then why."""
    return _object({"hyperparameters": {"enum": list(options)}, "reasoning": _REASONING})


def free_schema() -> dict[str, Any]:
    """One `name=value` string, as in the paper, then why."""
    return _object({"hyperparameters": {"type": "string", "maxLength": 120}, "reasoning": _REASONING})


def cold_start_schema(choices: Mapping[str, Sequence[Scalar]]) -> dict[str, Any]:
    """A value for every parameter out of its list, then why."""
    return _object({n: {"enum": list(values)} for n, values in choices.items()} | {"reasoning": _REASONING})


def value_schemas(space: SearchSpace) -> dict[str, Any]:
    """JSON Schema of each parameter's value."""
    return {n: value_schema(p) for n, p in space.params.items()}


def read_object(text: str) -> Parsed[dict[str, Any]]:
    """The first JSON object in a reply, closed if it was cut short."""
    text = text[:READ_LETTERS]
    if not text.strip():
        return Parsed(None, ("the answer is empty",))
    start = text.find("{")
    if start < 0:
        return Parsed(None, ("the answer holds no JSON object",))
    try:
        found, _ = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        try:
            found = json_repair.loads(text[start:])
        except (ValueError, RecursionError, IndexError, KeyError, TypeError, AttributeError):
            found = None  # hostile text can defeat the repairer as well
    if isinstance(found, list):  # the repairer returns several objects of one reply as a list
        found = next((item for item in found if isinstance(item, dict)), None)
    if not isinstance(found, dict) or not found:
        return Parsed(None, ("the answer holds no readable JSON object",))
    return Parsed({str(k): v for k, v in found.items()})


def _shorten(value: object, letters: int = 60) -> str:
    text = value if isinstance(value, str) else repr(value)
    text = " ".join(text.split())
    return text if len(text) <= letters else text[: letters - 3] + "..."


def _reasoning(raw: Mapping[str, Any]) -> str:
    text = raw.get("reasoning", "")
    flat = " ".join(str(text).split()) if isinstance(text, str) else _shorten(text)
    printable = "".join(c for c in flat if c.isprintable())
    return printable[:REASONING_LETTERS]


def _one_of(raw: Mapping[str, Any], key: str, allowed: Sequence[str]) -> tuple[str | None, str]:
    """The allowed value that `raw[key]` names, and the problem if there is none."""
    if key not in raw:
        return None, f"{key} is missing"
    wanted = _normal(raw[key])
    for value in allowed:
        if _normal(value) == wanted:
            return value, ""
    return None, f"{key} must be one of {', '.join(allowed)}; got {_shorten(raw[key])}"


def _normal(value: object) -> str:
    return re.sub(r"[\s`'\"]+", "", value).lower() if isinstance(value, str) else repr(value)


def read_analysis(text: str, parameters: Sequence[str], options: Sequence[str] = ()) -> Parsed[Analysis]:
    """The six-part answer of a reply.

    The recommendation decides. A diagnosis, an impact or an action that is missing or unknown is a problem only when the
    recommendation is one too; otherwise it is left out or noted, since it changes nothing that runs.
    """
    parsed = read_object(text)
    if parsed.value is None:
        return Parsed(None, parsed.problems)
    raw = parsed.value
    problems: list[str] = []
    notes: list[str] = []
    diagnosis, problem = _one_of(raw, "problem_diagnosis", PROBLEMS)
    if problem:
        notes.append(problem)
    action, problem = _one_of(raw, "primary_action", parameters)
    if problem:
        notes.append(problem)
    recommendation, expected = "", None
    if options:
        chosen, problem = _one_of(raw, "specific_recommendation", options)
        if chosen is None:
            problems.append(problem)
        else:
            recommendation = chosen
            about = chosen.split(":", 1)[0]
            if action is not None and action != about:
                notes.append(f"the primary action was {action}, the recommendation is about {about}")
            action = about
        expected, problem = _one_of(raw, "expected_outcome", OUTCOMES)
        if problem:
            notes.append(problem)
    elif action is None:
        problems.append(notes[-1])
    if problems:
        return Parsed(None, (*problems, *(n for n in notes if n not in problems)), raw)
    assessed = raw.get("impact_assessment")
    impacts = assessed if isinstance(assessed, dict) else {}
    return Parsed(
        Analysis(
            problem_diagnosis=diagnosis or "not stated",
            impact_assessment={n: impacts[n] for n in parameters if impacts.get(n) in IMPACTS},
            primary_action=action or "",
            specific_recommendation=recommendation,
            reasoning=_reasoning(raw),
            expected_outcome=next((o for o in OUTCOMES if o == expected), None),
            expected_size=next((s for s in SIZES if options and s == raw.get("expected_size")), None),
            note="; ".join(notes),
        ),
        raw=raw,
    )


def read_choice(text: str, options: Mapping[str, Config]) -> Parsed[Choice]:
    """The change that a reply names, among `options` (text of the change -> configuration)."""
    parsed = read_object(text)
    if parsed.value is None:
        return Parsed(None, parsed.problems)
    chosen, problem = _one_of(parsed.value, "hyperparameters", list(options))
    if chosen is None:
        chosen = _by_new_value(parsed.value.get("hyperparameters"), list(options))
    if chosen is None:
        return Parsed(None, (problem,), parsed.value)
    return Parsed(Choice(dict(options[chosen]), _reasoning(parsed.value)), raw=parsed.value)


def _by_new_value(answer: object, options: Sequence[str]) -> str | None:
    """The one listed change that `lr=0.003` or `{"lr": 0.003}` means; models without a schema write these."""
    if isinstance(answer, dict) and len(answer) == 1:
        ((name, value),) = answer.items()
        answer = f"{name}={value}"
    if not isinstance(answer, str):
        return None
    wanted = re.sub(r"->|:", "=", _normal(answer))
    found = [o for o in options if _normal(f"{o.split(':', 1)[0]}={o.rsplit('-> ', 1)[-1]}") == wanted]
    return found[0] if len(found) == 1 else None


_ARROW = re.compile(r"([A-Za-z_][\w.-]*)\s*[=:]\s*[^,;\s{}]+\s*->\s*")
_ASSIGNMENT = re.compile(r"([A-Za-z_][\w.-]*)\s*[=:]\s*(\"[^\"]*\"|'[^']*'|[^,;\s{}]+)")


def read_free(text: str, space: SearchSpace, base: Config, newest: Mapping[str, Scalar]) -> Parsed[Choice]:
    """The configuration that a reply's `name=value` pairs make of the base.

    Accepts `"hyperparameters": "lr=0.003"`, the same as an object, and the same outside JSON. Values out of range and
    several changes pass through: judging them is the guard's business.
    """
    parsed = read_object(text)
    raw: dict[str, Any] = parsed.value or {}
    given = raw.get("hyperparameters", raw if parsed.value else text[:READ_LETTERS])
    pairs: dict[str, object] = {}
    if isinstance(given, Mapping):
        pairs = {str(k): v for k, v in given.items() if k != "reasoning"}
    elif isinstance(given, str):
        given = _ARROW.sub(r"\1=", given)  # `lr: 0.01 -> 0.003`, as changes are written in the prompt
        pairs = {name: value.strip("\"'`") for name, value in _ASSIGNMENT.findall(given)}
    if not pairs:
        return Parsed(None, ("hyperparameters must be one name=value, e.g. lr=0.003",), raw)
    unknown = [n for n in pairs if n not in space.params]
    if unknown:
        known = ", ".join(space.names)
        return Parsed(None, (f"{_shorten(', '.join(unknown))}: no such hyperparameter; known: {known}",), raw)
    values: dict[str, Scalar] = {}
    for name, value in pairs.items():
        read = read_value(space.params[name], value)
        if read is None:
            return Parsed(None, (f"{name}: {_shorten(value)} is not a value of it",), raw)
        values[name] = read
    config = space.completed({**base, **values}, newest)
    dropped = [n for n in values if n not in config]
    if dropped:
        return Parsed(None, (f"{', '.join(dropped)} has no effect in this configuration",), raw)
    return Parsed(Choice(config, _reasoning(raw)), raw=raw)


def read_value(parameter: ParameterSpec, value: object) -> Scalar | None:
    """A value as its parameter's type, numbers written as text included; None when it cannot be read."""
    if isinstance(parameter, CategoricalParameter):
        for choice in parameter.choices:
            if same_choice(choice, value) or (
                isinstance(value, str) and _normal(str(choice)) == _normal(value)
            ):
                return choice
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    if not math.isfinite(number):
        return None
    if isinstance(parameter, IntParameter):
        return int(number) if number == int(number) else None
    return number


def read_cold_start(text: str, space: SearchSpace, choices: Mapping[str, Sequence[Scalar]]) -> Parsed[Choice]:
    """A value for every active parameter, each from its list."""
    parsed = read_object(text)
    if parsed.value is None:
        return Parsed(None, parsed.problems)
    values: dict[str, Scalar] = {}
    problems: list[str] = []
    for name, allowed in choices.items():
        read = read_value(space.params[name], parsed.value.get(name))
        match = next((v for v in allowed if read is not None and same_scalar(v, read)), None)
        if match is not None:
            values[name] = match
        else:
            listed = ", ".join(str(v) for v in allowed)
            problems.append(f"{name} must be one of {listed}; got {_shorten(parsed.value.get(name))}")
    active = space.active(values)
    problems = [p for p in problems if p.split(" ", 1)[0] in active]
    if problems or not values:
        return Parsed(None, tuple(problems) or ("no value could be read",), parsed.value)
    return Parsed(Choice(space.completed(values), _reasoning(parsed.value)), raw=parsed.value)
