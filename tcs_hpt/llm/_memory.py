"""How much of this process's memory a model in it holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psutil

MIB = 2**20


class HeldMemory:
    """The growth of the process's resident set while a model is loaded, and the largest growth during one answer.

    Engines do not say what they hold, and the parts are of several kinds (mapped weights, caches, work space), so the process is
    looked at. What other threads take at the same moments is counted too; what is freed and taken again between answers is counted
    once. Weights that two engines map from one file count for each.
    """

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._loaded = 0
        self._answering = 0

    @property
    def mb(self) -> float:
        """So far [MiB]."""
        return (self._loaded + self._answering) / MIB

    @contextmanager
    def loading(self) -> Iterator[None]:
        """Around what loads the model."""
        before = self._resident()
        yield
        self._loaded = max(0, self._resident() - before)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Around each answer."""
        before = self._resident()
        yield
        self._answering = max(self._answering, self._resident() - before)

    def _resident(self) -> int:
        return int(self._process.memory_info().rss)
