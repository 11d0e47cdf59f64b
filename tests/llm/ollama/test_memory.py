"""Giving the memory back between decisions."""

from __future__ import annotations

import pytest

from tcs_hpt.errors import ModelError, ModelUnavailable
from tcs_hpt.llm.ollama import (
    OllamaModel,
    loaded,
)
from tcs_hpt.testing.models import request
from tcs_hpt.testing.ollama_server import OllamaServer, StubModel
from tests.llm.ollama.stubs import CPU, EXPECTED, QWEN, Open


@pytest.mark.parametrize(
    ("stub", "unload", "stays"),
    [
        (QWEN, "auto", False),
        (CPU, "auto", True),
        (CPU, "always", False),
        (QWEN, "never", True),
    ],
)
def test_resting_gives_gpu_memory_back(
    server: OllamaServer, opened: Open, stub: StubModel, unload: str, stays: bool
) -> None:
    model = opened(stub, unload=unload)
    model.rest()
    assert not any(r.path == "/api/chat" for r in server.requests)
    model.complete(request())
    assert [m.name for m in loaded(server.host)] == [stub.name]
    model.rest()
    assert [m.name for m in loaded(server.host)] == ([stub.name] if stays else [])
    assert model.complete(request()).text == EXPECTED


def test_the_reply_says_what_the_server_holds(opened: Open) -> None:
    for _ in range(2):
        assert opened(QWEN).complete(request()).memory_mb == pytest.approx(QWEN.size / 2**20)


def test_a_model_on_another_machine_is_left_alone(
    server: OllamaServer, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tcs_hpt.llm.ollama.is_local", lambda _: False)
    model = opened(QWEN)
    model.complete(request())
    model.rest()
    assert len(loaded(server.host)) == 1


def test_resting_does_not_mind_that_the_server_is_gone() -> None:
    with OllamaServer(QWEN) as server:
        model = OllamaModel(QWEN.name, host=server.host, backoff=0.001)
        model.complete(request())
    model.rest()
    with pytest.raises(ModelUnavailable, match="no Ollama server answers"):
        model.complete(request())
    model.close()


def test_a_closed_model_says_so(opened: Open) -> None:
    model = opened(QWEN)
    model.close()
    model.rest()
    with pytest.raises(ModelError, match="is closed"):
        model.complete(request())
