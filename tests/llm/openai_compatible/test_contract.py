"""What every model promises, on the stand-in and on a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tcs_hpt.errors import ModelError, UserError
from tcs_hpt.llm import ChatModel, llama_cpp
from tcs_hpt.llm._openai_dialect import Dialect
from tcs_hpt.llm.machine import usable_cores
from tcs_hpt.llm.openai_compatible import OpenAICompatibleModel, served
from tcs_hpt.testing.models import ModelContract, request
from tcs_hpt.testing.openai_server import OpenAIServer
from tests.llm.openai_compatible.asking import KEY


class TestOnTheStub(ModelContract):
    @pytest.fixture
    def model(self, server: OpenAIServer) -> ChatModel:
        return OpenAICompatibleModel(server.url, "tiny")

    @pytest.fixture
    def model_to_close(self, server: OpenAIServer) -> ChatModel:
        return OpenAICompatibleModel(server.url, "tiny")


@pytest.fixture(scope="module")
def on_llama_cpp(smollm2: Path) -> Iterator[OpenAICompatibleModel]:
    """On the server inside the embedded engine, spoken to as any other."""
    server = llama_cpp._load(llama_cpp.import_engine(), smollm2, 512, usable_cores(), KEY)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TCS_HPT_API_KEY", KEY)
        assert served(f"{server.listening_address}/v1") == (str(smollm2),)
        model = OpenAICompatibleModel.from_name(f"{server.listening_address}/v1")
    yield model
    assert model.dialect == Dialect()  # all of the protocol was taken
    model.close()


@pytest.mark.embedded
class TestOnLlamaCpp(ModelContract):
    @pytest.fixture
    def model(self, on_llama_cpp: OpenAICompatibleModel) -> ChatModel:
        return on_llama_cpp

    @pytest.fixture
    def model_to_close(self) -> ChatModel:
        return OpenAICompatibleModel("http://127.0.0.1:9/v1", "any")

    def test_its_errors_are_understood(self, model: ChatModel) -> None:
        with pytest.raises(ModelError, match="does not fit into the context"):
            model.complete(request("word " * 600))
        wrong = OpenAICompatibleModel(model.name[len("openai:") :].partition("#")[0], "any", api_key="wrong")
        with pytest.raises(UserError, match="does not accept the key"):
            wrong.complete(request())
