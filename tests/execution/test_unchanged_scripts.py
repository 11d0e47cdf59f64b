"""Scripts that know nothing of tcs_hpt, from their start to the record."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from tcs_hpt.errors import TaskError
from tcs_hpt.execution import recover
from tcs_hpt.execution.command import build_command, build_environment
from tcs_hpt.execution.config_file import write_config
from tcs_hpt.execution.folder import ask_to_stop
from tcs_hpt.records import EpochRecord
from tests.execution.fake_scripts import Run, executor, failure, make_job

EPOCHS = r"epoch (?P<epoch>\d+).*?acc=(?P<val_accuracy>[-+0-9.eE]+|nan|inf)"


def stdout(*patterns: str, **more: Any) -> dict[str, Any]:
    return {"source": "stdout", "format": "pattern", "patterns": patterns or (EPOCHS,), **more}


def curve(epochs: tuple[EpochRecord, ...], name: str = "val_accuracy") -> list[tuple[int, float | None]]:
    return [(e.epoch, e.metrics[name]) for e in epochs if name in e.metrics]


def test_a_shell_script_is_told_by_the_environment_and_read_by_patterns(run: Run) -> None:
    script = """#!/bin/sh
echo "training with $LEARNING_RATE"
for epoch in 1 2 3; do echo "epoch $epoch: loss=0.$epoch acc=0.${epoch}5"; done
test -z "${MOMENTUM+set}" && echo "no momentum" >&2
echo "acc of nothing"
"""
    params = {
        "lr": {"type": "float", "low": 1e-9, "high": 1.0},
        "opt": {"type": "categorical", "choices": ["adam", "sgd"]},
        "momentum": {"type": "float", "low": 0.0, "high": 0.99, "when": {"opt": ["sgd"]}},
    }
    result = run(
        "",
        files={"train.sh": script},
        command=["sh", "train.sh"],
        params=params,
        values={"lr": 1e-5, "opt": "adam"},
        env={"LEARNING_RATE": "{lr}", "MOMENTUM": "{momentum}"},
        metrics=stdout(EPOCHS, r"training with (?P<lr_used>\S+)", r"loss=(?P<train_loss>\S+)"),
    )
    assert (result.state, result.value) == ("finished", 0.35)
    assert curve(result.epochs) == [(1, 0.15), (2, 0.25), (3, 0.35)]
    assert result.epochs[0].metrics == {"lr_used": 1e-05, "val_accuracy": 0.15, "train_loss": 0.1}


def test_progress_bars_and_colours_do_not_hide_the_numbers(run: Run) -> None:
    result = run(
        r"""
for epoch in (1, 2):
    for step in range(50):
        sys.stdout.write(f"\repoch {epoch}/2 {step}%|###  | acc={step / 1000}")
        sys.stdout.flush()
    print(f"\repoch {epoch}/2 100%|#####| \x1b[1;32macc=\x1b[0m{epoch / 4}")
""",
        metrics=stdout(),
    )
    assert curve(result.epochs) == [(1, 0.25), (2, 0.5)]
    assert result.value == 0.5


def test_epochs_arrive_while_an_unchanged_script_runs(tmp_path: Path) -> None:
    # It waits for what only the callback writes; buffered output would keep it waiting for good.
    script = """
import os, time
for epoch in (1, 2, 3):
    print(f"epoch {epoch} acc=0.{epoch}")
    while epoch > 1 and not os.path.exists(f"seen{epoch - 1}"):
        time.sleep(0.005)
"""
    job = make_job(tmp_path, script, metrics=stdout(), limits={"trial_seconds": 20})

    def on_epoch(epoch: EpochRecord) -> None:
        (job.folder / f"seen{epoch.epoch}").touch()

    assert executor().run(job, on_epoch).value == 0.3


def test_standard_error_can_be_the_source(run: Run) -> None:
    metrics = stdout() | {"source": "stderr"}
    result = run("print('epoch 1 acc=0.1')\nprint('epoch 1 acc=0.7', file=sys.stderr)", metrics=metrics)
    assert result.value == 0.7


@pytest.mark.parametrize(("score", "direction", "value"), [("last", "maximize", 0.4), ("best", "maximize", 0.9), ("best", "minimize", 0.1)])  # fmt: skip
def test_which_epoch_counts(run: Run, score: str, direction: str, value: float) -> None:
    result = run(
        "for e, a in enumerate((0.1, 0.9, 'nan', 0.4)): print(f'epoch {e} acc={a}')",
        metrics=stdout(score=score),
        objective={"metric": "val_accuracy", "direction": direction},
    )
    assert (result.state, result.value) == ("finished", value)
    assert result.epochs[2].metrics == {"val_accuracy": None}
    assert result.epochs[2].non_finite == ("val_accuracy",)


def test_a_last_epoch_that_is_not_a_number_has_diverged(run: Run) -> None:
    result = run("print('epoch 1 acc=0.5'); print('epoch 2 acc=nan')", metrics=stdout())
    assert failure(result).kind == "diverged"


def test_no_match_says_what_was_looked_for_and_shows_the_last_lines(run: Run) -> None:
    result = run("print('hello'); print('accuracy is 0.5')", metrics=stdout())
    assert failure(result).kind == "no_metric"
    message = failure(result).message
    assert message.startswith("the script ended well, but no line of stdout has a number for val_accuracy by")
    assert "acc=" in message
    assert '"hello"; "accuracy is 0.5"' in message


def test_a_crash_stays_a_crash_with_its_epochs(run: Run) -> None:
    result = run("print('epoch 1 acc=0.5')\nraise ValueError('bad')", metrics=stdout())
    assert (failure(result).kind, curve(result.epochs)) == ("crashed", [(1, 0.5)])


def test_a_result_of_the_client_still_wins(run: Run) -> None:
    script = """print('epoch 1 acc=0.5', flush=True)
