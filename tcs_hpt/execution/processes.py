"""A process with everything it started: what it uses, and how all of it is ended.

To a trial belong the tree below its first process, the members of that process's session and group, every process of the
same user whose environment names the trial's folder (`TCS_HPT_TRIAL_DIR`), however it has detached itself, and what these
have started. Nothing else is ever signalled, nor a process that has got the number of one that is gone. What detaches
itself twice and empties its environment escapes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import psutil

from tcs_hpt.execution.memory import MemoryMeter

MARK = "TCS_HPT_TRIAL_DIR"
"""The environment variable that names the trial's folder."""

_STEP_SECONDS = 0.02
_KILL_SECONDS = 2.0
_KILL_ROUNDS = 5
"""A process may start another while it is being killed; after this many rounds what is left cannot be killed."""


class ProcessTree:
    """What one trial runs. Not thread-safe.

    Descendants are remembered when they are seen, so that they are found again after their parent is gone.

    Args:
        pid: A direct child of this process that nobody else waits for; leads its own session.
        folder: The trial's folder, which its processes carry in their environment.
    """

    def __init__(self, pid: int, folder: Path) -> None:
        self.pid = pid
        self.folder = folder
        self.root = psutil.Process(pid)
        self.peak_memory_mb = 0.0
        """Highest memory of the whole tree in any sample, in MiB, as `MemoryMeter` counts it."""
        self._cpu: dict[psutil.Process, float] = {self.root: 0.0}
        self._past_cpu = 0.0
        self._reaped_cpu = 0.0
        self._meter = MemoryMeter()

    def sample(self, limit_mb: float = float("inf")) -> float:
        """Measure; returns the tree's memory now, in MiB."""
        with contextlib.suppress(psutil.Error):
            for child in self.root.children(recursive=True):
                self._cpu.setdefault(child, 0.0)
        for process in list(self._cpu):
            with contextlib.suppress(psutil.Error):
                if process.is_running():  # else the number belongs to a stranger by now
                    times = process.cpu_times()
                    self._cpu[process] = times.user + times.system
                    continue
            self._past_cpu += self._cpu.pop(process)
        memory = self._meter.measure(self._cpu, limit_mb)
        self.peak_memory_mb = max(self.peak_memory_mb, memory)
        return memory

    @property
    def cpu_seconds(self) -> float:
        """User and system time of the tree: as sampled, or as the kernel counted it, whichever saw more."""
        return max(self._past_cpu + sum(self._cpu.values()), self._reaped_cpu)

    def exited(self) -> bool:
        """Whether the root has ended. It stays a zombie until `reap`, so that its number is not given away."""
        return not _alive(self.root)

    def reap(self) -> int | None:
        """Collect the ended root; returns its exit code, negative for a signal.

        None when it is stuck in the kernel and cannot be killed, or something else has collected it.
        """
        deadline = time.monotonic() + _KILL_SECONDS
        while True:
            try:
                pid, status, used = os.wait4(self.pid, os.WNOHANG)
            except ChildProcessError:
                return None
            if pid:
                self._reaped_cpu = used.ru_utime + used.ru_stime
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > deadline:
                return None
            time.sleep(_STEP_SECONDS)

    def end(self, grace_seconds: float, hurry: Callable[[], bool] = lambda: False) -> None:
        """End everything that still runs: ask, wait up to `grace_seconds`, then kill. The root is not reaped.

        Args:
            grace_seconds: 0 kills at once.
            hurry: Asked while waiting; true cuts the wait short.
        """
        self.sample()
        # Nobody can take the root's number before it is reaped, so its session is this trial's.
        end_all(lambda: _belonging(self.folder, self.pid, self._cpu, sure=True), grace_seconds, hurry)


def end_orphans(folder: Path, pid: int | None, started: float, grace_seconds: float) -> bool:
    """End what a dead engine left behind; whether there was anything.

    Args:
        folder: The trial's folder.
        pid: Number of the trial's first process; None when nobody wrote it down.
        started: When it was started, in seconds since 1970 as psutil has it. Another process that has got the number since
            is left alone, and so is its session.
        grace_seconds: Time between asking and killing.
    """
    known: list[psutil.Process] = []
    with contextlib.suppress(psutil.Error):
        if pid is not None and abs((root := psutil.Process(pid)).create_time() - started) <= 1.0:
            known.append(root)

    def find() -> set[psutil.Process]:
        return _belonging(folder, pid, known, sure=any(p.is_running() for p in known))

    return end_all(find, grace_seconds)


def end_all(
    find: Callable[[], Iterable[psutil.Process]],
    grace_seconds: float,
    hurry: Callable[[], bool] = lambda: False,
) -> bool:
    """Ask, then kill, until `find` finds nothing alive; whether it ever found anything."""
    found: set[psutil.Process] = set()
    for number in (signal.SIGTERM, *[signal.SIGKILL] * _KILL_ROUNDS):
        polite = number == signal.SIGTERM
        if polite and (grace_seconds <= 0 or hurry()):
            continue
        found |= set(find())  # who has lost its parent is not found a second time
        left = [p for p in found if _alive(p)]
        if not left:
            break
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.send_signal(number)  # psutil compares start times first
        deadline = time.monotonic() + (grace_seconds if polite else _KILL_SECONDS)
        while time.monotonic() < deadline and not (polite and hurry()):
            left = [p for p in left if _alive(p)]
            if not left:
                break
            time.sleep(_STEP_SECONDS)
    return bool(found)


class _Seen(NamedTuple):
    process: psutil.Process
    parent: int
    leaders: tuple[int, int]
    marked: bool


def _belonging(
    folder: Path, leader: int | None, known: Iterable[psutil.Process], *, sure: bool
) -> set[psutil.Process]:
    """The processes of a trial, from one look at all processes of this user; 0.1 to 0.2 ms for each.

    Args:
        folder: The trial's folder.
        leader: Number of its first process.
        known: Processes known to belong.
        sure: The leader's number has not been given to anybody else. Unless so, its session is only believed to be the
            trial's if a member carries the mark.
    """
    me = psutil.Process()
    spared = {me, *me.parents()}
    place = os.path.realpath(folder)
    seen = [s for pid in psutil.pids() if (s := _look(pid, place)) is not None and s.process not in spared]
    in_session = [s for s in seen if leader in s.leaders]
    if not sure and not any(s.marked for s in in_session):
        in_session = []
    found = {*known, *(s.process for s in in_session), *(s.process for s in seen if s.marked)} - spared
    waiting = [p.pid for p in found if p.is_running()]
    while waiting:
        parent = waiting.pop()
        children = {s.process for s in seen if s.parent == parent} - found
        found |= children
        waiting += [p.pid for p in children]
    return found


def _look(pid: int, place: str) -> _Seen | None:
    """One process; None if it is another user's or gone."""
    try:
        # First who it is: should another get its number from here on, psutil will refuse to signal that one.
        process = psutil.Process(pid)
        with process.oneshot():
            if process.uids().real != os.getuid():
                return None
            parent, leaders = process.ppid(), (os.getsid(pid), os.getpgid(pid))
            try:
                mark = process.environ().get(MARK, "")
            except (psutil.AccessDenied, psutil.ZombieProcess, OSError):
                mark = ""
            return _Seen(process, parent, leaders, os.path.isabs(mark) and os.path.realpath(mark) == place)
    except (psutil.Error, OSError):
        return None


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() not in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
    except psutil.NoSuchProcess:
        return False
