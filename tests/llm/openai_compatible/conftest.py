"""A server, without keys and proxies of whoever runs the tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tcs_hpt.llm.openai_compatible import OpenAICompatibleModel
from tcs_hpt.testing.openai_server import OpenAIServer


@pytest.fixture(autouse=True)
def _no_keys_and_no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TCS_HPT_API_KEY", "OPENAI_API_KEY", "ALL_PROXY", "HTTP_PROXY", "http_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _all_are_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    opened: list[OpenAICompatibleModel] = []
    initialize = OpenAICompatibleModel.__init__

    def remember(self: OpenAICompatibleModel, *args: Any, **options: Any) -> None:
        initialize(self, *args, **options)
        opened.append(self)

    monkeypatch.setattr(OpenAICompatibleModel, "__init__", remember)
    yield
    for model in opened:
        model.close()


@pytest.fixture
def server() -> Iterator[OpenAIServer]:
    with OpenAIServer() as stub:
        yield stub
