"""The only reader and writer of what lasts: studies, trials, epochs, model calls, leases and events in one database.

Our tables hold the complete records and are the authority. Optuna's tables in the same database are a mirror for
Optuna's own tools, written right after ours (`docs/decisions/0002-our-tables-are-the-authority.md`).
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import sqlalchemy as sa

from tcs_hpt.errors import StoreError, UserError
from tcs_hpt.events import Event
from tcs_hpt.evidence.memory import EarlierStudy
from tcs_hpt.records import EpochRecord, Trial
from tcs_hpt.spec import BUDGETS, StudySpec
from tcs_hpt.store import _database, _leases, _memory, _rows
from tcs_hpt.store._errors import translated
from tcs_hpt.store._leases import Lease, LeaseLost
from tcs_hpt.store._mirror import Mirror
from tcs_hpt.store._rows import StoredEvent, StudyRow

_SHOWN_NAMES = 10


class Store:
    """Studies in one database. Safe to use from several threads; every write is whole or absent.

    Any number of processes may read and write, also in the same study. Engines that run trials of one study at the
    same time take a lease on each (`reserve_number`, `start_trial`, `renew`, `release`) and name themselves as `owner`
    when they write to it. Every method that takes a study's name raises `UserError` when there is no such study, and
    every method raises `StoreError` when the database cannot be read or written.
    """

    def __init__(self, url: sa.URL, engine: sa.Engine, timeout: float, mirror_seconds: float) -> None:
        self._url = url
        self._engine = engine
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

    @property
    def url(self) -> str:
        """The database, complete with any password, so that it can be opened again; files by absolute path."""
        return self._url.render_as_string(hide_password=False)

    @property
    def label(self) -> str:
        """The database as people may see it: a file's path, or the URL without its password."""
        return _database.label(self._url)

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
        """All studies, newest first."""
        with translated(self.label), _database.reading(self._engine) as connection:
            return _rows.study_rows(connection)

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

    def load_trials(self, name: str) -> list[Trial]:
        """All trials of a study by number, equal to what was saved, down to the types of the values."""
        with self._reading(name) as (connection, study):
            return _rows.load_trials(connection, study)

    # -- leases (times: seconds since 1970, UTC, by the caller's clock) -------------------------------------

    def reserve_number(
        self, name: str, owner: str, *, seconds: float, now: float, budget: int | None = None
    ) -> int | None:
        """Lease the number of the next trial, before its configuration is chosen.

        No other engine is given this number while the lease lasts, so that no proposal is worked out twice. There is
        no record of such a trial until `start_trial`. A number that was released, or whose lease ran out before the
        trial began, is given out again: numbers are unique and have no gaps from engines that died while thinking.

        Args:
            name: The study.
            owner: The engine.
            seconds: How long the lease lasts unless it is renewed.
            now: The time.
            budget: The study's total of trials, if the answer shall be None once that many count or are under way.

        Returns:
            The lowest number above every trial that nobody holds.
        """
        with self._writing(name) as (connection, study):
            return _leases.reserve(connection, study, owner, seconds=seconds, now=now, budget=budget)

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

    def acquire(self, name: str, number: int, owner: str, *, seconds: float, now: float) -> bool:
        """Lease a number whose lease is free, run out, or this owner's already.

        Of several engines that try at once, exactly one succeeds.
        """
        with self._writing(name) as (connection, study):
            return _leases.take(connection, study, number, owner, seconds=seconds, now=now)

    def renew(self, name: str, owner: str, *, seconds: float, now: float) -> frozenset[int]:
        """Renew all leases of an owner, also those that ran out but were not taken.

        Returns:
            The numbers that the owner has; a trial whose number is missing belongs to another engine now.
        """
        with self._writing(name) as (connection, study):
            return _leases.renew(connection, study, owner, seconds=seconds, now=now)

    def release(self, name: str, number: int, owner: str) -> bool:
        """Give a lease up; False when the owner did not have it."""
        with self._writing(name) as (connection, study):
            return _leases.drop(connection, study, number, owner)

    def leases(self, name: str) -> list[Lease]:
        """All leases of a study, by number, also those that ran out."""
        with self._reading(name) as (connection, study):
            return _leases.find_leases(connection, study)

    def expired(self, name: str, now: float) -> list[Lease]:
        """The leases that another engine may take, by number."""
        return [lease for lease in self.leases(name) if lease.expired(now)]

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

    # -- transactions ---------------------------------------------------------------------------------------

    @contextmanager
    def _reading(self, name: str) -> Iterator[tuple[sa.Connection, _rows.Found]]:
        with translated(self.label), _database.reading(self._engine) as connection:
            yield connection, self._required(connection, name)

    @contextmanager
    def _writing(self, name: str) -> Iterator[tuple[sa.Connection, _rows.Found]]:
        """In which no other process writes to this study."""
        with translated(self.label), _database.writing(self._engine) as connection:
            yield connection, self._required(connection, name, lock=True)

    def _required(self, connection: sa.Connection, name: str, *, lock: bool = False) -> _rows.Found:
        found = _rows.find_study(connection, name, lock=lock)
        if found is None:
            raise UserError(
                f"there is no study {name!r} in {self.label}",
                hint=_suggestion(name, _rows.study_names(connection)),
            )
        return found

    @staticmethod
    def _require_lease(
        connection: sa.Connection, study: _rows.Found, name: str, number: int, owner: str | None
    ) -> None:
        if owner is None:
            return
        holder = _leases.holder(connection, study, number)
        if holder != owner:
            raise LeaseLost(name, number, owner, holder)


def _suggestion(name: str, known: Sequence[str]) -> str:
    if not known:
        return "It holds no studies yet; `tcs-hpt tune` makes one, --store names another database."
    near = difflib.get_close_matches(name, known, n=3)
    more = f" and {len(known) - _SHOWN_NAMES} more" if len(known) > _SHOWN_NAMES else ""
    listed = f"Studies: {', '.join(known[:_SHOWN_NAMES])}{more}."
    return f"Did you mean {' or '.join(near)}? {listed}" if near else listed


def usual_url() -> str:
    """The database that `Store.open()` without an argument means, without opening it."""
    return _database.resolve(None).render_as_string(hide_password=False)


__all__ = ["Lease", "LeaseLost", "Store", "StoredEvent", "StudyRow", "usual_url"]
