"""A worker: takes studies from the queue, and runs each in a process of its own.

    claim -> start a process -> renew the claim, pass on what is wanted -> see how it ended -> (again)

It listens to nothing but the database. A claim lasts for a quarter of a minute and is renewed every few seconds, so that what a
dead worker has claimed is taken by another. Nothing runs twice meanwhile: the process ends itself when its worker is gone, and
the leases on trials settle the rest.

A process that dies (not: one that says why it cannot go on) is started again once; when it dies a second time without having
ended a trial, its study has `failed`, with the last lines of its log.
"""

from __future__ import annotations

import itertools
import os
import socket
import sys
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path

from pydantic import Field

from tcs_hpt.errors import StoreError, TcsHptError, UserError
from tcs_hpt.loop import Study, interruptible, utc_now, visible_devices
from tcs_hpt.service._child import CPU, Child
from tcs_hpt.service._nobody import Nobody
from tcs_hpt.service.run_study import Assignment
from tcs_hpt.service.task_folders import TaskFolders
from tcs_hpt.spec import Frozen
from tcs_hpt.store import QueueEntry, QueueState, Store
from tcs_hpt.tuning.places import study_folder

DEATHS = 2
"""Deaths in a row after which a study has failed."""
_OVER: tuple[QueueState, ...] = ("ended", "failed")
"""States in which a process that has given its claim back may still be writing the study's report."""
_ENDS = "the worker ends"


class WorkerSettings(Frozen):
    """How a worker is run."""

    store: str
    """The database, as `Store.open` takes it; empty for the usual one."""
    slots: int = Field(default=1, ge=1)
    """Studies at the same time on each device of this host, those of other workers counted."""
    devices: tuple[str, ...] = Field(default=(CPU,), min_length=1)
    """`cpu`, or CUDA devices as `CUDA_VISIBLE_DEVICES` takes them; a study has one."""
    task_folders: tuple[Path, ...] = ()
    parent: int | None = None
    """Number of the process without which it ends; None to go on alone."""
    tick_seconds: float = Field(default=0.5, gt=0)
    """Between two looks at the queue and the processes."""
    claim_seconds: float = Field(default=15.0, gt=0)
    """Without a renewal for this long, a claim is anybody's."""
    renew_seconds: float = Field(default=5.0, gt=0)
    grace_seconds: float = Field(default=30.0, ge=0)
    """Time from asking a process to end until it is killed. A thought of its model is finished first."""


