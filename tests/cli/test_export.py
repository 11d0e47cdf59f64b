from __future__ import annotations

import csv
import io
import json
import shlex
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typer
import yaml
from typer.testing import CliRunner

from tcs_hpt.cli.export import export
from tcs_hpt.errors import UserError
from tcs_hpt.store import Store
from tcs_hpt.testing.samples import failed_trial, rich_trial, simple_trial, study_spec

APP = typer.Typer()
APP.command("export")(export)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = str(tmp_path / "studies.db")
    monkeypatch.setenv("TCS_HPT_STORE", url)
    with Store.open(url) as database:
        database.create_study(study_spec())
        for trial in (rich_trial(1), failed_trial(2), simple_trial(3, 0.25)):
            database.save_trial("first", trial)
        database.create_study(study_spec("empty"))
    return url


def run(*arguments: str) -> str:
    done = CliRunner().invoke(APP, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_records_go_to_standard_output(store: str) -> None:
    assert [t["number"] for t in json.loads(run("first"))["trials"]] == [1, 2, 3]
    read = list(csv.DictReader(io.StringIO(run("first", "--format", "csv"))))
    assert [row["state"] for row in read] == ["finished", "failed", "finished"]
    assert run("first", "--store", store) == run("first")


def test_the_best_configuration_in_every_form(store: str) -> None:
    best = json.loads(run("first", "--best"))
    assert best["lr"] == 0.003
    assert best["patience"] == 10
    for choice in ((), ("--best",)):
        assert yaml.safe_load(run("first", "--format", "yaml", *choice)) == best
        words = shlex.split(run("first", "-f", "flags", *choice))
        assert words[:4] == ["--lr", "0.003", "--dropout", "0.30000000000000004"]


def test_a_file_is_written_whole_and_named(store: str, tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "out.csv"
    assert run("first", "--format", "csv", "--output", str(path)).strip() == str(path)
    assert path.read_text(encoding="utf-8") == run("first", "--format", "csv")
    run("first", "--output", str(path))  # in its place
    assert len(json.loads(path.read_text())["trials"]) == 3
    assert [p.name for p in path.parent.iterdir()] == ["out.csv"]
    table = tmp_path / "out.parquet"
    run("first", "--format", "parquet", "--output", str(table))
    assert pq.read_table(table)["number"].to_pylist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("first", "--format", "csv", "--best"), "holds all trials"),
        (("first", "--format", "parquet"), "not text"),
        (("empty", "--best"), "no trial has finished"),
        (("frist",), "no study 'frist'"),
    ],
)
def test_wrong_use_is_named(store: str, arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        run(*arguments)
    assert caught.value.hint


def test_a_place_that_cannot_be_written(store: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written") as caught:
        run("first", "--output", str(tmp_path / "file" / "x.json"))
    assert "--output" in caught.value.hint
    with pytest.raises(UserError, match="cannot be written"):
        run("first", "--output", str(tmp_path))
    assert sorted(p.name for p in tmp_path.glob(".*")) == []


def test_an_unknown_format_is_refused(store: str) -> None:
    done = CliRunner().invoke(APP, ["first", "--format", "xml"])
    assert done.exit_code == 2
    assert "parquet" in done.output


def test_the_command_as_a_user_types_it(store: str, tmp_path: Path) -> None:
    def hpt(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from tcs_hpt.cli import main; main()", "export", *arguments]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60, check=False)

    done = hpt("first", "--format", "flags")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("--lr 0.003 --dropout 0.30000000000000004 ")
    wrong = hpt("first", "--format", "parquet")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "hint: Say where to write it with --output FILE." in wrong.stderr
