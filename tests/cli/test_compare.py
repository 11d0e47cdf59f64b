"""`tcs-hpt compare` as a user types it, in a process of its own."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tcs_hpt.cli.app import app
from tcs_hpt.errors import UserError
from tcs_hpt.store import Store

from .test_commands import HPT, hpt, my_task

LOSS = """
schema = 1
name = "other"
command = ["{python}", "train.py"]
[objective]
metric = "val_accuracy"
direction = "minimize"
[params.lr]
type = "float"
low = 1e-4
high = 1.0
log = true
default = 0.001
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {
        **os.environ,
        "TCS_HPT_STORE": str(tmp_path / "home" / "studies.db"),
        "COLUMNS": "100",
        "OLLAMA_HOST": "127.0.0.1:9",  # nobody answers there
    }


def test_a_comparison_from_start_to_shown_again(tmp_path: Path, environment: dict[str, str]) -> None:
    tasks = [str(my_task(tmp_path / "mine")), str(my_task(tmp_path / "other", manifest=LOSS))]
    methods = "coin,tcs-paper@scripted:first,tcs-paper@ollama:qwen3:8b"
    arguments = ["compare", *tasks, "--methods", methods, "--seeds", "2", "--trials", "2", "--jobs", "2"]
    done = hpt(environment, *arguments, "--name", "n")
    assert done.returncode == 1  # one method has no model
    assert done.stdout.startswith("comparison n: 12 studies\n")
    assert "mine coin seed 1: trial 2/2  val_accuracy" in done.stdout
    assert "| tcs-paper (ollama:qwen3:8b) | 0 of 2 | - |" in done.stdout
    assert "All tasks: mean rank" in done.stdout
    assert "Best against coin, paired over seeds" in done.stdout
    folder = tmp_path / "home" / "comparisons" / "n"
    assert (folder / "table.md").read_text() in done.stdout
    with Store.open(environment["TCS_HPT_STORE"]) as store:
        assert len(store.list_studies()) == 8
        assert {store.get_study(r.name).comparison for r in store.list_studies()} == {"n"}

    shown = hpt(environment, "compare", "--show", "n")
    assert shown.returncode == 0, shown.stderr
    assert (folder / "table.md").read_text() in shown.stdout
    other = hpt(
        environment,
        "compare",
        "--show",
        "n",
        "--against",
        "tcs-paper@scripted:first",
        "-o",
        "copy",
        cwd=tmp_path,
    )
    assert "Best against tcs-paper (scripted:first)" in (tmp_path / "copy" / "table.md").read_text()
    assert other.returncode == 0

    again = hpt(environment, *arguments, "--name", "n", "--json")  # nothing is left to run
    lines = [json.loads(line) for line in again.stdout.splitlines()]
    kinds = [line["kind"] for line in lines]
    assert kinds.count("study_over") == 12
    assert "trial_over" not in kinds
    assert kinds.count("row") == 12
    assert kinds[-1] == "comparison_over"

    listed = hpt(environment, "studies").stdout
    assert re.search(r"^n +mine, other .* 16/16 +8 studies", listed, re.MULTILINE)
    assert "n--mine--coin--0" not in listed
    assert "n--mine--coin--0" in hpt(environment, "studies", "--all").stdout


def test_quiet_prints_the_path_of_the_table(tmp_path: Path, environment: dict[str, str]) -> None:
    task = str(my_task(tmp_path / "mine"))
    done = hpt(environment, "compare", task, "--methods", "coin", "--seeds", "7,", "--trials", "1", "--quiet")
    assert done.returncode == 0, done.stderr
    table = Path(done.stdout.strip())
    assert re.fullmatch(r"mine-\d{8}-\d{6}", table.parent.name)
    assert "1 seed (7)" in table.read_text()
    assert f"--name {table.parent.name}" in table.read_text()  # so that the command can be repeated


def test_when_everything_fails_the_exit_status_says_so(tmp_path: Path, environment: dict[str, str]) -> None:
    task = str(my_task(tmp_path / "mine", end="raise ValueError('bad | shape')"))
    done = hpt(environment, "compare", task, "--methods", "coin", "--seeds", "1", "--trials", "2")
    assert done.returncode == 1
    assert "coin, seed 0: no trial has a score, left out; the last one: " in done.stdout
    assert "Traceback" not in done.stderr


