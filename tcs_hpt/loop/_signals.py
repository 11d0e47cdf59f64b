"""Ctrl-C and SIGTERM: the first stops cleanly, the second at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def interruptible(
    *, stopping: Callable[[], bool], stop: Callable[[], None], kill: Callable[[], None]
) -> Iterator[None]:
    """Turn signals into `stop`, and once that has begun into `kill` and `KeyboardInterrupt`.

    Does nothing outside the main thread, where Python handles no signals.

    Args:
        stopping: Whether `stop` was called before, by a signal or by somebody else.
        stop: Runs inside the signal handler; may raise.
        kill: Runs inside the signal handler.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(signum: int, frame: FrameType | None) -> None:
        if stopping():
            kill()
            raise KeyboardInterrupt
        stop()

    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(s, on_signal) for s in signals]
    try:
        yield
    finally:
        for number, handler in zip(signals, before, strict=True):
            signal.signal(number, handler)
