"""Suites that ask models the same thing again and again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from tcs_hpt.experiments.consistency import Shown
from tcs_hpt.experiments.suites._base import Described, Size, size_of
from tcs_hpt.spec import Frozen


class AskingSize(Frozen):
    """A study that asks models, as it is run."""

    takes: str
    model: str = "auto"
    """Who is asked, unless the user names a model; several with commas."""
    states: tuple[str, ...] = Field(min_length=1)
    """Example states of a study; for the consistency study, such that have a learning rate."""
    shown: tuple[Shown, ...] = Field(min_length=1)
    repeats: int = Field(ge=1)

    @property
    def amount(self) -> str:
        """How much it is."""
        return f"{self.questions} questions to each model"

    @property
    def questions(self) -> int:
        """How often a model is asked."""
        return len(self.states) * len(self.shown) * self.repeats


class AskingSuite(Described):
    """A suite that asks models the same thing again and again: `consistency` for a learning rate, `energy` both agents."""

    kind: Literal["consistency", "energy"]
    sizes: Mapping[Size, AskingSize]

    def size(self, name: str) -> AskingSize:
        """One of its sizes.

        Raises:
            UserError: It has none of this name.
        """
        return size_of(self.name, self.sizes, name)
