"""Fixed configurations side by side: score, tests, time, memory, and what else the suite asks for. Pure but for the files."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tcs_hpt.experiments.suites import SettingsSuite
from tcs_hpt.records import Trial
from tcs_hpt.report import words
from tcs_hpt.report.comparison.text import Run, digits_of, fixed, plus_minus, run_section
from tcs_hpt.report.folder import write_folder
from tcs_hpt.report.sections import Grid, Section
from tcs_hpt.report.suite import ROWS
from tcs_hpt.spec import Objective
from tcs_hpt.statistics import mean_std, paired_difference

Found = Mapping[str, Mapping[int, Trial]]
"""The trial of each setting and training seed."""


def settings_sections(
    suite: SettingsSuite, size: str, objective: Objective, found: Found, runs: Sequence[Run] = ()
) -> list[Section]:
    """Everything there is to say, then how it was run.

    Args:
        suite: What was asked for.
        size: At which size.
        objective: Of the task.
        found: What was trained so far.
        runs: When and where it was run.
    """
    wanted = suite.size(size)
    trained = sum(map(len, found.values()))
    about = Section(
        "What was run",
        (
            *filter(None, (suite.description,)),
            f"Task {suite.task}, profile {wanted.profile}; {trained} of {wanted.amount} over, each the mean over its training seeds.",
        ),
    )
    table = Section(
        f"{suite.task}: {objective.metric}, {'higher' if objective.direction == 'maximize' else 'lower'} is better",
        grids=(_grid(suite, objective, found),),
        notes=tuple(_notes(found)),
    )
    return [about, table, run_section(runs)]


def write_settings(
    folder: Path,
    suite: SettingsSuite,
    size: str,
    objective: Objective,
    found: Found,
    runs: Sequence[Run],
    *,
    version: str,
    generated_at: str,
) -> list[Section]:
    """Write the table, the page and one row per training; what was written, as sections.

    Raises:
        UserError: The folder cannot be written.
    """
    text = settings_sections(suite, size, objective, found, runs)
    rows = [
        _flat(suite, name, seed, trial) for name, trials in found.items() for seed, trial in trials.items()
    ]
    write_folder(
        folder,
        suite.title,
        "Fixed configurations",
        text,
        {ROWS: rows},
        version=version,
        generated_at=generated_at,
    )
    return text


def _grid(suite: SettingsSuite, objective: Objective, found: Found) -> Grid:
    scored = {name: _scored(trials) for name, trials in found.items()}
    digits = digits_of([t.value for trials in scored.values() for t in trials.values()])
    tests = sorted(
        {n for trials in scored.values() for t in trials.values() for n in t.metrics if n.startswith("test_")}
    )
    columns = (*tests, *(name for name in suite.columns if name not in tests))
    every: list[Callable[[Trial], float | None]] = [_metric(name) for name in columns]
    places = [digits_of([get(t) for trials in scored.values() for t in trials.values()]) for get in every]
    return Grid(
        "",
        (
            "setting",
            "trainings",
            objective.metric,
            f"against {suite.control}",
            "95 % interval",
            *columns,
            "seconds",
            "CPU s",
            "peak MiB",
        ),
        tuple(
            (
                name,
                str(len(trials))
                if len(scored[name]) == len(trials)
                else f"{len(scored[name])} of {len(trials)}",
                _mean(scored[name], lambda t: t.value, digits),
                *_difference(
                    objective, scored[name], scored.get(suite.control, {}), name == suite.control, digits
                ),
                *(_mean(scored[name], get, place) for get, place in zip(every, places, strict=True)),
                _mean(scored[name], lambda t: t.usage.wall_seconds, 1),
                _mean(scored[name], lambda t: t.usage.cpu_seconds, 1),
                _mean(scored[name], lambda t: t.usage.peak_memory_mb, 0),
            )
            for name, trials in found.items()
        ),
    )


def _scored(trials: Mapping[int, Trial]) -> dict[int, Trial]:
    return {seed: t for seed, t in trials.items() if t.value is not None}


def _metric(name: str) -> Callable[[Trial], float | None]:
    return lambda trial: trial.metrics.get(name)


def _mean(trials: Mapping[int, Trial], get: Callable[[Trial], float | None], digits: int | None) -> str:
    values = [value for t in trials.values() if (value := get(t)) is not None]
    return plus_minus(mean_std(values), digits) if values else words.MISSING


def _difference(
    objective: Objective,
    ours: Mapping[int, Trial],
    control: Mapping[int, Trial],
    is_control: bool,
    digits: int | None,
) -> tuple[str, str]:
    """Improvement over the control, paired over training seeds; positive is better."""
    pairs = [(ours[s].value, control[s].value) for s in ours if s in control]
    gains = [objective.gain(a, b) for a, b in pairs if a is not None and b is not None]
    if is_control or not gains:
        return words.MISSING, words.MISSING
    gap = paired_difference(gains, [0.0] * len(gains))
    interval = f"{fixed(gap.low, digits, sign=True)} to {fixed(gap.high, digits, sign=True)}"
    return fixed(gap.mean, digits, sign=True), interval if gap.n > 1 else "unknown"


def _notes(found: Found) -> list[str]:
    failed = [
        (name, seed, trial.failure)
        for name, trials in found.items()
        for seed, trial in trials.items()
        if trial.failure is not None
    ]
    notes = [
        f"{name}, seed {seed}: {failure.kind}: {words.one_line(failure.message, 200)}"
        for name, seed, failure in failed
    ]
    notes.append(
        "Differences are paired over training seeds and positive is better; with few seeds an interval says little. Memory is that of the "
        "process, without a GPU's."
    )
    return notes


def _flat(suite: SettingsSuite, name: str, seed: int, trial: Trial) -> dict[str, str | float | int | None]:
    return {
        "suite": suite.name,
        "setting": name,
        "seed": seed,
        "state": trial.state,
        "value": trial.value,
        "failure": trial.failure.message if trial.failure else "",
        "wall_seconds": trial.usage.wall_seconds,
        "cpu_seconds": trial.usage.cpu_seconds,
        "peak_memory_mb": trial.usage.peak_memory_mb,
        **{f"metric_{k}": v for k, v in sorted(trial.metrics.items())},
    }
