"""The evidence blocks by name, each of which can be left out."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Literal, TypeAlias, get_args

from tcs_hpt.errors import UserError

Block: TypeAlias = Literal["knowledge", "surrogate", "curves", "stagnation", "memory"]

BLOCKS: dict[Block, str] = {
    "knowledge": "what experience knows of a hyperparameter by its name",
    "surrogate": "what a Gaussian process learned from the trials, above all what to avoid",
    "curves": "whether more epochs would help",
    "stagnation": "looking farther when changes stop helping",
    "memory": "what earlier studies in the same store found",
}
"""What each block adds, in the order to be shown."""

ALL: frozenset[Block] = frozenset(get_args(Block))
NONE: frozenset[Block] = frozenset()


def without(names: Iterable[str]) -> frozenset[Block]:
    """All blocks but the named ones.

    Raises:
        UserError: There is no such block.
    """
    unwanted = list(names)
    for name in unwanted:
        if name not in BLOCKS:
            near = difflib.get_close_matches(name, BLOCKS, n=1)
            meant = f"Did you mean `{near[0]}`? " if near else ""
            raise UserError(
                f"there is no evidence block {name!r}", hint=f"{meant}Blocks: {', '.join(BLOCKS)}."
            )
    return frozenset(block for block in BLOCKS if block not in unwanted)
