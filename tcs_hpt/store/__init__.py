"""The only reader and writer of what lasts: studies, trials, epochs, model calls and events in one database.

Our tables hold the complete records and are the authority. Optuna's tables in the same database are a mirror for
Optuna's own tools, written right after ours (`docs/decisions/0002-our-tables-are-the-authority.md`).
"""

from __future__ import annotations

import difflib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime

import sqlalchemy as sa

from tcs_hpt.errors import StoreError, UserError
from tcs_hpt.events import Event
from tcs_hpt.records import EpochRecord, Trial
from tcs_hpt.spec import StudySpec
from tcs_hpt.store import _database, _rows
from tcs_hpt.store._mirror import Mirror
from tcs_hpt.store._rows import StoredEvent, StudyRow

_SHOWN_NAMES = 10


class Store:
    """Studies in one database. Safe to use from several threads; every write is whole or absent.

    Any number of processes may read a study, also while it runs; one process at a time may write to it. Every
    method that takes a study's name raises `UserError` when there is no such study, and every method raises
    `StoreError` when the database cannot be read or written.
    """

    def __init__(self, url: sa.URL, engine: sa.Engine, timeout: float) -> None:
        self._url = url
        self._engine = engine
        self._mirror = Mirror(url, timeout)
        self._mirror_lock = threading.RLock()

    @classmethod
    def open(cls, url: str | None = None, *, timeout: float = 30.0) -> Store:
        """Open a database, and make it if there is none.

        Args:
            url: A database URL or the path of a SQLite file; without one `TCS_HPT_STORE`, else a file in the user's
                data folder. Missing folders are made.
            timeout: Seconds to wait for another writer of a SQLite file.

        Raises:
            UserError: The URL is not one, or its driver is missing.
            StoreError: The database cannot be opened, or a newer tcs-hpt made it.
        """
        where = _database.resolve(url)
        return cls(where, _database.connect(where, timeout), timeout)

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
        self._mirror.require_free(spec.name)
        created_at = datetime.now(UTC).isoformat(timespec="seconds")
        with _database.translated(self.label):
            try:
                with _database.writing(self._engine) as connection:
                    _rows.insert_study(connection, spec, created_at)
            except sa.exc.IntegrityError as error:  # another process was faster
                raise taken from error
        self.repair_mirror(spec.name)

    def has_study(self, name: str) -> bool:
        """Whether there is a study of this name."""
        with _database.translated(self.label), _database.reading(self._engine) as connection:
            return _rows.find_study(connection, name) is not None

    def get_study(self, name: str) -> StudySpec:
        """How a study was declared."""
        with self._reading(name) as (_, study):
            return _rows.load_spec(study)

    def list_studies(self) -> list[StudyRow]:
        """All studies, newest first."""
        with _database.translated(self.label), _database.reading(self._engine) as connection:
            return _rows.study_rows(connection)

    def update_trials_budget(self, name: str, trials: int) -> None:
        """Change the total number of trials of a study, the one thing in its declaration that may change.

        Raises:
            UserError: The number is below 1.
        """
        if trials < 1:
            raise UserError(f"a study needs at least 1 trial, got {trials}", hint="Give a larger --trials.")
        with self._writing(name) as (connection, study):
            _rows.set_budget(connection, study, trials)

    # -- trials ---------------------------------------------------------------------------------------------

    def save_trial(self, name: str, trial: Trial) -> None:
        """Write a trial with its epochs and model calls, in place of any earlier record of that number."""
        with self._writing(name) as (connection, study):
            _rows.replace_trial(connection, study, trial)
        self._show(name, lambda mirror: mirror.write_trial(name, trial))

    def append_epoch(self, name: str, number: int, epoch: EpochRecord) -> None:
        """Add an epoch to a running trial.

        Raises:
            StoreError: The study has no such trial, or it is not running.
        """
        with self._writing(name) as (connection, study):
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

    # -- events ---------------------------------------------------------------------------------------------

    def append_event(self, name: str, event: Event, at: str) -> int:
        """Add an event to a study.

        Args:
            name: The study.
            event: What happened.
            at: When, ISO 8601, UTC.

        Returns:
            Its sequence number: 1, 2, 3, ... per study, without gaps.
        """
        with self._writing(name) as (connection, study):
            seq = _rows.add_event(connection, study, event, at)
        self._show(name, lambda _: None)
        return seq

    def events(self, name: str, after: int = 0) -> list[StoredEvent]:
        """The events of a study with a sequence number above `after`, in order."""
        with self._reading(name) as (connection, study):
            return _rows.load_events(connection, study, after)

    # -- Optuna's tables ------------------------------------------------------------------------------------

    def repair_mirror(self, name: str) -> None:
        """Bring Optuna's tables up to the records; the first write to a study by a store does this by itself."""
        with self._mirror_lock:
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
        with _database.translated(self.label), _database.reading(self._engine) as connection:
            yield connection, self._required(connection, name)

    @contextmanager
    def _writing(self, name: str) -> Iterator[tuple[sa.Connection, _rows.Found]]:
        with _database.translated(self.label), _database.writing(self._engine) as connection:
            yield connection, self._required(connection, name, lock=True)

    def _required(self, connection: sa.Connection, name: str, *, lock: bool = False) -> _rows.Found:
        found = _rows.find_study(connection, name, lock=lock)
        if found is None:
            raise UserError(
                f"there is no study {name!r} in {self.label}",
                hint=_suggestion(name, _rows.study_names(connection)),
            )
        return found


def _suggestion(name: str, known: Sequence[str]) -> str:
    if not known:
        return "It holds no studies yet; `tcs-hpt tune` makes one, --store names another database."
    near = difflib.get_close_matches(name, known, n=3)
    more = f" and {len(known) - _SHOWN_NAMES} more" if len(known) > _SHOWN_NAMES else ""
    listed = f"Studies: {', '.join(known[:_SHOWN_NAMES])}{more}."
    return f"Did you mean {' or '.join(near)}? {listed}" if near else listed


__all__ = ["Store", "StoredEvent", "StudyRow"]
