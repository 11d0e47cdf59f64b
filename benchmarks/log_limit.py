"""How fast a script prints under the engine, against the same script printing to a plain file, side by side.

    python benchmarks/log_limit.py [--megabytes 2048] [--repeats 3]

Also the most that the log took on disk at any moment, against what was printed. Ratios carry over to other machines,
seconds do not.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tcs_hpt.execution import Job, LocalExecutor
from tcs_hpt.spec import TaskSpec

SCRIPTS = {
    "blocks of 64 KiB": "block = ('x' * 127 + chr(10)) * 512\nfor _ in range({bytes} // 65536): sys.stdout.write(block)",
    "lines of 128 bytes": "for _ in range({bytes} // 128 // 16): print('x' * 127)",
}
"""The second prints a sixteenth of the amount: unbuffered, every line is a call of its own."""
FINISH = "\nopen('result.json', 'w').write('{\"m\": 1}')\n"


def main() -> None:
    """Print one row per way of printing."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--megabytes", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    table = Table(
        title=f"a script that prints {arguments.megabytes} MiB, medians of {arguments.repeats} pairs"
    )
    for column in ("printing", "plain file", "engine", "ratio", "largest on disk", "at the end"):
        table.add_column(column, justify="left" if column == "printing" else "right")
    for name, script in SCRIPTS.items():
        source = "import sys\n" + script.format(bytes=arguments.megabytes * 2**20) + FINISH
        plain, engine, largest, last = [], [], 0, 0
        for _ in range(arguments.repeats):
            with tempfile.TemporaryDirectory() as folder:
                plain.append(in_plain_file(Path(folder), source))
            with tempfile.TemporaryDirectory() as folder:
                seconds, most, last = under_engine(Path(folder), source)
                engine.append(seconds)
                largest = max(largest, most)
        ratio = statistics.median(e / p for e, p in zip(engine, plain, strict=True))
        table.add_row(
            name,
            f"{statistics.median(plain):.2f} s",
            f"{statistics.median(engine):.2f} s",
            f"{ratio:.2f}",
            f"{largest / 2**20:.1f} MiB",
            f"{last / 2**20:.2f} MiB",
        )
    Console(width=110).print(table)


def in_plain_file(folder: Path, source: str) -> float:
    """Seconds the script takes alone."""
    (folder / "train.py").write_text(source, encoding="utf-8")
    with (folder / "stdout.log").open("wb") as out:
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-u", "train.py"], cwd=folder, stdout=out, check=True)
        return time.perf_counter() - begin


def under_engine(folder: Path, source: str) -> tuple[float, int, int]:
    """Seconds the script takes as a trial, and the size of its log: the largest seen, and at the end."""
    (folder / "train.py").write_text(source, encoding="utf-8")
    task = TaskSpec.model_validate(
        {
            "schema": 1,
            "name": "printer",
            "command": ["{python}", "train.py"],
            "objective": {"metric": "m", "direction": "maximize"},
        }
    )
    log = folder / "1" / "stdout.log"
    largest, done = 0, threading.Event()

    def watch() -> None:
        nonlocal largest
        while not done.wait(0.01):
            if log.exists():
                largest = max(largest, log.stat().st_size)

    watcher = threading.Thread(target=watch)
    watcher.start()
    begin = time.perf_counter()
    result = LocalExecutor().run(Job(1, task, folder, folder / "1", {}, 0), lambda _: None)
    seconds = time.perf_counter() - begin
    done.set()
    watcher.join()
    assert result.state == "finished", result.failure
    return seconds, largest, log.stat().st_size


if __name__ == "__main__":
    main()
