"""The manifest that is written says what the script needs, and is read back as it was meant."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcs_hpt.catalog import load_task
from tcs_hpt.errors import UserError
from tcs_hpt.importing import draft, manifest, measured
from tcs_hpt.importing.draft import LAUNCHER, Draft
from tests.importing.scripts import script

PRINT = "\nfor epoch in range(3):\n    print(f'epoch {epoch} val_loss {x:.3f}')\n"


def drafted(folder: Path, text: str, *arguments: str, name: str = "train.py", **files: str) -> Draft:
    made = script(folder, text, name=name, **files)
    return draft.read(made, measured.gather(made), arguments=arguments)


def written(folder: Path, text: str, *arguments: str, **files: str) -> dict[str, Any]:
    manifest.write(drafted(folder, text, *arguments, **files))
    load_task(folder)  # sound
    return tomllib.loads((folder / "task.toml").read_text())


FLAGS = "import argparse, torch\np = argparse.ArgumentParser()\np.add_argument('--lr', type=float, default=0.01, help='Step \"size\".')\np.add_argument('--seed', type=int, default=1)\n"


def test_flags_with_the_seed_of_the_trial(tmp_path: Path) -> None:
    raw = written(tmp_path, FLAGS + PRINT)
    assert raw["command"] == ["{python}", "train.py", "--lr", "{lr}", "--seed", "{seed}"]
    assert raw["run_in"] == "trial"
    assert raw["params"]["lr"]["description"] == 'Step "size".'
    assert raw["metrics"]["source"] == "stdout"


def test_a_pair_of_flags_is_one_placeholder(tmp_path: Path) -> None:
    raw = written(
        tmp_path,
        FLAGS + "p.add_argument('--nesterov', action=argparse.BooleanOptionalAction, default=True)\n" + PRINT,
    )
    assert raw["command"][-3:] == ["{nesterov}", "--seed", "{seed}"]
    assert raw["params"]["nesterov"]["choices"] == ["--nesterov", "--no-nesterov"]
    assert raw["params"]["nesterov"]["default"] == "--nesterov"


def test_a_subcommand_comes_first(tmp_path: Path) -> None:
    code = "import click, torch\n@click.group()\ndef cli(): pass\n@cli.command('fit')\n@click.option('--lr', default=0.1)\ndef fit(lr): pass\n"
    assert written(tmp_path, code + PRINT)["command"] == ["{python}", "train.py", "fit", "--lr", "{lr}"]


def test_environment(tmp_path: Path) -> None:
    code = "import os, torch\nlr = float(os.environ.get('LR', '0.1'))\nseed = os.environ.get('SEED', '1')\n"
    raw = written(tmp_path, code + PRINT)
    assert raw["command"] == ["{python}", "train.py"]
    assert raw["env"] == {"LR": "{lr}", "SEED": "{seed}"}


CONFIG = {"config_yaml": "optim:\n  lr: 0.1\nepochs: 5\nseed: 3\n"}


def test_a_config_file_by_flag(tmp_path: Path) -> None:
    code = "import argparse, torch\np = argparse.ArgumentParser()\np.add_argument('--config', default='config.yaml')\n"
    raw = written(tmp_path, code + PRINT, **CONFIG)
    assert raw["command"] == ["{python}", "train.py", "--config", "{config}"]
    assert raw["config"] == {"template": "config.yaml", "keys": {"lr": "optim.lr", "seed": "seed"}}
    assert raw["run_in"] == "trial"


def test_a_config_file_in_the_code_needs_the_launcher(tmp_path: Path) -> None:
    raw = written(tmp_path, "import torch\nopen('config.yaml')\n" + PRINT, **CONFIG)
    assert raw["command"] == ["{python}", LAUNCHER, "train.py", '"config.yaml"={config}']
    assert (tmp_path / LAUNCHER).is_file()


def test_a_config_file_among_the_arguments(tmp_path: Path) -> None:
    raw = written(tmp_path, "import sys, torch\nopen(sys.argv[1])\n" + PRINT, "config.yaml", "-q", **CONFIG)
    assert raw["command"] == ["{python}", "train.py", "{config}", "-q"]


def test_literals_with_arguments_of_the_script(tmp_path: Path) -> None:
    raw = written(tmp_path, "import torch, sys\nLR = 0.1\nprint(sys.argv[1])\n" + PRINT, "x")
    assert raw["command"] == ["{python}", LAUNCHER, "train.py", "LR={lr}", "--", "x"]


@pytest.mark.parametrize(
    ("code", "where"),
    [
        ("", "trial"),
        ("open('rows.csv')\n", "task"),
        ("p.add_argument('--data-dir', default='./data')\n", "task"),
        ("p.add_argument('--data-dir', default='/data')\n", "trial"),
        ("datasets.MNIST('./mnist', download=True)\n", "task"),
        ("open('new.csv', 'w')\n", "trial"),
        ("pd.read_csv('elsewhere.csv')\n", "task"),
        ("np.load('x.npy')\n", "task"),
        ("open('notes.txt')\n", "task"),
        ("torch.save(m, 'rows.csv')\n", "trial"),
        ("p.add_argument('--save', default='rows.csv')\n", "trial"),
        ("open('rows.csv', 'w')\nOUT_DIR = 'rows.csv'\n", "trial"),
        ("evaluate.load('accuracy')\npd.read_csv('/data/x.csv')\n", "trial"),
    ],
)
def test_it_runs_where_it_finds_its_files(code: str, where: str, tmp_path: Path) -> None:
    assert written(tmp_path, FLAGS + code + PRINT, rows_csv="1\n")["run_in"] == where


def test_guesses_are_marked_and_what_is_left_out_is_listed(tmp_path: Path) -> None:
    made = drafted(
        tmp_path, FLAGS + "p.add_argument('--sharpness', type=float, default=2.0)\nprint(f'acc {x:.2f}')\n"
    )
    lines = manifest.text(made).splitlines()
    marked = [line for line in lines if "# check: " in line]
    assert [line.split(" ")[0] for line in marked] == ["metric", "low"]
    assert made.doubts == len(marked)
    assert "# seed = 1 (--seed, line 4: given the seed of each trial)" in [" ".join(t.split()) for t in lines]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    made = drafted(tmp_path, FLAGS + PRINT)
    manifest.write(made)
    (tmp_path / "task.toml").write_text("mine")
    with pytest.raises(UserError, match="already"):
        manifest.write(made)
    assert (tmp_path / "task.toml").read_text() == "mine"
    manifest.write(made, force=True)
    assert load_task(tmp_path).spec.params.keys() == {"lr"}


def test_patterns_with_quotes_survive(tmp_path: Path) -> None:
    code = FLAGS + "from transformers import Trainer\nTrainer(args=a)\n"
    (pattern, *_) = written(tmp_path, code)["metrics"]["patterns"]
    assert pattern.startswith("'eval_loss': '?(?P<eval_loss>")


VALUES = st.one_of(
    st.booleans(), st.integers(-(2**62), 2**62), st.floats(allow_nan=False, allow_infinity=False), st.text()
)


@given(st.one_of(VALUES, st.lists(VALUES)))
def test_values_are_read_back(value: object) -> None:
    try:
        read = tomllib.loads(f"v = {manifest.toml(value)}")["v"]
    except UnicodeEncodeError:
        return
    assert read == value
    assert type(read) is type(value)
