"""Earlier studies: what memory needs of each, how close it is to the present one, and what came of it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from tcs_hpt.evidence.roles import role_of
from tcs_hpt.records import outcome
from tcs_hpt.spec import CategoricalParameter, Config, StudySpec, TaskSpec, same_scalar

Closeness: TypeAlias = Literal["setting", "task", "parameters"]
"""What an earlier study has in common with the present one, the most first."""

_ORDER = get_args(Closeness)

Lesson: TypeAlias = Literal[
    "improved",
    "start unbeaten",
    "others began better",
    "too few trials",
    "nothing finished",
    "other direction",
]
"""What came of an earlier study; only `improved` ones offer anything."""

FEWEST = 3
"""Finished trials without which a best value is chance."""


@dataclass(frozen=True)
class Tried:
    """A trial as memory needs it."""

    number: int
    config: Config
    """Inside the space of its own study."""
    value: float | None
    """The score; None when it failed, or was not allowed by the objective's bounds."""


@dataclass(frozen=True)
class EarlierStudy:
    """A study that was entered before the present one: how it was declared, where it began, and its best."""

    name: str
    task: TaskSpec
    """With profile and overrides applied."""
    profile: str | None
    created_at: str
    """ISO 8601, UTC."""
    finished: int
    """Trials with a score."""
    failed: int
    start: Tried
    """The first trial; where configurations had fewer epochs first, the first that had them all."""
    best: Tried | None
    """The first of the best that keep the bounds, with all epochs; None when no such trial finished."""


@dataclass(frozen=True)
class Remembered:
    """An earlier study, and what it says about the present one."""

    study: EarlierStudy
    closeness: Closeness
    lesson: Lesson
    gain: float | None = None
    """Improvement of its best over its start, in its metric's unit; None when one of them has no score."""
    won: float = 0.0
    """The same as a part of the larger score, in [0, 1]; 1 when the start failed and something finished."""

    @property
    def trials(self) -> int:
        """Trials that ended."""
        return self.study.finished + self.study.failed

    @property
    def sentence(self) -> str:
        """What came of the study, for people."""
        metric = self.study.task.objective.metric
        began, best = self.study.start.value, self.study.best.value if self.study.best else None
        course = f"{metric} {written(began)} -> {written(best)}"
        said = {
            "improved": course,
            "start unbeaten": f"nothing beat the start, {metric} {written(began)}",
            "others began better": f"{course}, which others surpassed at their start",
            "too few trials": f"{course}, too few trials to tell",
            "nothing finished": "no trial finished",
            "other direction": f"{metric} was to {self.study.task.objective.direction}",
        }[self.lesson]
        count = f"{self.trials} trial{'s' if self.trials != 1 else ''}"
        return f"{self.study.name} ({self.study.task.name}, {count}, {self.study.created_at[:10]}): {said}."


def remembered_studies(study: StudySpec, earlier: Iterable[EarlierStudy]) -> tuple[Remembered, ...]:
    """The studies that have something in common with the present one, the closest and newest first.

    Args:
        study: The present study; one of its name among the earlier ones is passed over.
        earlier: Other studies of any task, in any order.
    """
    # The newest first; a name breaks ties, so that the order in which they came does not matter.
    newest = sorted(earlier, key=lambda e: (e.created_at, e.name), reverse=True)
    found = [(e, close) for e in newest if e.name != study.name and (close := _closeness(study, e))]
    objective = study.task.objective
    began: float | None = None
    for one, close in found:
        value = one.start.value
        if close == "setting" and value is not None and (began is None or objective.better(value, began)):
            began = value
    judged = [_judged(study, one, close, began) for one, close in found]
    return tuple(sorted(judged, key=lambda r: _ORDER.index(r.closeness)))


def _closeness(study: StudySpec, earlier: EarlierStudy) -> Closeness | None:
    here, there = study.task, earlier.task
    objectives = [(t.objective.metric, t.objective.direction) for t in (here, there)]
    if here.name == there.name and objectives[0] == objectives[1]:
        fixed = set(here.fixed) & set(there.fixed)
        equal = all(same_scalar(here.fixed[n], there.fixed[n]) for n in fixed)
        return "setting" if equal and earlier.profile == study.profile else "task"
    return "parameters" if any(comparable(n, here, there, "parameters") for n in here.params) else None


def comparable(name: str, here: TaskSpec, there: TaskSpec, closeness: Closeness) -> bool:
    """Whether a parameter of two tasks is the same thing."""
    a, b = here.params.get(name), there.params.get(name)
    if a is None or b is None or a.type != b.type:
        return False
    if closeness != "parameters":
        return True
    if role_of(name, here.params) != role_of(name, there.params):
        return False
    if isinstance(a, CategoricalParameter) and isinstance(b, CategoricalParameter):
        shared = [c for c in a.choices if any(same_scalar(c, d) for d in b.choices)]
        return len(shared) > 1  # else there was nothing there that it won against here
    if isinstance(a, CategoricalParameter) or isinstance(b, CategoricalParameter):
        return False
    return a.log == b.log and max(a.low, b.low) <= min(a.high, b.high)


def _judged(study: StudySpec, earlier: EarlierStudy, closeness: Closeness, began: float | None) -> Remembered:
    """What came of a study; `began` is the best start of all studies of the setting."""
    ours, theirs = study.task.objective, earlier.task.objective
    best = earlier.best.value if earlier.best is not None else None
    if ours.metric == theirs.metric and ours.direction != theirs.direction:
        return Remembered(earlier, closeness, "other direction")
    if best is None:
        return Remembered(earlier, closeness, "nothing finished")
    start = earlier.start.value
    gain = None if start is None else theirs.gain(best, start)
    won = 1.0
    if start is not None and gain is not None:
        won = min(max(gain / max(abs(start), abs(best), 1e-300), 0.0), 1.0)
    lesson: Lesson = "improved"
    if earlier.finished < FEWEST:
        lesson = "too few trials"
    elif start is not None and gain is not None and outcome(gain, start, best) != "improves":
        lesson = "start unbeaten"
    elif closeness == "setting" and began is not None and not ours.better(best, began):
        lesson = "others began better"
    return Remembered(earlier, closeness, lesson, gain, won)


def written(value: float | None) -> str:
    """A score as people read it."""
    return "none" if value is None else f"{value:.4g}"
