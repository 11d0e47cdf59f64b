from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from tcs_hpt.catalog import load_task
from tcs_hpt.cli import init as init_command
from tcs_hpt.cli.app import app
from tcs_hpt.errors import ModelUnavailable, UserError
from tcs_hpt.llm.scripted import ScriptedModel

TRAIN = """\
\"\"\"A neural network.\"\"\"
import argparse

p = argparse.ArgumentParser()
p.add_argument("--lr", type=float, default=1e-3)
p.add_argument("--sharpness", type=float, default=2.0)
p.add_argument("--out-dir", default="out")
args = p.parse_args()
print(f"val_acc {1 - args.lr:.3f} val_f1 {args.lr:.3f} val_loss {args.lr:.3f}")
"""

Run = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = tmp_path / "my project"
    made.mkdir()
    monkeypatch.chdir(made)
    monkeypatch.setenv("COLUMNS", "200")
    (made / "train.py").write_text(TRAIN)
    return made


@pytest.fixture
def run() -> Run:
    return lambda *arguments, **more: CliRunner().invoke(app, ["init", *map(str, arguments)], **more)


def manifest(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "task.toml").read_text())


def test_what_was_found_and_what_comes_next(run: Run, folder: Path) -> None:
    done = run("train.py", "--yes")
    assert done.exit_code == 0, done.output
    rows = {line.split()[0]: line for line in done.output.splitlines() if line.strip()}
    assert "0.001" in rows["lr"]
    assert "--lr" in rows["lr"]
    assert "known by name" in rows["lr"]
    assert rows["sharpness"].rstrip().endswith("check")
    assert "maximize val_acc, read from stdout (pattern)" in done.output
    assert "not tuned: out_dir" in done.output
    assert "1 line marked `# check`" in done.output
    assert done.output.splitlines()[-2:] == ["  tcs-hpt tasks check .", "  tcs-hpt tune ."]
    assert [p.name for p in sorted(folder.iterdir())] == ["task.toml", "train.py"]
    assert load_task(folder).spec.name == "my_project"


def test_from_another_folder_the_commands_name_it(
    run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder.parent)
    done = run("my project/train.py", "--yes")
    assert done.output.splitlines()[-1] == "  tcs-hpt tune 'my project'"


def test_an_existing_manifest_stays(run: Run, folder: Path) -> None:
    (folder / "task.toml").write_text("mine")
    with pytest.raises(UserError, match="already") as caught:
        run("train.py", "--yes", catch_exceptions=False)
    assert "--force" in caught.value.hint
    assert (folder / "task.toml").read_text() == "mine"
    assert run("train.py", "--yes", "--force").exit_code == 0
    assert manifest(folder)["name"] == "my_project"


def test_metric_and_direction_may_be_said(run: Run, folder: Path) -> None:
    assert run("train.py", "--yes", "--metric", "val_loss").exit_code == 0
    assert manifest(folder)["objective"] == {"metric": "val_loss", "direction": "minimize"}
    assert run("train.py", "--force", "--metric", "val_f1", "--direction", "minimize").exit_code == 0
    assert manifest(folder)["objective"] == {"metric": "val_f1", "direction": "minimize"}
    with pytest.raises(UserError, match="--direction must be maximize or minimize"):
        run("train.py", "--force", "--direction", "up", catch_exceptions=False)


def test_arguments_of_the_script_are_kept_and_not_tuned(run: Run, folder: Path) -> None:
    assert run("train.py", "--yes", "--", "--sharpness", "3", "--out-dir=x").exit_code == 0
    written = manifest(folder)
    assert written["params"].keys() == {"lr"}
    assert written["command"] == ["{python}", "train.py", "--sharpness", "3", "--out-dir=x", "--lr", "{lr}"]


