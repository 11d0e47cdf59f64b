"""Carrying out a planned comparison: progress on the terminal, Ctrl-C, and what is written when it ends."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from tcs_hpt.catalog import list_tasks, load_task
from tcs_hpt.cli._compare_results import note_run, write_results
from tcs_hpt.cli._shared import study_folder, task_reference
from tcs_hpt.compare import (
    ComparisonRun,
    ModelPool,
    PlannedStudy,
    Recorded,
    StudyOver,
    TaskEntry,
    Update,
    confirmation,
    enter,
    plan_confirmation,
    studies_of,
    winners,
)
from tcs_hpt.loop import prepare, visible_devices
from tcs_hpt.records import ordered
from tcs_hpt.report.comparison.files import rows_of
from tcs_hpt.report.comparison.means import task_results
from tcs_hpt.report.comparison.rows import Row, row_of
from tcs_hpt.report.comparison.text import Run
from tcs_hpt.report.comparison.views import JsonProgress, LiveProgress, PlainProgress, Progress, Timings
from tcs_hpt.report.words import count
from tcs_hpt.store import Store


@dataclass(frozen=True)
class How:
    """What does not change what is compared."""

    jobs: int = 1
    """Studies at the same time."""
    data_dir: Path | None = None
    python: str = ""
    as_json: bool = False
    quiet: bool = False
    confirm: int = 0
    """Fresh training seeds on which each method's winner and the start are tried again."""
    again: str = "the same command"
    """What goes on after an interruption, for a person."""


def task_entry(given: str, profile: str) -> TaskEntry:
    """A task at the size that is compared: the one that is named, else `quick` for built-in tasks."""
    loaded = load_task(given)
    size = profile or ("quick" if given in list_tasks() and "quick" in loaded.spec.profiles else None)
    return TaskEntry(loaded.spec.with_profile(size), loaded.folder, size, task_reference(loaded, given))


def carry_out(
    planned: Sequence[PlannedStudy],
    models: ModelPool,
    database: Store,
    console: Console,
    *,
    how: How,
    folder: Path,
    run: Run,
    against: str,
    timings: Timings | None = None,
    later: Mapping[str, int] | None = None,
) -> tuple[list[Row], bool]:
    """Enter the studies, run what is left of them, and write tables and rows of the whole comparison.

    Args:
        planned: The studies.
        models: For those that ask one.
        database: Where they are.
        console: Where progress is told.
        how: How they are run.
        folder: Of the tables and rows.
        run: This command.
        against: The control.
        timings: Of this command so far.
        later: How many trials this command runs when all this is over, by task.

    Returns:
        The rows of all its studies, and whether somebody interrupted.

    Raises:
        UserError: There is no control of this name, or the store holds studies that these cannot be compared with.
    """
    name = planned[0].spec.comparison
    _require_control(database, name, planned, against)
    enter(planned, database)
    note_run(database, name, run)
    again: list[StudyOver] = []
    timings = timings or Timings()
    after = Counter(later or {})
    try:
        confirming = after + _to_confirm(planned, database, how.confirm)
        overs, interrupted = run_planned(planned, models, database, console, how, timings, confirming)
        if how.confirm and not interrupted:
            again, interrupted = _confirm(planned, models, database, console, how, timings, after)
    except Exception:
        write_results(database, name, folder, [], run, against, trained=True)
        raise  # a bug in one study; what the others found is on disk
    trained = not all(over.skipped for over in (*overs, *again))
    return write_results(database, name, folder, overs, run, against, trained=trained), interrupted


def trials_left(planned: Sequence[PlannedStudy], database: Store, confirm: int) -> Counter[str]:
    """How many trials of these studies are left to run, by task, and at most to try winners again on so many seeds."""
    left: Counter[str] = Counter()
    known = {s.spec.name: s for s in studies_of(database, planned[0].spec.comparison)}
    for study in planned:
        there = known.get(study.spec.name)
        if there is None or not there.complete:
            done = 0 if there is None else len(ordered(there.trials))
            left[study.task.spec.name] += study.spec.trials - done
    return left + _to_confirm(planned, database, confirm)


