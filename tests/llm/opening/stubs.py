"""Machines with and without free memory, and an engine that loads nothing."""

from __future__ import annotations

from pathlib import Path

from tcs_hpt.llm.machine import Machine

GB = 10**9
ROOMY = Machine(cores=8, memory_total=64 * GB, memory_available=60 * GB)
FULL = Machine(cores=8, memory_total=64 * GB, memory_available=GB)
CRAMMED = Machine(cores=8, memory_total=64 * GB, memory_available=GB // 10)


class Engine:
    """Stands in for llama.cpp: remembers what it was asked to load."""

    def __init__(self, path: Path, *, name: str, threads: int) -> None:
        self.path, self.name, self.threads = path, name, threads

    def close(self) -> None:
        pass
