"""Studies of a comparison as the store holds them."""

from __future__ import annotations

from dataclasses import dataclass

from tcs_hpt.events import StopReason, StudyEnded
from tcs_hpt.records import Trial, ordered
from tcs_hpt.spec import StudySpec
from tcs_hpt.store import Store

SEPARATOR = "--"
"""Between the parts of a study's name; no part but the comparison's own name holds it."""


@dataclass(frozen=True)
class Recorded:
    """A study and everything that happened in it."""

    spec: StudySpec
    trials: tuple[Trial, ...]
    ended: StopReason | None
    """Why it ended the last time; None when it has not run, or was killed in its first run."""

    @property
    def complete(self) -> bool:
        """Whether there is nothing left to run: its trials are used up, or a rule ended it."""
        if (
            self.ended is None
            or self.ended == "interrupted"
            or any(t.state == "running" for t in self.trials)
        ):
            return False
        return self.ended != "trials" or len(ordered(self.trials)) >= self.spec.trials


def recorded(store: Store, name: str) -> Recorded:
    """A study with its trials.

    Raises:
        UserError: There is no such study.
    """
    ended: StopReason | None = None
    for stored in store.events(name, kinds=("study_ended",)):
        if isinstance(stored.event, StudyEnded):
            ended = stored.event.reason
    return Recorded(store.get_study(name), tuple(store.load_trials(name)), ended)


def studies_of(store: Store, comparison: str) -> list[Recorded]:
    """All studies of a comparison, in the order in which they were entered; empty when there is no such comparison."""
    return [
        recorded(store, row.name) for row in reversed(store.list_studies()) if row.comparison == comparison
    ]
