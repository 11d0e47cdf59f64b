"""The stub, driven by the real client, whose types are the wire format's."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import ollama
import pytest

from tcs_hpt.testing.models import SCHEMA
from tcs_hpt.testing.ollama_server import PROSE, OllamaServer, StubModel

NAME = "qwen3:8b"
THINKING = StubModel(NAME, architecture="qwen3", capabilities=("completion", "thinking"), context_length=100)
PLAIN = StubModel("smollm2", on_gpu=False)
NOON = 1_800_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Iterator[OllamaServer]:
    with OllamaServer(THINKING, PLAIN, clock=clock) as server:
        yield server


@pytest.fixture
def client(server: OllamaServer) -> Iterator[ollama.Client]:
    with ollama.Client(host=server.host, trust_env=False) as client:
        yield client


def user(text: str = "Hello") -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def fetch(server: OllamaServer, path: str, data: bytes | None = None) -> tuple[int, str, bytes]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://{server.host}{path}", data, timeout=5) as response:
            return response.status, response.headers["Content-Type"], response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Content-Type"], error.read()


def test_a_whole_answer_is_the_streamed_one(client: ollama.Client) -> None:
    arguments: dict[str, Any] = {"messages": user(), "format": SCHEMA, "think": True, "logprobs": True}
    whole = client.chat(NAME, stream=False, **arguments)
    parts = list(client.chat(NAME, stream=True, **arguments))
    assert whole.message.content == "".join(p.message.content or "" for p in parts)
    assert whole.message.thinking == "".join(p.message.thinking or "" for p in parts) == THINKING.thoughts
    assert whole.logprobs == [token for p in parts for token in p.logprobs or ()]
    assert (whole.done_reason, whole.eval_count) == (parts[-1].done_reason, parts[-1].eval_count)
    assert [p.done for p in parts] == [False] * (len(parts) - 1) + [True]
    assert json.loads(whole.message.content or "")["confidence"] == 1


def test_lines_arrive_as_they_are_written(server: OllamaServer, client: ollama.Client) -> None:
    server.traps.append("stall")
    stream = client.chat(NAME, user(), stream=True)
    assert next(iter(stream)).message.thinking
    server.release.set()
    assert list(stream)[-1].done


def test_thinking_is_on_unless_switched_off(client: ollama.Client) -> None:
    assert client.chat(NAME, user()).message.thinking
    assert client.chat(NAME, user(), think=False).message.thinking is None
    with pytest.raises(ollama.ResponseError, match='"smollm2" does not support thinking') as caught:
        client.chat("smollm2", user(), think=True)
    assert caught.value.status_code == 400


@pytest.mark.parametrize(("num_predict", "text", "reason"), [(5, "", "length"), (14, "I would ", "length")])
def test_thoughts_and_answer_share_one_bound(
    server: OllamaServer, client: ollama.Client, num_predict: int, text: str, reason: str
) -> None:
    server.traps.append("prose")
    reply = client.chat(NAME, user(), options={"num_predict": num_predict})
    assert (reply.message.content, reply.done_reason) == (text, reason)
    assert reply.eval_count == num_predict
    assert PROSE.startswith(text)


def test_the_oldest_messages_that_do_not_fit_are_dropped(server: OllamaServer, client: ollama.Client) -> None:
    messages = [{"role": "system", "content": "s" * 40}, *user("a" * 200), *user("b" * 200)]
    reply = client.chat(NAME, messages, think=False, options={"num_ctx": 9999})
    assert [m["content"][0] for m in server.seen[0]] == ["s", "b"]
    assert reply.prompt_eval_count == 10 + 4 + 50 + 4
    assert client.chat(NAME, user("c" * 999), think=False).prompt_eval_count == 100
    assert server.loads == [(NAME, 100)]


def test_loaded_models_expire(server: OllamaServer, client: ollama.Client, clock: Clock) -> None:
    client.chat(NAME, user(), keep_alive="1m30s")
    client.generate("smollm2", keep_alive=-1)
    models = client.ps().models
    assert [(m.name, m.size_vram, m.context_length) for m in models] == [
        ("smollm2:latest", 0, 4096),
        (NAME, 1_000_000, 100),
    ]
    assert models[1].expires_at is not None
    assert models[1].expires_at.timestamp() == NOON + 90
    clock.now += 91
    assert [m.name for m in client.ps().models] == ["smollm2:latest"]
    assert client.generate("smollm2", keep_alive=0).done_reason == "unload"
    assert client.ps().models == []
    assert client.generate("smollm2").done_reason == "load"
    assert server.loads == [(NAME, 100), ("smollm2:latest", 4096), ("smollm2:latest", 4096)]


def test_descriptions(client: ollama.Client) -> None:
    shown = client.show(NAME)
    assert shown.capabilities == ["completion", "thinking"]
    assert shown.modelinfo is not None
    assert shown.modelinfo["qwen3.context_length"] == 100
    assert [m.model for m in client.list().models] == [NAME, "smollm2:latest"]


def test_errors_have_the_real_ones_form(server: OllamaServer, client: ollama.Client) -> None:
    for attempt in (lambda: client.show("a"), lambda: client.chat("a", user()), lambda: client.generate("a")):
        with pytest.raises(ollama.ResponseError, match="model 'a' not found") as caught:
            attempt()
        assert caught.value.status_code == 404
    for stream in (True, False):
        with pytest.raises(ollama.ResponseError, match="pull model manifest: file does not exist"):
            list(client.pull("a", stream=stream))
    assert fetch(server, "/") == (200, "text/plain; charset=utf-8", b"Ollama is running")
    assert fetch(server, "/api/none") == (404, "text/plain", b"404 page not found")
    assert fetch(server, "/api/chat", b"{") == (
        400,
        "application/json; charset=utf-8",
        b'{"error": "invalid JSON"}',
    )


def test_a_server_that_ends_leaves_nobody_waiting(client: ollama.Client) -> None:
    # The fixtures end the server while this client's connection is open.
    assert client.list().models
