"""What is known of studies, kept between requests and read again when something has happened.

A page of a study asks a few times a second. A study is read when it is first asked for, and then only when one of its trials has
begun or ended since; what happens in between, epochs above all, changes nothing here.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from tcs_hpt.errors import UserError
from tcs_hpt.events import StudyEnded, StudyStarted
from tcs_hpt.service.known import Facts, KnownStudy
from tcs_hpt.service.problems import Refused
from tcs_hpt.store import Store, StoredEvent, StudyRow
from tcs_hpt.store.glance import light_trials

MOST_STUDIES = 500
"""The one that was asked for least recently goes first."""
_KINDS = ("study_started", "study_ended", "trial_started", "trial_ended")


class Shelf:
    """The studies of one database. Safe to use from several threads.

    Args:
        store: The database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: OrderedDict[str, KnownStudy] = OrderedDict()
        self._lock = threading.Lock()

    def row(self, name: str) -> StudyRow:
        """A study's line, as it is now.

        Raises:
            Refused: There is no such study (404).
        """
        try:
            return self._store.study_row(name)
        except UserError as error:
            raise Refused(404, error.message, hint=error.hint) from error

    def study(self, name: str) -> KnownStudy:
        """A study, as it is now.

        Raises:
            Refused: There is no such study (404).
        """
        row = self.row(name)  # before anything else: what is read after it is at least as new
        with self._lock:
            known = self._known.get(name)
        # A study of this name that was deleted and made anew is another one.
        other = known is not None and (
            known.row.created_at != row.created_at or known.row.last_event > row.last_event
        )
        if known is None or other:
            told = self._store.events(name, kinds=("study_started", "study_ended"))
            fresh = self._read(row, told, None)
        elif known.row.last_event == row.last_event:
            fresh = replace(known, row=row)
        else:
            told = self._store.events(name, known.row.last_event, kinds=_KINDS)
            fresh = self._read(row, told, known) if told else replace(known, row=row)
        with self._lock:
            self._known[name] = fresh
            self._known.move_to_end(name)
            if len(self._known) > MOST_STUDIES:
                self._known.popitem(last=False)
        return fresh

    def _read(self, row: StudyRow, told: Sequence[StoredEvent], known: KnownStudy | None) -> KnownStudy:
        """The study from its records.

        Args:
            row: Its line.
            told: The beginnings and ends of its runs that are not known yet.
            known: What was known before.
        """
        reason, ended = ("", None) if known is None else (known.model_reason, known.ended)
        for stored in told:
            if isinstance(stored.event, StudyStarted):
                reason, ended = stored.event.model_reason, None
            elif isinstance(stored.event, StudyEnded):
                ended = stored.event.reason
        spec = self._store.get_study(row.name)
        return KnownStudy(row, spec, Facts.of(spec, light_trials(self._store, row.name)), reason, ended)
