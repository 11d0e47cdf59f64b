"""Against a real Ollama server: `TCS_HPT_TEST_OLLAMA=qwen2.5-coder:1.5b pytest -m ollama`."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tcs_hpt.llm import ChatModel
from tcs_hpt.llm.ollama import OllamaModel, installed, is_running, loaded
from tcs_hpt.testing.models import ModelContract, request

NAME = os.environ.get("TCS_HPT_TEST_OLLAMA", "")

pytestmark = [
    pytest.mark.ollama,
    pytest.mark.skipif(not NAME, reason="TCS_HPT_TEST_OLLAMA names no model of a running Ollama server"),
]


@pytest.fixture(scope="module")
def real() -> Iterator[OllamaModel]:
    model = OllamaModel(NAME)
    yield model
    model.close()


class TestRealOllama(ModelContract):
    @pytest.fixture
    def model(self, real: OllamaModel) -> ChatModel:
        return real

    @pytest.fixture
    def model_to_close(self) -> ChatModel:
        return OllamaModel(NAME, unload="never")


def test_the_server_tells_about_itself(real: OllamaModel) -> None:
    assert is_running()
    assert any(NAME in (m.name, m.name.removesuffix(":latest")) and m.size > 0 for m in installed())
    real.complete(request())
    assert any(NAME in (m.name, m.name.removesuffix(":latest")) for m in loaded())


def test_a_prompt_beyond_the_default_window_arrives_whole(real: OllamaModel) -> None:
    reply = real.complete(request("The validation loss oscillates since the third epoch. " * 500))
    assert reply.prompt_tokens > 4096


def test_forced_resting_unloads() -> None:
    model = OllamaModel(NAME, unload="always")
    model.complete(request())
    model.rest()
    assert not any(NAME in (m.name, m.name.removesuffix(":latest")) for m in loaded())
    model.close()
