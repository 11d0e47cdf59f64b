"""A server, and models of it that are closed in the end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tcs_hpt.llm.ollama import (
    OllamaModel,
)
from tcs_hpt.testing.ollama_server import OllamaServer, StubModel
from tests.llm.ollama.stubs import MODELS, Open


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OLLAMA_HOST", "OLLAMA_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with OllamaServer(*MODELS, library=(StubModel("llama3.2:3b"),)) as server:
        yield server


@pytest.fixture
def opened(server: OllamaServer) -> Iterator[Open]:
    """Opens models of the server, with short waits, and closes them."""
    models = []

    def open_(model: StubModel, **options: Any) -> OllamaModel:
        models.append(OllamaModel(model.name, host=server.host, backoff=0.001, **options))
        return models[-1]

    yield open_
    for model in models:
        model.close()
