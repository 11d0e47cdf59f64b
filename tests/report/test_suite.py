from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tcs_hpt.compare import Recorded
from tcs_hpt.errors import UserError
from tcs_hpt.experiments.suites import Suite, Trajectories
from tcs_hpt.report.comparison.rows import Row
from tcs_hpt.report.comparison.text import Run
from tcs_hpt.report.folder import PAGE, TABLE
from tcs_hpt.report.sections import to_markdown
from tcs_hpt.report.suite import ROWS, TRIALS, suite_sections, write_suite
from tcs_hpt.report.trajectories import Ways
from tcs_hpt.spec import Start
from tests.build import study as make_study
from tests.build import task, trial

from .test_comparison import make_row
from .test_html import Page

SUITE = Suite.model_validate(
    {
        "schema": 1,
        "name": "s",
        "title": "A suite",
        "control": "random",
        "unit": "percent",
        "times": 100.0,
        "tasks": ["one", "two"],
        "methods": ["random", "tcs"],
        "starts": ["cold", "knowledge"],
        "sizes": {"quick": {"profile": "quick", "takes": "seconds", "parts": [{"seeds": 2, "trials": 3}]}},
        "published": {"source": "A paper, Table 1", "rows": {"one": {"Human": "81.5"}}},
    }
)
SIZE = SUITE.size("quick")
RUN = Run(
    at="2026-01-01T00:00:00+00:00",
    command="tcs-hpt bench run s",
    machine="2 CPU cores",
    versions="tcs-hpt 1",
    jobs=1,
)


def study(task: str, method: str, seed: int, best: float | None, **more: object) -> Row:
    return make_row(method, seed, best, task=task, **more)


def rows(**more: object) -> list[Row]:
    scores = {
        ("one", "random"): (0.5, 0.6),
        ("one", "tcs"): (0.7, 0.7),
        ("two", "random"): (0.9, 0.8),
        ("two", "tcs"): (0.9, 0.82),
    }
    return [
        study(task, method, seed, best, **more)
        for (task, method), found in scores.items()
        for seed, best in enumerate(found)
    ]


def said(found: dict[Start, list[Row]], suite: Suite = SUITE) -> str:
    return to_markdown("s", suite_sections(suite, suite.size("quick"), found, [RUN]))


def test_methods_stand_beside_published_ones_in_one_unit() -> None:
    text = said({"cold": rows()})
    assert "3 trials a study; 8 of 16 studies complete." in text
    assert "Best of each study, mean +- standard deviation over seeds, percent:" in text
    assert "| method | one: score | two: score |" in text
    assert "| random | 55.00 +- 7.07 | 85.00 +- 7.07 |" in text
    assert "| tcs | 70.00 +- 0.00 | 86.00 +- 5.66 |" in text
    assert "| published: Human | 81.5 | - |" in text
    assert "were not measured here: A paper, Table 1." in text
    assert "tcs-hpt bench run s" in text


def test_each_start_has_its_own_tables() -> None:
    text = said({"cold": rows(start="cold"), "knowledge": rows(start="knowledge")[:4]})
    assert text.index("(start cold)") < text.index("(start knowledge)") < text.index("## How it was run")
    assert "start knowledge" not in said({"cold": rows(), "knowledge": []})


def test_over_all_tasks_pairs_are_counted_and_averaged_by_task() -> None:
    line = next(x for x in said({"cold": rows()}).splitlines() if x.startswith("| tcs | 1."))
    # Gains 0.2 and 0.1 on one task, 0 and 0.02 on the other: the mean of 15 and 1 percent.
    assert line.startswith("| tcs | 1.12 | 3, 1, 0 | +8.00 | +1.00 to +15.00 | 0.5 | 0 of 12 |")
    control = next(x for x in said({"cold": rows()}).splitlines() if x.startswith("| random | 1."))
    assert control.startswith("| random | 1.88 | - | - | - | - |")