open("result.json", "w").write('{"val_accuracy": 0.75}')"""
    assert run(script, metrics=stdout()).value == 0.75


@pytest.mark.parametrize("content", ['{"accuracy": 0.9}', "[1, 2]", "nonsense"])
def test_a_result_file_of_the_scripts_own_is_no_concern_of_ours(run: Run, content: str) -> None:
    script = f"open('result.json', 'w').write({content!r}); time.sleep(0.1)\nprint('epoch 1 acc=0.5')"
    assert run(script, metrics=stdout()).value == 0.5


def test_a_script_may_run_in_its_own_folder(run: Run, tmp_path: Path) -> None:
    result = run(
        "assert os.environ['TCS_HPT_TRIAL_DIR'].endswith('trials/3')\n"
        "assert sys.argv[1:] == ['data.txt', os.environ['TCS_HPT_TRIAL_DIR'], '11'], sys.argv\n"
        "print('epoch 1 acc=' + open('data.txt').read())",
        command=["{python}", "train.py", "data.txt", "{trial_dir}", "{seed}"],
        files={"data.txt": "0.625"},
        run_in="task",
        metrics=stdout(),
    )
    assert result.value == 0.625
    assert (tmp_path / "trials/3/stdout.log").read_text() == "epoch 1 acc=0.625\n"


def test_lines_of_json_among_others(run: Run) -> None:
    result = run(
        """
print("starting")
print(json.dumps({"epoch": 1.0, "eval": {"acc": 0.25}, "note": "x", "lr": "1e-3"}))
print("{'epoch': 2}")
print(json.dumps({"epoch": 2.0, "eval": {"acc": float("nan")}}))
print(json.dumps({"epoch": 2.5, "eval": {"acc": "50%"}}))
""",
        metrics={"source": "stdout", "format": "jsonl", "names": {"val_accuracy": "eval.acc"}},
    )
    assert [(e.epoch, e.metrics) for e in result.epochs] == [
        (1, {"lr": 0.001, "val_accuracy": 0.25}),
        (2, {"val_accuracy": None}),
        (3, {"val_accuracy": 50.0}),
    ]


def test_a_file_of_values_is_written_from_a_template(run: Run, tmp_path: Path) -> None:
    template = "optimizer: {lr: 0.1, name: adam}\nseed: 0\nwarmup: 1e-3 # kept\nuse: yes\n"
    result = run(
        "print(open(sys.argv[1]).read()); print('epoch 1 acc=0.5')",
        files={"base.yml": template},
        command=["{python}", "train.py", "{config}"],
        values={"lr": 1e-5},
        config={
            "template": "base.yml",
            "keys": {"lr": "optimizer.lr", "seed": "seed", "trial_dir": "out.dir"},
        },
        metrics=stdout(),
    )
    assert result.value == 0.5
    text = (tmp_path / "trials/3/script_config.yml").read_text()
    assert "lr: 1.0e-05" in text
    assert "warmup: 1e-3" in text
    assert "use: yes" in text
    assert yaml.safe_load(text) == {
        "optimizer": {"lr": 1e-05, "name": "adam"},
        "seed": 11,
        "warmup": "1e-3",
        "use": True,
        "out": {"dir": str(tmp_path / "trials/3")},
        "max_train": 7,
    }
    assert (tmp_path / "trials/3/stdout.log").read_text().startswith(text)
    assert (tmp_path / "task/base.yml").read_text() == template


def test_what_the_command_hands_over_does_not_go_into_the_file(tmp_path: Path) -> None:
    job = make_job(
        tmp_path,
        "",
        command=["{python}", "train.py", "--lr={lr}", "--config={config}"],
        env={"SIZE": "{max_train}"},
        config={"format": "json"},
        params={
            "lr": {"type": "float", "low": 0, "high": 1},
            "model.depth": {"type": "int", "low": 1, "high": 9},
        },
        values={"lr": 0.5, "model.depth": 3},
    )
    job.folder.mkdir(parents=True)
    write_config(job)
    path = job.folder / "script_config.json"
    assert json.loads(path.read_text()) == {"model": {"depth": 3}}
    assert build_command(job)[-1] == f"--config={path}"
    assert build_environment(job) == {"SIZE": "7"}


def test_a_template_that_is_gone_is_the_tasks_to_fix(run: Run, tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"base\.toml cannot be read: No such file"):
        run("", config={"template": "base.toml"})
    with pytest.raises(TaskError, match="`lr` is a table"):
        run("", files={"base.toml": "[lr]\nx = 1\n"}, config={"template": "base.toml"})


def test_the_environment_cannot_move_the_trial(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(
        "assert os.environ['CUDA_VISIBLE_DEVICES'] == '1' and os.environ['PYTHONUNBUFFERED'] == ''\n"
        "print('epoch 1 acc=0.5')",
        env={"CUDA_VISIBLE_DEVICES": "7", "PYTHONUNBUFFERED": ""},
        devices="1",
        metrics=stdout(),
    )
    assert result.value == 0.5


def test_the_last_of_a_flood_of_lines_counts(tmp_path: Path) -> None:
    script = """