class Worker:
    """Runs until it is asked to end, and then ends what it has started.

    Args:
        settings: How.
        store: The database, open.
        say: Told what happens, one line each.
        clock: Seconds since 1970, UTC.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        store: Store,
        *,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        TaskFolders(settings.task_folders)  # whether the folders are there
        self._settings = settings
        self._store = store
        self._say = say
        self._clock = clock
        self._host = socket.gethostname()[:255]
        self.name = f"{self._host[:100]}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self._claims = itertools.count(1)
        self._children: list[Child] = []
        self._checked_in: float | None = None
        self._ending = False
        self._trouble = ""

    def stop(self) -> None:
        """Take no more studies, end the trials of those that run, and let `run` return. Only sets a flag."""
        self._ending = True

    def run(self) -> None:
        """Work until `stop`, Ctrl-C or SIGTERM; a second signal kills what still runs.

        A database that cannot be reached is waited for.
        """
        settings = self._settings
        self._say(
            f"worker {self.name} on {self._store.label}: {settings.slots} at a time on each of {', '.join(settings.devices)}"
        )
        with interruptible(stopping=lambda: self._ending, stop=self.stop, kill=self.stop):
            try:
                while not (self._ending and not self._children):
                    self._step()
                    time.sleep(settings.tick_seconds)
            finally:
                self._kill_all()
                self._check_out()
        self._say("the worker has ended")

    def _step(self) -> None:
        if self._settings.parent is not None and os.getppid() != self._settings.parent and not self._ending:
            self._say("whoever started this worker is gone; it ends")
            self.stop()
        looks: list[Callable[[], None]] = [partial(self._look_after, child) for child in self._children]
        trouble = ""
        for act in (self._check_in, *looks, self._take):
            try:
                act()
            except StoreError as error:
                trouble = error.message
        if trouble and trouble != self._trouble:
            self._say(f"{trouble}; trying again")
        self._trouble = trouble

    # -- taking ---------------------------------------------------------------------------------------------

    def _take(self) -> None:
        """Claim what there is room for; each device gets its first study before another gets its second."""
        if self._ending:
            return
        for _ in range(self._settings.slots):
            for device in sorted(self._settings.devices, key=self._load):
                if self._load(device) < self._settings.slots and (entry := self._claim(device)) is not None:
                    self._start(entry)

    def _load(self, device: str) -> int:
        """How many studies this worker runs on a device."""
        return sum(child.entry.device == device for child in self._children)

    def _claim(self, device: str) -> QueueEntry | None:
        return self._store.claim(
            f"{self.name}/{next(self._claims)}",
            host=self._host,
            device=device,
            limit=self._settings.slots,
            seconds=self._settings.claim_seconds,
            now=self._clock(),
        )

    def _start(self, entry: QueueEntry) -> None:
        assignment = Assignment(
            store=self._store.url,
            study=entry.name,
            claim=entry.worker,
            parent=os.getpid(),
            task_folders=self._settings.task_folders,
        )
        try:
            done = self._store.study_row(entry.name).done
            child = Child(entry, assignment, study_folder(self._store, entry.name), done=done)
        except OSError as error:
            why = f"The worker on {self._host} cannot start a process for it: {error}"
            self._say(f"{entry.name}: failed: {why}")
            self._store.end_claim(entry.name, entry.worker, "failed", f"{why}. Mend that, then resume it.")
            return
        self._children.append(child)
        self._say(f"{entry.name}: started on {entry.device}, process {child.pid}")

    # -- looking after --------------------------------------------------------------------------------------

    def _look_after(self, child: Child) -> None:
        status = child.ended()
        if status is not None:
            self._settle(child, status)
            return
        if child.overdue(self._settings.grace_seconds) and not child.killed:
            self._say(f"{child.name}: does not end; killed")
            child.kill()
        try:
            why = self._follow(child)
        except StoreError:
            if self._ending:
                self._ask(child, _ENDS)
            raise
        if why:
            self._ask(child, why)

    def _follow(self, child: Child) -> str:
        """Renew the claim when it is time; why the process has to end, empty when it may go on."""
        now = time.monotonic()
        if now - child.renewed >= self._settings.renew_seconds:
            seconds = self._settings.claim_seconds
            self._store.renew_claim(child.name, child.claim, seconds=seconds, now=self._clock())
            child.renewed = now
        entry = self._entry(child)
        if entry is not None and entry.worker == child.claim:
            if entry.wanted != "run":
                return f"a person wants it to {entry.wanted}"
            return _ENDS if self._ending else ""
        if entry is not None and entry.state in _OVER:
            return ""
        return "it is not this worker's any more"

    def _ask(self, child: Child, why: str) -> None:
        if child.asked is None and child.ended() is None:
            self._say(f"{child.name}: {why}; ending its trials")
            child.ask()

    def _settle(self, child: Child, status: int) -> None:
        """See how a process ended. It has mostly said so itself, in the queue."""
        try:
            entry = self._entry(child)
            if entry is None or entry.worker != child.claim:
                told = "deleted" if entry is None else f"{entry.state} {entry.message}".strip()
                self._say(f"{child.name}: {told}")
            else:
                child.end_leftovers(self._store)
                self._give_back(child, entry, _how(status))
        except StoreError:
            if not self._ending:
                raise
            # The claim runs out by itself, and the worker must not wait for a database that may never come back.
        self._children.remove(child)

    def _give_back(self, child: Child, entry: QueueEntry, how: str) -> None:
        """End the claim of a process that died without doing so."""
        if child.asked is not None:
            self._store.end_claim(child.name, child.claim, "queued")
            self._say(f"{child.name}: ended ({how})")
            return
        progressed = self._store.study_row(child.name).done > child.done
        deaths = 1 if progressed else entry.deaths + 1
        words = child.last_words()
        last = f" Its last words:\n{words}" if words else ""
        if deaths < DEATHS:
            message = f"The process that ran it died ({how}) and is started again.{last}"
            self._store.end_claim(child.name, child.claim, "queued", message, deaths=deaths)
        else:
            message = (
                f"The process that ran it died {deaths} times in a row ({how}). "
                f"Look into {child.log} on {self._host}, then resume it.{last}"
            )
            self._settle_trials(child)  # else they would be shown as running until somebody resumes it
            self._store.end_claim(child.name, child.claim, "failed", message, deaths=deaths)
        self._say(f"{child.name}: its process died ({how}), {'again' if deaths < DEATHS else 'failed'}")

    def _settle_trials(self, child: Child) -> None:
        spec, folder, nobody = (
            self._store.get_study(child.name),
            study_folder(self._store, child.name),
            Nobody(),
        )
        # Only folders of trials are read: where the task's script is does not matter.
        Study(spec, folder, folder, self._store, proposer=nobody, executor=nobody).settle()

    def _entry(self, child: Child) -> QueueEntry | None:
        """The study's place in the queue; None when it was deleted."""
        try:
            return self._store.queue_entry(child.name)
        except UserError:
            return None

    # -- beginning and end ----------------------------------------------------------------------------------

    def _check_in(self) -> None:
        now = time.monotonic()
        if self._checked_in is not None and now - self._checked_in < self._settings.renew_seconds:
            return
        self._checked_in = now
        self._store.check_in(
            self.name,
            host=self._host,
            devices=self._settings.devices,
            slots=self._settings.slots,
            seconds=self._settings.claim_seconds,
            now=self._clock(),
        )

    def _kill_all(self) -> None:
        """End what still runs when `run` is left by a second signal or an error."""
        self._ending = True
        for child in self._children:
            child.kill()
        for child in list(self._children):
            status = child.wait()
            child.asked = child.asked or time.monotonic()
            self._settle(child, status)

    def _check_out(self) -> None:
        try:
            self._store.check_out(self.name)
        except StoreError as error:  # it is forgotten anyway when its time has run out
            self._say(error.message)


def _how(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"exit status {status}"


def usual_devices() -> tuple[str, ...]:
    """The CUDA devices of this machine, or `cpu` where there are none."""
    return visible_devices() or (CPU,)


def run_worker(settings: WorkerSettings) -> None:
    """Open the database and work until a signal comes.

    Raises:
        UserError: A setting cannot be.
        StoreError: The database cannot be opened.
    """
    with Store.open(settings.store or None, timeout=10.0) as store:
        Worker(settings, store, say=say).run()


def say(line: str) -> None:
    """Write one line of the log."""
    print(f"{utc_now()} {line}", file=sys.stderr, flush=True)


def main() -> int:
    """Entry point of the workers that a web process starts: settings on standard input, so that no list of processes shows a password."""
    settings = WorkerSettings.model_validate_json(sys.stdin.read())
    try:
        run_worker(settings)
    except TcsHptError as error:
        say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
