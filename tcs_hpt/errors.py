"""Every exception tcs_hpt raises on purpose, by who must act.

    TcsHptError
    ├── UserError              the person at the keyboard: a wrong option, a missing file, a missing extra
    ├── TaskError              whoever wrote the task folder
    │   └── ManifestError      ... its task.toml; carries every problem found, not just the first
    ├── ModelError             whoever runs the language model
    │   ├── ModelUnavailable   it cannot be reached, loaded or fetched
    │   └── ReplayMiss         a replayed recording has no such request
    └── StoreError             whoever owns the database

A failed trial and a useless answer of a model are records, not exceptions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class TcsHptError(Exception):
    """Base of all errors; `hint` says in one sentence how to fix it.

    Args:
        message: The rule that was broken, the value received, and where.
        hint: What to do about it.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UserError(TcsHptError):
    """A wrong option, a missing file, a missing extra."""


class TaskError(TcsHptError):
    """A task folder that cannot be used."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a manifest."""

    file: str
    """The manifest, as the user would name it."""
    key: str
    """Dotted place inside it, e.g. `params.lr.low`; empty for the file as a whole."""
    message: str
    """The rule and the value received."""
    fix: str
    """What to write instead."""

    def __str__(self) -> str:
        place = f"{self.file} [{self.key}]" if self.key else self.file
        return f"{place}: {self.message} -> {self.fix}"


class ManifestError(TaskError):
    """A task.toml with problems; all of them are listed at once."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        head = f"{count} problem{'s' if count != 1 else ''} in the task manifest:"
        super().__init__("\n".join([head, *(f"  {p}" for p in self.problems)]))


class ModelError(TcsHptError):
    """The language model cannot do its work."""


class ModelUnavailable(ModelError):
    """The model cannot be reached, loaded or fetched."""


class ReplayMiss(ModelError):
    """A recording holds no answer to this exact request."""


class StoreError(TcsHptError):
    """The database cannot be read or written."""
