"""What `tune()` shows while it runs: in a notebook, on a terminal, in a pipe, or nothing."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from rich.console import Console

from tcs_hpt.events import Watcher
from tcs_hpt.records import Trial
from tcs_hpt.report.live import LiveView
from tcs_hpt.report.plain import PlainView
from tcs_hpt.tuning.notebook import NotebookView, cell_display


@contextmanager
def watching(*, shown: bool, apart: bool, earlier: Iterable[Trial] = ()) -> Iterator[list[Watcher]]:
    """The watchers that show a study, on standard error or in the notebook's cell.

    Args:
        shown: Whether anything is shown.
        apart: Whether trials run in processes of their own. A function in this process prints where the live frame is
            drawn, and each would overwrite the other, so it gets plain lines.
        earlier: Trials of the study that were there before.
    """
    console = Console(stderr=True)
    if not shown:
        yield []
    elif console.is_jupyter:
        yield [NotebookView(cell_display(), earlier=earlier)]
    elif console.is_terminal and apart:
        with LiveView(console, earlier=earlier) as view:
            yield [view]
    else:
        yield [PlainView(sys.stderr, earlier=earlier)]
