"""Time and size of a state report against the length of the history.

python benchmarks/state_report.py
"""

from __future__ import annotations

import math
import random
import statistics
import time

from rich.console import Console
from rich.table import Table

from tcs_hpt.catalog import load_task
from tcs_hpt.records import EpochRecord, Proposal, Trial
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import TaskSpec
from tcs_hpt.summary import estimate_tokens, render, summarize

REPEATS = 20


def history(task: TaskSpec, trials: int, epochs: int) -> list[Trial]:
    """Random configurations of the task with smooth learning curves."""
    space, generator = SearchSpace(task.params), random.Random(0)
    found = []
    for number in range(1, trials + 1):
        config = space.decode([generator.random() for _ in space.names])
        top = generator.random()
        curve = tuple(
            EpochRecord(
                epoch=i,
                metrics={
                    "train_loss": 2 * math.exp(-i / 9),
                    "val_loss": 2 * math.exp(-i / 8) + 0.001 * i,
                    "train_accuracy": top * (1 - math.exp(-i / 9)),
                    "val_accuracy": top * (1 - math.exp(-i / 10)),
                },
            )
            for i in range(1, epochs + 1)
        )
        found.append(
            Trial(
                number=number,
                config=config,
                state="finished",
                value=top,
                metrics={"val_accuracy": top},
                epochs=curve,
                proposal=Proposal(config=config, source="random", base_trial=number - 1 or None),
            )
        )
    return found


def main() -> None:
    """Print one row per history length."""
    task = load_task("mlp_digits").spec
    table = Table(title=f"state report of {task.name}: median and worst of {REPEATS}")
    for column in ("trials", "epochs each", "median ms", "worst ms", "estimated tokens"):
        table.add_column(column, justify="right")
    for trials, epochs in [(1, 100), (10, 20), (10, 100), (100, 100), (300, 100), (1000, 100)]:
        records = history(task, trials, epochs)
        seconds = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            text = render(summarize(task, records, total_trials=trials + 1))
            seconds.append(time.perf_counter() - began)
        table.add_row(
            str(trials),
            str(epochs),
            f"{1000 * statistics.median(seconds):.2f}",
            f"{1000 * max(seconds):.2f}",
            str(estimate_tokens(text)),
        )
    Console().print(table)


if __name__ == "__main__":
    main()
