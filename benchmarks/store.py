"""What the store costs: milliseconds per epoch and event, and whether they grow with what is there already.

    python benchmarks/store.py [--store URL] [--epochs 1000]

A trial reports epochs as fast as it can. Of the first and of the last hundred writes, the tenth fastest counts, which
other programs on the machine disturb least; growth is the last over the first, and 1.0 means that history costs
nothing. Without `--store`, a SQLite file in a temporary folder is used.
"""

from __future__ import annotations

import argparse
import statistics
import time
import uuid
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from tcs_hpt.events import EpochReported
from tcs_hpt.records import EpochRecord
from tcs_hpt.store import Store
from tcs_hpt.testing.samples import simple_trial, study_spec

EDGE = 100


def milliseconds(work: Callable[[], object]) -> float:
    """How long one call takes."""
    begun = time.perf_counter()
    work()
    return (time.perf_counter() - begun) * 1e3


def main() -> None:
    """Print one row per operation."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", default="")
    parser.add_argument("--epochs", type=int, default=1000)
    arguments = parser.parse_args()
    table = Table(title=f"cost of the store, {arguments.epochs} epochs, milliseconds")
    for column in ("operation", "first", "last", "growth"):
        table.add_column(column, justify="left" if column == "operation" else "right")

    def row(name: str, times: Sequence[float]) -> None:
        first, last = (sorted(part)[len(part) // 10] for part in (times[:EDGE], times[-EDGE:]))
        table.add_row(name, f"{first:.2f}", f"{last:.2f}", f"{last / first:.2f}")

    with TemporaryDirectory() as folder:
        url = arguments.store or str(Path(folder) / "studies.db")
        for title, seconds in (("curve shown once a second", 1.0), ("curve shown at once", 0.0)):
            with Store.open(url, mirror_seconds=seconds) as store:
                measure(store, title, arguments.epochs, row, table)
    Console().print(table)


def measure(
    store: Store, title: str, count: int, row: Callable[[str, Sequence[float]], None], table: Table
) -> None:
    """Add the rows of one study to the table."""
    name = f"bench-{uuid.uuid4().hex[:8]}"
    store.create_study(study_spec(name))
    epochs = tuple(
        EpochRecord(epoch=i, metrics={"val_accuracy": i / count, "loss": 1.0 / i})
        for i in range(1, count + 1)
    )
    store.save_trial(name, simple_trial(1))
    appended, told = [], []
    for epoch in epochs:
        event = EpochReported(number=1, epoch=epoch)
        appended.append(milliseconds(partial(store.append_epoch, name, 1, epoch)))
        told.append(milliseconds(partial(store.append_event, name, event, "now")))
    row(f"append an epoch, {title}", appended)
    row(f"append an event, {title}", told)
    ends = []
    for number in range(1, 11):
        if number > 1:
            store.save_trial(name, simple_trial(number))
        ended = simple_trial(number, 0.5, epochs=epochs)
        ends.append(milliseconds(partial(store.save_trial, name, ended)))
    growth = statistics.median(ends[-3:]) / statistics.median(ends[:3])
    table.add_row(f"save an ended trial, {title}", f"{ends[0]:.1f}", f"{ends[-1]:.1f}", f"{growth:.2f}")
    loaded = milliseconds(partial(store.load_trials, name))
    table.add_row(f"load 10 trials, {title}", f"{loaded:.0f}", "", "")


if __name__ == "__main__":
    main()
