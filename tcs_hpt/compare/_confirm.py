"""Trying winners again: the best configuration of each method, and the start, on training seeds that no study has seen.

The best of many trials is lucky as well as good. What is left of its lead on fresh seeds is what a user will get.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tcs_hpt.compare._plan import TASK_LENGTH, PlannedStudy, TaskEntry, name_part
from tcs_hpt.compare._recorded import SEPARATOR, Recorded
from tcs_hpt.records import Trial, incumbent, ordered
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import Config, StopRules, StudySpec, TaskSpec

FRESH = 1_000_000
"""First training seed of a confirmation."""


@dataclass(frozen=True)
class Winner:
    """A configuration that is worth trying again, and where it was found."""

    spec: StudySpec
    """Of the study that found it."""
    trial: Trial
    is_start: bool = False
    """Whether it is what every study of its task began with."""

    @property
    def config(self) -> Config:
        """What is tried again."""
        return self.trial.config

    @property
    def digest(self) -> str:
        """Tells its configuration apart, in the names of the studies that try it again."""
        key = SearchSpace(self.spec.task.params).key(self.config)
        return hashlib.sha256(json.dumps(key).encode()).hexdigest()[:10]


def winners(studies: Iterable[Recorded]) -> list[Winner]:
    """For each task the common start, if there is one, and the best trial of each method over all its complete studies.

    Of equal scores the one of the earlier seed wins.
    """
    by_task: dict[str, list[Recorded]] = {}
    for study in studies:
        if study.complete:
            by_task.setdefault(study.spec.task.name, []).append(study)
    found: list[Winner] = []
    for group in by_task.values():
        found += _start(group)
        methods: dict[tuple[str, str, str], list[Recorded]] = {}
        for study in sorted(group, key=lambda s: s.spec.seed):
            spec = study.spec
            methods.setdefault((spec.method, spec.analysis_model, spec.optimizer_model), []).append(study)
        for mine in methods.values():
            found += _best(mine)
    return found


def _start(group: Sequence[Recorded]) -> list[Winner]:
    """The first trial, when all studies of a task have the same one and it has a score."""
    firsts = [(study, ordered(study.trials)[:1]) for study in group]
    space = SearchSpace(group[0].spec.task.params)
    if any(not trials for _, trials in firsts) or len({space.key(t[0].config) for _, t in firsts}) != 1:
        return []
    scored = [(study, trials[0]) for study, trials in firsts if trials[0].value is not None]
    return [Winner(scored[0][0].spec, scored[0][1], is_start=True)] if scored else []


def _best(studies: Sequence[Recorded]) -> list[Winner]:
    objective = studies[0].spec.task.objective
    best: Winner | None = None
    for study in studies:
        trial = incumbent(study.trials, objective)
        if trial is None or trial.value is None:
            continue
        if best is None or best.trial.value is None or objective.better(trial.value, best.trial.value):
            best = Winner(study.spec, trial)
    return [best] if best is not None else []


def confirmation(comparison: str) -> str:
    """Name of the comparison that holds the studies which try a comparison's winners again."""
    return f"{comparison}.confirm"


def plan_confirmation(
    comparison: str, found: Sequence[Winner], tasks: Mapping[str, TaskEntry], runs: int
) -> list[PlannedStudy]:
    """One study of one trial for each configuration and fresh seed, seed by seed; winners that are equal share theirs.

    Args:
        comparison: Whose winners they are.
        found: The winners.
        tasks: By name; winners of other tasks are left out.
        runs: Fresh seeds.
    """
    planned: dict[str, PlannedStudy] = {}
    for seed in range(FRESH, FRESH + runs):
        for winner in found:
            entry = tasks.get(winner.spec.task.name)
            if entry is None:
                continue
            spec = StudySpec(
                name=_name(comparison, winner, seed),
                task=_beginning_with(winner),
                profile=winner.spec.profile,
                method="random",  # whose only trial is the start
                trials=1,
                stop=StopRules(failures=0),
                seed=seed,
                comparison=confirmation(comparison),
            )
            planned.setdefault(spec.name, PlannedStudy(spec=spec, task=entry))
    return list(planned.values())


def again(comparison: str, winner: Winner, studies: Iterable[Recorded]) -> dict[int, Trial]:
    """The trials that tried a winner again and have a score, by their seed."""
    found: dict[int, Trial] = {}
    for study in studies:
        if study.spec.name == _name(comparison, winner, study.spec.seed):
            for trial in ordered(study.trials):
                if trial.value is not None:
                    found[study.spec.seed] = trial
    return dict(sorted(found.items()))


def _name(comparison: str, winner: Winner, seed: int) -> str:
    task = name_part(winner.spec.task.name, TASK_LENGTH)
    return SEPARATOR.join((confirmation(comparison), task, winner.digest, str(seed)))


def _beginning_with(winner: Winner) -> TaskSpec:
    return winner.spec.task.with_defaults(winner.config)
