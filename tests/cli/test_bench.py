"""`tcs-hpt bench` as a user types it, in a process of its own."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from tcs_hpt.cli._bench_asking import ANSWERS, answers_of
from tcs_hpt.cli._compare_results import usual_folder
from tcs_hpt.experiments.energy import EnergyAnswer
from tcs_hpt.experiments.suites import AskingSuite, load_suite
from tcs_hpt.store import Store

from .test_commands import hpt, my_task
from .test_compare import environment

__all__ = ["environment"]

SUITE = """
schema = 1
name = "mine"
title = "My suite"
methods = ["random", "coin"]
starts = ["cold", "defaults"]
[sizes.smoke]
profile = "{profile}"
takes = "seconds"
[[sizes.smoke.parts]]
tasks = ["{task}"]
seeds = 2
trials = 2
[[sizes.smoke.parts]]
tasks = ["{task}"]
methods = ["tcs"]
starts = ["defaults"]
seeds = 1
trials = 2
"""
PROFILE = "\n[profiles.smoke]\n"


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    from .test_commands import MANIFEST

    task = my_task(tmp_path / "toy", manifest=MANIFEST + PROFILE)
    path = tmp_path / "mine.toml"
    path.write_text(SUITE.format(task=task, profile="smoke"))
    return path


def test_a_suite_runs_is_reported_and_continued(
    tmp_path: Path, suite: Path, environment: dict[str, str]
) -> None:
    command = ["bench", "run", str(suite), "--size", "smoke", "--model", "scripted:first"]
    done = hpt(environment, *command)
    assert done.returncode == 0, done.stderr
    assert "comparison mine-smoke-cold: 4 studies" in done.stdout
    assert "comparison mine-smoke-defaults: 5 studies" in done.stdout
    assert "9 of 9 studies complete" in done.stdout
    folder = tmp_path / "home" / "comparisons" / "mine-smoke"
    table = (folder / "table.md").read_text()
    assert table in done.stdout
    assert f"\nagain:  tcs-hpt bench report {suite} --size smoke\n" in done.stdout
    assert "tcs (scripted:first)" in table
    assert f"tcs-hpt bench run {suite} --size smoke" in table
    assert (folder / "report.html").exists()
    with (folder / "rows.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 9
    for start in ("cold", "defaults"):
        assert (folder.parent / f"mine-smoke-{start}" / "table.md").exists()
    with Store.open(environment["TCS_HPT_STORE"]) as store:
        trials = {row.name: len(store.load_trials(row.name)) for row in store.list_studies()}
    assert set(trials.values()) == {2}

    again = hpt(environment, *command, "--quiet")
    assert again.returncode == 0
    assert Path(again.stdout.strip()) == folder / "table.md"
    with Store.open(environment["TCS_HPT_STORE"]) as store:
        assert {row.name: len(store.load_trials(row.name)) for row in store.list_studies()} == trials

    suite.write_text(suite.read_text().replace("seeds = 2", "seeds = 1"))
    fewer = hpt(environment, *command)
    assert fewer.returncode == 0, fewer.stderr
    assert "5 of 5 studies complete" in fewer.stdout

    told = hpt(environment, "bench", "report", str(suite), "--size", "smoke", "-o", "copy", cwd=tmp_path)
    assert told.returncode == 0, told.stderr
    assert (tmp_path / "copy" / "table.md").read_text() in told.stdout


def test_the_suites_are_listed(environment: dict[str, str]) -> None:
    listed = hpt(environment, "bench", "list")
    assert listed.returncode == 0
    assert "table1: The main table of the TCS-HPT paper" in listed.stdout
    assert "tcs-hpt bench run NAME" in listed.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "table"], "there is no suite 'table'"),
        (["run", "table1", "--size", "small"], "has no size 'small'"),
        (["report", "table1"], "nothing of suite 'table1' at size quick"),
        (["run", "table1", "--data-dir", "nowhere"], "there is no data folder"),
    ],
)
def test_wrong_use_is_one_sentence_and_a_hint(
    arguments: list[str], message: str, environment: dict[str, str]
) -> None:
    done = hpt(environment, "bench", *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "hint:" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_profile_that_a_task_lacks_is_told_before_anything_runs(
    tmp_path: Path, suite: Path, environment: dict[str, str]
) -> None:
    suite.write_text(suite.read_text().replace('profile = "smoke"', 'profile = "huge"'))
    done = hpt(environment, "bench", "run", str(suite), "--size", "smoke", "--model", "scripted:first")
    assert done.returncode == 2
    assert "huge" in done.stderr
    with Store.open(environment["TCS_HPT_STORE"]) as store:
        assert store.list_studies() == []


def test_failed_studies_are_an_exit_status(tmp_path: Path, suite: Path, environment: dict[str, str]) -> None:
    from .test_commands import MANIFEST

    my_task(tmp_path / "toy", manifest=MANIFEST + PROFILE, end="raise SystemExit(3)")
    done = hpt(environment, "bench", "run", str(suite), "--size", "smoke", "--model", "scripted:first")
    assert done.returncode == 1
    assert "without a result left out" in done.stdout


def test_the_consistency_study_is_asked_once(tmp_path: Path, environment: dict[str, str]) -> None:
    script = tmp_path / "replies.json"
    script.write_text(json.dumps(['{"lr": 0.01}', "no idea"]))
    command = ["bench", "run", "figure2-consistency", "--size", "smoke", "--model", f"scripted:{script}"]
    done = hpt(environment, *command)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "home" / "comparisons" / "figure2-consistency-smoke"
    assert (folder / "table.md").read_text() in done.stdout
    assert f"| scripted:{script} | raw log | 2 | 1 | 1 | 0.01 | 0.01 | 0.01 | - |" in done.stdout
    answers = folder / "answers.jsonl"
    kept, cut, _ = answers.read_text().split("\n")
    answers.write_text(f"{kept}\n{cut[:40]}")  # killed while it wrote the second
    script.write_text(json.dumps(["still no idea"]))
    assert hpt(environment, *command).returncode == 0
    assert [json.loads(line)["repeat"] for line in answers.read_text().splitlines()[::2]] == [0, 1]
    script.write_text("[]")  # whoever asked again would get nothing
    again = hpt(environment, *command, "--quiet")
    assert (again.returncode, again.stdout.strip()) == (0, str(folder / "table.md"))
    told = hpt(environment, "bench", "report", "figure2-consistency", "--size", "smoke")
    assert (folder / "table.md").read_text() in told.stdout


def test_an_answer_counts_once_and_a_newer_prompt_replaces_it(tmp_path: Path) -> None:
    def line(text: str, repeat: int, **more: object) -> bytes:
        fields = {"model": "m", "state": "s", "shown": "log", "agent": "analysis", "energy": -1, "tokens": 1}
        return (
            EnergyAnswer.model_validate({**fields, "repeat": repeat, "text": text, **more})
            .model_dump_json()
            .encode()
        )

    suite = load_suite("table2-energy")
    assert isinstance(suite, AskingSuite)
    lines = [
        line("first", 0),
        line("twice", 0),
        line("other agent", 0, agent="optimizer"),
        line("old prompt", 1, prompt="a"),
        line("new prompt", 1, prompt="b"),
        line("new prompt twice", 1, prompt="b"),
        line("one\u2028line", 2),
        line("größe", 3)[:-3].replace("ö".encode(), "ö".encode()[:1]),
    ]
    with Store.open(str(tmp_path / "home" / "studies.db")) as store:
        path = usual_folder(store, "table2-energy-smoke") / ANSWERS
        path.parent.mkdir(parents=True)
        path.write_bytes(b"\n".join(lines))
        found = [answer.text for answer in answers_of(suite, "smoke", store)]
    assert found == ["first", "other agent", "new prompt", "one\u2028line"]


def test_a_model_that_is_not_there_is_told(environment: dict[str, str]) -> None:
    done = hpt(environment, "bench", "run", "figure2-consistency", "--model", "ollama:qwen3:8b")
    assert done.returncode != 0
    assert "hint:" in done.stderr
    assert "Traceback" not in done.stderr


def test_winners_of_a_suite_are_tried_again(tmp_path: Path, suite: Path, environment: dict[str, str]) -> None:
    suite.write_text(suite.read_text().replace('takes = "seconds"', 'takes = "seconds"\nconfirm = 2'))
    done = hpt(environment, "bench", "run", str(suite), "--size", "smoke", "--model", "scripted:first")
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "home" / "comparisons" / "mine-smoke" / "table.md").read_text()
    for start in ("cold", "defaults"):
        assert f"## Start {start}: mine: the winners again, on 2 fresh training seeds" in table
    assert table.index("the winners again") < table.index("## How it was run")


SETTINGS = """
schema = 1
kind = "settings"
name = "rates"
title = "Two rates"
task = "{task}"
control = "low"
[settings.low]
lr = 0.001
[settings.high]
lr = {high}
[sizes.quick]
profile = "smoke"
takes = "seconds"
seeds = 2
"""


def settings(tmp_path: Path, high: float = 0.1) -> Path:
    from .test_commands import MANIFEST

    task = my_task(tmp_path / "toy", manifest=MANIFEST + PROFILE)
    path = tmp_path / "rates.toml"
    path.write_text(SETTINGS.format(task=task, high=high))
    return path


def test_settings_are_trained_once_and_told(tmp_path: Path, environment: dict[str, str]) -> None:
    command = ["bench", "run", str(settings(tmp_path))]
    done = hpt(environment, *command)
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "home" / "comparisons" / "rates-quick"
    table = (folder / "table.md").read_text()
    assert table in done.stdout
    assert "4 of 4 trainings over" in table
    assert "| setting | trainings | val_accuracy | against low | 95 % interval |" in table
    with (folder / "rows.csv").open() as file:
        rows = {(row["setting"], row["seed"]): row for row in csv.DictReader(file)}
    assert len(rows) == 4
    assert f"\nagain:  tcs-hpt bench report {command[-1]} --size quick\n" in done.stdout
    assert float(rows["low", "0"]["value"]) != float(rows["high", "0"]["value"])
    assert hpt(environment, *command, "--quiet").stdout.strip() == str(folder / "table.md")
    with Store.open(environment["TCS_HPT_STORE"]) as store:
        assert [len(store.load_trials(row.name)) for row in store.list_studies()] == [1] * 4
    told = hpt(environment, "bench", "report", command[-1], "-o", str(tmp_path / "copy"))
    assert (tmp_path / "copy" / "table.md").read_text() in told.stdout


def test_a_setting_outside_the_space_is_refused_before_anything_runs(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    done = hpt(environment, "bench", "run", str(settings(tmp_path, high=9.0)))
    assert done.returncode == 2
    assert "lr must be between 0.0001 and 1.0" in done.stderr
    nothing = hpt(environment, "bench", "report", str(tmp_path / "rates.toml"))
    assert "nothing of suite 'rates' at size quick" in nothing.stderr
    store = str(tmp_path / "other.db")
    other = hpt(environment, "bench", "report", str(tmp_path / "rates.toml"), "--store", store)
    assert f"rates.toml --size quick --store {store}\n" in other.stderr


def test_the_suites_that_are_programs_run_at_smoke_size(tmp_path: Path, environment: dict[str, str]) -> None:
    done = hpt(environment, "bench", "run", "ablation", "--size", "smoke")
    assert done.returncode == 0, done.stderr
    assert "6 situations of 2 studies on 2 problems" in done.stdout


PROGRAM = """
schema = 1
kind = "program"
name = "own"
title = "A program"
module = "benchmarks.dev"
needs = [{needs}]
[sizes.quick]
takes = "seconds"
amount = "1 study"
run = ["run", "--problems", "svm_digits", "--methods", "random", "--seeds", "1", "--trials", "2", "--out", "{{out}}"]
report = ["report", "{{out}}", "--control", "random"]
"""


def test_a_program_of_the_checkout_is_a_suite(tmp_path: Path, environment: dict[str, str]) -> None:
    path = tmp_path / "own.toml"
    path.write_text(PROGRAM.format(needs=""))
    done = hpt(environment, "bench", "run", str(path))
    assert done.returncode == 0, done.stderr
    table = (tmp_path / "home" / "comparisons" / "own-quick" / "table.md").read_text()
    assert table in done.stdout
    assert "| random |" in table
    assert f"\nagain:  tcs-hpt bench report {path} --size quick\n" in done.stdout
    assert re.search(
        r"## How it was run\n\n20\S+: `tcs-hpt bench run \S*own.toml`\n\ntcs-hpt \S+, Python", table
    )
    page = (tmp_path / "home" / "comparisons" / "own-quick" / "report.html").read_text()
    assert "<td>random</td>" in page
    assert "Python" in page
    told = hpt(environment, "bench", "report", str(path), "-o", str(tmp_path / "copy"))
    assert (tmp_path / "copy" / "table.md").read_text() == table
    assert table in told.stdout
    assert (tmp_path / "copy" / "report.html").is_file()
    assert (tmp_path / "copy" / "results" / "trials.jsonl").is_file()
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "results").write_text("something else")
    refused = hpt(environment, "bench", "report", str(path), "-o", str(tmp_path / "taken"))
    assert refused.returncode == 2
    assert "the results cannot be copied to" in refused.stderr
    assert (tmp_path / "taken" / "results").read_text() == "something else"
    path.write_text(PROGRAM.format(needs='"no_such_package"'))
    missing = hpt(environment, "bench", "run", str(path))
    assert missing.returncode == 2
    assert "needs the package no_such_package" in missing.stderr
