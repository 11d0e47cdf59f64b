"""The context window: large enough, and nothing dropped from a prompt."""

from __future__ import annotations

import json

import pytest

from tcs_hpt.errors import ModelError
from tcs_hpt.llm.llama_cpp import LlamaCppModel
from tcs_hpt.llm.ollama import (
    OllamaModel,
    _least_tokens,
    _most_tokens,
)
from tcs_hpt.records import Message
from tcs_hpt.testing.models import request
from tcs_hpt.testing.ollama_server import OllamaServer
from tests.llm.ollama.stubs import EXPECTED, QWEN, SHORT, WORDS, Open


def test_the_window_grows_in_steps_and_never_shrinks(server: OllamaServer, opened: Open) -> None:
    model = opened(QWEN)
    for words in (1, 100, 300, 1, 310):
        model.complete(request(WORDS * words))
    assert [c["options"]["num_ctx"] for c in server.chats] == [4096, 4096, 8192, 8192, 8192]
    assert server.loads == [("qwen2.5-coder:1.5b", 4096), ("qwen2.5-coder:1.5b", 8192)]
    assert all(len(messages) == 2 for messages in server.seen)


def test_the_window_is_never_above_the_models_own(server: OllamaServer, opened: Open) -> None:
    model = opened(SHORT)
    model.complete(request(WORDS * 100))
    assert server.chats[-1]["options"]["num_ctx"] == 2048


def test_a_prompt_longer_than_the_models_context_is_refused_unsent(
    server: OllamaServer, opened: Open
) -> None:
    with pytest.raises(ModelError, match="has a context of 2048") as caught:
        opened(SHORT).complete(request(WORDS * 300))
    assert "Shorten the prompt" in caught.value.hint
    assert server.chats == []


@pytest.mark.parametrize("words", [330, 400, 1000])
def test_a_server_that_cuts_the_prompt_is_found_out(words: int) -> None:
    with OllamaServer(QWEN, ignores_num_ctx=True) as server:
        model = OllamaModel(QWEN.name, host=server.host, unload="never")
        assert model.complete(request(WORDS * 10)).text == EXPECTED
        with pytest.raises(ModelError, match=r"cut the prompt .* context of 4096") as caught:
            model.complete(request(WORDS * words))
        assert "OLLAMA_CONTEXT_LENGTH" in caught.value.hint
        model.close()


def test_a_dropped_message_is_found_out() -> None:
    messages = (
        *request(WORDS * 350).messages,
        Message(role="assistant", content="{"),
        Message(role="user", content="That is not JSON."),
    )
    with OllamaServer(QWEN, ignores_num_ctx=True) as server:
        model = OllamaModel(QWEN.name, host=server.host, unload="never")
        with pytest.raises(ModelError, match="cut the prompt"):
            model.complete(request(messages=messages))
        assert len(server.seen[0]) < 4
        model.close()


@pytest.mark.parametrize(
    "text",
    [
        WORDS * 40,
        json.dumps([{"epoch": n, "val_loss": 1 / (n + 3), "lr": 1e-4 * n} for n in range(40)], indent=2),
        "=" * 500 + "\n|---|---|\n" * 20,
        "Internationalization of recommendation architectures: " * 20,
        "Die Lernrate schwankt für größere Stapel. " * 20,
        "学习率太高,损失震荡。" * 30,
    ],
    ids=["english", "numbers", "rules", "long words", "german", "chinese"],
)
@pytest.mark.embedded
def test_the_estimates_enclose_a_real_tokenizer(embedded: LlamaCppModel, text: str) -> None:
    assert 1.2 * _least_tokens(text) < embedded.token_count(text) <= _most_tokens(text)
