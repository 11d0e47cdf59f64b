"""Runs a Python function as a trial, in this process: no interpreter to start, nothing to import twice.

The function's trial is the training script's, writing the same files, and they are read and judged as those of a script.
What only a process can have is missing: nothing can be ended from outside between two reports, and memory has no limit.
"""

from __future__ import annotations

import json
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, SupportsIndex, TypeAlias

from tcs_hpt.client import REFUSED, CurrentTrial
from tcs_hpt.errors import UserError
from tcs_hpt.execution._base import Job, RunResult
from tcs_hpt.execution.folder import prepare
from tcs_hpt.execution.metrics import MetricsTail, read_result
from tcs_hpt.execution.outcome import EndedBy, Ending, judge
from tcs_hpt.records import EpochRecord, Usage

TrialFunction: TypeAlias = Callable[[dict[str, Any], CurrentTrial], "float | Mapping[str, float] | None"]
"""Trains with the parameters and returns the objective, or final metrics by name with the objective among them.

None means that it reported them itself: by `trial.finish`, or in the last epoch.
"""


class _Ended(BaseException):
    """Leaves the function early; not an `Exception`, so that no handler of the function's own gets in the way."""


@dataclass(eq=False)
class _Run:
    """One call of `run` in progress, and what others ask of it."""

    deadline: float
    ended_by: EndedBy = "itself"


class InProcessTrial(CurrentTrial):
    """The trial that a function trains for: the client's, whose reports are also where the engine gets a word in."""

    def __init__(
        self,
        settings: Mapping[str, Any],
        folder: Path,
        run: _Run,
        tail: MetricsTail,
        on_epoch: Callable[[EpochRecord], None],
    ) -> None:
        super().__init__(settings, folder)
        self.refusal = ""
        """Why the function refused its parameters."""
        self.watcher_error: BaseException | None = None
        """What went wrong in the engine while it was told of an epoch."""
        self._run = run
        self._tail = tail
        self._on_epoch = on_epoch
        self._final: dict[str, object] = {}
        self._home = threading.get_ident()

    def report(self, *, epoch: SupportsIndex | float | None = None, **metrics: object) -> None:
        """As in a script. Does not return once the trial has to end: its time is up, or somebody interrupts."""
        super().report(epoch=epoch, **metrics)
        if threading.get_ident() != self._home:  # the engine is told by the thread that asked for the trial
            return
        self._deliver()
        if not self._final:
            self._end_if_asked()

    def finish(self, **metrics: object) -> None:
        """As in a script; called again, or followed by a returned score, the metrics add up."""
        together = self._final | metrics
        super().finish(**together)
        self._final = together

    def should_stop(self) -> bool:
        """Whether the engine asks the function to end early."""
        return self._run.ended_by != "itself" or super().should_stop()

    def refuse(self, message: str) -> NoReturn:
        """End the trial because its parameters cannot be trained; it is recorded as `invalid`."""
        self.refusal = message
        raise SystemExit(REFUSED)

    def _deliver(self) -> None:
        try:
            for epoch in self._tail.read():
                self._on_epoch(epoch)
        except BaseException as error:  # it is the engine's, and the function shall not take it for its own
            self.watcher_error = error
            raise _Ended from error

    def _end_if_asked(self) -> None:
        if self._run.ended_by == "itself" and time.monotonic() > self._run.deadline:
            self._run.ended_by = "time"
        if self._run.ended_by != "itself":
            raise _Ended


class InProcessExecutor:
    """The executor for a Python function. Several threads may call `run` at the same time, and then the function runs in each.

    An exception is a crash with the last lines of its traceback, `MemoryError` is `out_of_memory`, a score that is not finite
    is `diverged`, no score is `no_metric`, `trial.refuse` is `invalid`, and Ctrl-C is `interrupted`. `interrupt`, `kill` and
    the limit of time take effect when the function reports its next epoch; a function that reports none runs to its end.
    What it prints goes where the engine's output goes. The CPU seconds are those of the whole process while it ran, with
    the threads of numerical libraries and of trials beside it; memory is not measured.

    Args:
        function: What a trial runs: `function(params, trial)`.
    """

    def __init__(self, function: TrialFunction) -> None:
        self._function = function
        self._running: list[_Run] = []

    def run(self, job: Job, on_epoch: Callable[[EpochRecord], None]) -> RunResult:
        """Run one job to its end; see `Executor.run`. The task's command is not looked at.

        Raises:
            UserError: The task limits the memory of a trial, which cannot be done within a process.
            StoreError: The trial's folder cannot be made or written.
        """
        limits = job.task.limits
        if limits.memory_mb is not None:
            raise UserError(
                f"a function in this process cannot be held to a limit of {limits.memory_mb} MiB",
                hint="Leave out `memory_mb`, or tune a script: it runs in a process of its own.",
            )
        folder = job.folder.absolute()
        prepare(job, folder)
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        tail = MetricsTail(folder / "metrics.jsonl", job.task.objective)
        begin, cpu_begin = time.monotonic(), time.process_time()
        current = _Run(deadline=begin + (limits.trial_seconds or float("inf")))
        trial = InProcessTrial(settings, folder, current, tail, on_epoch)
        self._running.append(current)
        try:
            exit_code, last_words = self._call(trial, job.task.objective.metric)
        finally:
            self._running.remove(current)
        if trial.watcher_error is not None:
            raise trial.watcher_error
        usage = Usage(
            wall_seconds=time.monotonic() - begin, cpu_seconds=max(0.0, time.process_time() - cpu_begin)
        )
        for epoch in tail.finish():
            on_epoch(epoch)
        result, broken = read_result(folder, job.task.objective)
        ending = Ending(
            current.ended_by,
            exit_code,
            result,
            tuple(tail.epochs),
            last_words,
            broken_result=broken,
            folder_gone=not folder.is_dir(),
            deciding=tail.deciding,
        )
        return judge(ending, job.task.objective, limits, usage)

    def interrupt(self) -> None:
        """End whatever is running at its next report. Only sets flags, so a signal handler may call it."""
        for current in list(self._running):
            current.ended_by = "person"

    def kill(self) -> None:
        """As `interrupt`: there is no harder way to end a function."""
        self.interrupt()

    def _call(self, trial: InProcessTrial, metric: str) -> tuple[int | None, str]:
        """Call the function: how a script would have exited, None if it was ended, and its last words."""
        try:
            returned = self._function(dict(trial.params), trial)
            if returned is not None:
                trial.finish(**(returned if isinstance(returned, Mapping) else {metric: returned}))
        except _Ended:
            return None, ""
        except KeyboardInterrupt:
            trial._run.ended_by = "person"
            return None, ""
        except SystemExit as leaving:
            return _exited(leaving, trial.refusal)
        except Exception as error:  # noqa: BLE001 - whatever the function raises is a record
            # As text only: a traceback would keep alive what the function had in memory.
            own = error.with_traceback(error.__traceback__.tb_next if error.__traceback__ else None)
            return 1, "".join(traceback.format_exception(own))
        return 0, ""


def _exited(leaving: SystemExit, refusal: str) -> tuple[int, str]:
    """What the interpreter makes of `sys.exit`: nothing is success, a number is a code, anything else is an error's text."""
    if leaving.code is None or isinstance(leaving.code, int):
        return int(leaving.code or 0), refusal
    return 1, str(leaving.code)
