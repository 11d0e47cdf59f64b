from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tcs_hpt.client import CurrentTrial
from tcs_hpt.errors import StoreError, UserError
from tcs_hpt.execution import InProcessExecutor, RunResult, TrialFunction
from tcs_hpt.loop import Study, prepare
from tcs_hpt.proposers import RandomProposer
from tcs_hpt.records import EpochRecord
from tcs_hpt.store import Store
from tests.build import study
from tests.execution.fake_scripts import failure, make_job, task

Run = Callable[..., RunResult]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(function: TrialFunction, **changes: Any) -> RunResult:
        seen: list[EpochRecord] = []
        result = InProcessExecutor(function).run(make_job(tmp_path, "", **changes), seen.append)
        assert tuple(seen) == result.epochs
        assert (result.state == "finished") == (result.failure is None) == (result.value is not None)
        return result

    return run


def test_the_returned_number_is_the_score(run: Run) -> None:
    result = run(lambda params, trial: params["lr"] + 0.25)
    assert (result.state, result.value, result.metrics) == ("finished", 0.75, {"val_accuracy": 0.75})
    assert result.usage.exit_code is None


def test_the_function_gets_what_a_script_gets(run: Run, tmp_path: Path) -> None:
    seen: dict[str, Any] = {}

    def function(params: dict[str, Any], trial: CurrentTrial) -> float:
        seen.update(vars(trial), given=params, stop=trial.should_stop())
        return 0.0  # a score like any other

    assert run(function, data_dir=tmp_path).value == 0.0
    assert seen["given"] == {"lr": 0.5, "max_train": 7} == seen["params"]
    assert (seen["config"], seen["fixed"]) == ({"lr": 0.5}, {"max_train": 7})
    assert (seen["seed"], seen["number"], seen["profile"]) == (11, 3, "quick")
    assert (seen["data_dir"], seen["folder"]) == (tmp_path, tmp_path / "trials" / "3")
    assert seen["stop"] is False


def test_numpy_numbers_and_several_metrics(run: Run) -> None:
    result = run(lambda params, trial: {"val_accuracy": np.float32(0.5), "test_accuracy": np.int64(1)})
    assert result.metrics == {"val_accuracy": 0.5, "test_accuracy": 1.0}


def test_epochs_are_told_as_they_are_reported(tmp_path: Path) -> None:
    order: list[str] = []

    def function(params: dict[str, Any], trial: CurrentTrial) -> None:
        for epoch in (1, 2):
            order.append(f"before {epoch}")
            trial.report(val_accuracy=epoch / 2, val_loss=math.nan)
        trial.finish(val_accuracy=0.9, test_accuracy=0.8)

    result = InProcessExecutor(function).run(
        make_job(tmp_path, ""), lambda e: order.append(f"told {e.epoch}")
    )
    assert order == ["before 1", "told 1", "before 2", "told 2"]
    assert result.value == 0.9
    assert result.epochs[1].metrics == {"val_accuracy": 1.0, "val_loss": None}
    assert result.epochs[1].non_finite == ("val_loss",)


def test_what_was_finished_with_and_what_is_returned_add_up(run: Run) -> None:
    def function(params: dict[str, Any], trial: CurrentTrial) -> float:
        trial.finish(test_accuracy=0.8, val_accuracy=0.1)
        return 0.7

    assert run(function).metrics == {"test_accuracy": 0.8, "val_accuracy": 0.7}


def test_without_a_result_the_last_epoch_counts(run: Run) -> None:
    def function(params: dict[str, Any], trial: CurrentTrial) -> None:
        trial.report(val_accuracy=0.1)
        trial.report(val_accuracy=0.6)

    assert run(function).value == 0.6


def test_what_other_threads_report_arrives(run: Run) -> None:
    def function(params: dict[str, Any], trial: CurrentTrial) -> None:
        worker = threading.Thread(target=lambda: trial.report(val_accuracy=0.4))
        worker.start()
        worker.join()

    assert run(function).value == 0.4


def boom(params: dict[str, Any], trial: CurrentTrial) -> float:
    raise ValueError("n_components must be smaller than 7")


def exhausted(params: dict[str, Any], trial: CurrentTrial) -> float:
    raise MemoryError


def chained(params: dict[str, Any], trial: CurrentTrial) -> float:
    try:
        raise MemoryError("Unable to allocate 9 GiB")
    except MemoryError as error:
        raise RuntimeError("training failed") from error


def refusing(params: dict[str, Any], trial: CurrentTrial) -> float:
    trial.refuse("lr must not exceed max_train")


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        (boom, "crashed", "ValueError: n_components must be smaller than 7"),
        (exhausted, "out_of_memory", "MemoryError"),
        (chained, "out_of_memory", "MemoryError: Unable to allocate 9 GiB"),
        (refusing, "invalid", "lr must not exceed max_train"),
        (lambda params, trial: math.nan, "diverged", "val_accuracy is not a finite number"),
        (lambda params, trial: -math.inf, "diverged", "val_accuracy is not a finite number"),
        (
            lambda params, trial: None,
            "no_metric",
            "never reported val_accuracy; it reported no metric at all",
        ),
        (lambda params, trial: {"val_loss": 1.0}, "no_metric", "it reported val_loss"),
        (lambda params, trial: "0.9", "crashed", "must be a single number, got '0.9'"),
        (lambda params, trial: sys.exit("no data"), "crashed", "no data"),
        (lambda params, trial: sys.exit(3), "crashed", "exit code 3"),
        (lambda params, trial: sys.exit(), "no_metric", "never reported val_accuracy"),
    ],
)
def test_failures_are_records(run: Run, function: TrialFunction, kind: str, message: str) -> None:
    result = run(function)
    assert result.state == "failed"
    assert failure(result).kind == kind
    assert message in failure(result).message


