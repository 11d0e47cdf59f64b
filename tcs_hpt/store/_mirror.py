"""Optuna's own tables, kept beside ours so that optuna-dashboard and `optuna.load_study` open a study.

The mirror is only ever written: no record is read back from it. It is written through Optuna's public storage
interface (only curves are not, see `_curves.py`), in transactions of its own, so a process that dies can leave it behind;
`Mirror.sync` then brings it up to the records. Several processes may mirror one study: they create trials one at a
time, and each looks first for what the others have created.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from tcs_hpt.errors import StoreError, UserError
from tcs_hpt.records import EpochRecord, Trial
from tcs_hpt.spec import StudySpec
from tcs_hpt.store import _curves
from tcs_hpt.store._database import engine_options, is_sqlite, label
from tcs_hpt.store._errors import explain, translated
from tcs_hpt.store._optuna_form import NUMBER, can_become, comparable, frozen, intermediate

if TYPE_CHECKING:  # importing Optuna costs a third of a second, which only writers pay
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial

_SETUP_ATTEMPTS = 10


@dataclass
class _MirroredStudy:
    spec: StudySpec
    study_id: int
    trial_ids: dict[int, int] = field(default_factory=dict)
    seen: int = 0
    """How many of Optuna's trials were looked at; they are numbered from 0."""
    pending: dict[int, dict[int, float]] = field(default_factory=dict)
    """Points of running trials' curves that are not shown yet."""
    shown_at: dict[int, float] = field(default_factory=dict)
    """When a running trial's curve was last written, by the monotonic clock."""


