"""Interpreters by the name of a conda environment, with a conda that only lists."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tcs_hpt.cli.app import app
from tcs_hpt.errors import UserError
from tcs_hpt.execution.interpreter import interpreter


def environment(folder: Path, *, program: str = "conda", says: str = "") -> dict[str, str]:
    """A conda in `root/bin` with the environments `torch` and `empty`, and a PATH on which it is."""
    root = folder / "root"
    for prefix in (root, root / "envs" / "torch", folder / "elsewhere" / "torch"):
        (prefix / "bin").mkdir(parents=True)
        (prefix / "bin" / "python").symlink_to(sys.executable)
    (root / "envs" / "empty").mkdir()
    prefixes = [root, root / "envs" / "torch", root / "envs" / "empty", folder / "elsewhere" / "torch"]
    listed = says or f"echo '{json.dumps({'envs': [str(p) for p in prefixes]})}'"
    made = root / "bin" / program
    made.write_text(f'#!/bin/sh\ntest "$1 $2 $3" = "env list --json" || exit 9\n{listed}\n')
    made.chmod(0o755)
    return {"PATH": f"{made.parent}{os.pathsep}/usr/bin{os.pathsep}/bin"}


def test_anything_else_is_left_as_it_is() -> None:
    assert interpreter("", {}) == ""
    assert interpreter("/usr/bin/python3", {}) == "/usr/bin/python3"


@pytest.mark.parametrize("program", ["conda", "mamba", "micromamba"])
def test_an_environment_by_name(program: str, tmp_path: Path) -> None:
    known = environment(tmp_path, program=program)
    root = tmp_path / "root"
    assert interpreter("conda:torch", known) == str(root / "envs" / "torch" / "bin" / "python")
    assert interpreter("conda:base", known) == str(root / "bin" / "python")
    by_variable = {"PATH": "", "CONDA_EXE": str(root / "bin" / program)}
    assert interpreter("conda:torch", by_variable) == interpreter("conda:torch", known)
    anywhere = tmp_path / "elsewhere" / "torch"
    assert interpreter(f"conda:{anywhere}", {}) == str(anywhere / "bin" / "python")


def test_what_is_missing_is_said_with_what_there_is(tmp_path: Path) -> None:
    known = environment(tmp_path)
    with pytest.raises(UserError, match="no conda environment 'tensorflow'") as caught:
        interpreter("conda:tensorflow", known)
    assert "There are: base, empty, torch." in str(caught.value.hint)
    with pytest.raises(UserError, match="has no Python") as bare:
        interpreter("conda:empty", known)
    assert "conda install -n empty python" in str(bare.value.hint)
    with pytest.raises(UserError, match="there is no conda"):
        interpreter("conda:torch", {"PATH": str(tmp_path)})


@pytest.mark.parametrize(
    ("says", "said"),
    [("echo broken >&2; exit 3", "broken"), ("echo '{}'", "envs"), ("echo no json", "Expecting value")],
)
def test_a_conda_that_does_not_answer(says: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"does not say which environments there are.*{said}"):
        interpreter("conda:torch", environment(tmp_path, says=says))


SCRIPT = """\
import argparse
import sys

p = argparse.ArgumentParser()
p.add_argument("--lr", type=float, default=0.1)
args = p.parse_args()
print("ran by", sys.executable)
print(f"val_acc {1 - args.lr:.3f}")
"""


def test_a_study_runs_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = environment(tmp_path / "conda")
    monkeypatch.setenv("PATH", f"{known['PATH']}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("CONDA_EXE", raising=False)
    project = tmp_path / "project"
    project.mkdir()
    (project / "train.py").write_text(SCRIPT)
    monkeypatch.chdir(project)
    run = CliRunner()
    assert run.invoke(app, ["init", "train.py", "--yes"]).exit_code == 0
    store = str(tmp_path / "s.db")
    common = ["tune", ".", "--method", "expert", "--trials", "1", "--name", "s", "--store", store, "--quiet"]
    done = run.invoke(app, [*common, "--python", "conda:torch"])
    assert done.exit_code == 0, done.output + str(done.exception)
    (log,) = (tmp_path / "studies" / "s").rglob("stdout.log")
    assert f"ran by {tmp_path / 'conda' / 'root' / 'envs' / 'torch' / 'bin' / 'python'}" in log.read_text()
    refused = run.invoke(app, [*common, "--python", "conda:nothing"])
    assert isinstance(refused.exception, UserError)
