from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tcs_hpt.errors import ModelUnavailable, UserError
from tcs_hpt.llm import download
from tcs_hpt.llm.machine import Machine
from tcs_hpt.llm.opening import open_model
from tcs_hpt.testing.models import request
from tcs_hpt.testing.ollama_server import OllamaServer, StubModel
from tests.llm.opening.stubs import ROOMY


def test_auto_without_a_server_is_the_embedded_default(engine: list[str]) -> None:
    model, reason = open_model("auto", look=lambda: ROOMY)
    assert model.name == "embedded:smollm2-135m"
    assert reason.startswith("No model was named. No Ollama server answers, so the embedded smollm2-135m")


def test_auto_takes_a_known_model_of_a_running_server(
    monkeypatch: pytest.MonkeyPatch, engine: list[str]
) -> None:
    with OllamaServer(
        StubModel("gemma3:1b"), StubModel("qwen2.5-coder:1.5b"), StubModel("mistral")
    ) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.host)
        model, reason = open_model("auto", look=lambda: ROOMY)
        assert model.name == "ollama:qwen2.5-coder:1.5b"
        assert json.loads(model.complete(request()).text)["confidence"] == 1
        model.close()
    assert "No model was named." in reason
    assert "the first of its 2 known models" in reason
    assert "mistral:latest" in reason
    assert engine == []


def test_auto_passes_over_a_server_without_known_models(
    monkeypatch: pytest.MonkeyPatch, engine: list[str]
) -> None:
    with OllamaServer(StubModel("mistral")) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.host)
        model, reason = open_model("auto", look=lambda: ROOMY)
    assert model.name == "embedded:smollm2-135m"
    assert "mistral:latest" in reason


def test_without_the_engine_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    monkeypatch.setenv("TCS_HPT_MODELS_DIR", str(tmp_path))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it was fetched")

    monkeypatch.setattr(download, "fetch", refuse)
    with pytest.raises(
        ModelUnavailable, match="there is no language model to use: no Ollama server answers"
    ) as caught:
        open_model("auto")
    for way in (
        "pip install 'tcs-hpt[embedded]'",
        "https://ollama.com/download",
        "openai:URL#MODEL",
        "--method expert",
    ):
        assert way in caught.value.hint


@pytest.mark.embedded
def test_auto_is_the_embedded_default_and_says_why(smollm2: Path) -> None:
    model, reason = open_model("auto")
    try:
        assert model.name == "embedded:smollm2-135m"
        assert "No model was named" in reason
        by_path, _ = open_model(f"embedded:{smollm2}")
        assert by_path.complete(request()).text == model.complete(request()).text
        by_path.close()
    finally:
        model.close()


def test_auto_says_what_to_do_about_an_address_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://no port:x")
    with pytest.raises(UserError, match="not the address of a server") as caught:
        open_model("auto", look=lambda: Machine(2, 8 * 10**9, 8 * 10**9))
    assert "OLLAMA_HOST" in caught.value.hint
    assert "embedded:smollm2-135m needs no server" in caught.value.hint
