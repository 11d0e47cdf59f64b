"""The commands as a user types them, in a process of their own where exit status and streams matter."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tcs_hpt.store import Store

HPT = [sys.executable, "-c", "from tcs_hpt.cli import main; main()"]

TRAIN = """
import time
import tcs_hpt
trial = tcs_hpt.current_trial()
for epoch in range(1, 4):
    time.sleep({pause})
    trial.report(epoch=epoch, val_accuracy=0.3 * epoch - abs(trial.params["lr"] - 0.1))
{end}
"""
MANIFEST = """
schema = 1
name = "mine"
command = ["{python}", "train.py"]
[objective]
metric = "val_accuracy"
direction = "maximize"
[params.lr]
type = "float"
low = 1e-4
high = 1.0
log = true
default = 0.001
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    inherited = {
        k: v for k, v in os.environ.items() if k != "TCS_HPT_DATA_DIR"
    }  # may be relative to elsewhere
    return {**inherited, "TCS_HPT_STORE": str(tmp_path / "home" / "studies.db"), "COLUMNS": "100"}


def hpt(
    environment: dict[str, str], *arguments: str, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*HPT, *arguments], env=environment, cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )


def my_task(folder: Path, *, end: str = "", pause: float = 0.0, manifest: str = MANIFEST) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "task.toml").write_text(manifest)
    (folder / "train.py").write_text(TRAIN.format(end=end, pause=pause))
    return folder


