from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tcs_hpt import client
from tcs_hpt.client import CurrentTrial, current_trial
from tcs_hpt.errors import TaskError

SETTINGS = {
    "params": {"lr": 0.1},
    "fixed": {"n": 3},
    "seed": 5,
    "profile": "quick",
    "trial": 2,
    "data_dir": None,
}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TRIAL_DIR", "DATA_DIR", "PROFILE", "SEED"):
        monkeypatch.delenv(f"TCS_HPT_{name}", raising=False)
    monkeypatch.setattr(client, "_made", {})


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CurrentTrial:
    (tmp_path / "config.json").write_text(json.dumps(SETTINGS))
    monkeypatch.setenv("TCS_HPT_TRIAL_DIR", str(tmp_path))
    return current_trial()


def lines(trial: CurrentTrial) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (trial.folder / "metrics.jsonl").read_text().splitlines()]


def test_the_trial_is_read_from_its_folder(trial: CurrentTrial, tmp_path: Path) -> None:
    assert trial.params == {"lr": 0.1, "n": 3}
    assert (trial.config, trial.fixed) == ({"lr": 0.1}, {"n": 3})
    assert (trial.seed, trial.profile, trial.number, trial.data_dir) == (5, "quick", 2, None)
    assert trial.folder == tmp_path
    assert current_trial() is trial


def test_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TCS_HPT_DATA_DIR", "data")
    monkeypatch.chdir(tmp_path)
    assert CurrentTrial(SETTINGS, tmp_path).data_dir == tmp_path / "data"
    assert CurrentTrial({**SETTINGS, "data_dir": "/d"}, tmp_path).data_dir == Path("/d")


def test_epochs_are_lines(trial: CurrentTrial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    trial.report(train_loss=1, val_accuracy=0.5)
    trial.report(epoch=np.int64(7), loss=2.5)
    trial.report(loss=np.float32(0.5), x=np.array(3))
    trial.report(**{"a.b-c": float("nan"), "d": float("-inf"), "e": 10**400})
    assert lines(trial) == [
        {"epoch": 1, "train_loss": 1, "val_accuracy": 0.5},
        {"epoch": 7, "loss": 2.5},
        {"epoch": 8, "loss": 0.5, "x": 3.0},
        {"epoch": 9, "a.b-c": None, "d": None, "e": None},
    ]


class Tensor:
    """Stands for a 0-d tensor with gradients, which complains when it is converted as it is."""

    ndim = 0
    detached = False

    def detach(self) -> Tensor:
        other = Tensor()
        other.detached = True
        return other

    def __float__(self) -> float:
        assert self.detached
        return 0.25


def test_tensors_are_numbers(trial: CurrentTrial) -> None:
    trial.report(loss=Tensor())
    assert lines(trial) == [{"epoch": 1, "loss": 0.25}]


@pytest.mark.parametrize(
    "value", ["0.5", None, True, np.bool_(True), [1], {}, b"1", 1j, np.array([1.0]), np.array([1.0, 2.0])]
)
def test_what_is_not_a_number_is_refused(trial: CurrentTrial, value: object) -> None:
    for write in (trial.report, trial.finish):
        with pytest.raises(TypeError, match="metric 'loss' must be a single number"):
            write(loss=value)
    assert sorted(p.name for p in trial.folder.iterdir()) == ["config.json"]


@pytest.mark.parametrize("name", ["", "val/acc", "1st", "a b", "ä", "x" * 65, "a\n"])
def test_bad_names_are_refused(trial: CurrentTrial, name: str) -> None:
    with pytest.raises(ValueError, match="name must be letters"):
        trial.report(**{name: 1.0})
    with pytest.raises(ValueError, match="name must be letters"):
        trial.finish(**{name: 1.0})


def test_bad_epochs_are_refused(trial: CurrentTrial) -> None:
    with pytest.raises(ValueError, match="negative, got -1"):
        trial.report(epoch=-1, loss=1)
    with pytest.raises(TypeError):
        trial.report(epoch=1.5, loss=1)


def test_the_result_appears_whole(trial: CurrentTrial) -> None:
    with pytest.raises(ValueError, match="at least one metric"):
        trial.finish()
    trial.finish(val_accuracy=0.5, val_loss=float("inf"))
    assert json.loads((trial.folder / "result.json").read_text()) == {"val_accuracy": 0.5, "val_loss": None}
    assert sorted(p.name for p in trial.folder.iterdir()) == ["config.json", "result.json"]


def test_many_threads_may_report(trial: CurrentTrial) -> None:
    def work() -> None:
        for _ in range(50):
            trial.report(loss=1.0)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(line["epoch"] for line in lines(trial)) == list(range(1, 401))


def test_should_stop(trial: CurrentTrial) -> None:
    assert not trial.should_stop()
    (trial.folder / "stop").touch()
    assert trial.should_stop()


def test_artifacts_stay_inside(trial: CurrentTrial) -> None:
    place = trial.artifact("deep/er/model.pt")
    assert place == trial.folder / "artifacts/deep/er/model.pt"
    place.write_text("x")
    for bad in ("../config.json", "/etc/passwd", ".", "", "a/../../b"):
        with pytest.raises(ValueError, match="must stay inside"):
            trial.artifact(bad)


def test_refusing_ends_the_script(trial: CurrentTrial, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        trial.refuse("too many heads")
    assert caught.value.code == 64
    assert capsys.readouterr().err == "too many heads\n"


def test_a_vanished_folder_warns_once(trial: CurrentTrial, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(trial.folder)
    for _ in range(3):
        trial.report(loss=1)
    trial.finish(loss=1)
    assert not trial.should_stop()
    assert capsys.readouterr().err.count("going on without") == 1


def test_a_name_that_is_no_text_is_refused(trial: CurrentTrial) -> None:
    for name in (float("nan"), 1, None):
        with pytest.raises(TypeError, match="keywords must be strings"):
            trial.report(**{name: 1.0})  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO])
def test_a_folder_that_takes_nothing_warns_once(
    trial: CurrentTrial, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int
) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        for place, name in ((os, "open"), (os, "replace"), (Path, "mkdir")):
            patch.setattr(place, name, refuse)
        for _ in range(3):
            trial.report(loss=1)
        trial.artifact("a/b")
        trial.finish(loss=1)
    warning = capsys.readouterr().err
    assert warning.count("\n") == 1
    assert warning.startswith("tcs_hpt: cannot write to ")
    assert os.strerror(number) in warning
    assert sorted(p.name for p in trial.folder.iterdir()) == ["config.json"]


def test_a_full_disk_does_not_break_training(trial: CurrentTrial, capsys: pytest.CaptureFixture[str]) -> None:
    (trial.folder / "metrics.jsonl").symlink_to("/dev/full")
    for _ in range(3):
        trial.report(loss=1)
    assert capsys.readouterr().err.count("No space left on device") == 1


def test_half_a_line_does_not_spoil_the_next(
    trial: CurrentTrial, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write = os.write
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", lambda handle, data: write(handle, data[:7]))
        trial.report(loss=1)
    trial.report(loss=2)
    trial.report(loss=3)
    text = (trial.folder / "metrics.jsonl").read_text()
    assert text == '{"epoch\n{"epoch": 2, "loss": 2.0}\n{"epoch": 3, "loss": 3.0}\n'
    assert capsys.readouterr().err.count("No space left on device") == 1


def test_nothing_is_reported_after_the_end(trial: CurrentTrial, capsys: pytest.CaptureFixture[str]) -> None:
    trial.report(loss=1)
    trial.finish(loss=1)
    trial.report(loss=2)
    trial.report(loss=3)
    assert [line["loss"] for line in lines(trial)] == [1]
    assert capsys.readouterr().err == "tcs_hpt: report() after finish() is ignored\n"


# The thread holds the lock when the fork happens, and the child has no such thread.
FORK = """
import os, sys, threading
import tcs_hpt
from tcs_hpt import client
trial = tcs_hpt.current_trial()
held, go = threading.Event(), threading.Event()
def hold():
    with client._lock, client._making:
        held.set(); go.wait()
thread = threading.Thread(target=hold)
thread.start()
held.wait()
children = []
for _ in range(4):
    child = os.fork()
    if not child:
        assert tcs_hpt.current_trial() is trial
        for _ in range(25): trial.report(loss=1.0)
        os._exit(0)
    children.append(child)
for child in children: assert os.waitpid(child, 0)[1] == 0
go.set(); thread.join()
trial.report(loss=2.0)
"""


def test_forked_workers_may_report(trial: CurrentTrial) -> None:
    # Newer Pythons warn of a fork with threads, on stderr; the workers' lines are what counts.
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORK], check=True, timeout=30, cwd="/")
    written = lines(trial)
    assert sorted(line["epoch"] for line in written[:-1]) == sorted([*range(1, 26)] * 4)
    assert written[-1] == {"epoch": 1, "loss": 2.0}


