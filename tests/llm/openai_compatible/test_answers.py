"""What comes back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

import httpx
import pytest

from tcs_hpt.llm._openai_answer import BrokenOff, NotAnAnswer, read_answer, tokens_of
from tcs_hpt.llm._openai_connection import Connection
from tcs_hpt.testing.models import request
from tcs_hpt.testing.openai_server import OpenAIServer, Said
from tests.llm.openai_compatible.asking import ask, patient


def test_a_server_may_ignore_the_wish_for_a_stream() -> None:
    with OpenAIServer(streams=False) as whole, OpenAIServer() as streamed:
        replies = [asdict(ask(server, logprobs=True)) | {"seconds": 0} for server in (whole, streamed)]
    assert replies[0] == replies[1]


def test_tokens_are_estimated_where_they_are_not_counted() -> None:
    with OpenAIServer(counts=False, say=lambda _: Said("yes yes", "hm")) as server:
        reply = ask(server)
    characters = [len(message.content) for message in request().messages]
    assert reply.prompt_tokens == pytest.approx(sum(characters) / 4, abs=2)
    assert reply.completion_tokens == 3


@pytest.mark.parametrize("place", ["reasoning_content", "reasoning", "content"])
@pytest.mark.parametrize("streams", [True, False])
def test_thoughts_are_never_in_the_text(place: Any, streams: bool) -> None:
    answer = '{"change": "lr"}'
    with OpenAIServer(
        thoughts_in=place, streams=streams, say=lambda _: Said(answer, "let me think")
    ) as server:
        reply = ask(server, logprobs=True)
    assert (reply.text, reply.thoughts) == (answer, "let me think")
    assert "".join(t.text for t in reply.tokens) == answer


@pytest.mark.parametrize("place", ["reasoning_content", "content"])
def test_a_model_that_thinks_gets_room_for_it(place: Any) -> None:
    with OpenAIServer(thoughts_in=place, say=lambda _: Said("yes", "hm " * 100)) as server:
        model, _ = patient(server, thinking_tokens=500)
        reply = model.complete(request(max_tokens=20))
        assert (reply.text, reply.finish_reason) == ("yes", "stop")
        assert model.complete(request(max_tokens=20)).text == "yes"
    assert [body["max_tokens"] for body in server.bodies] == [20, 520, 520]


def test_a_model_without_room_to_think_says_what_it_can() -> None:
    with OpenAIServer(context=60, say=lambda _: Said("yes", "hm " * 100)) as server:
        reply = ask(server, max_tokens=20)
    assert (reply.text, reply.finish_reason) == ("", "length")
    assert reply.thoughts


def test_an_answer_cut_short_says_so(server: OpenAIServer) -> None:
    reply = ask(server, max_tokens=3)
    assert (reply.finish_reason, reply.completion_tokens, reply.text) == ("length", 3, '{"change": "')


def chunk(content: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    choice = {"delta": {"content": content}, "finish_reason": finish} | more
    return b"data: " + json.dumps({"choices": [choice]}, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "lines",
    [
        [chunk("a\u2028b"), chunk(finish="stop")],
        [b": comment", b"", chunk("a\u2028b"), b"data: [DONE]", chunk("after the end")],
        [b"event: message", chunk("a\u2028b", "stop"), b'data: {"choices": [], "usage": null}', b"nonsense"],
        [b'data: {"object": "progress"}', b"data:" + chunk("a\u2028b", "stop")[6:]],
        [chunk([{"type": "text", "text": "a\u2028b"}], "stop")],  # type: ignore[arg-type]
        [b"", b"  ", '{"choices": [{"message": {"content": "a\u2028b"}}],'.encode(), b'"usage": {}}'],
        [chunk(None, "content_filter", delta={"content": None, "refusal": "a\u2028b"})],
    ],
)
def test_streams_differ(lines: list[bytes]) -> None:
    answer = read_answer(iter(lines))
    assert (answer.text, answer.finish_reason) == ("a\u2028b", "stop")


def test_a_connection_may_break_once_all_is_said() -> None:
    def lines(*first: bytes) -> Iterator[bytes]:
        yield from first
        raise httpx.ReadError("reset")

    assert read_answer(lines(chunk("yes"), chunk(finish="length"))).finish_reason == "length"
    with pytest.raises(httpx.ReadError):
        read_answer(lines(chunk("yes")))


def test_only_a_line_feed_ends_a_line() -> None:
    with OpenAIServer(say=lambda _: "a\u2028b\x85c\x0cd") as server:
        assert ask(server).text == "a\u2028b\x85c\x0cd"
    pieces = [b"on", b"e\r\ntw", b"o\n", b"\nthree"]
    lines = Connection("http://host/v1")._lines(httpx.Response(200, content=iter(pieces)))
    assert list(lines) == [b"one", b"two", b"", b"three"]


@pytest.mark.parametrize("lines", [[], [b""], [chunk("a")], [chunk("a"), b'data: {"cho']])
def test_what_ends_too_early_is_no_answer(lines: list[bytes]) -> None:
    with pytest.raises(BrokenOff):
        read_answer(iter(lines))


@pytest.mark.parametrize(
    "line",
    [
        b"hello",
        b"[]",
        b'{"choices": []}',
        b'data: {"error": "x"}',
        b"data: 3",
        b'data: {"choices": [1]}',
        b'{"choices": [{"message": {"content": 3}}]}',
        b'data: {"choices": [{"logprobs": {"content": [{}]}}]}',
    ],
)
def test_what_has_another_shape_is_no_answer(line: bytes) -> None:
    with pytest.raises(NotAnAnswer):
        read_answer(iter([line]))


def test_mistral_thinks_in_parts() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    answer = read_answer([chunk([thinking, {"type": "text", "text": "yes"}], "stop")])  # type: ignore[arg-type]
    assert (answer.thoughts, answer.text) == ("hm", "yes")


def test_a_character_in_pieces_is_one_token() -> None:
    pieces = [(b"\xe2\x82", -1.0), (b"\xac", -0.5), (b" 5", 1e-9)]
    content = [{"token": "?", "bytes": list(piece), "logprob": logprob} for piece, logprob in pieces]
    answer = read_answer([chunk("€ 5", "stop", logprobs={"content": content})])
    assert [(t.text, t.logprob) for t in tokens_of(answer, "€ 5")] == [("€", -1.5), (" 5", 0.0)]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        (["<think>", "hm", "</think>", "\n", "ye", "s"], ["ye", "s"]),
        (["ye", "s", "<|im_end|>"], ["ye", "s"]),
        (["ye", "ah"], []),
        ([], []),
    ],
)
def test_tokens_are_those_of_the_answer(written: list[str], told: list[str]) -> None:
    content = [{"token": token, "logprob": -1} for token in written]
    answer = read_answer([chunk("", "stop", logprobs={"content": content})])
    assert [t.text for t in tokens_of(answer, "yes")] == told
