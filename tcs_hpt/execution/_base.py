"""What is run, and what comes back: the contract of every executor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from tcs_hpt.records import EpochRecord, Failure, Metrics, Usage
from tcs_hpt.spec import Config, TaskSpec


@dataclass(frozen=True)
class Job:
    """One trial to run."""

    number: int
    task: TaskSpec
    """With the profile and all overrides applied; `task.fixed` holds the fixed values."""
    task_folder: Path
    """Where the manifest and the script are; never written to by the engine."""
    folder: Path
    """The trial's own folder; created by the executor. The script's working directory, unless `task.run_in` says otherwise."""
    config: Config
    seed: int
    profile: str = ""
    data_dir: Path | None = None
    python: str = ""
    """Interpreter for `{python}`; empty for the running one."""
    devices: str = ""
    """Value of `CUDA_VISIBLE_DEVICES`, e.g. `0` or `2,3`; empty leaves it as it is."""


@dataclass(frozen=True)
class RunResult:
    """How a trial ended."""

    state: Literal["finished", "failed", "interrupted"]
    value: float | None
    """The objective; a finite number exactly when `state` is `finished`."""
    metrics: Metrics
    """Final metrics; non-finite numbers are None."""
    epochs: tuple[EpochRecord, ...]
    failure: Failure | None
    """None exactly when `state` is `finished`."""
    usage: Usage


class Executor(Protocol):
    """Runs jobs. A failing script is a `RunResult`, not an exception."""

    def run(self, job: Job, on_epoch: Callable[[EpochRecord], None]) -> RunResult:
        """Run one job to its end.

        Args:
            job: What to run.
            on_epoch: Called from the calling thread for each epoch, while the script runs, in order.

        Raises:
            UserError: The program named in the task's command does not exist.
            TaskError: A file of the task that has to be there cannot be used.
            StoreError: The job's folder cannot be made or written.
        """
        ...

    def interrupt(self) -> None:
        """End whatever is running; its `run` returns `interrupted`. Safe to call from a signal handler."""
        ...

    def kill(self) -> None:
        """As `interrupt`, without asking first."""
        ...