def test_a_crash_shows_the_functions_traceback_and_not_the_engines(run: Run) -> None:
    stderr = failure(run(boom)).stderr
    assert "in boom" in stderr
    assert "in _call" not in stderr


def test_a_score_outlives_a_crash_after_it(run: Run) -> None:
    def function(params: dict[str, Any], trial: CurrentTrial) -> None:
        trial.finish(val_accuracy=0.5)
        raise RuntimeError("while cleaning up")

    assert run(function).value == 0.5


def test_ctrl_c_is_an_interruption(run: Run) -> None:
    def function(params: dict[str, Any], trial: CurrentTrial) -> float:
        raise KeyboardInterrupt

    result = run(function)
    assert (result.state, failure(result).origin) == ("interrupted", "person")


def test_a_function_that_stops_when_asked_to_was_interrupted(tmp_path: Path) -> None:
    def function(params: dict[str, Any], trial: CurrentTrial) -> float | None:
        executor.interrupt()
        return None if trial.should_stop() else 0.9

    executor = InProcessExecutor(function)
    assert executor.run(make_job(tmp_path, ""), lambda epoch: None).state == "interrupted"


@pytest.mark.parametrize("how", ["interrupt", "kill"])
def test_interrupting_ends_the_function_at_its_next_report(tmp_path: Path, how: str) -> None:
    asked: list[bool] = []

    def function(params: dict[str, Any], trial: CurrentTrial) -> float:
        getattr(executor, how)()
        asked.append(trial.should_stop())
        try:
            trial.report(val_accuracy=0.3)
        except Exception:  # noqa: BLE001 - a function that catches everything
            asked.append(False)
        return 0.9

    executor = InProcessExecutor(function)
    result = executor.run(make_job(tmp_path, ""), lambda epoch: None)
    assert (result.state, len(result.epochs), asked) == ("interrupted", 1, [True])
    assert executor.run(make_job(tmp_path, ""), lambda epoch: None).state == "interrupted"


def test_the_limit_of_time_ends_the_function_at_its_next_report(run: Run) -> None:
    def function(params: dict[str, Any], trial: CurrentTrial) -> float:
        for _ in range(1000):
            time.sleep(0.005)
            trial.report(val_accuracy=0.3)
        return 0.9

    result = run(function, limits={"trial_seconds": 0.02})
    assert failure(result).kind == "timeout"
    assert 1 <= len(result.epochs) < 100


def test_a_limit_of_memory_is_refused_rather_than_ignored(run: Run) -> None:
    with pytest.raises(UserError, match="cannot be held to a limit of 100 MiB"):
        run(lambda params, trial: 1.0, limits={"memory_mb": 100})


def test_an_error_of_the_engine_is_not_taken_for_the_functions(tmp_path: Path) -> None:
    def function(params: dict[str, Any], trial: CurrentTrial) -> float:
        try:
            trial.report(val_accuracy=0.3)
        except Exception:  # noqa: BLE001 - a function that catches everything
            return 0.1
        return 0.2

    def on_epoch(epoch: EpochRecord) -> None:
        raise StoreError("the database is gone")

    with pytest.raises(StoreError, match="the database is gone"):
        InProcessExecutor(function).run(make_job(tmp_path, ""), on_epoch)


def test_what_an_earlier_try_left_does_not_count(run: Run) -> None:
    assert run(lambda params, trial: 0.5).value == 0.5
    assert failure(run(lambda params, trial: None)).kind == "no_metric"


def test_artifacts_go_to_the_trials_folder(run: Run, tmp_path: Path) -> None:
    def function(params: dict[str, Any], trial: CurrentTrial) -> float:
        trial.artifact("model.txt").write_text("weights")
        return 1.0

    run(function)
    assert (tmp_path / "trials" / "3" / "artifacts" / "model.txt").read_text() == "weights"


def test_time_is_measured(run: Run) -> None:
    def function(params: dict[str, Any], trial: CurrentTrial) -> float:
        begin = time.process_time()
        while time.process_time() - begin < 0.02:
            pass
        return 1.0

    usage = run(function).usage
    assert usage.wall_seconds >= 0.01
    assert 0.02 <= usage.cpu_seconds < 10


def test_it_carries_a_study_with_trials_side_by_side(tmp_path: Path) -> None:
    both = threading.Barrier(2, timeout=20)

    def function(params: dict[str, Any], trial: CurrentTrial) -> float:
        both.wait()  # passes only while two trials run
        trial.report(val_accuracy=params["lr"])
        return float(params["lr"])

    with Store.open(str(tmp_path / "studies.db")) as store:
        spec = prepare(study(task(), method="random", trials=4), store)
        made = Study(
            spec,
            tmp_path,
            tmp_path / "study",
            store,
            RandomProposer(),
            InProcessExecutor(function),
            jobs=2,
            devices=(),
        )
        assert made.run() == "trials"
        assert [t.value for t in made.trials] == [t.config["lr"] for t in made.trials]
