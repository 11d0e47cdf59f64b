"""The contract of everything that ends trials early."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from tcs_hpt.evidence.roles import role_of
from tcs_hpt.records import EpochRecord, Trial
from tcs_hpt.spec import Scalar


class Pruner(Protocol):
    """Judges running trials by their epochs. Safe to ask from several threads."""

    def look(self, trial: Trial, epochs: Sequence[EpochRecord], others: Sequence[Trial]) -> str:
        """Why the trial should stop now; empty when it should go on. Asked once after each epoch.

        Args:
            trial: The running trial.
            epochs: Its epochs so far, in the order in which they came.
            others: All trials of the study, in any order; those that still run are passed over.
        """
        ...


def planned_epochs(config: Mapping[str, Scalar], fixed: Mapping[str, Scalar]) -> int | None:
    """How many epochs a configuration asks for, by the name of its parameters; None when no name says so."""
    values = {**fixed, **config}
    for name, value in values.items():
        if (
            role_of(name, values) == "duration"
            and not isinstance(value, bool)
            and isinstance(value, int | float)
        ):
            return int(value)
    return None
