"""The external studies of one web process: what it needs to give out their trials, opened when somebody first asks."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

import anyio

from tcs_hpt.catalog import LoadedTask
from tcs_hpt.events import StopReason
from tcs_hpt.loop import ExternalStudy, Study
from tcs_hpt.records import Trial
from tcs_hpt.service._nobody import Nobody
from tcs_hpt.store import QueueEntry, Store, WrongState
from tcs_hpt.tuning.launch import Launch, make_study, opened_models
from tcs_hpt.tuning.models import Opening
from tcs_hpt.tuning.places import study_folder

PATIENCE_SECONDS = 20.0
"""How long an ask waits while another configuration of its study is being worked out."""
MOST_ASKS = 16
"""At the same time, over all studies; each holds a thread while a model thinks."""
GOODBYE_SECONDS = 3.0
MOST_DESKS = 200
MOST_OPEN = 4
"""Studies whose models stay open; the one that was asked least recently is closed first."""


class Desks:
    """One desk for each external study. Safe to use from several threads.

    Args:
        store: The database.
        clock: Seconds since 1970, UTC.
        opening: How a model is opened; None for the usual way.
        patience: Seconds that an ask waits for its turn.
    """

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float] = time.time,
        opening: Opening | None = None,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        self._store = store
        self._clock = clock
        self._opening = opening
        self._patience = patience
        self._desks: OrderedDict[str, _Desk] = OrderedDict()
        self._lock = threading.Lock()
        self._closed = False
        self.limiter = anyio.CapacityLimiter(MOST_ASKS)
        """For the threads that ask, so that a model which thinks for minutes keeps no page waiting."""

    def at(self, entry: QueueEntry) -> ExternalStudy:
        """What a trainer tells its trials; needs no model."""
        return self._desk(entry).external

    def ask(self, entry: QueueEntry, lease_seconds: float) -> Trial | StopReason | None:
        """See `ExternalStudy.ask`. May take as long as a model thinks.

        Raises:
            ModelError: The study's model cannot be opened or fails.
            UserError: A package that its method needs is missing.
        """
        deadline = time.monotonic() + self._patience
        desk = self._desk(entry)
        if not desk.asking.acquire(timeout=self._patience):
            return None
        try:
            desk.open(self._store, self._opening)
            return desk.external.ask(
                lease_seconds=lease_seconds,
                keep_waiting=lambda: time.monotonic() < deadline and not self._closed,
            )
        finally:
            desk.asking.release()
            self._close_others(entry.name)

    @contextmanager
    def closed_for(self, name: str) -> Iterator[None]:
        """Nobody asks here while the study is being deleted, and its desk is gone after it.

        Raises:
            WrongState: A configuration of it is being worked out.
        """
        with self._lock:
            desk = self._desks.get(name)
        if desk is None:
            yield
            return
        if not desk.asking.acquire(timeout=self._patience):
            raise WrongState(
                f"a configuration of study {name!r} is being worked out", hint="Try again when it is there."
            )
        try:
            yield
            desk.shut()
            with self._lock:
                self._desks.pop(name, None)
        finally:
            desk.asking.release()

    def close(self) -> None:
        """Close all models; one that thinks for longer than a moment ends with the process."""
        self._closed = True
        with self._lock:
            desks = list(self._desks.values())
            self._desks.clear()
        for desk in desks:
            if desk.asking.acquire(timeout=GOODBYE_SECONDS):
                desk.shut()
                desk.asking.release()

    def _desk(self, entry: QueueEntry) -> _Desk:
        with self._lock:
            desk = self._desks.get(entry.name)
            # Another process may have deleted the study and entered another one of its name.
            if desk is None or desk.entered != (entry.entered_at, entry.launch):
                if desk is not None and desk.asking.acquire(blocking=False):
                    desk.shut()
                desk = self._desks[entry.name] = _Desk(self._store, entry, self._clock)
            self._desks.move_to_end(entry.name)
            idle = [n for n, d in self._desks.items() if not d.opened and n != entry.name]
            for name in idle[: max(len(self._desks) - MOST_DESKS, 0)]:
                del self._desks[name]
            return desk

    def _close_others(self, name: str) -> None:
        """Close the models of the studies that were asked least recently, where nobody asks now."""
        with self._lock:
            opened = [d for n, d in self._desks.items() if d.opened and n != name]
        for desk in opened[: max(len(opened) + 1 - MOST_OPEN, 0)]:
            if desk.asking.acquire(blocking=False):
                try:
                    desk.shut()
                finally:
                    desk.asking.release()


class _Desk:
    """One external study."""

    def __init__(self, store: Store, entry: QueueEntry, clock: Callable[[], float]) -> None:
        self.entered = (entry.entered_at, entry.launch)
        self.asking = threading.Lock()
        self.stack = ExitStack()
        self.opened = False
        self._clock = clock
        self._launch = Launch.model_validate_json(entry.launch)
        spec = store.get_study(entry.name)
        folder = study_folder(store, entry.name)
        self._loaded = LoadedTask(spec.task, folder)
        nobody = Nobody()
        study = Study(
            spec=spec,
            task_folder=folder,
            folder=folder,
            store=store,
            proposer=nobody,
            executor=nobody,
            task_reference=self._launch.task,
            now=self._utc_now,
        )
        self.external = ExternalStudy(study, clock=clock)

    def open(self, store: Store, opening: Opening | None) -> None:
        """Open the study's models and make its proposer, if that has not been done."""
        if self.opened:
            return
        spec = self.external.study.spec
        with ExitStack() as stack:
            models = opened_models(stack, self._launch, spec.name, store, opening)
            study = make_study(self._launch, spec, self._loaded, store, models, executor=Nobody())
            study.task_reference, study.now = self._launch.task, self._utc_now
            self.external.study = study
            self.stack = stack.pop_all()
        self.opened = True

    def _utc_now(self) -> str:
        return datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="seconds")

    def shut(self) -> None:
        """Close the models; the next ask opens them again."""
        self.opened = False
        self.stack.close()