# -- questions ------------------------------------------------------------------------------------------------


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A person at the keyboard; returns the questions that were asked."""
    asked: list[str] = []
    monkeypatch.setattr(init_command, "at_terminal", lambda console: True)
    return asked


def answering(monkeypatch: pytest.MonkeyPatch, asked: list[str], *answers: str) -> None:
    left = iter(answers)

    def prompt(text: str, default: str = "") -> str:
        asked.append(text)
        return next(left) or default

    monkeypatch.setattr(typer, "prompt", prompt)


@pytest.mark.parametrize(
    ("answers", "range_"),
    [
        (("",), {"low": 0.2, "high": 20.0}),
        (("0.5 4",), {"low": 0.5, "high": 4.0}),
        (("high", "5 9", "1, 3"), {"low": 1.0, "high": 3.0}),
        (("n",), None),
    ],
)
def test_guessed_ranges_are_asked(
    answers: tuple[str, ...],
    range_: dict[str, float] | None,
    run: Run,
    folder: Path,
    terminal: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answering(monkeypatch, terminal, *answers)
    assert run("train.py").exit_code == 0
    assert len(terminal) == len(answers)
    assert all(q.startswith("sharpness is 2.0") for q in terminal)
    params = manifest(folder)["params"]
    assert params["lr"]["default"] == 0.001
    assert {k: params["sharpness"][k] for k in range_} == range_ if range_ else "sharpness" not in params


def test_a_doubtful_metric_is_asked(
    run: Run, folder: Path, terminal: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "train.py").write_text(TRAIN.replace("val_", ""))
    answering(monkeypatch, terminal, "loss", "n")
    assert run("train.py").exit_code == 0
    assert terminal[0] == "Which one to improve"
    assert manifest(folder)["objective"] == {"metric": "loss", "direction": "minimize"}


# -- bad input ------------------------------------------------------------------------------------------------

FLAG = 'import argparse\np = argparse.ArgumentParser()\np.add_argument("--lr", type=float, default=0.1)\n'
BAD: dict[str, tuple[str, bytes, str, str]] = {
    "no parameters": ("train.py", b"print(f'val_loss {x:.3f}')\n", "no hyperparameter of train.py", "--lr"),
    "only what is not tuned": (
        "train.py",
        b"SEED = 3\nprint(f'val_loss {x:.3f}')\n",
        "no hyperparameter of train.py",
        "seed (a seed)",
    ),
    "a required argument": (
        "train.py",
        (FLAG + "p.add_argument('data')\nprint(f'val_loss {x}')\n").encode(),
        "does not start without `data`",
        "tcs-hpt init train.py -- DATA",
    ),
    "no metric": ("train.py", FLAG.encode() + b"print('done')\n", "no metric", "--metric"),
    "not Python": ("train.txt", b"lr = 1\n", "neither a Python file nor a shell script", ".py or .sh"),
    "a notebook": ("train.ipynb", b"{}\n", "a notebook", "jupyter nbconvert"),
    "a syntax error": ("train.py", b"x = 1\nprint 'a'\n", "not valid Python (line 2", "py_compile"),
    "empty": ("train.py", b" \n", "is empty", "Name the script"),
    "not UTF-8": ("train.py", b"x = 1\ny = '\xff'\n", "not UTF-8 text (line 2)", "UTF-8"),
    "a null byte": ("train.py", b"x = 1\0\n", "not valid Python", "py_compile"),
    "a broken config file": (
        "train.py",
        FLAG.encode() + b"p.add_argument('--config', default='bad.yaml')\nprint(f'val_loss {x}')\n",
        "bad.yaml is not valid YAML",
        "Correct it first",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_ends_in_a_sentence(kind: str, run: Run, folder: Path) -> None:
    name, content, message, hint = BAD[kind]
    (folder / "bad.yaml").write_text("a: [1\n")
    (folder / name).write_bytes(content)
    with pytest.raises(UserError) as caught:
        run(name, "--yes", catch_exceptions=False)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert "\n" not in caught.value.message + caught.value.hint
    assert not (folder / "task.toml").exists()


def test_a_folder_and_a_missing_file(run: Run, folder: Path) -> None:
    with pytest.raises(UserError, match="is a folder") as caught:
        run(folder, catch_exceptions=False)
    assert "train.py" in caught.value.hint
    with pytest.raises(UserError, match=r"there is no file nowhere.py"):
        run("nowhere.py", catch_exceptions=False)


def test_a_script_that_trains_at_its_top_is_fine_and_never_run(run: Run, folder: Path) -> None:
    (folder / "train.py").write_text(
        "open('ran', 'w')\nLR = 0.1\nfor epoch in range(3):\n    print(f'epoch {epoch} val_loss {LR}')\n"
    )
    assert run("train.py", "--yes").exit_code == 0
    assert not (folder / "ran").exists()
    assert (folder / "tcs_hpt_run_with.py").is_file()


def test_a_missing_package_is_named_with_what_to_do(folder: Path, run: Run, tmp_path: Path) -> None:
    (folder / "train.py").write_text(f"import no_such_package_at_all\n{TRAIN}")
    assert run("train.py", "--yes").exit_code == 0
    arguments = ["tune", "train.py", "--method", "random", "--trials", "1", "--store", str(tmp_path / "s.db")]
    tuned = CliRunner().invoke(app, arguments)
    assert tuned.exit_code == 1
    assert "No module named 'no_such_package_at_all'" in tuned.output
    assert "name another one with --python" in " ".join(tuned.output.split())


def test_tune_of_a_script_without_a_manifest_says_to_run_init(folder: Path) -> None:
    with pytest.raises(UserError) as caught:
        CliRunner().invoke(app, ["tune", "train.py"], catch_exceptions=False)
    assert "`tcs-hpt init train.py`" in caught.value.hint


# -- the user's words -----------------------------------------------------------------------------------------


def opened(monkeypatch: pytest.MonkeyPatch, *replies: dict[str, str]) -> ScriptedModel:
    model = ScriptedModel([json.dumps(r) for r in replies])
    monkeypatch.setattr(init_command, "open_model", lambda name, console: (model, "for a test"))
    return model


REPLY = {
    "title": "MLP on digits",
    "description": "An MLP.",
    "metric": "val_f1",
    "direction": "maximize",
    "priority": "score",
    "memory": "none",
}


def test_the_words_fill_the_manifest(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = opened(monkeypatch, REPLY)
    words = "MLP on digits, I care about F1, 16 GB RAM"
    done = run("train.py", "--yes", "--describe", words)
    assert done.exit_code == 0, done.output
    written = manifest(folder)
    assert written["title"] == "MLP on digits"
    assert words in written["description"]
    assert written["objective"]["metric"] == "val_f1"
    assert written["limits"] == {"memory_mb": 16384}
    assert "you wrote F1" in done.output
    assert len(model.requests) == 1


def test_without_a_model_the_words_are_kept(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(name: str, console: object) -> object:
        raise ModelUnavailable("no server answers", hint="Start one.")

    monkeypatch.setattr(init_command, "open_model", unavailable)
    done = run("train.py", "--yes", "--describe", "An MLP on digits.")
    assert done.exit_code == 0
    assert "no model could read them (no server answers)" in done.output
    assert manifest(folder)["description"] == "An MLP on digits."
