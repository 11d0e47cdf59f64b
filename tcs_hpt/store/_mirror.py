"""Optuna's own tables, kept beside ours so that optuna-dashboard and `optuna.load_study` open a study.

The mirror is only ever written: no record is read back from it. It is written through Optuna's public storage
interface, in transactions of its own, so a process that dies can leave it behind; `Mirror.sync` then brings it up
to the records.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from tcs_hpt.errors import StoreError, UserError
from tcs_hpt.records import EpochRecord, Trial
from tcs_hpt.spec import StudySpec
from tcs_hpt.store._database import explain, label
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


class Mirror:
    """Writes studies into Optuna's tables; safe to use from several threads.

    Args:
        url: The database that also holds our tables.
        timeout: Seconds to wait for another writer of a SQLite file.
    """

    def __init__(self, url: sa.URL, timeout: float) -> None:
        self._url = url
        self._timeout = timeout
        self._storage: RDBStorage | None = None
        self._studies: dict[str, _MirroredStudy] = {}
        self._lock = threading.RLock()

    def knows(self, name: str) -> bool:
        """Whether this object has brought a study's mirror up to its records."""
        return name in self._studies

    def require_free(self, name: str) -> None:
        """Check that no study of another program has this name.

        Raises:
            UserError: One has.
        """
        with self._writing() as storage:
            try:
                storage.get_study_id_from_name(name)
            except KeyError:
                return
        raise UserError(
            f"the database already holds an Optuna study {name!r} that tcs-hpt did not make",
            hint="Choose another name with --name, or another database with --store.",
        )

    def sync(self, spec: StudySpec, trials: Sequence[Trial]) -> None:
        """Make the mirror of a study show exactly these records, whatever state it is in."""
        with self._writing() as storage:
            study = _MirroredStudy(spec, _find_or_create(storage, spec))
            there = storage.get_all_trials(study.study_id, deepcopy=False)
            study.trial_ids = {t.user_attrs[NUMBER]: t._trial_id for t in there if NUMBER in t.user_attrs}
            labelled = {t.user_attrs[NUMBER]: t for t in there if NUMBER in t.user_attrs}
            wanted = {t.number: frozen(spec, t) for t in trials}
            if all(n in wanted and can_become(have, wanted[n]) for n, have in labelled.items()):
                for number in sorted(wanted):
                    _write(storage, study, number, wanted[number])
            else:
                _rebuild(storage, study, wanted, [t for t in there if NUMBER not in t.user_attrs])
            self._studies[spec.name] = study

    def write_trial(self, name: str, trial: Trial) -> None:
        """Show one record of a study that `knows`.

        Raises:
            LookupError: The mirror has to be synced first.
        """
        with self._writing() as storage:
            study = self._studies[name]
            wanted = frozen(study.spec, trial)
            trial_id = study.trial_ids.get(trial.number)
            if trial_id is not None and not can_become(storage.get_trial(trial_id), wanted):
                raise LookupError(f"trial {trial.number} has ended in the mirror")
            _write(storage, study, trial.number, wanted)

    def write_epoch(self, name: str, number: int, epoch: EpochRecord) -> None:
        """Show one epoch of a running trial.

        Raises:
            LookupError: The mirror has to be synced first.
        """
        with self._writing() as storage:
            study = self._studies[name]
            for step, value in intermediate(study.spec, (epoch,)).items():
                storage.set_trial_intermediate_value(study.trial_ids[number], step, value)

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
                yield self._storage
            except (optuna.exceptions.StorageInternalError, sa.exc.SQLAlchemyError) as error:
                cause = error.__cause__ if isinstance(error.__cause__, sa.exc.SQLAlchemyError) else error
                raise explain(label(self._url), cause) from error


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
    sqlite = url.get_backend_name() == "sqlite"
    arguments = {"connect_args": {"timeout": timeout, "factory": _RelaxedConnection}} if sqlite else {}
    # Optuna looks whether its tables and their version are there and then makes them, without a lock: of several
    # processes that open a new database at once, all but one fail. Looking again finds what the other has made.
    for attempt in range(_SETUP_ATTEMPTS):
        try:
            return RDBStorage(text, engine_kwargs=arguments)
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


def _rebuild(
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
    for key, value in notes.items():
        storage.set_study_system_attr(study.study_id, key, value)
    for number in sorted(wanted):
        _write(storage, study, number, wanted[number])
    for trial in others:
        storage.create_new_trial(study.study_id, template_trial=trial)


def _write(storage: RDBStorage, study: _MirroredStudy, number: int, wanted: FrozenTrial) -> None:
    """Create a trial, or bring one that `can_become` it up to date; the state comes last."""
    if number not in study.trial_ids:
        study.trial_ids[number] = storage.create_new_trial(study.study_id, template_trial=wanted)
        return
    trial_id = study.trial_ids[number]
    have = storage.get_trial(trial_id)
    if have.state.is_finished():
        return
    for key, value in wanted.user_attrs.items():
        if key not in have.user_attrs or have.user_attrs[key] != value:
            storage.set_trial_user_attr(trial_id, key, value)
    shown = comparable(have.intermediate_values)
    for step, value in wanted.intermediate_values.items():
        if step not in shown or shown[step] != comparable({step: value})[step]:
            storage.set_trial_intermediate_value(trial_id, step, value)
    if wanted.state.is_finished():
        storage.set_trial_state_values(trial_id, wanted.state, wanted.values)