def test_winners_are_tried_again_on_fresh_seeds(tmp_path: Path, environment: dict[str, str]) -> None:
    task = my_task(
        tmp_path / "mine",
        end="trial.finish(val_accuracy=0.5 - abs(trial.params['lr'] - 0.1) + trial.seed % 3 / 100)",
    )
    arguments = [
        "compare",
        str(task),
        "--methods",
        "coin,expert",
        "--seeds",
        "2",
        "--trials",
        "3",
        "--name",
        "n",
    ]
    assert "winners again" not in hpt(environment, *arguments).stdout
    done = hpt(environment, *arguments, "--confirm", "3")
    assert done.returncode == 0, done.stderr
    assert "comparison n.confirm: " in done.stdout
    assert "## mine: the winners again, on 3 fresh training seeds" in done.stdout
    assert re.search(
        r"^\| the start \| seed 0, trial 1 \| 0\.4010 \| 0\.4110 \+- 0\.0100 \|", done.stdout, re.MULTILINE
    )
    assert "Noise floor: the same configuration scores 0.0100 apart" in done.stdout
    with Store.open(environment["TCS_HPT_STORE"]) as store:
        trials = {r.name: len(store.load_trials(r.name)) for r in store.list_studies()}
    history = tmp_path / "home" / "comparisons" / "n" / "comparison.json"
    runs = json.loads(history.read_text())["runs"]
    assert ["--confirm" in run["command"] for run in runs] == [False, True]
    again = hpt(environment, *arguments, "--confirm", "3")
    assert again.returncode == 0
    assert json.loads(history.read_text())["runs"] == runs  # all was there: nothing was run
    with (tmp_path / "home" / "comparisons" / "n" / "trials.csv").open() as file:
        roles = Counter(row["role"] for row in csv.DictReader(file))
    assert roles["search"] == 12
    assert roles["confirmation"] == sum(name.startswith("n.confirm") for name in trials)
    shown = hpt(environment, "compare", "--show", "n").stdout
    assert "the winners again, on 3 fresh training seeds" in shown
    with Store.open(environment["TCS_HPT_STORE"]) as store:
        assert {r.name: len(store.load_trials(r.name)) for r in store.list_studies()} == trials
    page = (tmp_path / "home" / "comparisons" / "n" / "report.html").read_text()
    assert "the winners again" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "compare needs a task"),
        (["mlp_digit"], "mlp_digits"),
        (["mlp_digits", "--methods", "magic"], "there is no method 'magic'"),
        (["mlp_digits", "--methods", "coin,coin"], "named twice"),
        (["mlp_digits", "--seeds", "x"], "--seeds takes"),
        (["mlp_digits", "--start", "hot"], "--start must be"),
        (["mlp_digits", "--against", "grid"], "names no method"),
        (["mlp_digits", "--name", "a/b"], "cannot name a comparison"),
        (["mlp_digits", "mlp_digits"], "two tasks have the same name"),
        (["mlp_digits", "--methods", "tcs-paper@gpt-9"], "gpt-9"),
        (["mlp_digits", "--show", "x"], "--show runs nothing"),
        (["--show", "x"], "there is no comparison 'x'"),
    ],
)
def test_wrong_use_is_one_sentence_and_a_hint(
    arguments: list[str], message: str, environment: dict[str, str]
) -> None:
    result = CliRunner().invoke(app, ["compare", *arguments], env=environment)
    assert isinstance(result.exception, UserError)  # `main` prints it and exits with 2
    assert message in str(result.exception)
    assert result.exception.hint


def start(environment: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [*HPT, "compare", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "trial 1/3" in line:
            break
    return process


def test_ctrl_c_keeps_what_is_done_and_the_same_name_continues(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    task = str(my_task(tmp_path / "mine", pause=0.3))
    arguments = [
        task,
        "--methods",
        "coin,expert",
        "--seeds",
        "2",
        "--trials",
        "3",
        "--name",
        "n",
        "--jobs",
        "2",
    ]
    process = start(environment, *arguments)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Continue with the same command and --name n" in out
    assert "unfinished, left out" in out
    with Store.open(environment["TCS_HPT_STORE"]) as store:
        states = [t.state for r in store.list_studies() for t in store.load_trials(r.name)]
    assert "running" not in states
    assert states.count("finished") < 12
    assert hpt(environment, "compare", *arguments).returncode == 0
    with Store.open(environment["TCS_HPT_STORE"]) as store:
        trials = [store.load_trials(r.name) for r in store.list_studies()]
    assert [sum(t.state == "finished" for t in each) for each in trials] == [3, 3, 3, 3]


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path, environment: dict[str, str]) -> None:
    folder, marker = my_task(tmp_path / "mine"), tmp_path / "second"
    stubborn = "import pathlib, signal, time, tcs_hpt\nif tcs_hpt.current_trial().number > 1:\n"
    stubborn += "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    stubborn += f"    pathlib.Path({str(marker)!r}).touch()\n    time.sleep(60)\n"
    (folder / "train.py").write_text(stubborn + (folder / "train.py").read_text())
    process = start(environment, str(folder), "--methods", "coin", "--seeds", "1", "--trials", "3")
    while not marker.exists():
        assert process.poll() is None
        time.sleep(0.02)
    assert process.stderr is not None
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline() == "stopping 1 study; Ctrl-C again ends at once\n"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert "interrupted; continue with the same command and --name" in out
    with Store.open(environment["TCS_HPT_STORE"]) as store:
        assert [t.state for t in store.load_trials(store.list_studies()[0].name)] == [
            "finished",
            "interrupted",
        ]
