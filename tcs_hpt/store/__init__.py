"""The only reader and writer of what lasts: studies, trials, epochs, model calls, leases and events in one database.

Our tables hold the complete records and are the authority. Optuna's tables in the same database are a mirror for
Optuna's own tools, written right after ours (`docs/decisions/0002-our-tables-are-the-authority.md`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from datetime import UTC, datetime

import sqlalchemy as sa

from tcs_hpt.errors import StoreError, UserError
from tcs_hpt.events import Event
from tcs_hpt.evidence.memory import EarlierStudy
from tcs_hpt.records import EpochRecord, Trial
from tcs_hpt.spec import BUDGETS, StudySpec
from tcs_hpt.store import _database, _leases, _memory, _queue, _rows, _summaries
from tcs_hpt.store._errors import translated
from tcs_hpt.store._leases import Lease, LeaseLost
from tcs_hpt.store._leasing import Leasing
from tcs_hpt.store._mirror import Mirror
from tcs_hpt.store._queue import QueueEntry, QueueState, Wanted, WorkerRow, WrongState
from tcs_hpt.store._queueing import Queueing
from tcs_hpt.store._rows import StoredEvent
from tcs_hpt.store._summaries import StudyPage, StudyRow


class Store(Leasing, Queueing):
    """Studies in one database. Safe to use from several threads; every write is whole or absent.

    Any number of processes may read and write, also in the same study. Engines that run trials of one study at the
    same time take a lease on each (`reserve_number`, `start_trial`, `renew`, `release`) and name themselves as `owner`
    when they write to it. Every method that takes a study's name raises `UserError` when there is no such study, and
    every method raises `StoreError` when the database cannot be read or written.
    """

    def __init__(self, url: sa.URL, engine: sa.Engine, timeout: float, mirror_seconds: float) -> None:
        super().__init__(url, engine)
        self._mirror = Mirror(url, timeout, mirror_seconds, lambda: _database.mirroring(engine, timeout))
        self._mirror_lock = threading.RLock()

    @classmethod
    def open(cls, url: str | None = None, *, timeout: float = 30.0, mirror_seconds: float = 1.0) -> Store:
        """Open a database; make it if there is none, and bring the tables of an older tcs-hpt up to this one's.

        Args:
            url: A database URL or the path of a SQLite file; without one `TCS_HPT_STORE`, else a file in the user's
                data folder. Missing folders are made.
            timeout: Seconds to wait for a lock that another program holds.
            mirror_seconds: Seconds between two updates of a running trial's learning curve in Optuna's tables.

        Raises:
            UserError: The URL is not one, or its driver is missing.
            StoreError: The database cannot be opened, or a newer tcs-hpt made it.
        """
        where = _database.resolve(url)
        return cls(where, _database.connect(where, timeout), timeout, mirror_seconds)

    def close(self) -> None:
        """Close all connections; calling it twice is fine."""
        self._mirror.close()
        self._engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- studies --------------------------------------------------------------------------------------------

    def create_study(self, spec: StudySpec) -> None:
        """Enter a new study under its name.

        Raises:
            UserError: The name is taken.
        """
        taken = UserError(
            f"there is already a study {spec.name!r} in {self.label}",
            hint="Choose another name with --name, or continue that study.",
        )
        if self.has_study(spec.name):
            raise taken
        try:
            self._mirror.require_free(spec.name)
        except UserError:
            if self.has_study(spec.name):  # another process was faster
                raise taken from None
            raise
        created_at = datetime.now(UTC).isoformat(timespec="seconds")
        with translated(self.label):
            try:
                with _database.writing(self._engine) as connection:
                    _rows.insert_study(connection, spec, created_at)
            except sa.exc.IntegrityError as error:  # another process was faster
                raise taken from error
        self.repair_mirror(spec.name)

    def has_study(self, name: str) -> bool:
        """Whether there is a study of this name."""
        with translated(self.label), _database.reading(self._engine) as connection:
            return _rows.find_study(connection, name) is not None

    def get_study(self, name: str) -> StudySpec:
        """How a study was declared."""
        with self._reading(name) as (_, study):
            return _rows.load_spec(study)

    def list_studies(self) -> list[StudyRow]:
        """All studies, newest first; one query, which takes no longer for studies of many trials."""
        with translated(self.label), _database.reading(self._engine) as connection:
            return list(_summaries.rows(connection).rows)

    def study_rows(
        self,
        *,
        limit: int = 50,
        after: str = "",
        query: str = "",
        states: Collection[str] = (),
        name: str = "",
    ) -> StudyPage:
        """A part of the list of studies, newest first; as fast as `list_studies`.

        A study that is entered meanwhile does not move the parts that follow.

        Args:
            limit: Most studies.
            after: `next` of the part before; empty for the first.
            query: Text that the name, the task, its title or the method contains, in any case.
            states: States in the queue, of which a study has one; "" is that of a study which was made in a terminal.
            name: Only the study of this name, if there is one.

        Raises:
            UserError: `after` is not the end of any part.
        """
        with translated(self.label), _database.reading(self._engine) as connection:
            return _summaries.rows(
                connection, limit=limit, after=after, query=query, states=states, name=name
            )

    def study_row(self, name: str) -> StudyRow:
        """One line of the list."""
        with self._reading(name) as (connection, _):
            return _summaries.rows(connection, name=name).rows[0]

    def earlier_studies(self, name: str, *, limit: int = 50) -> list[EarlierStudy]:
        """What a study may remember: those entered before it, of its task or with one of its parameters, newest first.

        Without studies of comparisons, and without those whose first trial has not ended; running and interrupted
        trials do not count. Later studies have no part, so that a study which is continued remembers no other
        ones than it did at first. Takes the same few queries however many studies and trials there are.

        Args:
            name: The study that would remember them.
            limit: Most studies; those of its task go before others when not all fit.
        """
        with self._reading(name) as (connection, study):
            return _memory.earlier_studies(connection, study, limit)

    def update_budgets(self, name: str, spec: StudySpec) -> None:
        """Take over those fields of a declaration that may change when a study is continued (`spec.BUDGETS`)."""
        budgets = spec.model_dump(mode="json", include=set(BUDGETS))
        with self._writing(name) as (connection, study):
            _rows.change_spec(connection, study, budgets)

    def name_models(self, name: str, analysis: str, optimizer: str) -> None:
        """Write down the models of a study that was entered before they were opened.

        Raises:
            WrongState: It has others already.
        """
        with self._writing(name) as (connection, study):
            known = _rows.load_spec(study)
            if {known.analysis_model, known.optimizer_model} != {""}:
                raise WrongState(
                    f"study {name!r} has its models already: {known.analysis_model}, {known.optimizer_model}",
                    hint="Continue it with those, or start a new study.",
                )
            models = {"analysis_model": analysis, "optimizer_model": optimizer}
            _rows.change_spec(connection, study, models)

    def delete_study(self, name: str, *, now: float | None = None) -> None:
        """Delete a study with everything of it, Optuna's tables too.

        Args:
            name: The study.
            now: The time, for what is still alive; this machine's clock if not given.

        Raises:
            WrongState: Somebody runs it; nothing was deleted.
        """
        now = time.time() if now is None else now
        with self._reading(name) as (connection, study):
            _require_idle(connection, study, name, now)
        # Optuna's first: were they to stay behind alone, the name would be taken by a study that is not ours.
        with self._mirror_lock, self._mirror.alone():
            self._mirror.delete(name)
        with self._writing(name) as (connection, study):
            _require_idle(connection, study, name, now)  # else the engine that came brings its mirror back
            _rows.delete_study(connection, study)

    # -- trials ---------------------------------------------------------------------------------------------

    def save_trial(self, name: str, trial: Trial, owner: str | None = None) -> None:
        """Write a trial with its epochs and model calls, in place of any earlier record of that number.

        Args:
            name: The study.
            trial: The record.
            owner: Who writes. With an owner, the record is written only while that owner has the trial's lease, so
                that an engine that comes back cannot overwrite what its successor recorded.

        Raises:
            LeaseLost: The owner does not have the lease; nothing was written.
        """
        with self._writing(name) as (connection, study):
            self._require_lease(connection, study, name, trial.number, owner)
            _rows.replace_trial(connection, study, trial)
        self._show(name, lambda mirror: mirror.write_trial(name, trial))

    def append_epoch(self, name: str, number: int, epoch: EpochRecord, owner: str | None = None) -> None:
        """Add an epoch to a running trial; with an owner, only while that owner has the trial's lease.

        Takes the same time however many epochs there are.

        Raises:
            LeaseLost: The owner does not have the lease.
            StoreError: The study has no such trial, or it is not running.
        """
        with self._writing(name) as (connection, study):
            self._require_lease(connection, study, name, number, owner)
            state = _rows.trial_state(connection, study, number)
            if state != "running":
                raise StoreError(
                    f"trial {number} of study {name!r} {f'is {state}' if state else 'does not exist'}",
                    hint="Epochs can be added only to a trial that was saved as running.",
                )
            _rows.add_epoch(connection, study, number, epoch)
        self._show(name, lambda mirror: mirror.write_epoch(name, number, epoch))

    def load_trials(self, name: str, *, after: int = 0, limit: int | None = None) -> list[Trial]:
        """Trials of a study by number, equal to what was saved, down to the types of the values.

        Args:
            name: The study.
            after: Only those with a number above it.
            limit: At most so many, the lowest; None for all.
        """
        with self._reading(name) as (connection, study):
            return _rows.load_trials(connection, study, after=after, limit=limit)

    def load_trial(self, name: str, number: int) -> Trial:
        """One trial of a study.

        Raises:
            UserError: There is no such trial.
        """
        for trial in self.load_trials(name, after=number - 1, limit=1):
            if trial.number == number:
                return trial
        raise UserError(
            f"study {name!r} has no trial {number}", hint="Trials are numbered 1, 2, 3, ... as they start."
        )

    def start_trial(self, name: str, trial: Trial, owner: str, *, seconds: float, now: float) -> bool:
        """Write a running trial and lease it, both or neither.

        Returns:
            False when there is a trial of that number, or another engine has reserved it; nothing was written.
        """
        with self._writing(name) as (connection, study):
            if _rows.trial_state(connection, study, trial.number) is not None:
                return False
            if not _leases.take(connection, study, trial.number, owner, seconds=seconds, now=now):
                return False
            _rows.replace_trial(connection, study, trial)
        self._show(name, lambda mirror: mirror.write_trial(name, trial))
        return True

    # -- events ---------------------------------------------------------------------------------------------

    def append_event(self, name: str, event: Event, at: str) -> int:
        """Add an event to a study, without what the trial's record holds as well.

        `Proposed` is stored without the model calls of its proposal, `TrialEnded` also without the epochs, each of
        which had its own event, and without the state report, which is in `Proposed`.

        Args:
            name: The study.
            event: What happened.
            at: When, ISO 8601, UTC.

        Returns:
            Its sequence number: 1, 2, 3, ... per study, without gaps, also when several processes write.
        """
        with self._writing(name) as (connection, study):
            seq = _rows.add_event(connection, study, event, at)
        self._show(name, lambda _: None)
        return seq

    def events(
        self, name: str, after: int = 0, *, kinds: Collection[str] = (), limit: int | None = None
    ) -> list[StoredEvent]:
        """The events of a study with a sequence number above `after`, in order.

        Args:
            name: The study.
            after: The last sequence number that the caller knows.
            kinds: Only events of these kinds; empty for all.
            limit: At most so many, the earliest.
        """
        with self._reading(name) as (connection, study):
            return _rows.load_events(connection, study, after, kinds, limit)

    # -- Optuna's tables ------------------------------------------------------------------------------------

    def repair_mirror(self, name: str) -> None:
        """Bring Optuna's tables up to the records; the first write to a study by a store does this by itself."""
        with (
            self._mirror_lock,
            self._mirror.alone(),
        ):  # since before the records are read, so that none is older
            self._mirror.sync(self.get_study(name), self.load_trials(name))

    def _show(self, name: str, write: Callable[[Mirror], None]) -> None:
        """Write to the mirror, or repair it if it is not known to be whole."""
        with self._mirror_lock:
            if self._mirror.knows(name):
                try:
                    write(self._mirror)
                    return
                except LookupError:  # an ended trial changed, or the study was deleted in optuna-dashboard
                    pass
            self.repair_mirror(name)


def _require_idle(connection: sa.Connection, study: _rows.Found, name: str, now: float) -> None:
    entry = _queue.find_entry(connection, study.id)
    if entry is not None and entry.live(now):
        raise WrongState(
            f"study {name!r} is running ({entry.host}, device {entry.device})",
            hint="Stop it, wait a moment until it has ended its trial, then delete it.",
        )
    if not all(lease.expired(now) for lease in _leases.find_leases(connection, study)):
        raise WrongState(
            f"somebody runs trials of study {name!r} at this moment",
            hint="End the program that does (Ctrl-C in its terminal) or wait until its trials are over, then delete it.",
        )


def usual_url() -> str:
    """The database that `Store.open()` without an argument means, without opening it."""
    return _database.resolve(None).render_as_string(hide_password=False)


__all__ = [
    "Lease",
    "LeaseLost",
    "QueueEntry",
    "QueueState",
    "Store",
    "StoredEvent",
    "StudyPage",
    "StudyRow",
    "Wanted",
    "WorkerRow",
    "WrongState",
    "usual_url",
]