class Mirror:
    """Writes studies into Optuna's tables; safe to use from several threads.

    Args:
        url: The database that also holds our tables.
        timeout: Seconds to wait for a lock that another program holds.
        seconds: Seconds between two updates of a running trial's curve.
        exclusive: Keeps other processes from creating trials meanwhile.
        clock: Monotonic, in seconds.
    """

    def __init__(
        self,
        url: sa.URL,
        timeout: float,
        seconds: float,
        exclusive: Callable[[], AbstractContextManager[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._timeout = timeout
        self._seconds = seconds
        self._exclusive = exclusive
        self._clock = clock
        self._storage: RDBStorage | None = None
        self._curves: sa.Table | None = None
        self._studies: dict[str, _MirroredStudy] = {}
        self._lock = threading.RLock()

    def knows(self, name: str) -> bool:
        """Whether this object has brought a study's mirror up to its records."""
        return name in self._studies

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep other processes and threads from creating trials in the mirror; `sync` needs it."""
        with self._lock, translated(label(self._url)), self._exclusive():
            yield

    def require_free(self, name: str) -> None:
        """Check that no study of another program has this name.

        Raises:
            UserError: One has.
        """
        with self.alone(), self._writing() as storage:
            try:
                storage.get_study_id_from_name(name)
            except KeyError:
                return
        raise UserError(
            f"the database already holds an Optuna study {name!r} that tcs-hpt did not make",
            hint="Choose another name with --name, or another database with --store.",
        )

    def sync(self, spec: StudySpec, trials: Sequence[Trial]) -> None:
        """Make the mirror of a study show exactly these records, whatever state it is in; only while `alone`."""
        with self._writing() as storage:
            study = _MirroredStudy(spec, _find_or_create(storage, spec))
            there = storage.get_all_trials(study.study_id, deepcopy=False)
            ours = [t for t in there if NUMBER in t.user_attrs]
            wanted = {t.number: frozen(spec, t) for t in trials}
            labelled = {t.user_attrs[NUMBER]: t for t in ours}
            study.trial_ids = {number: t._trial_id for number, t in labelled.items()}
            study.seen = len(there)
            fits = all(n in wanted and can_become(have, wanted[n]) for n, have in labelled.items())
            if fits and len(labelled) == len(ours):
                for number in sorted(wanted):
                    self._write(storage, study, number, wanted[number])
            else:
                self._rebuild(storage, study, wanted, [t for t in there if NUMBER not in t.user_attrs])
            self._studies[spec.name] = study

    def delete(self, name: str) -> None:
        """Delete a study, if it is there; only while `alone`."""
        with self._writing() as storage:
            self._studies.pop(name, None)
            with contextlib.suppress(KeyError):  # somebody has deleted it in optuna-dashboard
                study_id = storage.get_study_id_from_name(name)
                _delete_trials(storage, study_id)
                storage.delete_study(study_id)

    def write_trial(self, name: str, trial: Trial) -> None:
        """Show one record of a study that `knows`.

        Raises:
            LookupError: The mirror has to be synced first.
        """
        with self.alone(), self._writing() as storage:
            study = self._studies[name]
            self._find_new(storage, study)
            study.pending.pop(trial.number, None)
            study.shown_at[trial.number] = self._clock()
            self._write(storage, study, trial.number, frozen(study.spec, trial))
            if trial.state != "running":
                del study.shown_at[trial.number]

    def write_epoch(self, name: str, number: int, epoch: EpochRecord) -> None:
        """Show an epoch of a running trial, with the next ones if the last update was a moment ago.

        Raises:
            LookupError: The mirror has to be synced first.
        """
        with self._lock:
            study = self._studies[name]
            pending = study.pending.setdefault(number, {})
            pending.update(intermediate(study.spec, (epoch,)))
            now = self._clock()
            if not pending or now - study.shown_at.get(number, -self._seconds) < self._seconds:
                return
            with self._writing() as storage:
                trial_id = study.trial_ids[number]
                if storage.get_trial_user_attrs(trial_id).get(NUMBER) != number:
                    raise LookupError(f"trial {number} is not where it was")  # the study was made anew
                _curves.extend(storage, self._curves, trial_id, pending)
            study.shown_at[number] = now
            del study.pending[number]

    def close(self) -> None:
        """Close the connections; calling it twice is fine."""
        with self._lock:
            if self._storage is not None:
                self._storage.remove_session()
                self._storage.engine.dispose()
            self._storage = None
            self._studies.clear()

    @contextmanager
    def _writing(self) -> Iterator[RDBStorage]:
        """The storage, for one thread at a time, with its errors in our words."""
        import optuna

        with self._lock:
            try:
                if self._storage is None:
                    self._storage = _open(self._url, self._timeout)
                    self._curves = _curves.open_table(self._storage)
                yield self._storage
            except (optuna.exceptions.StorageInternalError, sa.exc.SQLAlchemyError) as error:
                cause = error.__cause__ if isinstance(error.__cause__, sa.exc.SQLAlchemyError) else error
                raise explain(label(self._url), cause) from error

    def _find_new(self, storage: RDBStorage, study: _MirroredStudy) -> None:
        """Learn of trials that other processes have created since."""
        while True:
            try:
                trial_id = storage.get_trial_id_from_study_id_trial_number(study.study_id, study.seen)
            except KeyError:
                return
            study.seen += 1
            number = storage.get_trial_user_attrs(trial_id).get(NUMBER)
            if number is not None:
                study.trial_ids[number] = trial_id

    def _rebuild(
        self,
        storage: RDBStorage,
        study: _MirroredStudy,
        wanted: Mapping[int, FrozenTrial],
        others: Sequence[FrozenTrial],
    ) -> None:
        """Replace the study: Optuna never changes a trial that has ended, so a record that did needs a new one."""
        notes = storage.get_study_system_attrs(study.study_id)  # what a person wrote in optuna-dashboard
        storage.delete_study(study.study_id)
        study.study_id = _find_or_create(storage, study.spec)
        study.trial_ids.clear()
        study.seen = 0
        for key, value in notes.items():
            storage.set_study_system_attr(study.study_id, key, value)
        for number in sorted(wanted):
            self._write(storage, study, number, wanted[number])
        for trial in others:
            storage.create_new_trial(study.study_id, template_trial=trial)

    def _write(self, storage: RDBStorage, study: _MirroredStudy, number: int, wanted: FrozenTrial) -> None:
        """Create a trial, or bring the one that is there up to date; the state comes last.

        Raises:
            LookupError: The one that is there cannot become this.
        """
        if number not in study.trial_ids:
            study.trial_ids[number] = self._create(storage, study.study_id, wanted)
            return
        trial_id = study.trial_ids[number]
        have = storage.get_trial(trial_id)
        if have.user_attrs.get(NUMBER) != number or not can_become(have, wanted):
            raise LookupError(f"trial {number} has ended in the mirror, or is not where it was")
        if have.state.is_finished():
            return
        for key, value in wanted.user_attrs.items():
            if key not in have.user_attrs or have.user_attrs[key] != value:
                storage.set_trial_user_attr(trial_id, key, value)
        shown, due = comparable(have.intermediate_values), comparable(wanted.intermediate_values)
        missing = {s: v for s, v in wanted.intermediate_values.items() if s not in shown}
        _curves.extend(storage, self._curves, trial_id, missing)
        for step, value in wanted.intermediate_values.items():
            if step in shown and shown[step] != due[step]:
                storage.set_trial_intermediate_value(trial_id, step, value)
        if wanted.state.is_finished():
            storage.set_trial_state_values(trial_id, wanted.state, wanted.values)

    def _create(self, storage: RDBStorage, study_id: int, wanted: FrozenTrial) -> int:
        if self._curves is None:
            return storage.create_new_trial(study_id, template_trial=wanted)
        bare = copy.copy(wanted)
        bare.intermediate_values = {}
        trial_id = storage.create_new_trial(study_id, template_trial=bare)
        _curves.insert(storage, self._curves, trial_id, wanted.intermediate_values)
        return trial_id


def _delete_trials(storage: RDBStorage, study_id: int) -> None:
    """Delete the trials of a study at once.

    Optuna's `delete_study` loads every row of every trial and deletes them one by one; a study of a thousand trials would keep
    the database locked for many seconds. Should a later Optuna hang more on a trial than rows that name it, nothing is
    deleted here, and all is left to Optuna.
    """
    metadata = sa.MetaData()
    metadata.reflect(storage.engine, only=lambda name, _: name == "trials" or name.startswith("trial_"))
    trials = metadata.tables["trials"]
    mine = sa.select(trials.c.trial_id).where(trials.c.study_id == study_id)
    parts = [t for t in metadata.tables.values() if any(k.column.table is trials for k in t.foreign_keys)]
    with contextlib.suppress(sa.exc.IntegrityError), storage.engine.begin() as connection:
        for table in parts:
            connection.execute(table.delete().where(table.c.trial_id.in_(mine)))
        connection.execute(trials.delete().where(trials.c.study_id == study_id))


class _RelaxedConnection(sqlite3.Connection):
    """Does not wait for the disk at every commit: what a power cut takes from the mirror is repaired, not lost.

    In WAL mode, which our tables set for the file, this cannot damage the database.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.execute("PRAGMA synchronous=NORMAL").close()


def _open(url: sa.URL, timeout: float) -> RDBStorage:
    from optuna.storages import RDBStorage

    logging.getLogger("optuna.storages").setLevel(logging.WARNING)  # "A new study created" on standard error
    # Optuna fills `{SCHEMA_VERSION}` into URLs, so braces in a path have to be doubled.
    text = url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
    options = engine_options(url, timeout)
    if is_sqlite(url):
        options["connect_args"]["factory"] = _RelaxedConnection
    # Optuna looks whether its tables and their version are there and then makes them, without a lock: of several
    # processes that open a new database at once, all but one fail. Looking again finds what the other has made.
    for attempt in range(_SETUP_ATTEMPTS):
        try:
            return RDBStorage(text, engine_kwargs=options)
        except (sa.exc.OperationalError, sa.exc.ProgrammingError, sa.exc.IntegrityError) as error:
            raced = isinstance(error, sa.exc.IntegrityError) or "already exists" in str(error)
            if not raced or attempt == _SETUP_ATTEMPTS - 1:
                raise
        except RuntimeError as error:
            raise StoreError(
                f"Optuna's tables in {label(url)} do not fit the installed Optuna ({error})",
                hint="Run `optuna storage upgrade --storage URL`, or choose another database with --store.",
            ) from error
    raise AssertionError("the last attempt returns or raises")


def _find_or_create(storage: RDBStorage, spec: StudySpec) -> int:
    from optuna.exceptions import DuplicatedStudyError
    from optuna.study import StudyDirection

    maximize = spec.task.objective.direction == "maximize"
    direction = StudyDirection.MAXIMIZE if maximize else StudyDirection.MINIMIZE
    try:
        study_id = storage.create_new_study([direction], study_name=spec.name)
    except DuplicatedStudyError:
        study_id = storage.get_study_id_from_name(spec.name)
    about = {
        "task": spec.task.name,
        "method": spec.method,
        "metric": spec.task.objective.metric,
        "seed": spec.seed,
    }
    for key in about.keys() - storage.get_study_user_attrs(study_id).keys():
        storage.set_study_user_attr(study_id, key, about[key])
    return study_id
