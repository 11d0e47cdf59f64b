from __future__ import annotations

from pathlib import Path

import pytest

from tcs_hpt.testing.leases import LeaseContract
from tcs_hpt.testing.lists import ListContract
from tcs_hpt.testing.queue import QueueContract
from tcs_hpt.testing.stores import StoreContract


class OnSqlite:
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/studies.db"


class OnPostgresql:
    @pytest.fixture
    def url(self, postgresql_url: str) -> str:
        return postgresql_url


class TestSqlite(OnSqlite, StoreContract):
    pass


class TestPostgresql(OnPostgresql, StoreContract):
    pass


class TestLeasesOnSqlite(OnSqlite, LeaseContract):
    pass


class TestLeasesOnPostgresql(OnPostgresql, LeaseContract):
    pass


class TestQueueOnSqlite(OnSqlite, QueueContract):
    pass


class TestQueueOnPostgresql(OnPostgresql, QueueContract):
    pass


class TestListsOnSqlite(OnSqlite, ListContract):
    pass


class TestListsOnPostgresql(OnPostgresql, ListContract):
    pass
