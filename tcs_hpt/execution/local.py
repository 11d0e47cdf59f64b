"""Runs a trial as a process of this machine, in its own session and folder."""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tcs_hpt.errors import UserError
from tcs_hpt.execution._base import Job, RunResult
from tcs_hpt.execution.command import build_command, build_environment, working_folder
from tcs_hpt.execution.config_file import write_config
from tcs_hpt.execution.folder import prepare, stop_asked, write_json, writing
from tcs_hpt.execution.gpu import GpuMeter, Gpus, GpuUsage
from tcs_hpt.execution.logs import Log
from tcs_hpt.execution.memory import kernel_kills
from tcs_hpt.execution.metrics import read_result
from tcs_hpt.execution.outcome import STDERR_BYTES, EndedBy, Ending, clean, judge
from tcs_hpt.execution.processes import MARK, ProcessTree, end_orphans
from tcs_hpt.execution.readers import MetricsReader, metrics_pattern, open_reader
from tcs_hpt.records import EpochRecord, Usage

_LOGS = ("stdout.log", "stderr.log")
_LOG_BYTES = 2**20
_OWN_SECRETS = re.compile(r"TCS_HPT_(STORE|(\w+_)?(KEY|TOKEN|SECRET|PASSWORD))", re.IGNORECASE)
"""Variables that only the engine reads: the key of its model server, and its database, whose URL may hold a password."""
_WATCH_SHARE = 10
"""A look at the memory of the tree that took a while is followed by ten times as long without one."""


@dataclass(eq=False)
class _Run:
    """One call of `run` in progress, and what others ask of it."""

    job: Job
    interrupted: bool = False
    killed: bool = False


class _Logs(NamedTuple):
    out: Log | None
    err: Log | None
    """None for one that is gone; only after the engine died."""

    def trim(self) -> None:
        for log in self:
            if log is not None:
                log.trim()

    def last_words(self) -> bytes:
        return b"" if self.err is None else self.err.read_end(STDERR_BYTES)


