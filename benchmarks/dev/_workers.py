"""Processes of their own for the studies of a bench, which end with it."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

U = TypeVar("U")
R = TypeVar("R")


@contextmanager
def worker_pool(jobs: int, prepare: Callable[[int], None]) -> Iterator[ProcessPoolExecutor]:
    """A pool of fresh interpreters, since torch and OpenMP do not survive a fork.

    On an error and on Ctrl-C they are ended at once, whatever they are at; the next run does it again.

    Args:
        jobs: How many.
        prepare: Called in each, with their number.
    """
    spawn = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(
        jobs, mp_context=spawn, initializer=_begin, initargs=(prepare, jobs, os.getpid())
    )
    try:
        yield pool
    except BaseException:
        for process in multiprocessing.active_children():
            process.terminate()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def submit_all(pool: ProcessPoolExecutor, work: Callable[[U], R], units: Iterable[U]) -> list[Future[R]]:
    """Hand the units to the pool, whose processes start with it.

    Ctrl-C is ignored meanwhile, and by them for good: a terminal sends it to all, and each would tell where in its imports it was.
    """
    if threading.current_thread() is not threading.main_thread():
        return [pool.submit(work, unit) for unit in units]
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return [pool.submit(work, unit) for unit in units]
    finally:
        signal.signal(signal.SIGINT, before)


def _begin(prepare: Callable[[int], None], jobs: int, parent: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), name="parent", daemon=True).start()
    prepare(jobs)


def _end_with(parent: int) -> None:
    """A process whose parent was killed would wait for work for ever."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)
