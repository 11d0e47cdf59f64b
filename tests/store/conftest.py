from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tcs_hpt.store import Store
from tests.postgres import postgresql, postgresql_blank_url, postgresql_template, postgresql_url

__all__ = ["postgresql", "postgresql_blank_url", "postgresql_template", "postgresql_url"]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/studies.db"


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store.open(url) as store:
        yield store


@pytest.fixture(params=["sqlite", "postgresql"])
def any_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of each kind in turn, without any tables."""
    if request.param == "postgresql":
        found = request.getfixturevalue("postgresql_blank_url")
        assert isinstance(found, str)
        return found
    return f"sqlite:///{tmp_path}/any.db"