class LocalExecutor:
    """The executor for this machine. Several threads may call `run` at the same time.

    The script's working directory is the trial's folder, or the task's where the task says so. It ends with everything it
    started: when it is told to, when it uses more than its limits, and when it exits and leaves processes behind. All
    waiting is by a monotonic clock.

    The script gets this process's environment without the secrets that are tcs_hpt's own: `TCS_HPT_API_KEY` and all other
    `TCS_HPT_` variables of a key, token, secret or password, and `TCS_HPT_STORE`. Everything else is passed on, also
    `OPENAI_API_KEY`, `HF_TOKEN` and the like: the script may need them for itself.

    Args:
        poll_seconds: How often new epochs are looked for, and logs are cut.
        watch_seconds: How often the memory of the process tree is measured.
        grace_seconds: Time between asking a process to end and killing it.
        log_bytes: Size above which `stdout.log` and `stderr.log` are cut to their first and last part, each.
        gpus: Whose use is counted; by default this machine's.
    """

    def __init__(
        self,
        *,
        poll_seconds: float = 0.05,
        watch_seconds: float = 0.25,
        grace_seconds: float = 3.0,
        log_bytes: int = _LOG_BYTES,
        gpus: Gpus | None = None,
    ) -> None:
        self._gpus = gpus if gpus is not None else Gpus()
        self._poll = poll_seconds
        self._watch = watch_seconds
        self._grace = grace_seconds
        self._log_bytes = log_bytes
        self._running: list[_Run] = []

    def run(self, job: Job, on_epoch: Callable[[EpochRecord], None]) -> RunResult:
        """Run one job to its end; see `Executor.run`. What an earlier try left in the folder is removed.

        Raises:
            UserError: The program named in the task's command cannot be started, or another trial would write to the
                same file of metrics.
            TaskError: The template of the task's [config] cannot be used.
            StoreError: The trial's folder cannot be made or written.
        """
        current = _Run(job)
        self._running.append(current)
        try:
            self._check_alone(current)
            return self._run(job, on_epoch, current)
        finally:
            self._running.remove(current)

    def interrupt(self) -> None:
        """End whatever is running. Only sets flags, so a signal handler may call it."""
        for current in list(self._running):
            current.interrupted = True

    def kill(self) -> None:
        """End whatever is running without asking it first; also what `interrupt` is still waiting for.

        Only sets flags, so a signal handler may call it.
        """
        for current in list(self._running):
            current.interrupted = current.killed = True

    def _check_alone(self, current: _Run) -> None:
        """Refuse a trial that would share its file of metrics with another: each would read the other's numbers."""
        pattern = metrics_pattern(current.job)
        others = [metrics_pattern(run.job) for run in list(self._running) if run is not current]
        if pattern is not None and pattern in others:
            raise UserError(
                f"two trials of task {current.job.task.name!r} at once would both write {pattern}",
                hint="Run one at a time (--jobs 1), or let the script write below {trial_dir}.",
            )

    def _run(self, job: Job, on_epoch: Callable[[EpochRecord], None], current: _Run) -> RunResult:
        folder = job.folder.absolute()
        prepare(job, folder)
        write_config(job)
        with ExitStack() as stack:
            logs = _open_logs(stack, folder, self._log_bytes)
            tail = open_reader(job, *logs)
            killed_before = kernel_kills()
            begin = time.monotonic()
            tree = _start(job, folder, logs)
            try:
                meter = self._gpus.meter(job.devices, begin)
                ended_by = self._follow(job, tree, tail, logs, on_epoch, current, begin, meter)
            except BaseException:  # an error of the watcher, or Ctrl-C: no process outlives its trial
                self._end(tree, current)
                raise
            exit_code = self._end(tree, current)
            for epoch in tail.finish():
                on_epoch(epoch)
            logs.trim()
            gpu = GpuUsage() if meter is None else meter.usage()
            usage = Usage(
                wall_seconds=time.monotonic() - begin,
                cpu_seconds=tree.cpu_seconds,
                peak_memory_mb=tree.peak_memory_mb,
                gpu_seconds=gpu.seconds,
                gpu_memory_mb=gpu.peak_memory_mb,
                gpu_joules=gpu.joules,
                exit_code=exit_code,
            )
            kills = (kernel_kills() or 0) - killed_before if killed_before is not None else 0
            return _judged(job, folder, tail, logs.last_words(), ended_by, exit_code, usage, kills)

    def _follow(
        self,
        job: Job,
        tree: ProcessTree,
        tail: MetricsReader,
        logs: _Logs,
        on_epoch: Callable[[EpochRecord], None],
        current: _Run,
        begin: float,
        meter: GpuMeter | None,
    ) -> EndedBy:
        """Watch until the script exits or has to be ended."""
        limits = job.task.limits
        memory_limit = float("inf") if limits.memory_mb is None else float(limits.memory_mb)
        next_watch = begin
        while True:
            # Both before reading, so that nothing written before the exit or the result is missed.
            exited = tree.exited()
            finished = os.path.lexists(tree.folder / "result.json")
            for epoch in tail.read():
                on_epoch(epoch)
            if finished and not tail.behind:
                tail.stop()
            logs.trim()
            if exited:
                return "itself"
            now = time.monotonic()
            if current.interrupted:
                return "person"
            if job.task.metrics is not None and stop_asked(tree.folder):
                return "pruner"  # a script that cannot change does not look for itself
            if limits.trial_seconds is not None and now - begin > limits.trial_seconds:
                return "time"
            if now >= next_watch:
                if meter is not None:
                    meter.sample(now)
                if tree.sample(memory_limit) > memory_limit:
                    return "memory"
                after = time.monotonic()
                next_watch = after + max(self._watch, _WATCH_SHARE * (after - now))
            if not tail.behind:
                time.sleep(self._poll)

    def _end(self, tree: ProcessTree, current: _Run) -> int | None:
        """End what is left of a trial; its exit code."""
        try:
            tree.end(self._grace, hurry=lambda: current.killed)
        except BaseException:  # Ctrl-C while waiting: no more waiting
            tree.end(0)
            raise
        finally:
            exit_code = tree.reap()
        return exit_code