def _to_confirm(planned: Sequence[PlannedStudy], database: Store, confirm: int) -> Counter[str]:
    """How many trainings are left that try winners again, by task; while a study runs, the most that there can be.

    That is one winner of each method, and the start if all share it.
    """
    if not confirm:
        return Counter()
    name = planned[0].spec.comparison
    found = studies_of(database, name)
    complete = {s.spec.name for s in found if s.complete}
    tried = {s.spec.name for s in studies_of(database, confirmation(name)) if s.complete}
    if all(p.spec.name in complete for p in planned):
        tasks = {p.task.spec.name: p.task for p in planned}
        repeats = plan_confirmation(name, winners(found), tasks, confirm)
        return Counter(p.task.spec.name for p in repeats if p.spec.name not in tried)
    methods = {(p.task.spec.name, row_of(Recorded(p.spec, (), None)).label) for p in planned}
    methods |= {(p.task.spec.name, "") for p in planned if p.spec.start != "cold"}
    return Counter(task for task, _ in methods for _ in range(confirm))


def _confirm(
    planned: Sequence[PlannedStudy],
    models: ModelPool,
    database: Store,
    console: Console,
    how: How,
    timings: Timings,
    later: Mapping[str, int],
) -> tuple[list[StudyOver], bool]:
    """Try the winners again; how that ended, and whether somebody interrupted."""
    name = planned[0].spec.comparison
    tasks = {study.task.spec.name: study.task for study in planned}
    repeats = plan_confirmation(name, winners(studies_of(database, name)), tasks, how.confirm)
    for study in repeats:
        prepare(study.spec, database)
    if not repeats:
        return [], False
    return run_planned(repeats, models, database, console, how, timings, later)


def _require_control(database: Store, name: str, planned: Sequence[PlannedStudy], against: str) -> None:
    """That there will be a control of this name: better said now than after the work."""
    known = rows_of(studies_of(database, name), ())
    task_results([*known, *(row_of(Recorded(p.spec, (), None)) for p in planned)], against)


def _say_nothing(update: Update) -> None:
    pass


def run_planned(
    planned: Sequence[PlannedStudy],
    models: ModelPool,
    database: Store,
    console: Console,
    how: How,
    timings: Timings | None = None,
    later: Mapping[str, int] | None = None,
) -> tuple[list[StudyOver], bool]:
    """Run what is left; how the studies ended, and whether somebody interrupted."""
    progress = Progress([p.spec for p in planned], how.jobs, timings, later)
    live = (
        LiveProgress(console, progress) if console.is_terminal and not how.as_json and not how.quiet else None
    )
    watch: Callable[[Update], None] = live or PlainProgress(sys.stdout, progress)
    if how.as_json:
        watch = JsonProgress(sys.stdout)
    elif how.quiet:
        watch = _say_nothing
    else:
        what = planned[0].spec.comparison
        console.print(f"comparison {what}: {count(len(planned), 'study', 'studies')}", highlight=False)

    def on_stop(running: int) -> None:
        text = f"stopping {count(running, 'study', 'studies')}; Ctrl-C again ends at once"
        if live is not None:
            console.print(text, highlight=False)
        else:
            print(text, file=sys.stderr)

    comparison = ComparisonRun(
        planned,
        open_store=lambda: Store.open(database.url),
        folder_of=lambda study: study_folder(database, study),
        jobs=how.jobs,
        models=models,
        devices=visible_devices() if how.jobs > 1 else (),
        data_dir=how.data_dir,
        python=how.python,
        watch=watch,
        on_stop=on_stop,
    )
    try:
        with live or nullcontext():
            return comparison.run(), comparison.stopped
    except KeyboardInterrupt:
        print(f"interrupted; continue with {how.again}")
        sys.stdout.flush()
        os._exit(130)  # a thread that waits for a model's answer would keep the process alive
