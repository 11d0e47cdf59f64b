from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tcs_hpt.importing import run_with

LAUNCHER = Path(run_with.__file__)
SCRIPT = '''
"""Trains."""
from __future__ import annotations
import sys
from dataclasses import dataclass, field

LR = 1e-2
BATCH: int = 2 ** 5
NAME = "adam"
BN = False

@dataclass
class Config:
    dropout: float = 0.1
    width: int = field(default=64)

class Model:
    depth = 3

    def __init__(self, units=10, *, act="relu"):
        self.units, self.act = units, act

def train(rounds=5, **rest):
    return rounds, rest

params = {"eta": 0.3, "nested": {"eta": 9}}
other = dict(alpha=1.0)
params["gamma"] = 0.0
lines = open("here.txt").read() if False else "here.txt"

if __name__ == "__main__":
    config, model = Config(), Model()
    print(__file__, __name__, sys.argv[1:])
    print(LR, BATCH, NAME, BN, config, model.depth, model.units, model.act)
    print(train(max_depth=6), params, other, lines)
'''


def launch(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(LAUNCHER), *arguments], cwd=folder, capture_output=True, text=True
    )


def test_every_kind_of_literal_takes_its_new_value_and_type(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    done = launch(
        tmp_path,
        *("train.py", "LR=1", "BATCH=128", "NAME=sgd", "BN=true", "Config.dropout=0.5", "Config.width=32"),
        *("Model.depth=4", "Model.units=20", "Model.act=gelu", "train.rounds=7", "train.max_depth=3"),
        *("params.eta=0.1", "other.alpha=2", "params.gamma=1.5", '"here.txt"=/x/a=b.txt', "--", "a", "LR=3"),
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        f"{tmp_path / 'train.py'} __main__ ['a', 'LR=3']",
        "1.0 128 sgd True Config(dropout=0.5, width=32) 4 20 gelu",
        "(7, {'max_depth': 3}) {'eta': 0.1, 'nested': {'eta': 9}, 'gamma': 1.5} {'alpha': 2.0} /x/a=b.txt",
    ]


def test_without_settings_it_is_the_script(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    plain = subprocess.run(
        [sys.executable, str(tmp_path / "train.py"), "x"], cwd=tmp_path, capture_output=True, text=True
    )
    assert launch(tmp_path, str(tmp_path / "train.py"), "--", "x").stdout == plain.stdout


def test_a_target_that_is_not_there_ends_it_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print('ran')\nLR = float('0.1')\n")
    done = launch(tmp_path, "train.py", "LR=0.2", "WIDTH=3")
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("run_with: train.py has no literal LR, WIDTH to set")


def test_a_traceback_names_the_script_and_its_line(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("LR = 0.1\n\n\nraise ValueError(LR)\n")
    done = launch(tmp_path, "train.py", "LR=0.5")
    assert f'File "{tmp_path / "train.py"}", line 4' in done.stderr
    assert "raise ValueError(LR)" in done.stderr
    assert done.stderr.splitlines()[-1] == "ValueError: 0.5"


def test_modules_beside_the_script_are_found_and_its_classes_pickle(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "helper.py").write_text("VALUE = 3\n")
    (tmp_path / "project" / "train.py").write_text(
        "import pickle, helper\nLR = 0.1\nclass A: pass\n"
        "print(helper.VALUE, type(pickle.loads(pickle.dumps(A()))).__module__)\n"
    )
    assert launch(tmp_path, "project/train.py", "LR=1").stdout == "3 __main__\n"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "name a script"),
        (("train.py", "--lr"), "comes after --"),
        (("missing.py",), "cannot be read"),
    ],
)
def test_wrong_use_is_a_sentence(
    arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        run_with.main(list(arguments))
    assert says in str(ended.value)


def test_it_is_of_the_language_and_library_of_an_old_python() -> None:
    tree = ast.parse(LAUNCHER.read_text(encoding="utf-8"), feature_version=(3, 8))
    imported = {
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names])
    }
    assert imported == {"__future__", "ast", "os", "sys", "types"}