SPAWN = """
import multiprocessing, tcs_hpt
def work(i):
    tcs_hpt.current_trial().report(epoch=i, loss=i)
if __name__ == "__main__":
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        pool.map(work, range(20))
    tcs_hpt.current_trial().finish(loss=1)
"""


def test_spawned_workers_may_report(trial: CurrentTrial, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SPAWN)
    subprocess.run([sys.executable, str(tmp_path / "train.py")], check=True, timeout=60, cwd="/")
    assert sorted(line["epoch"] for line in lines(trial)) == list(range(20))


def test_a_broken_configuration_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TCS_HPT_TRIAL_DIR", str(tmp_path))
    for content in (None, "{", "[]", '{"params": {}}'):
        if content is not None:
            (tmp_path / "config.json").write_text(content)
        with pytest.raises(TaskError, match=r"config\.json cannot be used") as caught:
            current_trial()
        assert "Unset TCS_HPT_TRIAL_DIR" in caught.value.hint


def test_importing_the_client_imports_nothing_heavy() -> None:
    code = "import sys; import tcs_hpt; tcs_hpt.current_trial; print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    top = {name.split(".")[0] for name in loaded.splitlines()}
    # What the interpreter itself loads at start-up (site, .pth files) is none of our doing.
    bare = subprocess.run(
        [sys.executable, "-c", "import sys; print('\\n'.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    ours = top - {name.split(".")[0] for name in bare.splitlines()} - set(sys.stdlib_module_names)
    assert ours == {"tcs_hpt"}


def test_importing_the_client_is_quick() -> None:
    code = "import time; t = time.perf_counter(); import tcs_hpt; tcs_hpt.current_trial; print(time.perf_counter() - t)"
    seconds = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(3)
    ]
    assert min(seconds) < 0.25  # benchmarks/client_import.py measures it; here only a heavy import shall show
