"""What a suite says: its tasks side by side from every start, with published figures marked as such. Pure but for the files.

The details of each start (intervals per task, failures by kind, cost) are in the tables of its comparison; this is the page above them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import MappingProxyType

from tcs_hpt.compare import Recorded
from tcs_hpt.experiments.suites import Suite, SuiteSize
from tcs_hpt.report import generations, trajectories, words
from tcs_hpt.report.comparison.confirmation import (
    Confirmed,
    confirmation_sections,
    confirmations,
    noise_floors,
)
from tcs_hpt.report.comparison.files import all_trials, flat
from tcs_hpt.report.comparison.means import MethodResult, TaskResult, task_results
from tcs_hpt.report.comparison.rows import Row
from tcs_hpt.report.comparison.text import STARTS, Run, cores_of, run_section
from tcs_hpt.report.cost import NOTE as COST_NOTE
from tcs_hpt.report.cost import Cores
from tcs_hpt.report.folder import write_folder
from tcs_hpt.report.generations import ByGeneration, generation_rows, generation_sections, lineages
from tcs_hpt.report.sections import Grid, Section
from tcs_hpt.report.suite_figure import CAPTION, PUBLISHED, BestByTask
from tcs_hpt.report.suite_totals import labels_of, total_grids, total_notes
from tcs_hpt.report.trajectories import Ways
from tcs_hpt.spec import Start
from tcs_hpt.statistics import MeanStd

ROWS = "rows.csv"
TRIALS = "trials.csv"
GENERATIONS = "generations.csv"


def suite_sections(
    suite: Suite,
    size: SuiteSize,
    rows: Mapping[Start, Sequence[Row]],
    runs: Sequence[Run] = (),
    floors: Mapping[str, float] | None = None,
) -> list[Section]:
    """Everything there is to say, start by start, then how it was run.

    Args:
        suite: What was asked for.
        size: At which size.
        rows: Of each start's comparison, what is there of it.
        runs: When and where it was run.
        floors: Noise floors by task, as far as they were measured.

    Raises:
        UserError: The suite's control is not among the methods.
    """
    there = sum(row.state == "complete" for found in rows.values() for row in found)
    lead = (
        *([suite.description] if suite.description else []),
        f"Profile {size.profile}, {_trials(size)}; {there} of {words.count(size.studies, 'study', 'studies')} complete.",
    )
    about = Section("What was run", lead)
    return [
        about,
        *(
            _start(suite, start, found, floors or {}, cores_of(runs))
            for start, found in rows.items()
            if found
        ),
        run_section(runs),
    ]


def write_suite(
    folder: Path,
    suite: Suite,
    size: SuiteSize,
    rows: Mapping[Start, Sequence[Row]],
    runs: Sequence[Run],
    *,
    version: str,
    generated_at: str,
    studies: Mapping[Start, Sequence[Recorded]] | None = None,
    repeats: Mapping[Start, Sequence[Recorded]] | None = None,
) -> list[Section]:
    """Write the table, the page, the figures of each start, and all that they are made from; what was written, as sections.

    Args:
        folder: Where to; created.
        suite: What was asked for.
        size: At which size.
        rows: Of each start's comparison, what is there of it.
        runs: When and where it was run.
        version: Of this package.
        generated_at: When the files are made.
        studies: Of each start.
        repeats: The studies that tried each start's winners again.

    Raises:
        UserError: The folder cannot be written.
    """
    from markupsafe import Markup

    studies, repeats = studies or {}, repeats or {}
    confirmed = {start: _confirmed(studies[start], again) for start, again in repeats.items()}
    floors = noise_floors([each for found in confirmed.values() for each in found])
    text = suite_sections(suite, size, rows, runs, floors)
    scores: dict[str, BestByTask] = {start: _figure(suite, found) for start, found in rows.items() if found}
    more: dict[str, Ways | ByGeneration] = {}
    for start, found in studies.items():
        if suite.trajectories is not None:
            more[f"{start}-ways"] = Ways(suite.trajectories, found)
            text.insert(-1, Section(f"The ways from start {start}", task=f"{start}-ways"))
        if suite.generations is not None:
            more[f"{start}-generations"] = ByGeneration(lineages(found))
            text.insert(-1, Section(f"Generation by generation, start {start}", task=f"{start}-generations"))
            text[-1:-1] = generation_sections(suite.generations, found, start)
    for start, each in confirmed.items():
        text[-1:-1] = [replace(s, title=f"Start {start}: {s.title}") for s in confirmation_sections(each)]
    bred = None if suite.generations is None else generation_rows(chain(*studies.values()))
    drawn: dict[str, BestByTask | Ways | ByGeneration] = {**scores, **more}
    captions = {key: trajectories.CAPTION if key.endswith("-ways") else generations.CAPTION for key in more}
    written = [section for section in text if section.task not in more]
    write_folder(
        folder,
        suite.title,
        "Benchmark suite",
        text,
        {
            ROWS: [flat(row) for found in rows.values() for row in found],
            TRIALS: all_trials(chain(*studies.values()), chain(*repeats.values())),
            **({} if bred is None else {GENERATIONS: bred}),
        },
        version=version,
        generated_at=generated_at,
        figures={key: Markup(figure.svg(key)) for key, figure in drawn.items()},
        captions=dict.fromkeys(scores, CAPTION) | captions,
        images={f"{key}.png": figure.png() for key, figure in drawn.items()},
        table=written,
    )
    return written


def _trials(size: SuiteSize) -> str:
    found = list(dict.fromkeys(part.trials for part in size.parts))
    return f"{' or '.join(map(str, found))} {'trial' if found == [1] else 'trials'} a study"


# -- one start ----------------------------------------------------------------------------------------------


def _start(
    suite: Suite, start: Start, rows: Sequence[Row], floors: Mapping[str, float], cores: Cores
) -> Section:
    results = task_results(rows, suite.control)
    labels = labels_of(results)
    return Section(
        title=f"Every study begins with {STARTS[start]}",
        grids=(
            _scores(suite, results, labels),
            *_tests(suite, results, labels),
            _by_task("Mean of all trials of a study", suite, results, labels, lambda m: m.mean),
            *total_grids(suite, results, floors, cores),
        ),
        notes=(*_notes(suite, results), *total_notes(suite, results, floors), COST_NOTE),
        task=start,
    )


def _confirmed(studies: Sequence[Recorded], repeats: Sequence[Recorded]) -> list[Confirmed]:
    """What is left of the winners of a start on fresh training seeds."""
    return confirmations(studies[0].spec.comparison, studies, repeats) if studies else []


def _figure(suite: Suite, rows: Sequence[Row]) -> BestByTask:
    results = task_results(rows, suite.control)
    return BestByTask(suite, results, labels_of(results))


def _scores(suite: Suite, results: Sequence[TaskResult], labels: Sequence[str]) -> Grid:
    ours = _by_task(
        "Best of each study, mean +- standard deviation over seeds", suite, results, labels, lambda m: m.best
    )
    if suite.published is None:
        return ours
    theirs = tuple(
        (
            PUBLISHED + name,
            *(suite.published.rows.get(r.task, {}).get(name, words.MISSING) for r in results),
        )
        for name in suite.published.methods
    )
    return Grid(ours.title, ours.columns, ours.rows + theirs)


def _by_task(
    title: str,
    suite: Suite,
    results: Sequence[TaskResult],
    labels: Sequence[str],
    figure: Callable[[MethodResult], MeanStd | None],
    metrics: Mapping[str, str] = MappingProxyType({}),
) -> Grid:
    """Methods as rows, tasks as columns; a task that `metrics` does not name has its objective's."""
    cells = {
        (result.task, method.label): _written(suite, figure(method))
        for result in results
        for method in result.methods
    }
    return Grid(
        title=f"{title}{f', {suite.unit}' if suite.unit else ''}",
        columns=("method", *(_column(r, metrics.get(r.task, r.objective.metric)) for r in results)),
        rows=tuple(
            (label, *(cells.get((r.task, label), words.MISSING) for r in results)) for label in labels
        ),
    )


