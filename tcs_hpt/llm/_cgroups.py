"""What a container or a job may use of a Linux machine: memory and processor time, by control groups.

Both versions are read, because machines of both kinds run: in version 2 one tree holds all limits, in version 1 each
kind has a tree of its own. A limit of any group above counts too. Inside a container the own group is often seen as
the root, and its name from outside does not exist there; then the root's files are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
NO_LIMIT = 1 << 60
"""Version 1 writes about 2^63 where there is no limit."""


@dataclass(frozen=True)
class MemoryLimit:
    """A limit, and how much of it is used."""

    limit: int
    """[bytes]"""
    used: int
    """[bytes]; without what is only cached."""

    @property
    def left(self) -> int:
        """[bytes]"""
        return max(0, self.limit - self.used)


def memory_limits(root: Path = ROOT, own: Path = OWN) -> tuple[MemoryLimit, ...]:
    """Every memory limit that binds this process; empty elsewhere than on Linux, and without limits.

    Args:
        root: Where the control groups are.
        own: Which of them this process is in.
    """
    found = []
    for group in _groups(root, own, ""):
        limit = _number(group / "memory.max")
        used = _number(group / "memory.current")
        if limit is not None and used is not None:
            found.append(MemoryLimit(limit, used - _counter(group / "memory.stat", "inactive_file")))
    for group in _groups(root, own, "memory"):
        limit = _number(group / "memory.limit_in_bytes")
        used = _number(group / "memory.usage_in_bytes")
        if limit is not None and used is not None and limit < NO_LIMIT:
            found.append(MemoryLimit(limit, used - _counter(group / "memory.stat", "total_inactive_file")))
    return tuple(found)


def processor_limit(root: Path = ROOT, own: Path = OWN) -> float | None:
    """How many cores' worth of time this process may use, the smallest limit that binds it; None without one.

    Args:
        root: Where the control groups are.
        own: Which of them this process is in.
    """
    shares = []
    for group in _groups(root, own, ""):
        quota, _, period = _text(group / "cpu.max").partition(" ")
        if quota.isdigit() and period.isdigit() and int(period):
            shares.append(int(quota) / int(period))
    for group in _groups(root, own, "cpu"):
        time, each = _number(group / "cpu.cfs_quota_us"), _number(group / "cpu.cfs_period_us")
        if time and each:  # the quota is -1 where there is none
            shares.append(time / each)
    return min(shares, default=None)


def _groups(root: Path, own: Path, kind: str) -> Iterator[Path]:
    """The folders of this process's group and of those above it, the own one first.

    Args:
        root: Where the control groups are.
        own: Which of them this process is in.
        kind: A controller of version 1; empty for version 2.
    """
    for line in _text(own).splitlines():
        _, _, rest = line.partition(":")
        kinds, _, name = rest.partition(":")
        if kind not in kinds.split(","):
            continue
        # `cpu,cpuacct` is a folder of that name, and usually linked as `cpu`.
        # Where both versions are mounted, that of version 2 is `unified`.
        top = next((root / n for n in (kind or "unified", kinds) if n and (root / n).is_dir()), root)
        folder = top / name.strip("/")
        yield from (group for group in (folder, *folder.parents) if group.is_relative_to(top))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def _number(file: Path) -> int | None:
    """None for `max`, for -1, and for what is not there."""
    text = _text(file)
    return int(text) if text.isdigit() else None


def _counter(file: Path, name: str) -> int:
    for line in _text(file).splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.isdigit():
            return int(value)
    return 0
