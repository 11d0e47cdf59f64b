"""How much memory some processes use together, and whether the kernel ended one for want of it."""

from __future__ import annotations

import time
from collections.abc import Collection
from pathlib import Path

import psutil

_SHARE_OF_TIME = 0.02
"""At most this share of the time is spent on reading proportional sizes."""
_SYSTEM_COUNTS = Path("/proc/vmstat")


class MemoryMeter:
    """Measures the memory of a changing group of processes. Not thread-safe.

    One process: its resident set. Several: the sum of their proportional set sizes (PSS, Linux), in which a page that n of
    them share counts 1/n each, so that eight data loaders forked from a 2 GB parent do not count as 18 GB. `rss - shared`
    would not do: pages shared by a fork that nobody has written to since are not `shared` in that sense. Reading a PSS
    takes the kernel some 5 ms per GB, and the process waits when it asks for memory meanwhile; so between two readings what
    was counted twice at the last one is taken as unchanged. It is read anew when processes come or go, when the estimate
    is over the limit, and else for at most 2 % of the time. Where there is no PSS (macOS), the resident sets are added.
    """

    def __init__(self) -> None:
        self._pids: frozenset[int] = frozenset()
        self._counted_twice = 0
        self._next_reading = 0.0

    def measure(self, processes: Collection[psutil.Process], limit_mb: float) -> float:
        """Memory in use now, in MiB; a value above `limit_mb` is measured, not estimated."""
        resident: dict[psutil.Process, int] = {}
        for process in processes:
            try:
                resident[process] = process.memory_info().rss
            except psutil.Error:  # gone meanwhile
                continue
        total = sum(resident.values())
        if len(resident) < 2:
            return total / 2**20
        pids = frozenset(p.pid for p in resident)
        now = time.monotonic()
        over = (total - self._counted_twice) / 2**20 > limit_mb
        if over or pids != self._pids or now >= self._next_reading:
            self._pids = pids
            self._counted_twice = total - sum(_proportional(p, rss) for p, rss in resident.items())
            end = time.monotonic()
            self._next_reading = end + (end - now) / _SHARE_OF_TIME
        return max(total - self._counted_twice, 0) / 2**20


def _proportional(process: psutil.Process, resident: int) -> int:
    """The process's share of the memory it uses, in bytes; its resident set where there is no PSS."""
    try:
        pss: int = getattr(process.memory_full_info(), "pss", resident)
    except psutil.AccessDenied:
        return resident
    except psutil.Error:
        return 0
    # Kernels and sandboxes without /proc/PID/smaps give 0 for a process that plainly has memory.
    return pss or resident


def kernel_kills() -> int | None:
    """How many processes the kernel has ended for want of memory, here or in this control group; None if unknown.

    The control group's count where there is one (cgroup v2), so that the neighbours of a container are not counted.
    """
    for place in (_control_group() / "memory.events", _SYSTEM_COUNTS):
        try:
            lines = place.read_text(encoding="ascii").splitlines()
        except (OSError, ValueError):
            continue
        for line in lines:
            name, _, count = line.partition(" ")
            if name == "oom_kill" and count.isdecimal():
                return int(count)
    return None


def _control_group() -> Path:
    try:
        lines = Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        lines = []
    own = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), "")
    return Path("/sys/fs/cgroup") / own
