"""Recognising the parameters of a task in the tables."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain as joined

from tcs_hpt.evidence.knowledge._entry import LABELS, Confidence, Entry, Family, chain
from tcs_hpt.evidence.knowledge._family import Inferred, family_of, known_in, root
from tcs_hpt.evidence.knowledge._fit import applies
from tcs_hpt.evidence.knowledge._names import spellings
from tcs_hpt.evidence.knowledge._tables import NAMES
from tcs_hpt.spec import ParameterSpec


@dataclass(frozen=True)
class Match:
    """A parameter recognised."""

    family: Family
    entries: tuple[Entry, ...]
    """Those that may hold for it, the nearest family's first."""
    confidence: Confidence
    """How sure the family is."""

    @property
    def concept(self) -> str:
        """What it is, by its canonical name."""
        return self.entries[0].concept


def match(name: str, parameter: ParameterSpec, inferred: Inferred) -> Match | str:
    """What a parameter is, or why nothing is said about it."""
    family, confidence = family_of(name, parameter, inferred)
    elsewhere = known_in(name)
    if family is None:
        return f"{name} could belong to {_listing(elsewhere)}" if elsewhere else "an unknown name"
    entries = entries_of(name, family)
    fitting = tuple(e for e in entries if applies(e, parameter))
    if fitting:
        return Match(family, fitting, confidence)
    if entries:
        return "known with values of another type"
    return f"means something else than in {_listing(elsewhere)}" if elsewhere else "an unknown name"


def entries_of(name: str, family: Family) -> tuple[Entry, ...]:
    """All entries of a name in a family and its ancestors, the nearest and the most conditional first.

    A less literal spelling counts only when no family in the chain knows a more literal one.
    """
    for spelling in spellings(name):
        levels = [NAMES[f].get(spelling, ()) for f in chain(family)]
        if any(levels):
            return tuple(joined.from_iterable(sorted(level, key=lambda e: not e.given) for level in levels))
    return ()


def _listing(families: frozenset[Family]) -> str:
    labels = sorted({LABELS[root(f)] for f in families})
    return " or ".join(labels)
