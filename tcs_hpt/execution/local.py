"""Runs a trial as a process of this machine, in its own session and folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tcs_hpt.catalog import fill_placeholders, placeholders
from tcs_hpt.errors import UserError
from tcs_hpt.execution._base import Job, RunResult
from tcs_hpt.execution.outcome import (
    EndedBy,
    Ending,
    MetricsTail,
    judge,
    read_result,
    read_stderr,
)
from tcs_hpt.execution.processes import ProcessTree, end_orphan
from tcs_hpt.records import EpochRecord, Usage
from tcs_hpt.spec import Scalar

_OURS = ("config.json", "metrics.jsonl", "process.json", "result.json", "stderr.log", "stdout.log", "stop")


@dataclass(eq=False)
class _Run:
    """One call of `run` in progress."""

    interrupted: bool = False


class LocalExecutor:
    """The executor for this machine. Several threads may call `run` at the same time.

    The script's working directory is the trial's folder. It ends with everything it started: when it is told to, when it
    uses more than its limits, and when it exits and leaves processes behind.

    Args:
        poll_seconds: How often new epochs are looked for.
        watch_seconds: How often the memory of the process tree is measured.
        grace_seconds: Time between asking a process to end and killing it.
    """

    def __init__(
        self, *, poll_seconds: float = 0.05, watch_seconds: float = 0.25, grace_seconds: float = 3.0
    ) -> None:
        self._poll = poll_seconds
        self._watch = watch_seconds
        self._grace = grace_seconds
        self._running: list[_Run] = []

    def run(self, job: Job, on_epoch: Callable[[EpochRecord], None]) -> RunResult:
        """Run one job to its end; see `Executor.run`. What an earlier try left in the folder is removed."""
        folder = job.folder.absolute()
        _prepare(job, folder)
        current = _Run()
        self._running.append(current)
        try:
            begin = time.monotonic()
            tree = _start(job, folder)
            tail = MetricsTail(folder / "metrics.jsonl")
            try:
                ended_by = self._follow(job, tree, tail, on_epoch, current, begin)
            finally:  # also when `on_epoch` raises: no process outlives its trial
                tree.end(self._grace)
                exit_code = tree.reap()
        finally:
            self._running.remove(current)
        for epoch in tail.read(last=True):
            on_epoch(epoch)
        usage = Usage(
            wall_seconds=time.monotonic() - begin,
            cpu_seconds=tree.cpu_seconds,
            peak_memory_mb=tree.peak_memory_mb,
            exit_code=exit_code,
        )
        return _judged(job, folder, tail, ended_by, exit_code, usage)

    def interrupt(self) -> None:
        """End whatever is running. Only sets flags, so a signal handler may call it."""
        for current in list(self._running):
            current.interrupted = True

    def _follow(
        self,
        job: Job,
        tree: ProcessTree,
        tail: MetricsTail,
        on_epoch: Callable[[EpochRecord], None],
        current: _Run,
        begin: float,
    ) -> EndedBy:
        """Watch until the script exits or has to be ended."""
        limits = job.task.limits
        next_watch = begin
        while True:
            exited = tree.exited()  # before reading, so that nothing written before the exit is missed
            for epoch in tail.read():
                on_epoch(epoch)
            if exited:
                return "itself"
            now = time.monotonic()
            if current.interrupted:
                return "interrupt"
            if limits.trial_seconds is not None and now - begin > limits.trial_seconds:
                return "time"
            if now >= next_watch:
                next_watch = now + self._watch
                if tree.sample() > (limits.memory_mb or float("inf")):
                    return "memory"
            time.sleep(self._poll)


def recover(job: Job, *, grace_seconds: float = 3.0) -> RunResult | None:
    """What became of a trial whose engine died: its result if it had finished, else None.

    If the script still runs, it is ended first. Nothing is started.
    """
    folder = job.folder.absolute()
    try:
        process = json.loads((folder / "process.json").read_bytes())
        end_orphan(int(process["pid"]), float(process["started"]), grace_seconds)
    except (OSError, ValueError, KeyError, TypeError):
        pass  # the engine died before it had started the script, or the folder is gone
    tail = MetricsTail(folder / "metrics.jsonl")
    tail.read(last=True)
    result = _judged(job, folder, tail, "interrupt", None, Usage())
    return None if result.state == "interrupted" else result


def _judged(
    job: Job, folder: Path, tail: MetricsTail, by: EndedBy, exit_code: int | None, usage: Usage
) -> RunResult:
    ending = Ending(
        by, exit_code, read_result(folder), tuple(tail.epochs), read_stderr(folder / "stderr.log")
    )
    return judge(ending, job.task.objective, job.task.limits, usage)


def _prepare(job: Job, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in _OURS:
        (folder / name).unlink(missing_ok=True)
    settings = {
        "params": job.config,
        "fixed": dict(job.task.fixed),
        "seed": job.seed,
        "profile": job.profile,
        "trial": job.number,
        "data_dir": None if job.data_dir is None else str(job.data_dir.absolute()),
    }
    _write_json(folder / "config.json", settings)


def _start(job: Job, folder: Path) -> ProcessTree:
    command = build_command(job)
    environment = os.environ | {"TCS_HPT_TRIAL_DIR": str(folder), "PYTHONUNBUFFERED": "1"}
    if job.data_dir is not None:
        environment["TCS_HPT_DATA_DIR"] = str(job.data_dir.absolute())
    if "-m" in command:  # a module of the task; the working directory is elsewhere
        path = [str(job.task_folder.absolute()), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(p for p in path if p)
    try:
        with (folder / "stdout.log").open("wb") as out, (folder / "stderr.log").open("wb") as err:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
    except (FileNotFoundError, PermissionError) as error:
        raise UserError(
            f"the program {command[0]!r} of task {job.task.name!r} cannot be started: {error.strerror}",
            hint="Install it, correct `command` in the task.toml, or give the interpreter with --python.",
        ) from error
    process.returncode = 0  # `ProcessTree.reap` waits for it; Popen must neither wait nor complain
    tree = ProcessTree(process.pid)
    _write_json(folder / "process.json", {"pid": process.pid, "started": tree.root.create_time()})
    return tree


def build_command(job: Job) -> list[str]:
    """The program and its arguments, ready to start.

    Placeholders are filled: true and false in lower case, numbers with all their digits. An argument that names a
    parameter which is not active is left out, together with the flag before it (`--momentum`, `{momentum}`). An
    argument that is a file of the task's folder becomes its absolute path.
    """
    values = {**job.task.fixed, **job.config}
    texts = {"python": job.python or sys.executable} | {n: _text(v) for n, v in values.items()}
    command: list[str] = []
    flag_before = False
    for item in job.task.command:
        names = placeholders(item)
        if all(name in texts for name in names):
            command.append(fill_placeholders(item, texts) if names else _located(item, job.task_folder))
        elif flag_before:
            command.pop()
        flag_before = not names and item.startswith("-") and "=" not in item
    return command


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _located(item: str, folder: Path) -> str:
    """The argument, with a file of the task's folder made absolute, also behind `--flag=`."""
    flag, equals, name = item.partition("=") if item.startswith("-") else ("", "", item)
    if name and not name.startswith("-") and (folder / name).is_file():
        return f"{flag}{equals}{(folder / name).absolute()}"
    return item


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
