from __future__ import annotations

import pytest

from tests.postgres import REQUIRED, missing


def test_a_server_that_is_not_there_skips_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(REQUIRED, raising=False)
    with pytest.raises(pytest.skip.Exception, match="no server"):
        missing("no server")


def test_a_server_that_must_be_there_fails_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(REQUIRED, "1")
    with pytest.raises(pytest.fail.Exception, match=REQUIRED):
        missing("no server")
