"""Suites that train fixed configurations side by side: nothing is tuned, everything is repeated over training seeds.

    kind = "settings"
    task = "qlora_summarization"
    control = "qlora"                  # what the others are measured against
    columns = ["val_loss"]             # further metrics to show

    [settings.lora]                    # each a name and what it fixes, tuned or fixed parameters alike
    strategy = "lora"

    [sizes.quick]
    profile = "quick"
    takes = "half an hour on two cores"
    seeds = 3
    settings = ["qlora", "lora"]       # all if not given

A training is a study of one trial, so a suite that was cut short goes on where it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from pydantic import Field, model_validator

from tcs_hpt.experiments.suites._base import Described, Size, size_of
from tcs_hpt.spec import Frozen, Name, Scalar

Setting: TypeAlias = Mapping[Name, Scalar]
"""Values that differ from the task's defaults."""


class SettingsSize(Frozen):
    """A suite of settings as it is run."""

    profile: str
    """Of the task."""
    takes: str
    seeds: int = Field(ge=1)
    settings: tuple[Name, ...] = Field(min_length=2)
    """Which of them, in the order of the table; a file may leave it out for all."""

    @property
    def amount(self) -> str:
        """How much it is."""
        return f"{self.seeds * len(self.settings)} trainings"


class SettingsSuite(Described):
    """A suite of fixed configurations."""

    kind: Literal["settings"]
    task: str
    settings: Mapping[Name, Setting] = Field(min_length=2)
    control: Name
    """The setting that the others are measured against."""
    columns: tuple[Name, ...] = ()
    """Metrics of the task that are shown beside the objective."""
    sizes: Mapping[Size, SettingsSize]

    @model_validator(mode="before")
    @classmethod
    def _all_settings(cls, given: Any) -> Any:
        """Give every size that names no settings all of them."""
        if not isinstance(given, dict) or not all(
            isinstance(given.get(k), dict) for k in ("sizes", "settings")
        ):
            return given
        everything = list(given["settings"])
        sizes = {
            name: {"settings": everything, **size} if isinstance(size, dict) else size
            for name, size in given["sizes"].items()
        }
        return {**given, "sizes": sizes}

    @model_validator(mode="after")
    def _known(self) -> SettingsSuite:
        for key, size in self.sizes.items():
            strangers = [name for name in size.settings if name not in self.settings]
            if strangers:
                raise ValueError(f"size {key} names settings that are not there: {', '.join(strangers)}")
            if self.control not in size.settings:
                raise ValueError(f"the control {self.control!r} must be among the settings of size {key}")
        return self

    def size(self, name: str) -> SettingsSize:
        """One of its sizes.

        Raises:
            UserError: It has none of this name.
        """
        return size_of(self.name, self.sizes, name)

    def comparison(self, size: str) -> str:
        """Name of the comparison in the store that holds one of its sizes."""
        return f"{self.name}-{size}"
