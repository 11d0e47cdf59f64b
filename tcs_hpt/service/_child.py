"""One process that runs a study, as its worker sees it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tcs_hpt.execution.processes import end_orphans
from tcs_hpt.service.run_study import Assignment
from tcs_hpt.store import QueueEntry, Store

LOG = "engine.log"
"""What the process prints, in the study's folder."""
CPU = "cpu"
"""The device without a CUDA device."""

_WORDS_BYTES = 4096
_WORDS_LINES = 5
_TRIAL_GRACE_SECONDS = 3.0


class Child:
    """The process of one claim. It leads its own session, so that a Ctrl-C in a terminal reaches its worker alone.

    Args:
        entry: What was claimed.
        assignment: For the process.
        folder: The study's folder, which is made if it is not there.
        done: Trials of the study that had ended.
        clock: Monotonic, in seconds.

    Raises:
        OSError: The process cannot be started, or its log cannot be written.
    """

    def __init__(
        self,
        entry: QueueEntry,
        assignment: Assignment,
        folder: Path,
        *,
        done: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.entry = entry
        self.name = entry.name
        self.claim = assignment.claim
        self.done = done
        self.renewed = clock()
        self.asked: float | None = None
        """When it was asked to end, by the monotonic clock."""
        self.killed = False
        self._clock = clock
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / LOG
        with open(self.log, "ab") as log:
            self._log_start = log.tell()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tcs_hpt.service.run_study", entry.name],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=_environment(entry.device),
                start_new_session=True,
            )
        self._hand_over(assignment.model_dump_json())

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    def ended(self) -> int | None:
        """The exit status, negative for a signal; None while it runs."""
        return self._process.poll()

    def ask(self) -> None:
        """Ask it to end its trials and itself; once."""
        if self.asked is None:
            self.asked = self._clock()
            self._process.send_signal(signal.SIGINT)

    def overdue(self, seconds: float) -> bool:
        """Whether it was asked so long ago."""
        return self.asked is not None and self._clock() - self.asked >= seconds

    def kill(self) -> None:
        """End it at once; its trials are left for `end_leftovers`."""
        self.killed = True
        self._process.kill()

    def wait(self) -> int:
        """Wait for its end."""
        return self._process.wait()

    def end_leftovers(self, store: Store) -> None:
        """End the scripts that it has left running; after its end."""
        host = socket.gethostname()[:255]
        for lease in store.leases(self.name):
            if (lease.engine_pid, lease.host) != (self.pid, host):
                continue  # another engine's, in a terminal
            for trial in store.load_trials(self.name, after=lease.number - 1, limit=1):
                if trial.number == lease.number and trial.folder:
                    end_orphans(Path(trial.folder), None, 0.0, _TRIAL_GRACE_SECONDS)

    def last_words(self) -> str:
        """The last lines of what it printed; empty when there are none."""
        try:
            with open(self.log, "rb") as log:
                end = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_start, end - _WORDS_BYTES))
                text = log.read().decode(errors="replace")
        except FileNotFoundError:  # somebody has tidied up
            return ""
        lines = [line.rstrip() for line in text.splitlines() if line.strip()]
        return "\n".join(lines[-_WORDS_LINES:])

    def _hand_over(self, text: str) -> None:
        stream = self._process.stdin
        if stream is None:
            raise AssertionError("the process was started with a pipe")
        # It may have died already; its end says more than a pipe that nobody reads.
        with contextlib.suppress(BrokenPipeError), stream:
            stream.write(text.encode())


def _environment(device: str) -> dict[str, str]:
    return {**os.environ, "CUDA_VISIBLE_DEVICES": "" if device == CPU else device}
