"""What is known of studies, kept between requests and read again when something has happened.

A page of a study asks a few times a second. What its trials amount to is the one thing that takes a look at all of them, so it is
worked out when it is asked for, and again only when one of them has begun or ended since; what happens in between, epochs above
all, changes nothing here.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from tcs_hpt.errors import UserError
from tcs_hpt.events import StudyEnded, StudyStarted
from tcs_hpt.service.known import Facts, KnownStudy
from tcs_hpt.service.problems import Refused
from tcs_hpt.store import Store, StoredEvent, StudyRow
from tcs_hpt.store.glance import light_trials

MOST_STUDIES = 500
"""The one that was asked for least recently goes first."""
_KINDS = ("study_started", "study_ended", "trial_started", "trial_ended")

V = TypeVar("V")


class Shelf:
    """The studies of one database. Safe to use from several threads.

    Args:
        store: The database.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: _Recent[KnownStudy] = _Recent(MOST_STUDIES)
        self._facts: _Recent[tuple[KnownStudy, Facts]] = _Recent(MOST_STUDIES)
        self._looking = threading.Lock()

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
        """A study, as it is now; none of its trials is looked at.

        Raises:
            Refused: There is no such study (404).
        """
        row = self.row(name)  # before anything else: what is read after it is at least as new
        known = self._known.get(name)
        # A study of this name that was deleted and made anew is another one.
        if known is None or known.row.created_at != row.created_at or known.row.last_event > row.last_event:
            told = self._store.events(name, kinds=("study_started", "study_ended"))
            fresh = _told(KnownStudy(row, self._store.get_study(name), row.last_event), told)
        elif known.row.last_event == row.last_event:
            fresh = replace(known, row=row, newest=max(known.newest, row.last_event))
        else:
            told = self._store.events(name, known.row.last_event, kinds=_KINDS)
            changed = told[-1].seq if told else known.changed
            fresh = _told(replace(known, row=row, changed=changed), told)
        self._known.put(name, fresh)
        return fresh

    def facts(self, study: KnownStudy) -> Facts:
        """What its trials amount to, at that moment or a later one.

        Raises:
            StoreError: The database cannot be read.
            UserError: It was deleted in the meantime.
        """
        if (facts := self._kept(study)) is not None:
            return facts
        with self._looking:  # several looks at once would only take the processor from each other
            if (facts := self._kept(study)) is not None:
                return facts
            facts = Facts.of(study.spec, light_trials(self._store, study.row.name))
            self._facts.put(study.row.name, (study, facts))
            return facts

    def _kept(self, study: KnownStudy) -> Facts | None:
        of, facts = self._facts.get(study.row.name) or (None, None)
        same = of is not None and (of.row.created_at, of.changed) == (study.row.created_at, study.changed)
        return facts if same else None


class _Recent(Generic[V]):
    """What was put in last under each name. Safe to use from several threads."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._items: OrderedDict[str, V] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str) -> V | None:
        with self._lock:
            return self._items.get(name)

    def put(self, name: str, value: V) -> None:
        with self._lock:
            self._items[name] = value
            self._items.move_to_end(name)
            if len(self._items) > self._most:
                self._items.popitem(last=False)


def _told(study: KnownStudy, told: Sequence[StoredEvent]) -> KnownStudy:
    """The study after some events of it."""
    reason, ended = study.model_reason, study.ended
    for stored in told:
        if isinstance(stored.event, StudyStarted):
            reason, ended = stored.event.model_reason, None
        elif isinstance(stored.event, StudyEnded):
            ended = stored.event.reason
    newest = max(study.row.last_event, told[-1].seq if told else 0)
    return replace(study, model_reason=reason, ended=ended, newest=newest)
