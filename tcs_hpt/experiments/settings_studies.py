"""The studies that a suite of settings consists of: one training each. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from tcs_hpt.compare import SEPARATOR, PlannedStudy, Recorded, TaskEntry
from tcs_hpt.experiments.suites import SettingsSuite
from tcs_hpt.records import Trial, ordered
from tcs_hpt.spec import StopRules, StudySpec


def plan_settings(suite: SettingsSuite, size: str, task: TaskEntry) -> list[PlannedStudy]:
    """One study of one trial for each setting and training seed, seed by seed.

    Args:
        suite: What is asked for.
        size: At which size.
        task: The suite's task at that size.

    Raises:
        UserError: A setting names a parameter that the task does not have, or a value outside its range.
    """
    wanted = suite.size(size)
    comparison = suite.comparison(size)
    return [
        PlannedStudy(
            spec=StudySpec(
                name=SEPARATOR.join((comparison, setting, str(seed))),
                task=task.spec.narrowed(fix=suite.settings[setting]),
                profile=task.profile,
                method="random",  # whose only trial is the start
                trials=1,
                stop=StopRules(failures=0),
                seed=seed,
                comparison=comparison,
            ),
            task=task,
        )
        for seed in range(wanted.seeds)
        for setting in wanted.settings
    ]


def by_setting(suite: SettingsSuite, size: str, studies: Iterable[Recorded]) -> dict[str, dict[int, Trial]]:
    """The trial of each setting and seed, those without a score too; settings in the order of the suite."""
    found: dict[str, dict[int, Trial]] = {name: {} for name in suite.size(size).settings}
    for study in sorted(studies, key=lambda s: s.spec.seed):
        setting = study.spec.name.removeprefix(suite.comparison(size) + SEPARATOR).rpartition(SEPARATOR)[0]
        for trial in ordered(study.trials)[:1]:
            if setting in found:
                found[setting][study.spec.seed] = trial
    return found
