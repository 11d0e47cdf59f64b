from __future__ import annotations

import json
from pathlib import Path

import pytest

from tcs_hpt.execution.metrics import MetricsTail
from tcs_hpt.spec import Objective
from tests.execution.fake_scripts import CLIENT, Run, executor, failure, make_job

M = Objective(metric="m", direction="maximize")


def test_half_a_line_waits_for_its_end(run: Run) -> None:
    result = run(
        """
with open("metrics.jsonl", "w") as f:
    for part in ('{"epoch": 1, "val_acc', 'uracy": 0.25}\\n{"epoch": 2, "val_accuracy": 0.5}'):
        f.write(part); f.flush(); time.sleep(0.05)
"""
    )
    assert [(e.epoch, e.metrics) for e in result.epochs] == [
        (1, {"val_accuracy": 0.25}),
        (2, {"val_accuracy": 0.5}),
    ]
    assert result.value == 0.5


def test_broken_lines_are_skipped(run: Run) -> None:
    result = run(
        r"""
open("metrics.jsonl", "wb").write(
    b'{"epoch": 1, "val_accuracy": 0.1}\nnonsense\n[1]\n"text"\n{"epoch": "x", "val_accuracy": 1}\n\xff\xfe\n'
    b'{"epoch": 1e999}\n{"epoch": 2, "val_accuracy": 0.2, "note": "hi", "ok": true, "bad name": 1, "loss": NaN}\n'
)
"""
    )
    assert [e.epoch for e in result.epochs] == [1, 2]
    assert result.epochs[1].metrics == {"val_accuracy": 0.2, "loss": None}
    assert result.epochs[1].non_finite == ("loss",)


def test_without_a_result_the_last_epoch_decides(run: Run) -> None:
    result = run(
        CLIENT + "trial.report(val_accuracy=0.9); trial.report(val_accuracy=0.4); trial.report(other=1)"
    )
    assert (result.state, result.value) == ("finished", 0.4)


def test_a_folder_in_the_place_of_the_metrics(run: Run, tmp_path: Path) -> None:
    script = (
        CLIENT + "os.mkdir('metrics.jsonl'); open('metrics.jsonl/x', 'w')\ntrial.report(val_accuracy=0.5)"
    )
    assert failure(run(script)).kind == "no_metric"
    # It is gone before the next try.
    assert run(CLIENT + "trial.report(val_accuracy=0.5)").value == 0.5


def test_a_pipe_in_the_place_of_the_metrics_does_not_block(run: Run) -> None:
    assert failure(run("os.mkfifo('metrics.jsonl')")).kind == "no_metric"


def test_epochs_are_kept_as_they_come(run: Run) -> None:
    script = CLIENT + "for epoch in (1, 2, 2, 1, 7, None): trial.report(epoch=epoch, val_accuracy=0.5)"
    assert [e.epoch for e in run(script).epochs] == [1, 2, 2, 1, 7, 8]


@pytest.mark.parametrize("epoch", ["-1", "1.5", "1e300", "1" + "0" * 5000, "true", "null", "NaN", str(2**31)])
def test_an_epoch_must_be_a_number_that_can_be_stored(tmp_path: Path, epoch: str) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"epoch": {epoch}, "m": 1}}\n{{"epoch": 3.0, "m": 2}}\n')
    tail = MetricsTail(path, M)
    assert [e.epoch for e in tail.finish()] == [3]
    assert tail.broken == 1


def test_lines_after_the_result_are_ignored(run: Run) -> None:
    result = run(
        """
def line(epoch):
    with open("metrics.jsonl", "a") as f: f.write(json.dumps({"epoch": epoch, "val_accuracy": 0.1}) + chr(10))
line(1)
open("result.json", "w").write('{"val_accuracy": 0.9}')
time.sleep(0.2)
line(2)
time.sleep(0.1)
line(3)
"""
    )
    assert (result.value, [e.epoch for e in result.epochs]) == (0.9, [1])


def test_a_line_of_five_megabytes_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    long = json.dumps({"epoch": 2, "m": 2, "x": "x" * 5_000_000})
    path.write_text(f'{{"epoch": 1, "m": 1}}\n{long}\n{{"epoch": 3, "m": 3}}\n{long}')
    tail = MetricsTail(path, M)
    assert [e.epoch for e in tail.finish()] == [1, 3]
    assert tail.broken == 2
    assert len(tail._buffer._rest) < 2**20


def test_many_lines_are_thinned_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with path.open("w") as file:
        for i in range(1, 200_001):
            file.write(f'{{"epoch": {i}, "m": {i / 2}}}\n')
        file.write('{"other": 1}\n')
    tail = MetricsTail(path, M)
    assert list(tail.finish()) == tail.epochs
    numbers = [e.epoch for e in tail.epochs]
    assert 7_000 < len(numbers) < 8_000
    assert numbers[:1000] == list(range(1, 1001))
    assert numbers[1000:1003] == [1002, 1004, 1006]
    assert numbers == sorted(set(numbers))
    assert (numbers[-1], tail.epochs[-1].metrics) == (200_000, {"m": 100_000})


def test_the_last_line_with_the_objective_is_kept_among_others(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    # Every second line is kept here: the ones without the objective.
    lines = [{"epoch": i, "m": i} if i % 2 else {"epoch": i, "loss": i} for i in range(1, 2400)]
    path.write_text("\n".join(map(json.dumps, lines)))
    tail = MetricsTail(path, M)
    last = [e for e in tail.finish() if "m" in e.metrics][-1]
    assert last.metrics == {"m": 2399}


def test_lines_without_epochs_are_counted_although_thinned_out(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"m": 1}\n' * 5000)
    tail = MetricsTail(path, M)
    assert [e.epoch for e in tail.finish()][-1] == 5000


def test_the_end_of_an_endless_file_counts(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    with path.open("wb") as file:
        file.write(b'{"epoch": 1, "m": 1}\n')
        file.seek(2**33)  # 8 GiB, of which the disk stores next to nothing
        file.write(b'9}\n{"epoch": 5, "m": 2}\n')
    tail = MetricsTail(path, M)
    assert [e.epoch for e in tail.read()] == [1]
    assert [e.epoch for e in tail.finish()] == [5]


def test_a_flood_of_lines_does_not_hide_the_limits(tmp_path: Path) -> None:
    script = """
with open("metrics.jsonl", "w") as f:
    while True: f.write('{"val_accuracy": 0.5}' + chr(10))
"""
    result = executor().run(make_job(tmp_path, script, limits={"trial_seconds": 0.5}), lambda _: None)
    assert failure(result).kind == "timeout"
    assert result.usage.wall_seconds < 30
    assert len(result.epochs) < 20_000


def test_many_metrics_are_cut_but_not_the_objective(run: Run) -> None:
    values = "{f'm{i}': i for i in range(1000)} | {'val_accuracy': 0.5}"
    result = run(CLIENT + f"trial.report(**{values})")
    assert (result.value, len(result.epochs[0].metrics)) == (0.5, 257)
