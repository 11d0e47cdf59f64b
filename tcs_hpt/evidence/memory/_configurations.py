"""Whole configurations that were best in earlier studies of the same setting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tcs_hpt.evidence.memory._study import EarlierStudy, Remembered, written
from tcs_hpt.evidence.memory._values import allowed, open_end
from tcs_hpt.space import Key, SearchSpace
from tcs_hpt.spec import Config, TaskSpec, same_scalar


@dataclass(frozen=True)
class RememberedConfiguration:
    """The best configuration of an earlier study of the same setting. Inside the present space."""

    config: Config
    value: float
    """The score it had there."""
    study: str
    reason: str
    """One sentence."""


def remembered_configurations(
    task: TaskSpec, studies: Sequence[Remembered]
) -> tuple[RememberedConfiguration, ...]:
    """Best configurations of studies of the same setting, by score, all different; what was fixed there is filled in.

    Left out are those that the present space does not hold in every value, and those that ended at a range that
    goes on here. A parameter that is new since then takes its default.
    """
    space = SearchSpace(task.params)
    sign = -1.0 if task.objective.direction == "maximize" else 1.0
    found: dict[Key, RememberedConfiguration] = {}
    for study in studies:
        best = study.study.best
        if study.closeness != "setting" or study.lesson != "improved" or best is None or best.value is None:
            continue
        config = _whole(space, task, study.study, best.config)
        if config is None:
            continue
        known = found.get(space.key(config))
        if known is None or task.objective.better(best.value, known.value):
            began = (
                "a start that failed" if study.study.start.value is None else written(study.study.start.value)
            )
            found[space.key(config)] = RememberedConfiguration(
                config=config,
                value=best.value,
                study=study.study.name,
                reason=f"The best of {study.study.name}: {task.objective.metric} {written(best.value)} after {began}.",
            )
    return tuple(sorted(found.values(), key=lambda c: sign * c.value))


def _whole(space: SearchSpace, task: TaskSpec, study: EarlierStudy, best: Config) -> Config | None:
    there = SearchSpace(study.task.params)
    settings = {**study.task.fixed, **best}
    values: Config = {}
    for name, setting in settings.items():
        if name in task.fixed and not same_scalar(task.fixed[name], setting):
            return None
        if name not in space.params:
            continue
        value = allowed(space, name, setting)
        known = name in there.params and there.params[name].type == space.params[name].type
        if value is None or (known and open_end(there, space, name, setting)):
            return None
        values[name] = value
    config = space.completed(values)
    return config if space.contains(config) else None
