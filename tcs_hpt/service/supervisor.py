"""The workers that a web process starts on its own machine, and starts again when they die."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tcs_hpt.service.worker import WorkerSettings, say, usual_devices

_POLL_SECONDS = 0.5
_SHORT_LIFE_SECONDS = 10.0
"""A worker that has lived for less is started again after a pause, which grows."""
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0
_END_SECONDS = 15.0
"""What a worker may take beyond the grace that it gives its processes."""


def start_workers(
    count: int,
    *,
    store: str,
    slots: int = 1,
    devices: Sequence[str] = (),
    task_folders: Sequence[Path] = (),
    environment: Mapping[str, str] | None = None,
) -> Supervisor:
    """Start worker processes, which end with this process, however it ends.

    Args:
        count: How many.
        store: The database's complete URL.
        slots: Studies at the same time on each device, over all workers.
        devices: `cpu`, or CUDA devices; empty for those of this machine.
        task_folders: Folders whose subfolders are tasks.
        environment: Theirs; None for this process's own.
    """
    settings = WorkerSettings(
        store=store,
        slots=slots,
        devices=tuple(devices) or usual_devices(),
        task_folders=tuple(folder.absolute() for folder in task_folders),
        parent=os.getpid(),
    )
    supervisor = Supervisor(settings, count, environment=environment)
    supervisor.start()
    return supervisor


class _Place:
    """One of the workers, and those that take its place."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.started = time.monotonic()
        self.pause = 0.0
        self.due: float | None = None
        """When the next one is started, by the monotonic clock; None while this one lives."""


class Supervisor:
    """Keeps a number of workers alive. Use it as a context manager, or call `stop`.

    Args:
        settings: Of each worker; `parent` is this process.
        count: How many.
        environment: Theirs; None for this process's own.
        say: Told what happens, one line each.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        count: int,
        *,
        environment: Mapping[str, str] | None = None,
        say: Callable[[str], None] = say,
    ) -> None:
        self._settings = settings
        self._count = count
        self._environment = None if environment is None else dict(environment)
        self._say = say
        self._places: list[_Place] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def __enter__(self) -> Supervisor:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def alive(self) -> int:
        """How many workers run at this moment."""
        return sum(place.process.poll() is None for place in self._places)

    @property
    def pids(self) -> list[int]:
        """Numbers of the workers' processes."""
        return [place.process.pid for place in self._places]

    def start(self) -> None:
        """Start the workers; called once."""
        self._places = [_Place(self._spawn()) for _ in range(self._count)]
        self._thread.start()

    def stop(self) -> None:
        """End the workers: their studies' trials are interrupted and go on when a worker takes them again. Twice is fine."""
        if self._stopping.is_set():
            return
        self._stopping.set()
        self._thread.join()
        for place in self._places:
            if place.process.poll() is None:
                place.process.terminate()
        deadline = time.monotonic() + self._settings.grace_seconds + _END_SECONDS
        for place in self._places:
            try:
                place.process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._say(f"worker process {place.process.pid} does not end; killed")
                place.process.kill()  # what it has started ends itself
                place.process.wait()

    def _watch(self) -> None:
        while not self._stopping.wait(_POLL_SECONDS):
            for place in self._places:
                if place.due is None:
                    self._notice(place)
                elif time.monotonic() >= place.due:
                    self._replace(place)

    def _notice(self, place: _Place) -> None:
        status = place.process.poll()
        if status is None:
            return
        now = time.monotonic()
        if now - place.started >= _SHORT_LIFE_SECONDS:
            place.pause = 0.0
        else:
            place.pause = min(max(_FIRST_PAUSE_SECONDS, 2 * place.pause), _LONGEST_PAUSE_SECONDS)
        place.due = now + place.pause
        self._say(
            f"worker process {place.process.pid} has ended (status {status}); started again in {place.pause:.0f} s"
        )

    def _replace(self, place: _Place) -> None:
        try:
            place.process = self._spawn()
        except OSError as error:
            self._say(f"a worker cannot be started: {error}")
            place.due = time.monotonic() + _LONGEST_PAUSE_SECONDS
            return
        place.started = time.monotonic()
        place.due = None

    def _spawn(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tcs_hpt.service.worker"],
            stdin=subprocess.PIPE,
            env=self._environment,
            start_new_session=True,  # a Ctrl-C in the terminal is for the web process, which then ends them in order
        )
        stream = process.stdin
        if stream is None:
            raise AssertionError("the process was started with a pipe")
        with contextlib.suppress(BrokenPipeError), stream:
            stream.write(self._settings.model_dump_json().encode())
        return process
