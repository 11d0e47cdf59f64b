"""What the errors of a database and a file system mean in plain words."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from tcs_hpt.errors import StoreError


@contextmanager
def translated(name: str) -> Iterator[None]:
    """Turn errors of the database and the file system into `StoreError`.

    Args:
        name: The database, as people may see it.
    """
    try:
        yield
    except (sa.exc.SQLAlchemyError, OSError) as error:
        raise explain(name, error) from error


_MEANINGS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("locked", "busy", "could not obtain lock", "lock timeout", "could not be acquired"),
        "is locked by another program",
        "Wait until that program is done, or choose another database with --store.",
    ),
    (
        ("not a database", "encrypted"),
        "is not a database",
        "Choose another path with --store; the file that is there was not touched.",
    ),
    (("malformed", "corrupt"), "is damaged", "Restore a copy, or start a new database with --store."),
    (
        ("is full", "no space left", "quota exceeded"),
        "cannot grow: the disk is full",
        "Free some space and run the same command again; what was saved before is kept.",
    ),
    (
        ("unable to open", "readonly", "read-only", "permission denied", "a directory", "file exists"),
        "cannot be opened for writing",
        "Check the path and your rights to it, or choose another with --store.",
    ),
    (
        ("connect", "could not translate host", "authentication", "server closed"),
        "cannot be reached",
        "Check that the server runs and that the URL, the user and the password are right.",
    ),
)


def explain(name: str, error: BaseException) -> StoreError:
    """What an error of the database or the file system means, and what to do about it."""
    cause = getattr(error, "orig", None) or error
    text = str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
    lowered = text.lower()
    if isinstance(cause, OSError) and cause.errno in (errno.ENOSPC, errno.EDQUOT):
        lowered = "no space left"
    for words, meaning, hint in _MEANINGS:
        if any(word in lowered for word in words):
            return StoreError(f"the database {name} {meaning} ({text})", hint=hint)
    return StoreError(
        f"the database {name} cannot be used ({text})",
        hint="Choose another database with --store, or restore a copy of this one.",
    )
