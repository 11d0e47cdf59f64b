"""The model's contract, and what of a request reaches the server."""

from __future__ import annotations

import pytest

from tcs_hpt.llm import ChatModel, ChatRequest
from tcs_hpt.llm._ollama_answer import tokens_of
from tcs_hpt.llm.ollama import (
    OllamaModel,
    loaded,
)
from tcs_hpt.records import Message
from tcs_hpt.testing.models import SCHEMA, ModelContract, request
from tcs_hpt.testing.ollama_server import OllamaServer, StubModel
from tests.llm.ollama.stubs import ALOUD, CPU, EXPECTED, GPT_OSS, NEEDS_THOUGHTS, QWEN, THINKING, Open


@pytest.mark.parametrize("stub", [QWEN, THINKING, NEEDS_THOUGHTS, GPT_OSS, ALOUD, CPU], ids=lambda m: m.name)
class TestOllamaModel(ModelContract):
    @pytest.fixture
    def model(self, opened: Open, stub: StubModel) -> ChatModel:
        return opened(stub)

    @pytest.fixture
    def model_to_close(self, model: ChatModel) -> ChatModel:
        return model


def test_everything_of_a_request_reaches_the_server(server: OllamaServer, opened: Open) -> None:
    opened(QWEN, keep_alive="7m").complete(request(seed=2**31 + 5, temperature=0.25, max_tokens=99))
    (chat,) = server.chats
    assert chat["model"] == "qwen2.5-coder:1.5b"
    assert chat["messages"] == [{"role": m.role, "content": m.content} for m in request().messages]
    assert chat["format"] == SCHEMA
    assert chat["options"] == {"num_ctx": 4096, "num_predict": 99, "seed": 5, "temperature": 0.25}
    assert (chat["keep_alive"], chat["stream"]) == ("7m", True)
    assert "think" not in chat
    assert "logprobs" not in chat


def test_an_answer_cut_by_its_bound_says_so(opened: Open) -> None:
    reply = opened(QWEN).complete(request(max_tokens=3))
    assert (reply.text, reply.finish_reason, reply.completion_tokens) == (EXPECTED[:12], "length", 3)


def test_names_with_and_without_tag_and_prefix(server: OllamaServer) -> None:
    server.installed["mine:latest"] = StubModel("mine")
    for name in ("mine", "mine:latest", "ollama:mine"):
        model = OllamaModel(name, host=server.host)
        assert model.name == f"ollama:{name.removeprefix('ollama:')}"
        assert model.complete(request()).text == EXPECTED
        model.rest()
        assert loaded(server.host) == ()
        model.close()


def test_log_probabilities_are_those_of_the_answer(opened: Open) -> None:
    for stub in (QWEN, THINKING):
        reply = opened(stub, think=stub is THINKING).complete(request(logprobs=True))
        assert "".join(t.text for t in reply.tokens) == reply.text == EXPECTED
        assert {t.logprob for t in reply.tokens} == {-0.25}
        assert all(t.logit is None for t in reply.tokens)
    assert opened(QWEN).complete(request()).tokens == ()


def test_tokens_that_do_not_make_up_the_answer_are_not_told() -> None:
    from tcs_hpt.llm import Token

    tokens = [Token("hm", -1.0), Token(" {", -1.0), Token("}", -1.0), Token("", -1.0)]
    assert tokens_of("{}", tokens) == tuple(tokens[1:])
    assert tokens_of("{ }", tokens) == ()
    assert tokens_of("", []) == ()


def test_requests_without_a_schema_are_free(server: OllamaServer, opened: Open) -> None:
    free = ChatRequest(messages=(Message(role="user", content="Hello"),), max_tokens=5)
    assert opened(QWEN).complete(free).text == "ok"
    assert "format" not in server.chats[0]