def test_a_user_task_is_tuned_from_any_folder(tmp_path: Path, environment: dict[str, str]) -> None:
    task = my_task(tmp_path / "my task")
    done = hpt(
        environment, "tune", "./my task", "--method", "expert", "--trials", "3", "--name", "n", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "trial 3/3" in done.stdout
    assert "Train the best again" in done.stdout
    report = tmp_path / "home" / "studies" / "n" / "report.html"
    assert "val_accuracy" in report.read_text()
    shown = hpt(environment, "show", "n")
    assert shlex.quote(str(task)) in shown.stdout.replace("\n", "")
    assert "n " in hpt(environment, "studies").stdout


def test_the_printed_command_reproduces_the_best_score(tmp_path: Path, environment: dict[str, str]) -> None:
    done = hpt(
        environment,
        *(
            "tune",
            "mlp_digits",
            "--profile",
            "smoke",
            "--model",
            "scripted:first",
            "--trials",
            "3",
            "--name",
            "a",
        ),
    )
    assert done.returncode == 0, done.stderr
    command = re.search(r"Train the best again\s+tcs-hpt (.*?)\n\n", done.stdout, re.DOTALL)
    assert command is not None
    again = hpt(environment, *shlex.split(command.group(1).replace("\n", " ")), "--name", "b")
    assert again.returncode == 0, again.stderr
    with Store.open(environment["TCS_HPT_STORE"]) as store:
        first = max(t.value or 0.0 for t in store.load_trials("a"))
        assert [t.value for t in store.load_trials("b")] == [first]


def test_json_prints_every_event_and_nothing_else(tmp_path: Path, environment: dict[str, str]) -> None:
    task = my_task(tmp_path / "t")
    done = hpt(environment, "tune", str(task), "--method", "coin", "--trials", "2", "--json")
    kinds = [json.loads(line)["kind"] for line in done.stdout.splitlines()]
    assert kinds[0] == "study_started"
    assert kinds.count("epoch_reported") == 6
    assert kinds[-1] == "study_ended"
    assert done.stderr == ""


def test_quiet_prints_one_line(tmp_path: Path, environment: dict[str, str]) -> None:
    task = my_task(tmp_path / "t")
    done = hpt(environment, "tune", str(task), "--method", "expert", "--trials", "2", "--quiet")
    assert re.fullmatch(r"val_accuracy 0\.\d+ \(trial 2\) \S+report\.html\n", done.stdout)


def test_when_everything_fails_the_exit_status_says_so(tmp_path: Path, environment: dict[str, str]) -> None:
    task = my_task(tmp_path / "t", end="raise ValueError('bad shape')")
    done = hpt(environment, "tune", str(task), "--method", "expert", "--trials", "2")
    assert done.returncode == 1
    assert "ValueError: bad shape" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tune", "mlp_digit"], "mlp_digits"),
        (["tune", "mlp_digits", "--method", "magic"], "there is no method 'magic'"),
        (["tune", "mlp_digits", "--method", "expert", "--fix", "lr"], "--fix takes NAME=VALUE"),
        (["tune", "mlp_digits", "--method", "expert", "--fix", "lr=9"], "lr must be between"),
        (["tune", "mlp_digits", "--method", "expert", "--fix", "max_train=many"], "same type"),
        (
            ["tune", "mlp_digits", "--method", "expert", "--only", "learning_rate"],
            "no parameter 'learning_rate'",
        ),
        (["tune", "mlp_digits", "--method", "expert", "--profile", "huge"], "no profile 'huge'"),
        (["tune", "mlp_digits", "--method", "expert", "--start", "hot"], "--start must be"),
        (["tune", "mlp_digits", "--model", "gpt-9"], "gpt-9"),
        (["show", "nothing"], "nothing"),
        (["tasks", "show", "nothing"], "nothing"),
        (["models", "pull", "gpt-9"], "gpt-9"),
    ],
)
def test_wrong_use_is_one_sentence_and_a_hint(
    arguments: list[str], message: str, environment: dict[str, str]
) -> None:
    done = hpt(environment, *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr


def test_broken_manifests_list_every_problem(tmp_path: Path, environment: dict[str, str]) -> None:
    broken = (
        MANIFEST.replace("high = 1.0", "high = 1e-5")
        .replace('"maximize"', '"up"')
        .replace("train.py", "run.py")
    )
    task = my_task(tmp_path / "t", manifest=broken)
    done = hpt(environment, "tasks", "check", str(task))
    assert done.returncode == 1
    assert "3 problems in the task manifest" in done.stdout


def test_tasks_and_models_are_listed(environment: dict[str, str]) -> None:
    assert "mlp_digits" in hpt(environment, "tasks", "list").stdout
    shown = hpt(environment, "tasks", "show", "mlp_digits").stdout
    assert "optimizer is sgd" in shown
    assert "no problems found" in hpt(environment, "tasks", "check", "mlp_digits", "--manifest-only").stdout
    assert "smollm2-135m" in hpt(environment, "models", "list").stdout


def test_ctrl_c_keeps_what_is_done_and_the_same_name_continues(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    task = my_task(tmp_path / "t", pause=0.3)
    arguments = ["tune", str(task), "--method", "expert", "--trials", "3", "--name", "n"]
    process = subprocess.Popen(
        [*HPT, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("trial 2/3  started"):
            break
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130, err
    assert "--name n" in out
    with Store.open(environment["TCS_HPT_STORE"]) as store:
        assert [t.state for t in store.load_trials("n")] == ["finished", "interrupted"]
    assert hpt(environment, *arguments).returncode == 0
    with Store.open(environment["TCS_HPT_STORE"]) as store:
        assert [t.state for t in store.load_trials("n")] == [
            "finished",
            "interrupted",
            "finished",
            "finished",
        ]
    changed = hpt(environment, *arguments, "--seed", "5")
    assert changed.returncode == 2
    assert "seed was 0, now 5" in changed.stderr


@pytest.mark.embedded
def test_two_real_trials_with_the_embedded_model(environment: dict[str, str]) -> None:
    done = hpt(
        environment,
        *("tune", "mlp_digits", "--profile", "smoke", "--trials", "2", "--name", "real"),
        *("--describe", "A small network for digits; accuracy matters."),
    )
    assert done.returncode == 0, done.stderr
    with Store.open(environment["TCS_HPT_STORE"]) as store:
        trials = store.load_trials("real")
        space = trials[0].config.keys()
    assert [t.state for t in trials] == ["finished", "finished"]
    assert trials[1].proposal.source in ("agents", "expert")
    assert space
    calls = [c for t in trials for c in t.proposal.calls]
    assert {c.role for c in calls} == {"bootstrap", "analysis", "optimizer"}
    assert all(c.completion_tokens > 0 and c.prompt_tokens > 0 and c.seconds > 0 for c in calls)
    assert all("accuracy matters" in c.messages[0].content for c in calls)
