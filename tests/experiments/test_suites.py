from __future__ import annotations

import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tcs_hpt import bundled
from tcs_hpt.catalog import list_tasks, load_task
from tcs_hpt.compare import TaskEntry, parse_contenders
from tcs_hpt.errors import UserError
from tcs_hpt.experiments.consistency import prompt_for
from tcs_hpt.experiments.settings_studies import plan_settings
from tcs_hpt.experiments.states import find_states
from tcs_hpt.experiments.suites import (
    SIZES,
    AskingSuite,
    ProgramSuite,
    SettingsSuite,
    Suite,
    load_suite,
    read_suite,
    suite_names,
)

SMALL = """
schema = 1
name = "small"
title = "A small one"
tasks = ["a", "b"]
methods = ["random", "coin"]
starts = ["defaults"]

[sizes.quick]
profile = "quick"
takes = "seconds"
[[sizes.quick.parts]]
seeds = 3
[[sizes.quick.parts]]
tasks = ["c"]
starts = ["cold", "defaults"]
seeds = 1
trials = 4
"""


def written(folder: Path, text: str = SMALL, old: str = "", new: str = "") -> Path:
    assert old in text
    path = folder / "small.toml"
    path.write_text(text.replace(old, new, 1) if old else text)
    return path


def test_the_suite_of_the_docs_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "suites.md").read_text(encoding="utf-8")
    path = tmp_path / "mine.toml"
    path.write_text(page.partition("```toml\n")[2].partition("```")[0])
    suite = load_suite(str(path))
    assert isinstance(suite, Suite)
    assert suite.size("quick").studies == 12
    assert suite.report_words("quick") == ["bench", "report", str(path), "--size", "quick"]


def test_a_part_takes_from_the_suite_what_it_does_not_name(tmp_path: Path) -> None:
    suite = read_suite(written(tmp_path))
    assert isinstance(suite, Suite)
    size = suite.size("quick")
    first, second = size.parts
    assert (first.tasks, first.methods, first.starts, first.trials) == (
        ("a", "b"),
        ("random", "coin"),
        ("defaults",),
        10,
    )
    assert (second.tasks, second.methods, second.starts, second.trials) == (
        ("c",),
        ("random", "coin"),
        ("cold", "defaults"),
        4,
    )
    assert (first.studies, second.studies, size.studies) == (12, 4, 16)
    assert size.starts == ("defaults", "cold")
    assert suite.comparison("quick", "cold") == "small-quick-cold"


@pytest.mark.parametrize("name", suite_names())
def test_every_suite_of_ours_can_be_run(name: str) -> None:
    suite = load_suite(name)
    assert suite.name == name
    assert set(suite.sizes) == set(SIZES)
    if isinstance(suite, AskingSuite):
        for study in suite.sizes.values():
            states = find_states(study.states)
            assert suite.kind != "consistency" or all(prompt_for(state, "log") for state in states)
        return
    if isinstance(suite, SettingsSuite):
        assert suite.task in list_tasks()
        for name, wanted in suite.sizes.items():
            loaded = load_task(suite.task)
            entry = TaskEntry(loaded.spec.with_profile(wanted.profile), loaded.folder, wanted.profile)
            planned = plan_settings(suite, name, entry)
            assert len({p.spec.name for p in planned}) == wanted.seeds * len(wanted.settings)
        return
    if isinstance(suite, ProgramSuite):
        assert find_spec(suite.module) is not None
        return
    for size in suite.sizes.values():
        for part in size.parts:
            assert set(part.tasks) <= set(list_tasks())
            assert parse_contenders(",".join(part.methods))
            for task in part.tasks:
                assert size.profile in profiles(task)


def profiles(task: str) -> set[str]:
    text = (bundled.folder("tasks") / task / "task.toml").read_text(encoding="utf-8")
    return set(tomllib.loads(text)["profiles"])


def test_the_wheel_has_every_suite() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    for name in suite_names():
        assert included[f"benchmarks/{name}.toml"] == f"tcs_hpt/_bundled/benchmarks/{name}.toml"


