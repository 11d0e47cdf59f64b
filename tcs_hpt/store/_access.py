"""What every part of `Store` stands on: one database, its transactions, and studies by name."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import sqlalchemy as sa

from tcs_hpt.errors import UserError
from tcs_hpt.store import _database, _rows
from tcs_hpt.store._errors import translated

_SHOWN_NAMES = 10


class Access:
    """A database that is open.

    Args:
        url: The database.
        engine: For our tables.
    """

    def __init__(self, url: sa.URL, engine: sa.Engine) -> None:
        self._url = url
        self._engine = engine

    @property
    def url(self) -> str:
        """The database, complete with any password, so that it can be opened again; files by absolute path."""
        return self._url.render_as_string(hide_password=False)

    @property
    def label(self) -> str:
        """The database as people may see it: a file's path, or the URL without its password."""
        return _database.label(self._url)

    @contextmanager
    def _reading(self, name: str) -> Iterator[tuple[sa.Connection, _rows.Found]]:
        with translated(self.label), _database.reading(self._engine) as connection:
            yield connection, self._required(connection, name)

    @contextmanager
    def _writing(self, name: str) -> Iterator[tuple[sa.Connection, _rows.Found]]:
        """In which no other process writes to this study."""
        with translated(self.label), _database.writing(self._engine) as connection:
            yield connection, self._required(connection, name, lock=True)

    def _required(self, connection: sa.Connection, name: str, *, lock: bool = False) -> _rows.Found:
        found = _rows.find_study(connection, name, lock=lock)
        if found is None:
            raise self._unknown(connection, name)
        return found

    def _unknown(self, connection: sa.Connection, name: str) -> UserError:
        return UserError(
            f"there is no study {name!r} in {self.label}",
            hint=_suggestion(name, _rows.study_names(connection)),
        )


def _suggestion(name: str, known: Sequence[str]) -> str:
    if not known:
        return "It holds no studies yet; `tcs-hpt tune` makes one, --store names another database."
    near = difflib.get_close_matches(name, known, n=3)
    more = f" and {len(known) - _SHOWN_NAMES} more" if len(known) > _SHOWN_NAMES else ""
    listed = f"Studies: {', '.join(known[:_SHOWN_NAMES])}{more}."
    return f"Did you mean {' or '.join(near)}? {listed}" if near else listed
