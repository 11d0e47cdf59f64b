"""Files of metrics that a script which knows nothing of tcs_hpt writes: which are read, and which lines of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tcs_hpt.errors import UserError
from tcs_hpt.records import EpochRecord
from tests.execution.fake_scripts import HEADER, Run, executor, failure, make_job

TABLE = """
rows = ["epoch,train_loss,eval/acc", "1,0.9,0.1", "2,,0.2", "3,nan,0.3"]
with open("log.csv", "w") as file:
    for row in rows:
        print(row, file=file, flush=True)
"""


def test_a_table_is_read(run: Run) -> None:
    metrics = {"source": "log.csv", "format": "csv", "names": {"val_accuracy": "eval/acc"}}
    result = run(TABLE, metrics=metrics)
    assert [(e.epoch, e.metrics) for e in result.epochs] == [
        (1, {"train_loss": 0.9, "val_accuracy": 0.1}),
        (2, {"val_accuracy": 0.2}),
        (3, {"train_loss": None, "val_accuracy": 0.3}),
    ]
    assert result.value == 0.3


def test_a_file_without_the_column_says_which_it_has(run: Run) -> None:
    result = run(TABLE, metrics={"source": "log.csv", "format": "csv"})
    assert (
        "no number in a column 'val_accuracy'; it has epoch, train_loss, eval/acc" in failure(result).message
    )


def test_a_file_that_was_never_written_is_named_with_its_place(run: Run, tmp_path: Path) -> None:
    result = run("pass", metrics={"source": "out/{lr}/log.csv", "format": "csv"})
    assert failure(result).kind == "no_metric"
    assert f"looked for {tmp_path}/trials/3/out/0.5/log.csv" in failure(result).message


def test_a_file_of_an_earlier_run_is_not_read(run: Run) -> None:
    changes: dict[str, Any] = {
        "run_in": "task",
        "files": {"final.json": '{"eval": {"acc": 0.99}}'},
        "metrics": {"source": "final.json", "format": "json", "names": {"val_accuracy": "eval.acc"}},
    }
    result = run("pass", **changes)
    assert failure(result).kind == "no_metric"
    assert "final.json is as it was before the trial" in failure(result).message
    result = run("""open("final.json", "w").write('{"eval": {"acc": 0.5}}')""", **changes)
    assert result.value == 0.5
    # The same content once more is a result too: it was written.
    del changes["files"]
    assert run("""open("final.json", "w").write('{"eval": {"acc": 0.5}}')""", **changes).value == 0.5


def test_of_a_file_that_is_gone_on_with_only_the_new_lines_count(run: Run) -> None:
    changes: dict[str, Any] = {
        "run_in": "task",
        "files": {"all.csv": "run,val_accuracy\n1,0.99\n"},
        "metrics": {"source": "all.csv", "format": "csv", "score": "best"},
    }
    result = run("open('all.csv', 'a').write('2,0.5\\n')", **changes)
    assert (result.value, len(result.epochs)) == (0.5, 1)


def test_wildcards_find_the_newest_file_of_this_trial(run: Run) -> None:
    script = """
n = len(os.listdir("logs")) if os.path.isdir("logs") else 0
os.makedirs(f"logs/version_{n}")
open(f"logs/version_{n}/metrics.csv", "w").write(f"epoch,val_accuracy\\n1,0.{n + 1}\\n")
"""
    changes: dict[str, Any] = {
        "run_in": "task",
        "metrics": {"source": "logs/*/metrics.csv", "format": "csv"},
    }
    assert [run(script, **changes).value for _ in range(3)] == [0.1, 0.2, 0.3]


def test_two_trials_may_not_share_a_file_of_metrics(tmp_path: Path) -> None:
    local = executor()
    metrics = {"source": "log.csv", "format": "csv"}
    job = make_job(tmp_path, HEADER + "time.sleep(30)", run_in="task", metrics=metrics)
    refused: list[str] = []

    def second(_: EpochRecord) -> None:
        with pytest.raises(UserError, match="at once") as caught:
            local.run(job, lambda _: None)
        refused.append(caught.value.hint)
        local.interrupt()

    (tmp_path / "task" / "train.py").write_text(
        "import time\nfor i in (1, 2):\n print(f'{i},0.5', file=open('log.csv', 'a'))\ntime.sleep(30)"
    )
    (tmp_path / "task" / "log.csv").write_text("epoch,val_accuracy\n")
    assert local.run(job, second).state == "interrupted"
    assert "{trial_dir}" in refused[0]
