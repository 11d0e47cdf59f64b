"""Single values that were best in earlier studies, and how much speaks for each."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tcs_hpt.evidence.candidates import APART
from tcs_hpt.evidence.memory._study import Closeness, Remembered, comparable
from tcs_hpt.evidence.roles import role_of, snake_case
from tcs_hpt.space import SearchSpace, check_value, format_value
from tcs_hpt.spec import CategoricalParameter, Config, Scalar, TaskSpec, same_scalar

OpenEnd: TypeAlias = Literal[-1, 0, 1]
"""1 when an earlier range ended at the value and the present one goes on above, -1 below."""

RECENCY = 0.9
"""What a study weighs against the next newer one."""
HALF_WON = 0.1
"""Improvement, as a part of the score, that has half the weight of any larger one."""
HALF_SUPPORT = 0.25
"""Weight of all studies together that lifts a value half-way to the next closeness."""

_LEVEL: dict[Closeness, float] = {"setting": 1.2, "task": 0.8, "parameters": 0.4}
"""Scores begin here, on the scale of `candidates`: a remembered value of the same setting goes before untested changes about
which nothing is known, and leaves clear signs of the curve before it."""
_SPAN = 0.4
_BESIDE = re.compile(r"optimi[sz]er|solver|booster")
"""Parameters that give a learning rate its meaning."""


@dataclass(frozen=True)
class RememberedValue:
    """A value of one parameter that was best in earlier studies. Inside the present range."""

    parameter: str
    value: Scalar
    closeness: Closeness
    """Of the closest of the studies."""
    score: float
    """Rank key on the scale of `Candidate.score`; higher is better."""
    reason: str
    """One sentence."""
    studies: tuple[str, ...]
    """Their names, the closest and newest first."""
    open_end: OpenEnd = 0
    beside: tuple[tuple[str, Scalar], ...] = ()
    """Choices without which it means nothing: the optimizer that a learning rate belongs to."""


@dataclass(frozen=True)
class _Find:
    """A value that one study found."""

    parameter: str
    value: Scalar
    study: Remembered
    weight: float
    open_end: OpenEnd
    beside: tuple[tuple[str, Scalar], ...]


def remembered_values(task: TaskSpec, studies: Sequence[Remembered]) -> tuple[RememberedValue, ...]:
    """Values that are worth offering in a task's space, best first; those that agree are one.

    Args:
        task: What is tuned now.
        studies: The closest and newest first, as in `Memory.studies`.
    """
    space = SearchSpace(task.params)
    told = [s for s in studies if s.lesson == "improved"]
    dates = sorted(((s.study.created_at, s.study.name) for s in told), reverse=True)
    groups: list[list[_Find]] = []
    for study in told:
        age = dates.index((study.study.created_at, study.study.name))
        for find in _finds(space, task, study, RECENCY**age):
            for group in groups:
                if _agree(space, group[0], find):
                    group.append(find)
                    break
            else:
                groups.append([find])
    values = [_value(group, task.name) for group in groups]
    return tuple(sorted(values, key=lambda v: (-v.score, space.names.index(v.parameter))))


def _finds(space: SearchSpace, task: TaskSpec, study: Remembered, recency: float) -> list[_Find]:
    there, best = SearchSpace(study.study.task.params), study.study.best
    if best is None:
        return []
    changed = _changed(there, study.study.start.config, best.config)
    weight = recency * study.won / (study.won + HALF_WON) / max(len(changed), 1)
    found = []
    for name in changed:
        if not comparable(name, task, study.study.task, study.closeness):
            continue
        value = allowed(space, name, best.config[name])
        if value is None:
            continue
        beside: tuple[tuple[str, Scalar], ...] = ()
        if role_of(name, space.names) == "learning_rate":
            settings = {**study.study.task.fixed, **best.config}
            beside = tuple(sorted((n, v) for n, v in settings.items() if _BESIDE.search(snake_case(n))))
        end = open_end(there, space, name, best.config[name])
        found.append(_Find(name, value, study, weight, end, beside))
    return found


def _changed(space: SearchSpace, start: Config, best: Config) -> list[str]:
    """Parameters that a study had set; one that its parent switched on counts when it left its default."""
    names = [n for n in space.differences(start, best) if n in best]
    return [
        n
        for n in names
        if n in start or not same_scalar(space.round(n, best[n]), space.round(n, space.default(n)))
    ]


def allowed(space: SearchSpace, name: str, value: Scalar) -> Scalar | None:
    """The value, short to write; None when the space does not have it."""
    if check_value(name, space.params[name], value) is not None:
        return None
    tidy = space.tidy(name, value)
    return tidy if check_value(name, space.params[name], tidy) is None else value


def _ends(space: SearchSpace, name: str) -> tuple[float, float] | None:
    """The least and the largest value that can be reached; None for choices without order."""
    parameter = space.params[name]
    if isinstance(parameter, CategoricalParameter):
        return (float(parameter.choices[0]), float(parameter.choices[-1])) if parameter.ordered else None
    return float(space.round(name, parameter.low)), float(space.round(name, parameter.high))


def open_end(there: SearchSpace, here: SearchSpace, name: str, value: Scalar) -> OpenEnd:
    """Whether a value was the last of its earlier range, and the present one goes on."""
    theirs, ours = _ends(there, name), _ends(here, name)
    if theirs is None or ours is None:
        return 0
    place, low, high = (float(there.round(name, v)) for v in (value, *theirs))
    if place >= high and ours[1] > high:
        return 1
    return -1 if place <= low and ours[0] < low else 0


def _agree(space: SearchSpace, a: _Find, b: _Find) -> bool:
    return (
        a.parameter == b.parameter
        and a.beside == b.beside
        and a.open_end == b.open_end
        and near(space, a.parameter, a.value, b.value)
    )


def near(space: SearchSpace, name: str, a: Scalar, b: Scalar) -> bool:
    """Whether two values are too close to be offered side by side."""
    if isinstance(space.params[name], CategoricalParameter):
        return same_scalar(a, b)
    return abs(space.to_unit(name, a) - space.to_unit(name, b)) < APART


def _value(group: Sequence[_Find], task: str) -> RememberedValue:
    first = group[0]  # of the closest study, and of those the newest
    support = sum(find.weight for find in group)
    return RememberedValue(
        parameter=first.parameter,
        value=first.value,
        closeness=first.study.closeness,
        score=_LEVEL[first.study.closeness] + _SPAN * support / (support + HALF_SUPPORT),
        reason=_reason(group, task),
        studies=tuple(find.study.study.name for find in group),
        open_end=first.open_end,
        beside=first.beside,
    )


def _reason(group: Sequence[_Find], task: str) -> str:
    first, count = group[0], len(group)
    exact = all(same_scalar(find.value, first.value) for find in group)
    own = [f.study.closeness for f in group if f.study.closeness != "parameters"]
    studies = "an earlier study" if count == 1 else f"{count} earlier studies"
    if 0 < len(own) < count:
        where = f", {len(own)} of them of this task"
    elif own:
        where = " of this task" if "setting" in own else " of this task at other settings"
    else:
        tasks = {f.study.study.task.name for f in group}
        if tasks == {task}:
            where = " of this task for another metric"
        elif len(tasks) == 1:
            where = f" of another task, {tasks.pop()}"
        else:
            where = " of other tasks"
    ended = ", where the range ended" if first.open_end else ""
    near = "" if exact else "near "
    return f"{first.parameter} {near}{format_value(first.value)} was best in {studies}{where}{ended}."