def recover(job: Job, *, grace_seconds: float = 3.0) -> RunResult | None:
    """What became of a trial whose engine died: its result if it had finished, else None.

    Whatever it left running is ended first, also when its first process is gone. Nothing is started.
    """
    folder = job.folder.absolute()
    pid, started = _written_down(folder)
    end_orphans(folder, pid, started, grace_seconds)
    if not folder.is_dir():
        return None
    with ExitStack() as stack:
        logs = _left_logs(stack, folder)
        tail = open_reader(job, *logs, left=True)
        for _ in tail.finish():
            pass
        logs.trim()
        result = _judged(job, folder, tail, logs.last_words(), "engine", None, Usage())
    return None if result.state == "interrupted" else result


def _written_down(folder: Path) -> tuple[int | None, float]:
    """Number and start time of a trial's first process."""
    try:
        process = json.loads((folder / "process.json").read_bytes())
        return int(process["pid"]), float(process["started"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, 0.0  # the engine died before it had written it, or the folder is gone


def _left_logs(stack: ExitStack, folder: Path) -> _Logs:
    """The logs that nobody has cut while a script went on alone."""
    logs: list[Log | None] = []
    for name in _LOGS:
        try:
            log = Log(folder / name, _LOG_BYTES, fresh=False)
        except OSError:
            logs.append(None)
        else:
            logs.append(log)
            stack.callback(log.close)
    return _Logs(*logs)


def _open_logs(stack: ExitStack, folder: Path, limit: int) -> _Logs:
    logs = []
    with writing(folder):
        for name in _LOGS:
            logs.append(Log(folder / name, limit))
            stack.callback(logs[-1].close)
    return _Logs(*logs)


def _judged(
    job: Job,
    folder: Path,
    tail: MetricsReader,
    stderr: bytes,
    by: EndedBy,
    exit_code: int | None,
    usage: Usage,
    kills: int = 0,
) -> RunResult:
    metric = job.task.objective.metric
    result, broken = read_result(folder, job.task.objective)
    if job.task.metrics is not None and metric not in (result or {}):
        result, broken = None, ""  # a file of that name that has nothing to do with us
    ending = Ending(
        by,
        exit_code,
        result,
        tuple(tail.epochs),
        clean(stderr),
        broken_result=broken,
        folder_gone=not folder.is_dir(),
        kernel_kills=kills,
        deciding=tail.deciding,
        missing=tail.missing() if tail.deciding is None else "",
    )
    return judge(ending, job.task.objective, job.task.limits, usage)


def _start(job: Job, folder: Path, logs: _Logs) -> ProcessTree:
    command = build_command(job)
    with ExitStack() as stack:
        with writing(folder):
            out, err = (log.open_for_script() for log in logs if log is not None)
            stack.callback(os.close, out)
            stack.callback(os.close, err)
        try:
            process = subprocess.Popen(
                command,
                cwd=working_folder(job),
                env=_environment(job, folder, command),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        except OSError as error:
            raise UserError(
                f"the program {command[0]!r} of task {job.task.name!r} cannot be started: {error.strerror}",
                hint="Install it or make it executable, correct `command` in the task.toml, or give the interpreter "
                "with --python.",
            ) from error
    process.returncode = 0  # `ProcessTree.reap` waits for it; Popen must neither wait nor complain
    tree = ProcessTree(process.pid, folder)
    try:
        write_json(folder / "process.json", {"pid": process.pid, "started": tree.root.create_time()})
    except BaseException:
        tree.end(0)
        tree.reap()
        raise
    return tree


def _environment(job: Job, folder: Path, command: list[str]) -> dict[str, str]:
    """The engine's environment without its secrets, with what a trial needs."""
    environment = {name: value for name, value in os.environ.items() if not _OWN_SECRETS.fullmatch(name)}
    environment |= {"PYTHONUNBUFFERED": "1", **build_environment(job), MARK: str(folder)}
    if job.data_dir is not None:
        environment["TCS_HPT_DATA_DIR"] = str(job.data_dir.absolute())
    if job.devices:
        environment["CUDA_VISIBLE_DEVICES"] = job.devices
    if "-m" in command:  # a module of the task; the working directory is elsewhere
        path = [str(job.task_folder.absolute()), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(p for p in path if p)
    return environment