def test_differences_inside_the_noise_are_ties_and_few_tasks_are_no_evidence() -> None:
    text = to_markdown("s", suite_sections(SUITE, SIZE, {"cold": rows()}, [RUN], {"one": 0.05}))
    # Gains 0.2 and 0.1 where the floor is 0.05, and 0 and 0.02 where none is known.
    assert "| tcs | 1.12 | 2, 2, 0 |" in text
    assert "over training seeds: one 5.00. Differences of at most 2 times that count as ties." in text
    assert "No noise floor was measured for two: every difference counts as a win or a loss there." in text
    assert "An interval over fewer than 6 tasks is too narrow" in text


def test_methods_are_compared_over_tasks_that_all_of_them_ran() -> None:
    found = [
        *rows(training_seconds=10.0),
        *(study("one", "gp", seed, 0.65, training_seconds=10.0) for seed in (0, 1)),
        *(study("three", m, seed, 0.1, training_seconds=100.0) for m in ("random", "tcs") for seed in (0, 1)),
    ]
    text = said({"cold": found})
    shared, whole = text.split("All 3 tasks, of the methods that ran them all; ", 1)
    shared = shared[shared.index("one, which every method ran; ") :]
    lines = [line for line in shared.splitlines() if line.startswith(("| random", "| tcs", "| gp"))]
    assert [line.split(" | ")[0] for line in lines] == ["| random", "| tcs", "| gp"]
    assert all(line.endswith("| 10.0 |") for line in lines)
    assert "| tcs | 1.25 |" in whole
    assert "| 40.0 |" in whole  # the mean of two at 10 s, two at 10 s and two at 100 s
    assert "What the machine did; means of a study, energy estimated. one, which every method ran" in text


def test_methods_without_a_task_in_common_are_said_not_to_compare() -> None:
    found = [study("one", "random", 0, 0.5), study("two", "tcs", 0, 0.6)]
    assert "The methods ran different tasks" not in said({"cold": rows()})
    with pytest.raises(UserError):
        said({"cold": found}, SUITE.model_copy(update={"control": "grid"}))
    assert "| - |" in said({"cold": found})


def test_scores_of_several_units_are_not_averaged() -> None:
    plain = SUITE.model_copy(update={"unit": "", "times": 1.0, "published": None})
    text = said({"cold": rows()}, plain)
    assert "95 % interval by task" not in text
    assert "| tcs | 0.7 +- 0 | 0.86 +- 0.05657 |" in text
    assert "published" not in text
    assert "| tcs | 1.12 | 3, 1, 0 | 0 of 12 |" in text


def test_lower_scores_win_where_lower_is_better() -> None:
    text = said({"cold": rows(direction="minimize")})
    assert "| method | one: score (lower is better) | two: score (lower is better) |" in text
    assert "0, 1, 3 | -8.00 |" in text


def test_test_scores_have_a_table_where_there_are_some() -> None:
    found = [r.model_copy(update={"metric": "val_score", "test": {"test_score": 0.25}}) for r in rows()]
    assert "Test score of that best trial, which no method saw, percent" in said({"cold": found})
    assert "| tcs | 25.00 +- 0.00 | 25.00 +- 0.00 |" in said({"cold": found})
    assert "| method | one: test_score | two: test_score |" in said({"cold": found})
    assert "| method | one: val_score | two: val_score |" in said({"cold": found})
    assert "Test score" not in said({"cold": rows()})


def test_what_is_left_out_is_said() -> None:
    found = [*rows()[:-1], study("two", "tcs", 1, None, state="unfinished", trials=1, values=())]
    text = said({"cold": found})
    assert "- two, tcs: 1 study without a result left out." in text
    assert "7 of 16 studies complete" in text


def test_calls_of_models_are_counted() -> None:
    found = [
        r.model_copy(update={"calls": 4, "prompt_tokens": 1200, "completion_tokens": 80, "fallbacks": 1})
        for r in rows()
    ]
    assert "| 4 | 0.0 | 1,200 | 80 | 0.0 |" in said({"cold": found})


