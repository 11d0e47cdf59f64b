"""How far a run of the bench is: a bar on a terminal, else a line after each study."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import track

from tcs_hpt.report import words

T = TypeVar("T")


def tracked(studies: Iterable[T], total: int, console: Console) -> Iterator[T]:
    """The studies as they end, and how many are left to wait for and about how long.

    Args:
        studies: What is waited for.
        total: How many there are.
        console: Where it is told.
    """
    if console.is_terminal:
        yield from track(studies, total=total, description="studies", console=console, transient=True)
        return
    began = time.monotonic()
    for done, study in enumerate(studies, 1):
        yield study
        left = (time.monotonic() - began) / done * (total - done)
        about = f", about {words.duration(left)} left" if done < total else ""
        console.print(f"{done} of {words.count(total, 'study', 'studies')}{about}", highlight=False)
