"""Flags that are given or left out, from the script to the command line of a trial."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tcs_hpt.catalog import load_task
from tcs_hpt.errors import ManifestError
from tcs_hpt.execution import Job
from tcs_hpt.execution.command import build_command
from tcs_hpt.importing import draft, manifest, measured
from tcs_hpt.spec import Config, TaskSpec, fill_placeholders, placeholders, switches
from tests.build import task
from tests.importing.scripts import script, sorted_of

CODE = """\
import argparse
import torch
p = argparse.ArgumentParser()
p.add_argument("--lr", type=float, default=0.1)
p.add_argument("--nesterov", action="store_true", help="Look ahead.")
p.add_argument("--no-bn", dest="bn", action="store_false")
p.add_argument("--mixup", action=argparse.BooleanOptionalAction, default=True)
p.add_argument("--ema", action="store_true", default=True)
p.add_argument("--verbose", action="store_true")
args = p.parse_args()
print(f"val_acc {1 - args.lr + args.nesterov - args.bn}")
"""


@pytest.mark.parametrize(
    ("text", "on", "off"),
    [
        ("{bn}", "true", "false"),
        ("{bn?--bn}", "--bn", ""),
        ("{bn?:--no-bn}", "", "--no-bn"),
        ("{bn?--bn:--no-bn}", "--bn", "--no-bn"),
        ("norm={bn?batch:layer}", "norm=batch", "norm=layer"),
        ("{b n?x}", "{b n?x}", "{b n?x}"),
    ],
)
def test_what_a_placeholder_becomes(text: str, on: str, off: str) -> None:
    assert [fill_placeholders(text, {"bn": value}) for value in ("true", "false")] == [on, off]


def test_the_names_in_a_text() -> None:
    assert placeholders("{lr} {bn?--bn} {b n} {}") == ["lr", "bn"]
    assert switches("{lr} {bn?--bn} {b n?x}") == ["bn"]


def command(folder: Path, spec: TaskSpec, values: Config) -> list[str]:
    return build_command(Job(1, spec, folder, folder / "trial", values, seed=0))


def made(folder: Path) -> TaskSpec:
    read = script(folder, CODE)
    found = measured.gather(read)
    path, *_ = manifest.write(draft.read(read, found))
    return load_task(path.parent).spec


def test_init_tunes_switches_that_can_only_be_given(tmp_path: Path) -> None:
    spec = made(tmp_path)
    assert spec.command == (
        "{python}",
        "train.py",
        "--lr",
        "{lr}",
        "{nesterov?--nesterov}",
        "{bn?:--no-bn}",
        "{mixup}",
    )
    for name, default in (("nesterov", False), ("bn", True)):
        parameter = spec.params[name]
        assert (getattr(parameter, "choices", ()), parameter.default) == ((True, False), default)
    left = {o.name: o.reason for o in sorted_of(script(tmp_path, CODE)).left_out}
    assert left == {"ema": "a switch that is on already and cannot be taken back", "verbose": "logging"}


@pytest.mark.parametrize(
    ("values", "flags"),
    [
        ({"nesterov": True, "bn": True}, ["--nesterov"]),
        ({"nesterov": False, "bn": False}, ["--no-bn"]),
        ({"nesterov": False, "bn": True}, []),
    ],
)
def test_a_switch_is_there_or_not(values: dict[str, Any], flags: list[str], tmp_path: Path) -> None:
    spec = made(tmp_path)
    built = command(tmp_path, spec, {"lr": 0.1, "mixup": "--mixup", **values})
    assert built == [sys.executable, str(tmp_path / "train.py"), "--lr", "0.1", *flags, "--mixup"]


def test_an_inactive_switch_takes_no_other_flag_with_it(tmp_path: Path) -> None:
    params = {
        "opt": {"type": "categorical", "choices": ["adam", "sgd"]},
        "nesterov": {"type": "categorical", "choices": [True, False], "when": {"opt": ["sgd"]}},
    }
    spec = task(
        params, command=["{python}", "train.py", "--opt", "{opt}", "--quiet", "{nesterov?--nesterov}"]
    )
    assert command(tmp_path, spec, {"opt": "adam"})[2:] == ["--opt", "adam", "--quiet"]


def test_only_what_is_true_or_false_can_be_a_switch(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="choices true and false"):
        task(command=["{python}", "train.py", "{lr?--lr}"])
    task({"lr": {"type": "float", "low": 0.1, "high": 1}}, fixed={"fast": True}, command=["x", "{fast?-f}"])
    (tmp_path / "train.py").touch()
    (tmp_path / "task.toml").write_text(
        'schema = 1\nname = "t"\ncommand = ["{python}", "train.py", "{lr?--lr}"]\n'
        '[objective]\nmetric = "m"\ndirection = "maximize"\n[params.lr]\ntype = "float"\nlow = 0.1\nhigh = 1.0\n'
    )
    with pytest.raises(ManifestError, match="choices true and false"):
        load_task(tmp_path)