def _column(result: TaskResult, metric: str) -> str:
    worse = "" if result.objective.direction == "maximize" else " (lower is better)"
    return f"{result.task}: {metric}{worse}"


def _tests(suite: Suite, results: Sequence[TaskResult], labels: Sequence[str]) -> list[Grid]:
    """The test score that belongs to each task's objective, where there is one."""
    own = {r.task: r.objective.metric.replace("val_", "test_", 1) for r in results}
    tested = [r for r in results if own[r.task] in r.test_names]
    if not tested:
        return []

    def test(method: MethodResult) -> MeanStd | None:
        return method.test(own[method.rows[0].task])

    return [_by_task("Test score of that best trial, which no method saw", suite, tested, labels, test, own)]


def _written(suite: Suite, value: MeanStd | None) -> str:
    if value is None:
        return words.MISSING
    digits = ".2f" if suite.unit else ".4g"
    mean = f"{value.mean * suite.times:{digits}}"
    return mean if value.std is None else f"{mean} +- {value.std * suite.times:{digits}}"


def _notes(suite: Suite, results: Sequence[TaskResult]) -> list[str]:
    notes = []
    if suite.published is not None:
        notes.append(
            f"Rows that begin with '{PUBLISHED.strip()}' were not measured here: {suite.published.source}. Models, data splits and "
            "hardware differ from ours."
        )
    left = [
        (r.task, m.label, len(m.rows) - len(m.counted))
        for r in results
        for m in r.methods
        if len(m.counted) < len(m.rows)
    ]
    notes += [
        f"{task}, {label}: {words.count(n, 'study', 'studies')} without a result left out."
        for task, label, n in left
    ]
    seeds = {(r.task, len(m.rows)) for r in results for m in r.methods}
    notes.append(
        "Seeds: "
        + "; ".join(f"{task} {count}" for task, count in sorted(seeds))
        + ". Intervals and tests by task are in the tables "
        "of the comparison."
    )
    return notes
