"""Everything that earlier studies have to say to one study."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tcs_hpt.evidence.memory._configurations import RememberedConfiguration, remembered_configurations
from tcs_hpt.evidence.memory._study import EarlierStudy, Remembered, remembered_studies
from tcs_hpt.evidence.memory._values import RememberedValue, remembered_values
from tcs_hpt.spec import StudySpec


@dataclass(frozen=True)
class Memory:
    """What earlier studies have to say to one study."""

    studies: tuple[Remembered, ...] = ()
    """The closest and newest first, also those that offer nothing."""
    values: tuple[RememberedValue, ...] = ()
    """Best first."""
    configurations: tuple[RememberedConfiguration, ...] = ()
    """By score, best first, all different."""


def recall(study: StudySpec, earlier: Iterable[EarlierStudy]) -> Memory:
    """What earlier studies have to say; nothing within a comparison, where no study may learn from another.

    Args:
        study: The present study; one of its name among the earlier ones is passed over.
        earlier: Other studies of any task, in any order.
    """
    if study.comparison:
        return Memory()
    studies = remembered_studies(study, earlier)
    return Memory(
        studies, remembered_values(study.task, studies), remembered_configurations(study.task, studies)
    )