def test_the_published_table_is_that_of_the_paper() -> None:
    suite = load_suite("table1")
    assert isinstance(suite, Suite)
    assert suite.published is not None
    assert suite.published.methods == (
        "Random",
        "Bayesian",
        "GPT-3.5",
        "GPT-4",
        "Human",
        "Proposed",
        "Without TCS",
    )
    paper = suite.size("paper")
    assert {task for part in paper.parts for task in part.tasks} == set(suite.published.rows)
    assert all(len(row) == 7 for row in suite.published.rows.values())
    proposed = {task: row["Proposed"] for task, row in suite.published.rows.items()}
    assert proposed == {
        "xgboost_house_price": "56.82 +- 0.52",
        "gcn_cora": "80.87 +- 0.19",
        "resnet_cifar10": "84.75 +- 0.99",
        "resnet_butterfly": "87.00 +- 2.15",
        "distilbert_sst2": "89.58 +- 0.43",
        "deepfm_movielens": "82.03 +- 0.02",
    }
    assert [(part.seeds, part.trials) for part in paper.parts] == [(5, 10)]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "A small one"', "", "title: Field required"),
        ("seeds = 3", "seeds = 0", "sizes.quick.parts.0.seeds: Input should be greater than or equal to 1"),
        ('starts = ["defaults"]', 'starts = ["hot"]', "sizes.quick.parts.0.starts.0: Input should be"),
        ("[sizes.quick]", "[sizes.huge]", "cannot be read|sizes.huge"),
        ("trials = 4", "trails = 4", "sizes.quick.parts.1.trails: Extra inputs"),
        ("schema = 1", 'schema = 1\nkind = "race"', "is of kind 'race', which no suite is"),
        ("schema = 1", 'schema = 1\nkind = "consistency"', "sizes.quick.states: Field required"),
        ("schema = 1", "schema = 2", "schema: Input should be 1"),
        ("seeds = 3", "seeds = ", "cannot be read"),
        ('tasks = ["c"]', 'tasks = ["a"]', "random on a from start defaults is in it twice"),
    ],
)
def test_a_file_that_is_no_suite_is_told_with_its_place(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read_suite(written(tmp_path, SMALL, old, new))


@pytest.mark.parametrize(
    "given", [{}, {"sizes": 1}, {"sizes": {"quick": 1}}, {"sizes": {"quick": {"parts": [1]}}}]
)
def test_nonsense_is_refused(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="validation error"):
        Suite.model_validate(given)


def test_suites_are_found_by_name_or_path(tmp_path: Path) -> None:
    assert "table1" in suite_names()
    assert load_suite(str(written(tmp_path))).name == "small"
    with pytest.raises(UserError, match="no suite 'table'") as error:
        load_suite("table")
    assert "Did you mean `table1`?" in error.value.hint
    with pytest.raises(UserError, match="no suite"):
        load_suite(str(tmp_path / "other.toml"))
    with pytest.raises(UserError, match="no size 'quik'") as error:
        load_suite("table1").size("quik")
    assert "Did you mean `quick`?" in error.value.hint


SETTINGS = """
schema = 1
kind = "settings"
name = "rates"
title = "Two rates"
task = "mlp_digits"
control = "low"
[settings.low]
lr = 0.001
[settings.high]
lr = 0.1
[sizes.quick]
profile = "smoke"
takes = "seconds"
seeds = 2
"""


def test_settings_are_studies_of_one_trial_with_everything_fixed_that_they_name(tmp_path: Path) -> None:
    suite = read_suite(written(tmp_path, SETTINGS))
    assert isinstance(suite, SettingsSuite)
    assert (suite.size("quick").settings, suite.size("quick").amount) == (("low", "high"), "4 trainings")
    task = load_task("mlp_digits")
    planned = plan_settings(suite, "quick", TaskEntry(task.spec.with_profile("smoke"), task.folder, "smoke"))
    assert [(p.spec.name, p.spec.seed, p.spec.trials, p.spec.task.fixed["lr"]) for p in planned] == [
        ("rates-quick--low--0", 0, 1, 0.001),
        ("rates-quick--high--0", 0, 1, 0.1),
        ("rates-quick--low--1", 1, 1, 0.001),
        ("rates-quick--high--1", 1, 1, 0.1),
    ]
    assert all("lr" not in p.spec.task.params for p in planned)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('control = "low"', 'control = "middle"', "'middle' must be among the settings of size quick"),
        ("seeds = 2", 'seeds = 2\nsettings = ["low", "none"]', "settings that are not there: none"),
        ("[settings.high]\nlr = 0.1\n", "", "at least 2 items"),
    ],
)
def test_settings_that_do_not_fit_are_told(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        read_suite(written(tmp_path, SETTINGS, old, new))


def test_a_setting_that_the_task_does_not_know_is_told(tmp_path: Path) -> None:
    suite = read_suite(written(tmp_path, SETTINGS, "[settings.high]\nlr", "[settings.high]\nrate"))
    assert isinstance(suite, SettingsSuite)
    task = load_task("mlp_digits")
    with pytest.raises(UserError, match="no parameter 'rate'"):
        plan_settings(suite, "quick", TaskEntry(task.spec, task.folder))
