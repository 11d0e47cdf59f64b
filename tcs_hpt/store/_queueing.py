"""The part of `Store` that the service uses: the queue of studies, and its workers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa

from tcs_hpt.store import _database, _queue
from tcs_hpt.store._access import Access
from tcs_hpt.store._errors import translated
from tcs_hpt.store._queue import QueueEntry, QueueState, Wanted, WorkerRow, WrongState


class Queueing(Access):
    """The queue. Times are seconds since 1970 (UTC) by the caller's clock."""

    def enqueue(self, name: str, launch: str, *, now: float, state: QueueState = "queued") -> None:
        """Put a study at the end of the queue.

        Args:
            name: The study, which exists.
            launch: JSON of a `tuning.launch.Launch`.
            now: The time.
            state: `queued`, or `external` for one whose trials are asked for and told over HTTP.

        Raises:
            WrongState: It is in the queue already.
        """
        with self._writing(name) as (connection, study):
            if _queue.find_entry(connection, study.id) is not None:
                raise WrongState(
                    f"study {name!r} was entered before", hint="Resume it, or choose another name."
                )
            _queue.insert(connection, study.id, launch, state=state, now=now)

    def queue_entry(self, name: str) -> QueueEntry | None:
        """A study's place in the queue; None for a study that was made in a terminal."""
        with self._reading(name) as (connection, study):
            return _queue.find_entry(connection, study.id)

    def queue(self, states: Collection[QueueState] = ()) -> list[QueueEntry]:
        """The queue by `entered_at`, with what has ended.

        Args:
            states: Only entries in one of these states; empty for all.
        """
        with translated(self.label), _database.reading(self._engine) as connection:
            return _queue.find_entries(connection, *_queue.in_states(states))

    def want(self, name: str, wanted: Wanted, *, now: float) -> QueueEntry:
        """Write down what a person wants of a study; the same wish twice is fine.

        A study that waits, or whose worker is gone, is paused or stopped at once; one that runs, when its worker obeys.
        `run` puts a paused, stopped or failed study at the end of the queue. Of an external study only `wanted` changes.

        Raises:
            WrongState: It makes no sense, e.g. for a study that has ended.
        """
        with self._writing(name) as (connection, study):
            entry = _queue.find_entry(connection, study.id, lock=True)
            if entry is None:
                raise WrongState(
                    f"study {name!r} was not entered through the service, so no worker runs it",
                    hint=f"It was made in a terminal; the command that made it, with --name {name}, continues it there.",
                )
            _queue.change_wish(connection, study.id, entry, wanted, now=now)
            changed = _queue.find_entry(connection, study.id)
        if changed is None:
            raise AssertionError("an entry that was locked is there")
        return changed

    def end_external(self, name: str, message: str) -> bool:
        """End an external study, which no worker ends.

        Args:
            name: The study.
            message: Why, a `StopReason`.

        Returns:
            False when it is not external, or has ended already; of several who try at once, exactly one ends it.
        """
        with self._writing(name) as (connection, study):
            return _queue.end_external(connection, study.id, message)

    def claim(
        self, worker: str, *, host: str, device: str, limit: int, seconds: float, now: float
    ) -> QueueEntry | None:
        """Claim the oldest study that waits to be run, or whose worker was not heard of any more.

        Of several workers that try at once, exactly one gets a study. An empty queue costs one short reading.

        Args:
            worker: Who claims, by a name that no other claim has had.
            host: Where the worker is.
            device: For which of its devices.
            limit: Most studies at the same time on this device of this host, whoever runs them.
            seconds: How long the claim lasts unless it is renewed.
            now: The time.

        Returns:
            The entry, now `running`; None when nothing waits or the device has its fill.
        """
        with translated(self.label):
            with _database.reading(self._engine) as connection:
                if not _queue.claimable(connection, now):
                    return None
            with _database.claiming(self._engine) as connection:
                return _queue.claim(
                    connection, worker, host=host, device=device, limit=limit, seconds=seconds, now=now
                )

    def renew_claim(self, name: str, worker: str, *, seconds: float, now: float) -> Wanted | None:
        """Renew a claim, also one that ran out and was not taken.

        Returns:
            What is wanted of the study; None when the claim is somebody else's by now, or was given back.
        """
        with self._claims() as connection:
            return _queue.renew_claim(connection, name, worker, seconds=seconds, now=now)

    def end_claim(
        self, name: str, worker: str, state: QueueState, message: str = "", *, deaths: int = 0
    ) -> bool:
        """Give a claim back.

        Args:
            name: The study.
            worker: Who has the claim.
            state: `ended` or `failed`; or, for a study that is not over, any of `queued`, `paused` and `stopped`: which of
                the three it becomes is up to what is wanted at this moment.
            message: Why, for people.
            deaths: How often the study's process has died in a row.

        Returns:
            False when the claim was not this worker's any more; nothing was changed.
        """
        with self._claims() as connection:
            return _queue.end_claim(connection, name, worker, state, message=message, deaths=deaths)

    # -- workers --------------------------------------------------------------------------------------------

    def check_in(
        self, worker: str, *, host: str, devices: Sequence[str], slots: int, seconds: float, now: float
    ) -> None:
        """Say that a worker is there, for so many seconds unless it checks in again."""
        row = WorkerRow(worker, host, tuple(devices), slots, heartbeat=now, expires_at=now + seconds)
        with self._claims() as connection:
            _queue.check_in(connection, row)

    def check_out(self, worker: str) -> None:
        """Say that a worker has gone."""
        with self._claims() as connection:
            _queue.check_out(connection, worker)

    def workers(self, now: float) -> list[WorkerRow]:
        """The workers that were heard of lately, by name."""
        with translated(self.label), _database.reading(self._engine) as connection:
            return _queue.find_workers(connection, now)

    @contextmanager
    def _claims(self) -> Iterator[sa.Connection]:
        """A writing transaction on rows that each worker has for itself."""
        with translated(self.label), _database.writing(self._engine) as connection:
            yield connection
