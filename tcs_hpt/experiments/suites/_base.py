"""What all suites have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, Self, TypeAlias, TypeVar, get_args

from pydantic import Field, PrivateAttr

from tcs_hpt.catalog.wording import meant
from tcs_hpt.errors import UserError
from tcs_hpt.spec import Frozen

Size: TypeAlias = Literal["smoke", "quick", "paper"]
SIZES: tuple[Size, ...] = get_args(Size)
AnySize = TypeVar("AnySize")


class Described(Frozen):
    """What every suite says of itself."""

    schema_: Literal[1] = Field(alias="schema")
    name: str
    title: str
    description: str = ""

    _asked: str = PrivateAttr("")

    def asked_as(self, words: str) -> Self:
        """The same suite, named on the command line by these words: its name, or the path of its file."""
        self._asked = words
        return self

    def report_words(self, size: str) -> list[str]:
        """The words of the command that tells of it again."""
        return ["bench", "report", self._asked or self.name, "--size", size]


def size_of(suite: str, sizes: Mapping[Size, AnySize], name: str) -> AnySize:
    """One of a suite's sizes.

    Raises:
        UserError: It has none of this name.
    """
    found = next((size for key, size in sizes.items() if key == name), None)
    if found is None:
        raise UserError(
            f"suite {suite!r} has no size {name!r}",
            hint=f"{meant(name, tuple(sizes), 1)}Sizes: {', '.join(sizes)}.",
        )
    return found
