from __future__ import annotations

import functools
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tcs_hpt.errors import UserError
from tcs_hpt.execution import RunResult
from tcs_hpt.execution.isolated import IsolatedExecutor
from tcs_hpt.records import EpochRecord
from tests.execution.fake_scripts import executor, failure, make_job, wait_for

FUNCTIONS = """
import os, time
from pathlib import Path

def score(params, trial):
    assert (trial.number, trial.seed, trial.fixed) == (3, 11, {"max_train": 7})
    for epoch in (1, 2):
        trial.report(val_accuracy=epoch / 4)
    trial.finish(test_accuracy=0.25)
    return params["lr"] + 0.25

def where(params, trial):
    import tcs_hpt
    assert tcs_hpt.current_trial() is trial
    Path("seen").write_text(f"{os.getcwd()} {os.getpid()}")
    return {"val_accuracy": 1.0}

def broken(params, trial):
    raise ValueError("no such layer")

def dies(params, trial):
    os.abort()

def refuses(params, trial):
    trial.refuse("lr and layers do not fit together")

def sleeps(params, trial):
    Path(trial.folder, "begun").write_text("yes")
    time.sleep(60)

def hungry(params, trial):
    block = bytearray(300 * 2**20)
    time.sleep(60)

def scaled(params, trial, *, by):
    return by * params["lr"]

class Objective:
    def __init__(self, offset):
        self.offset = offset

    def __call__(self, params, trial):
        return self.offset + params["lr"]
"""


@pytest.fixture
def functions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    (tmp_path / "my_functions.py").write_text(FUNCTIONS, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    sys.modules.pop("my_functions", None)
    import my_functions  # type: ignore[import-not-found]

    yield my_functions
    del sys.modules["my_functions"]


Run = Callable[..., RunResult]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(function: Any, **changes: Any) -> RunResult:
        seen: list[EpochRecord] = []
        result = IsolatedExecutor(function, local=executor()).run(
            make_job(tmp_path, "", **changes), seen.append
        )
        assert tuple(seen) == result.epochs
        return result

    return run


def test_the_function_is_a_script_that_returns_its_score(run: Run, functions: Any, tmp_path: Path) -> None:
    result = run(functions.score)
    assert result.failure is None
    assert (result.state, result.value) == ("finished", 0.75)
    assert result.metrics == {"test_accuracy": 0.25, "val_accuracy": 0.75}
    assert [e.metrics for e in result.epochs] == [{"val_accuracy": 0.25}, {"val_accuracy": 0.5}]
    assert (result.usage.exit_code, list((tmp_path / "trials" / "3").glob("*.pickle"))) == (0, [])


def test_it_works_where_this_process_does_but_is_another_one(
    run: Run, functions: Any, tmp_path: Path
) -> None:
    assert run(functions.where).value == 1.0
    folder, pid = (tmp_path / "seen").read_text().split()
    assert Path(folder) == tmp_path.resolve()
    assert int(pid) != os.getpid()


def test_what_pickle_can_send_runs(run: Run, functions: Any) -> None:
    assert run(functools.partial(functions.scaled, by=2)).value == 1.0
    assert run(functions.Objective(0.25)).value == 0.75


@pytest.mark.parametrize(
    ("name", "kind", "message"),
    [
        ("broken", "crashed", "ValueError: no such layer"),
        ("dies", "crashed", "the script was killed by signal SIGABRT"),
        ("refuses", "invalid", "lr and layers do not fit together"),
    ],
)
def test_failures_are_those_of_a_script(run: Run, functions: Any, name: str, kind: str, message: str) -> None:
    found = failure(run(getattr(functions, name)))
    assert (found.kind, found.message) == (kind, message)


def test_limits_hold_where_no_epoch_is_reported(run: Run, functions: Any) -> None:
    began = time.monotonic()
    assert failure(run(functions.sleeps, limits={"trial_seconds": 0.5})).kind == "timeout"
    assert failure(run(functions.hungry, limits={"memory_mb": 150})).kind == "out_of_memory"
    assert time.monotonic() - began < 30


def test_it_can_be_interrupted_anywhere(functions: Any, tmp_path: Path) -> None:
    isolated = IsolatedExecutor(functions.sleeps, local=executor())
    job = make_job(tmp_path, "")

    def interrupt() -> None:
        wait_for(job.folder / "begun")
        isolated.interrupt()

    thread = threading.Thread(target=interrupt)
    thread.start()
    result = isolated.run(job, lambda epoch: None)
    thread.join()
    assert result.state == "interrupted"


def test_what_another_process_cannot_find_is_refused_before_anything_runs(
    functions: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def local(params: dict[str, Any], trial: object) -> float:
        return 0.0

    for function in (local, lambda params, trial: 0.0, functools.partial(local)):
        with pytest.raises(UserError, match="cannot run in a process of its own") as caught:
            IsolatedExecutor(function)
        assert "isolate=True" in caught.value.hint


def test_a_function_of_a_notebook_is_refused(functions: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    main = type(sys)("__main__")  # as in a notebook: no file, no spec
    main.objective = functions.score  # type: ignore[attr-defined]
    functions.score.__module__ = "__main__"
    monkeypatch.setitem(sys.modules, "__main__", main)
    functions.score.__qualname__ = "objective"
    with pytest.raises(UserError, match="objective is defined in a notebook"):
        IsolatedExecutor(functions.score)
