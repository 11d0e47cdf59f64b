"""A process with everything it started: what it uses, and how all of it is ended."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

import psutil

_STEP_SECONDS = 0.02


class ProcessTree:
    """The tree below one process that leads its own session. Not thread-safe.

    Descendants are remembered when they are seen, so that they are found again after their parent is gone.

    Args:
        pid: A direct child of this process that nobody else waits for.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.root = psutil.Process(pid)
        self.peak_memory_mb = 0.0
        """Highest resident memory of the whole tree in any sample, in MiB."""
        self._cpu: dict[psutil.Process, float] = {self.root: 0.0}
        self._reaped_cpu = 0.0

    def sample(self) -> float:
        """Measure; returns the tree's resident memory now, in MiB."""
        memory = 0
        with contextlib.suppress(psutil.Error):
            for child in self.root.children(recursive=True):
                self._cpu.setdefault(child, 0.0)
        for process in self._cpu:
            with contextlib.suppress(psutil.Error), process.oneshot():
                if process.is_running():  # else the number belongs to a stranger by now
                    memory += process.memory_info().rss
                    times = process.cpu_times()
                    self._cpu[process] = times.user + times.system
        megabytes = memory / 2**20
        self.peak_memory_mb = max(self.peak_memory_mb, megabytes)
        return megabytes

    @property
    def cpu_seconds(self) -> float:
        """User and system time of the tree: as sampled, or as the kernel counted it, whichever saw more."""
        return max(sum(self._cpu.values()), self._reaped_cpu)

    def exited(self) -> bool:
        """Whether the root has ended. It stays a zombie until `reap`, so that its number is not given away."""
        return not _alive(self.root)

    def reap(self) -> int:
        """Collect the ended root; returns its exit code, negative for a signal."""
        _, status, used = os.wait4(self.pid, 0)
        self._reaped_cpu = used.ru_utime + used.ru_stime
        return os.waitstatus_to_exitcode(status)

    def end(self, grace_seconds: float) -> None:
        """End everything that still runs: ask, wait up to `grace_seconds`, then kill. The root is not reaped."""
        self.sample()
        left = self._left()
        for number in (signal.SIGTERM, signal.SIGKILL):
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.send_signal(number)
            deadline = time.monotonic() + grace_seconds
            while (left := [p for p in left if _alive(p)]) and time.monotonic() < deadline:
                time.sleep(_STEP_SECONDS)
            # Whoever was started meanwhile is caught by the second round.
            left = self._left()
            if not left:
                return

    def _left(self) -> list[psutil.Process]:
        return [p for p in {*self._cpu, *_session(self.pid)} if _alive(p)]


def _session(leader: int) -> Iterator[psutil.Process]:
    """Members of the session or the process group of a leader whose number is still taken."""
    for pid in psutil.pids():
        with contextlib.suppress(psutil.Error, OSError):
            if leader in (os.getsid(pid), os.getpgid(pid)):
                yield psutil.Process(pid)


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def end_orphan(pid: int, started: float, grace_seconds: float) -> bool:
    """End a tree that a dead engine left behind; whether there was one.

    Args:
        pid: The root's number.
        started: When the root was started, in seconds since 1970 as psutil has it. Another process that has got the
            number since is left alone.
        grace_seconds: Time between asking and killing.
    """
    try:
        tree = ProcessTree(pid)
        if abs(tree.root.create_time() - started) > 1.0 or tree.exited():
            return False
    except psutil.NoSuchProcess:
        return False
    tree.end(grace_seconds)
    return True