def test_files_are_complete(tmp_path: Path) -> None:
    hostile = [r.model_copy(update={"method": "<b>m</b>"}) if r.method == "tcs" else r for r in rows()]
    write_suite(
        tmp_path / "deep",
        SUITE,
        SIZE,
        {"cold": hostile},
        [RUN],
        version="1",
        generated_at="2026-01-01T00:00:00+00:00",
    )
    assert (tmp_path / "deep" / TABLE).read_text().startswith("# A suite\n")
    page = (tmp_path / "deep" / PAGE).read_text()
    assert "<b>m</b>" not in page
    assert "Benchmark suite" in page
    Page(page)
    assert page.count("<svg") == 1
    assert "rings are published figures" in page
    image = (tmp_path / "deep" / "cold.png").read_bytes()
    assert image.startswith(b"\x89PNG")
    assert len(image) > 5000
    with (tmp_path / "deep" / ROWS).open() as file:
        assert len(list(csv.DictReader(file))) == 8


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        write_suite(tmp_path / "file", SUITE, SIZE, {"cold": rows()}, [], version="1", generated_at="")


def test_a_control_that_is_not_there_is_told() -> None:
    with pytest.raises(UserError, match="names no method"):
        said({"cold": rows()}, SUITE.model_copy(update={"control": "grid"}))


def test_the_same_rows_give_the_same_figure(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_suite(tmp_path / name, SUITE, SIZE, {"cold": rows()}, [RUN], version="1", generated_at="now")
    for file in (TABLE, PAGE, ROWS, "cold.png"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_a_method_without_a_score_and_a_huge_one_are_drawn(tmp_path: Path) -> None:
    found = [*rows(), study("one", "gp", 0, None, state="unfinished"), study("one", "ga", 0, 1e300)]
    write_suite(tmp_path, SUITE, SIZE, {"cold": found}, [RUN], version="1", generated_at="now")
    assert "gp" in (tmp_path / PAGE).read_text()


def recorded(method: str, seed: int, points: list[tuple[float, float]]) -> Recorded:
    axis = {"type": "float", "low": -10.0, "high": 10.0}
    spec = make_study(task({"x": axis, "y": axis}), name=f"s-{seed}", method=method, seed=seed)
    trials = tuple(
        trial(number, {"x": x, "y": y}, value=(x - 2) ** 2 + (y - 3) ** 2)
        for number, (x, y) in enumerate(points, start=1)
    )
    return Recorded(spec, trials, "trials")


def test_ways_are_drawn_over_the_plane(tmp_path: Path) -> None:
    which = Trajectories(x="x", y="y", minimum=(2.0, 3.0))
    studies = [
        recorded(m, seed, [(-5.0, -5.0), (0.0, -5.0), (2.0, 3.0)])
        for m in ("random", "tcs")
        for seed in (0, 1)
    ]
    suite = SUITE.model_copy(update={"trajectories": which})
    write_suite(
        tmp_path,
        suite,
        SIZE,
        {"cold": rows()},
        [RUN],
        version="1",
        generated_at="now",
        studies={"cold": studies},
    )
    page = (tmp_path / PAGE).read_text()
    Page(page)
    assert page.count("<svg") == 2
    assert "The ways from start cold" in page
    assert "the cross is the minimum" in page
    with (tmp_path / TRIALS).open() as file:
        ways = list(csv.DictReader(file))
    assert len(ways) == 12
    assert [(w["params_x"], w["params_y"], w["value"]) for w in ways[:3]] == [
        ("-5.0", "-5.0", "113.0"),
        ("0.0", "-5.0", "68.0"),
        ("2.0", "3.0", "0.0"),
    ]
    assert (tmp_path / "cold-ways.png").read_bytes().startswith(b"\x89PNG")
    assert "The ways" not in (tmp_path / TABLE).read_text()  # a table cannot hold a figure


def test_ways_of_studies_without_the_parameters_are_left_out() -> None:
    which = Trajectories(x="a", y="b", minimum=(0.0, 0.0))
    assert "no study has these parameters" in Ways(which, [recorded("tcs", 0, [(1.0, 1.0)])]).svg("w")
    assert Ways(which, []).png().startswith(b"\x89PNG")


def test_more_methods_than_colours_and_columns_are_drawn() -> None:
    which = Trajectories(x="x", y="y", minimum=(2.0, 3.0))
    studies = [recorded(f"coin:no-{i}", seed, [(0.0, seed - 5.0)]) for i in range(5) for seed in range(9)]
    text = Ways(which, studies).svg("w")
    assert all(f"coin:no-{i}" in text for i in range(5))
