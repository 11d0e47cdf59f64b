"""Seconds per decision of an embedded model while something else computes, by the number of its threads.

    python -m benchmarks.busy_cores [--model embedded:smollm2-135m] [--busy 0 1] [--decisions 5]

The numbers of threads take turns at the same decisions, so that a machine that slows down slows all of them. What else computes is a
loop of Python in as many processes as `--busy` says, in place of trials.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.table import Table

from benchmarks.state_report import history
from tcs_hpt.catalog import load_task
from tcs_hpt.llm.machine import usable_cores
from tcs_hpt.llm.opening import open_model
from tcs_hpt.proposers import AgentsProposer, ProposalContext
from tcs_hpt.spec import StudySpec


def main() -> None:
    """Print one row per load and number of threads."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", default="embedded:smollm2-135m")
    parser.add_argument("--busy", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--decisions", type=int, default=5)
    arguments = parser.parse_args()
    cores = usable_cores()
    models = {cores // jobs: open_model(arguments.model, jobs=jobs)[0] for jobs in range(1, cores + 1)}
    proposers = {threads: AgentsProposer(model, model) for threads, model in models.items()}
    task = load_task("mlp_digits").spec.with_profile("quick")
    study = StudySpec(name="s", task=task, trials=arguments.decisions + 1)
    table = Table(title=f"medians over {arguments.decisions} decisions on {cores} cores")
    for column in ("busy processes", "threads", "seconds", "of all threads"):
        table.add_column(column, justify="right")
    for busy in arguments.busy:
        seconds: dict[int, list[float]] = {threads: [] for threads in proposers}
        with busy_processes(busy):
            for done in range(1, arguments.decisions + 1):
                context = ProposalContext(study, history(task, done, 20), done + 1)
                for threads, proposer in proposers.items():
                    started = time.perf_counter()
                    proposer.propose(context)
                    seconds[threads].append(time.perf_counter() - started)
        found = {threads: statistics.median(each) for threads, each in seconds.items()}
        for threads, median in found.items():
            table.add_row(str(busy), str(threads), f"{median:.1f}", f"{median / found[max(found)]:.2f}")
    for model in models.values():
        model.close()
    Console(width=120).print(table)


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """So many processes that do nothing but compute."""
    running = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for each in running:
            each.kill()
            each.wait()


if __name__ == "__main__":
    main()
