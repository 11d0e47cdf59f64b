"""The files that a comparison leaves, and what is seen of it while it runs."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import pytest
from rich.console import Console

from tcs_hpt.compare import Recorded, StudyBegan, StudyOver, TrialOver, Update
from tcs_hpt.errors import UserError
from tcs_hpt.records import Trial, Usage
from tcs_hpt.report.comparison.figure import best_so_far
from tcs_hpt.report.comparison.files import (
    History,
    flat,
    json_line,
    read_history,
    rows_of,
    to_csv,
    trial_rows,
    write_files,
)
from tcs_hpt.report.comparison.means import task_results
from tcs_hpt.report.comparison.rows import Row
from tcs_hpt.report.comparison.text import Run
from tcs_hpt.report.comparison.views import JsonProgress, LiveProgress, PlainProgress, Progress, Timings
from tests.build import study as make_study
from tests.build import task, trial

from .test_comparison import CONFIG, HOSTILE, make_row, make_rows
from .test_html import Page

# -- files --------------------------------------------------------------------------------------------------


def write(folder: Path) -> tuple[list[Recorded], list[Row]]:
    studies = []
    for seed, method in ((0, "coin"), (1, "coin"), (0, "expert")):
        spec = make_study(
            name=f"c--digits--{method}--{seed}", comparison="c", method=method, seed=seed, trials=2
        )
        trials = (trial(1, CONFIG, 0.5), trial(2, {"lr": 0.1}, 0.25 + seed))
        studies.append(Recorded(spec, trials, "trials"))
    failed = make_row("tcs", 0, None, state="failed", reason=HOSTILE, task="digits")
    run = Run(
        at="then", command="tcs-hpt compare digits", machine="2 CPU cores", versions="tcs-hpt 1", jobs=2
    )
    history = History(runs=(run,), failures=(failed,))
    rows = rows_of(studies, history.failures)
    write_files(folder, "c", studies, rows, task_results(rows), history, version="1", generated_at="now")
    return studies, rows


def test_the_files_read_back(tmp_path: Path) -> None:
    studies, rows = write(tmp_path / "new")
    folder = tmp_path / "new"
    lines = (folder / "rows.jsonl").read_text().splitlines()
    assert [Row.model_validate_json(line) for line in lines] == rows
    table = list(csv.DictReader(io.StringIO((folder / "rows.csv").read_text())))
    assert [r["best"] for r in table] == ["0.5", "1.25", "0.5", ""]
    assert table[3]["reason"] == HOSTILE
    trials = list(csv.DictReader(io.StringIO((folder / "trials.csv").read_text())))
    assert [(t["study_seed"], t["place"], t["value"], t["best_so_far"]) for t in trials[:4]] == [
        ("0", "1", "0.5", "0.5"),
        ("0", "2", "0.25", "0.5"),
        ("1", "1", "0.5", "0.5"),
        ("1", "2", "1.25", "1.25"),
    ]
    assert len(trials) == sum(len(s.trials) for s in studies)
    markdown = (folder / "table.md").read_text()
    assert "then: `tcs-hpt compare digits`" in markdown
    assert "tcs-hpt 1; 2 CPU cores." in markdown
    assert "Up to 2 studies ran at the same time" in markdown
    page = Page((folder / "report.html").read_text())
    assert HOSTILE in page.text
    assert "svg" in page.tags
    assert not page.tags & {"script", "link", "img", "iframe", "b"}
    assert len(page.ids) == len(set(page.ids))
    assert sorted(p.name for p in folder.iterdir()) == [
        "comparison.json",
        "report.html",
        "rows.csv",
        "rows.jsonl",
        "table.md",
        "trials.csv",
    ]
    assert len(read_history(folder).failures) == 1


def test_a_broken_history_says_what_to_do(tmp_path: Path) -> None:
    assert read_history(tmp_path) == History()
    (tmp_path / "comparison.json").write_text("{")
    with pytest.raises(UserError, match="Delete it"):
        read_history(tmp_path)


def test_a_folder_that_cannot_be_written_is_the_users_to_change(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="cannot be written"):
        write(tmp_path / "file" / "sub")


def test_rows_with_different_columns_share_a_table() -> None:
    text = to_csv([{"a": 0.1, "b": None}, {"a": True, "c": "x,y"}])
    assert text == 'a,b,c\n0.1,,\ntrue,,"x,y"\n'
    assert to_csv([]) == "\n"
    assert json.loads(json_line(make_row("x", 0, None)))["best"] is None
    assert flat(make_row("x", 0, 1.0, sources={"start": 2}))["source_start"] == 2


def test_interrupted_trials_have_no_place() -> None:
    trials = (trial(1, CONFIG, None, state="interrupted", failure=None), trial(2, CONFIG, 0.5))
    rows = trial_rows(Recorded(make_study(), trials, None))
    assert [(r["number"], r["place"], r["best_so_far"]) for r in rows] == [(1, None, None), (2, 1, 0.5)]


def test_the_figure_survives_anything() -> None:
    for rows in (
        make_rows({"coin": [0.5]}),
        make_rows({"coin": [None]}),
        make_rows({f"m{i}": [1e150, -1e150] for i in range(12)}),
        make_rows({"x": [math.pi, math.pi]}),
    ):
        assert "<svg" in best_so_far(task_results(rows)[0])


# -- while it runs ------------------------------------------------------------------------------------------

SPECS = [make_study(task(), name=f"c--digits--coin--{s}", method="coin", seed=s, trials=2) for s in (0, 1, 2)]


def ended(number: int, value: float | None, seconds: float = 10.0) -> Trial:
    return trial(number, CONFIG, value, usage=Usage(wall_seconds=seconds))


UPDATES: list[Update] = [
    StudyOver(SPECS[2], "trials", trials=2, skipped=True),
    StudyBegan(SPECS[0], 0),
    TrialOver(SPECS[0], ended(1, 0.5)),
    TrialOver(SPECS[0], ended(2, None)),
    StudyOver(SPECS[0], None, "gone", trials=2),
    StudyBegan(SPECS[1], 1),
    StudyOver(SPECS[1], None, "gone", trials=1),
]


def test_plain_lines_say_what_happens() -> None:
    stream = io.StringIO()
    view = PlainProgress(stream, Progress(SPECS, 1, timings=Timings(lambda: 0.0)))
    for update in UPDATES:
        view(update)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "digits coin seed 2: was complete"
    assert lines[2] == "digits coin seed 0: trial 1/2  val_accuracy 0.5 (best 0.5)"
    assert lines[3] == "digits coin seed 0: trial 2/2  crashed: ValueError: bad shape"
    assert lines[4:6] == [
        "digits coin seed 0: failed: gone",
        "  2 of 3 studies, 0.0 s so far, about 20 s left",
    ]
    assert lines[6] == "digits coin seed 1: started, goes on after 1 trial"
    assert lines[7] == "digits coin seed 1: failed for the same reason"
    assert lines[8] == "  3 of 3 studies, 0.0 s so far"


def test_the_estimate_is_by_method_and_shared_by_jobs() -> None:
    progress = Progress(SPECS, 2)
    assert progress.seconds_left() is None
    progress.take(StudyBegan(SPECS[0], 0))
    progress.take(TrialOver(SPECS[0], ended(1, 0.5, 10)))
    progress.take(TrialOver(SPECS[0], ended(2, 0.5, 20)))
    assert progress.seconds_left() == pytest.approx(4 * 15 / 2)


def timed(pace: dict[str, float], *, jobs: int, untimed: int = 0) -> Progress:
    """A study of 10 trials for each task, one trial of which took so many seconds; and some not begun."""
    tasks = [task(name=name) for name in (*pace, *(f"new{i}" for i in range(untimed)))]
    specs = {t.name: make_study(t, name=f"c--{t.name}", method="coin", trials=10) for t in tasks}
    progress = Progress(specs.values(), jobs, timings=Timings(lambda: 0.0))
    for name, seconds in pace.items():
        progress.take(StudyBegan(specs[name], 0))
        progress.take(TrialOver(specs[name], ended(1, 0.5, seconds)))
    return progress


def test_the_estimate_is_no_shorter_than_the_longest_study() -> None:
    assert timed({"slow": 600, "fast": 1}, jobs=2).seconds_left() == pytest.approx(9 * 600)
    assert timed({"slow": 600, "fast": 1}, jobs=1).seconds_left() == pytest.approx(9 * 601)
    assert timed({"a": 600, "b": 600, "c": 600}, jobs=2).seconds_left() == pytest.approx(9 * 900)


def test_what_the_same_command_runs_later_is_in_the_estimate() -> None:
    timings = Timings(lambda: 0.0)
    later = {"digits": 6, "other": 5, "done": 0}
    first = Progress(SPECS[:1], 2, timings, later)
    first.take(TrialOver(SPECS[0], ended(1, 0.5, 10)))
    assert first.seconds_left() == pytest.approx(1 * 10 + 6 * 10 / 2)
    assert first.time_text() == "0.0 s so far, about 40 s left, without 1 task not timed yet"
    second = Progress(SPECS[1:2], 2, timings)
    assert second.seconds_left() == pytest.approx(2 * 10)


def test_a_method_without_times_takes_those_of_its_task() -> None:
    digits, other = task(), task(name="other")
    specs = [
        make_study(t, name=f"c--{t.name}--{method}", method=method, trials=2)
        for t, method in ((digits, "coin"), (digits, "expert"), (other, "coin"))
    ]
    progress = Progress(specs, 1, timings=Timings(lambda: 0.0))
    for spec, seconds in ((specs[0], 10), (specs[2], 600)):
        progress.take(TrialOver(spec, ended(1, 0.5, seconds)))
    assert progress.seconds_left() == pytest.approx(10 + 2 * 10 + 600)


def test_tasks_without_times_are_named_and_not_guessed() -> None:
    assert timed({"a": 10}, jobs=1).time_text() == "0.0 s so far, about 1 min 30 s left"
    text = timed({"a": 10}, jobs=1, untimed=2).time_text()
    assert text == "0.0 s so far, about 1 min 30 s left, without 2 tasks not timed yet"
    progress = timed({"a": 10}, jobs=1, untimed=1)
    spec = next(iter(progress.cells.values())).spec
    progress.take(StudyOver(spec, "trials", trials=10))
    assert progress.time_text() == "0.0 s so far, 1 task not timed yet"
    assert timed({}, jobs=1, untimed=2).time_text() == "0.0 s so far"


def test_the_grid_has_a_mark_per_study() -> None:
    console = Console(width=100, record=True, file=io.StringIO(), force_terminal=True)
    view = LiveProgress(console, Progress(SPECS, 1))
    for update in UPDATES[:4]:
        view(update)
    console.print(view.frame())
    text = console.export_text()
    assert "coin  ◐·●  4/6 trials" in text
    assert "digits coin seed 0: trial 2/2, best 0.5" in text
    with view:
        view(UPDATES[4])
    assert "failed: gone" in console.export_text()


def test_json_lines_are_objects() -> None:
    stream = io.StringIO()
    view = JsonProgress(stream)
    for update in UPDATES:
        view(update)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["kind"] for line in lines[:5]] == [
        "study_over",
        "study_began",
        "trial_over",
        "trial_over",
        "study_over",
    ]
    assert lines[2]["value"] == 0.5
    assert lines[4]["failure"] == "gone"