import sys
for i in range(1, 60001):
    sys.stdout.write(f"epoch {i} acc={i / 100000} " + "x" * 40 + chr(10))
"""
    job = make_job(tmp_path, script, metrics=stdout())
    result = executor(log_bytes=100_000).run(job, lambda _: None)
    assert result.value == 0.6
    numbers = [e.epoch for e in result.epochs]
    assert numbers == sorted(set(numbers))
    assert 1000 < len(numbers) < 7000
    assert (job.folder / "stdout.log").stat().st_size <= 100_000


def test_a_flood_of_output_does_not_hide_the_limits(tmp_path: Path) -> None:
    script = "i = 0\nwhile True:\n    i += 1\n    print('epoch', i, 'acc=0.5', 'x' * 50)"
    job = make_job(tmp_path, script, metrics=stdout(), limits={"trial_seconds": 0.5})
    result = executor(log_bytes=50_000).run(job, lambda _: None)
    assert failure(result).kind == "timeout"
    assert result.usage.wall_seconds < 20
    assert curve(result.epochs)[0] == (1, 0.5)


def test_what_a_dead_engine_left_is_read_again(tmp_path: Path) -> None:
    job = make_job(tmp_path, "", metrics=stdout())
    job.folder.mkdir(parents=True)
    (job.folder / "stdout.log").write_text("epoch 1 acc=0.5\nepoch 2 acc=0.6\n")
    assert recover(job) is None  # nobody knows whether it had come to its end
    (job.folder / "result.json").write_text('{"val_accuracy": 0.7}')
    result = recover(job)
    assert result is not None
    assert (result.value, curve(result.epochs)) == (0.7, [(1, 0.5), (2, 0.6)])


def test_an_argument_is_left_as_it_is_where_the_script_is_at_home(tmp_path: Path) -> None:
    job = make_job(
        tmp_path, "", run_in="task", files={"go.sh": ""}, command=["go.sh", "train.py", "--data={data_dir}"]
    )
    assert build_command(job) == [os.path.join(tmp_path, "task", "go.sh"), "train.py"]


def test_a_script_that_does_not_ask_is_ended_when_it_is_not_worth_its_time(tmp_path: Path) -> None:
    script = """
import time
for epoch in range(1, 200):
    print(f"epoch {epoch}: acc={epoch / 1000}", flush=True)
    time.sleep(0.05)
"""
    job = make_job(tmp_path, script, metrics=stdout(score="best"))

    def look(epoch: EpochRecord) -> None:
        if epoch.epoch == 3:
            ask_to_stop(job.folder)

    result = executor().run(job, look)
    assert (result.state, result.failure) == ("finished", None)
    assert 3 <= len(result.epochs) < 60
    assert result.value == result.epochs[-1].metrics["val_accuracy"]


def test_a_script_that_was_stopped_before_it_had_a_score_has_none(tmp_path: Path) -> None:
    script = """
import time
for epoch in range(1, 200):
    print(f"epoch {epoch}: loss={epoch * 10}", flush=True)
    time.sleep(0.05)
"""
    job = make_job(
        tmp_path, script, metrics=stdout(EPOCHS, r"epoch (?P<epoch>\d+): loss=(?P<train_loss>\S+)")
    )
    result = executor().run(job, lambda epoch: ask_to_stop(job.folder))
    assert failure(result).kind == "no_metric"
    assert failure(result).message == "it was stopped early, before it had val_accuracy"
