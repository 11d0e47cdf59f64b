from __future__ import annotations

import json
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from email.utils import formatdate
from pathlib import Path
from typing import Any

import httpx
import pytest

from tcs_hpt.errors import ModelError, ModelUnavailable, TcsHptError, UserError
from tcs_hpt.llm import ChatModel, ChatReply, llama_cpp
from tcs_hpt.llm._openai_address import Address
from tcs_hpt.llm._openai_answer import BrokenOff, NotAnAnswer, read_answer, tokens_of
from tcs_hpt.llm._openai_connection import Connection
from tcs_hpt.llm._openai_dialect import Dialect, plain
from tcs_hpt.llm._openai_errors import Complaint
from tcs_hpt.llm.openai_compatible import OpenAICompatibleModel, served
from tcs_hpt.llm.replay import RecordingModel
from tcs_hpt.records import Message
from tcs_hpt.testing.models import SCHEMA, ModelContract, request
from tcs_hpt.testing.openai_server import Breaks, OpenAIServer, Said, Status

KEY = "sk-proj-Zq7_verySecret-0042"
BUSY = {"error": {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}}


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


def ask(server: OpenAIServer, **changes: Any) -> ChatReply:
    model, waits = patient(server)
    reply = model.complete(request(**changes))
    assert waits == []
    return reply


def patient(server: OpenAIServer, **options: Any) -> tuple[OpenAICompatibleModel, list[float]]:
    """A model of the server, and the list of seconds it would have waited between attempts."""
    waits: list[float] = []
    return OpenAICompatibleModel(server.url, "tiny", sleep=waits.append, **options), waits


def failure(
    server: OpenAIServer, *faults: Status | Breaks, **options: Any
) -> tuple[TcsHptError, list[float]]:
    server.faults.extend(faults)
    model, waits = patient(server, **options)
    with pytest.raises(TcsHptError) as caught:
        model.complete(request())
    return caught.value, waits


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
    server = llama_cpp._load(llama_cpp.import_engine(), smollm2, 512, llama_cpp._physical_cores(), KEY)
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


# -- what is sent -------------------------------------------------------------------------------------------


def test_a_request_says_all_that_matters(server: OpenAIServer) -> None:
    ask(server, seed=2**31 + 5, temperature=0.3, max_tokens=77, logprobs=True)
    body = server.bodies[0]
    assert body.pop("messages") == [m.model_dump() for m in request().messages]
    assert body == {
        "model": "tiny",
        "max_tokens": 77,
        "temperature": 0.3,
        "seed": 5,
        "stream": True,
        "stream_options": {"include_usage": True},
        "logprobs": True,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True},
        },
    }


def test_nothing_is_asked_for_that_was_not_wanted(server: OpenAIServer) -> None:
    reply = ask(server, schema=None)
    assert reply.text == "ok"
    assert reply.tokens == ()
    assert {"response_format", "logprobs"}.isdisjoint(server.bodies[0])


# -- what a server does not take ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formats", "settled", "requests"),
    [
        (["json_schema", "json_object"], "json_schema", 1),
        (["json_object"], "json_object", 3),
        ([], "none", 4),
    ],
)
def test_the_format_is_the_strongest_that_the_server_knows(
    formats: list[str], settled: str, requests: int
) -> None:
    with OpenAIServer(formats=formats) as server:
        model, _ = patient(server)
        first = model.complete(request())
        assert model.dialect.response_format == settled
        assert len(server.bodies) == requests
        assert model.complete(request()).text == first.text
        assert len(server.bodies) == requests + 1  # remembered
    assert json.loads(first.text)["change"] in SCHEMA["properties"]["change"]["enum"]
    messages = server.bodies[-1]["messages"]
    stated = json.dumps(SCHEMA) in messages[0]["content"]
    assert stated == (settled in ("json_object", "none"))
    assert [m["role"] for m in messages] == ["system", "user"]
    assert messages[1]["content"] == "Which change is best?"


def test_a_schema_is_stated_in_a_system_message_also_where_there_was_none() -> None:
    with OpenAIServer(formats=[]) as server:
        ask(server, messages=(Message(role="user", content="Well?"),))
    assert [m["role"] for m in server.bodies[-1]["messages"]] == ["system", "user"]


def test_what_a_strict_mode_refuses_is_described_instead() -> None:
    with OpenAIServer(strict=True) as server:
        model, _ = patient(server)
        answer = json.loads(model.complete(request()).text)
        assert model.dialect.response_format == "json_schema_plain"
    assert answer["confidence"] in range(1, 6)
    sent = server.bodies[-1]["response_format"]["json_schema"]
    assert sent["strict"] is True
    assert sent["schema"]["properties"]["reason"] == {"type": "string", "description": "maxLength: 40"}


def test_a_plain_schema_keeps_names_closes_objects_and_requires_all() -> None:
    schema = {
        "$defs": {"One": {"type": "object", "properties": {"pattern": {"const": 1, "default": 1}}}},
        "oneOf": [{"$ref": "#/$defs/One"}, {"type": "array", "items": {"type": "string", "minLength": 2}}],
        "description": "What.",
        "minProperties": 1,
    }
    assert plain(schema) == {
        "$defs": {
            "One": {
                "type": "object",
                "properties": {"pattern": {"const": 1}},
                "required": ["pattern"],
                "additionalProperties": False,
            }
        },
        "anyOf": [
            {"$ref": "#/$defs/One"},
            {"type": "array", "items": {"type": "string", "description": "minLength: 2"}},
        ],
        "description": "What.; minProperties: 1",
    }


def test_one_refused_schema_does_not_weaken_the_next(server: OpenAIServer) -> None:
    model, _ = patient(server)
    model.complete(request())
    server.faults.append(Status(400, {"error": {"message": "grammar too complex"}}))
    server.faults.append(Status(400, {"error": {"message": "grammar too complex"}}))
    model.complete(request())
    assert server.bodies[-1]["response_format"] == {"type": "json_object"}
    model.complete(request())
    assert server.bodies[-1]["response_format"]["type"] == model.dialect.response_format == "json_schema"


def test_a_useless_answer_is_returned_as_it_came() -> None:
    with OpenAIServer(say=lambda _: "Sure! I would pick ") as server:
        assert ask(server).text == "Sure! I would pick "
        assert len(server.bodies) == 1


def test_fields_that_a_hosted_model_refuses_are_left_out() -> None:
    refused = ["max_tokens", "temperature", "seed", "logprobs", "stream_options"]
    with OpenAIServer(refuses=refused) as server:
        model, _ = patient(server)
        assert model.complete(request(logprobs=True)).tokens == ()
        sent = server.bodies[-1]
        assert not set(refused) & set(sent)
        assert sent["max_completion_tokens"] == request().max_tokens
        assert sent["response_format"]["type"] == "json_schema"
        assert model.dialect.left_out == {"temperature", "seed", "logprobs", "stream_options"}
        tries = len(server.bodies)
        model.complete(request())
        assert len(server.bodies) == tries + 1


def test_a_model_that_may_not_be_streamed_answers_at_once() -> None:
    with OpenAIServer(refuses=["stream"]) as server:
        assert json.loads(ask(server).text)
    assert {"stream", "stream_options"}.isdisjoint(server.bodies[-1])


@pytest.mark.parametrize(
    ("complaint", "left_out"),
    [
        (
            {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "input": {"temperature": 1}}]},
            "seed",
        ),
        ({"error": {"message": "property 'logprobs' is unsupported"}}, "logprobs"),
        ({"message": {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs"}]}}, "seed"),
        ({"error": {"message": "Unrecognized request argument supplied: seed"}}, "seed"),
        ({"error": {"message": "'temperature' does not support 0.7", "param": "temperature"}}, "temperature"),
        ({"error": "System role not supported"}, "system"),
    ],
)
def test_complaints_come_in_many_shapes(
    server: OpenAIServer, complaint: dict[str, Any], left_out: str
) -> None:
    server.faults.append(Status(422, complaint))
    model, _ = patient(server)
    model.complete(request(logprobs=True))
    assert model.dialect == Dialect(left_out=frozenset({left_out}))
    assert ("system" in [m["role"] for m in server.bodies[-1]["messages"]]) == (left_out != "system")
    assert "hyperparameters" in server.bodies[-1]["messages"][0]["content"]


def test_log_probabilities_may_be_forbidden(server: OpenAIServer) -> None:
    server.faults.append(Status(403, {"error": {"message": "You are not allowed to request logprobs."}}))
    assert ask(server, logprobs=True).text


def test_a_change_that_does_not_help_is_taken_back(server: OpenAIServer) -> None:
    # Names a field, but means the format.
    misleading = Status(400, {"error": {"message": "temperature and grammar do not go together"}})
    server.faults.extend([misleading] * 3)
    model, _ = patient(server)
    model.complete(request())
    assert model.dialect == Dialect(response_format="json_object")


def test_a_request_refused_in_every_form_is_an_error(server: OpenAIServer) -> None:
    error, waits = failure(server, *[Status(400, {"error": {"message": "no"}})] * 4)
    assert isinstance(error, ModelError)
    assert "refuses the request (400: no)" in error.message
    assert waits == []
    model, _ = patient(server)
    assert model.dialect == Dialect()


# -- trying again -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 529])
def test_passing_trouble_is_waited_out(server: OpenAIServer, status: int) -> None:
    server.faults.extend([Status(status, BUSY)] * 3)
    model, waits = patient(server)
    assert model.complete(request()).text
    assert [int(w) for w in waits] == [1, 2, 4]  # and a part of a second by chance
    assert len({w % 1 for w in waits}) == 3


@pytest.mark.parametrize(
    ("status", "error"), [(429, "is busy (429: Rate limit"), (500, "failed (500: Rate"), (503, "failed (503")]
)
def test_the_waiting_ends(server: OpenAIServer, status: int, error: str) -> None:
    raised, waits = failure(server, *[Status(status, BUSY)] * 9, attempts=4)
    assert error in raised.message
    assert raised.message.endswith("; asked 4 times")
    assert len(waits) == 3
    assert len(server.bodies) == 4


@pytest.mark.parametrize("asked", ["7", "7.0", "date"])
def test_the_server_says_how_long_to_wait(server: OpenAIServer, asked: str) -> None:
    header = formatdate(time.time() + 7.9, usegmt=True) if asked == "date" else asked
    server.faults.append(Status(429, BUSY, {"Retry-After": header}))
    model, waits = patient(server)
    assert model.complete(request()).text
    assert waits == [pytest.approx(7, abs=1)]


@pytest.mark.parametrize("asked", ["86400", "inf"])
def test_nobody_waits_for_a_day(server: OpenAIServer, asked: str) -> None:
    error, waits = failure(server, Status(429, BUSY, {"Retry-After": asked}))
    assert "it asks to wait" in error.message
    assert waits == []


@pytest.mark.parametrize("asked", ["soon", "-3", "nan"])
def test_a_strange_wish_to_wait_does_no_harm(server: OpenAIServer, asked: str) -> None:
    server.faults.append(Status(429, BUSY, {"Retry-After": asked}))
    model, waits = patient(server)
    assert model.complete(request()).text
    assert 0 <= waits[0] <= 2


def test_an_empty_account_is_not_waited_for(server: OpenAIServer) -> None:
    error, waits = failure(server, Status(429, {"error": {"message": "no", "code": "insufficient_quota"}}))
    assert "billing" in error.hint
    assert waits == []


@pytest.mark.parametrize(
    "fault", [Breaks(0, "end"), Breaks(0, "reset"), Breaks(3, "end"), Breaks(3, "reset")]
)
def test_half_an_answer_is_asked_for_again(server: OpenAIServer, fault: Breaks) -> None:
    server.faults.append(fault)
    model, waits = patient(server)
    assert json.loads(model.complete(request()).text)
    assert len(waits) == 1
    error, waits = failure(server, *[fault] * 3, attempts=3)
    assert type(error) is ModelError
    assert "broke off before its answer was complete" in error.message
    assert len(waits) == 2


def test_an_error_in_the_middle_of_a_stream_is_one(server: OpenAIServer) -> None:
    stream = 'data: {"choices": [{"delta": {"content": "a"}}]}\n\ndata: {"error": {"message": "lost", "code": 500}}\n\n'
    server.faults.append(Status(200, stream, {"Content-Type": "text/event-stream"}))
    model, waits = patient(server)
    assert json.loads(model.complete(request()).text)
    assert len(waits) == 1


def test_a_server_that_was_there_may_come_back(server: OpenAIServer) -> None:
    model, waits = patient(server, attempts=3)
    assert model.complete(request()).text
    server.__exit__(None, None, None)
    with pytest.raises(ModelUnavailable, match=r"nothing answers at .*; asked 3 times"):
        model.complete(request())
    assert len(waits) == 2
    server._thread = threading.Thread()  # so that the fixture can close it again
    server._thread.start()


@pytest.mark.parametrize("after", [0, 2])
def test_a_server_that_hangs_is_noticed(server: OpenAIServer, after: int) -> None:
    error, waits = failure(server, Breaks(after, "hang"), read_seconds=0.5)
    assert error.message.endswith("was silent for 0.5 seconds")
    assert waits == []
    assert server.left.wait(5)  # so that it stops working for nobody


def test_an_answer_without_end_is_noticed() -> None:
    with OpenAIServer(say=lambda _: "no end " * 50_000) as server:
        model, _ = patient(server, answer_seconds=0.05)
        with pytest.raises(ModelError, match="does not come to an end"):
            model.complete(request(schema=None, max_tokens=10**6))


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a POSIX signal")
def test_ctrl_c_works_at_once_and_frees_the_server(server: OpenAIServer) -> None:
    server.faults.append(Breaks(2, "hang"))
    code = f"""
from tcs_hpt.llm.openai_compatible import OpenAICompatibleModel
from tcs_hpt.testing.models import request
model = OpenAICompatibleModel({server.url!r}, "tiny")
try:
    model.complete(request())
except KeyboardInterrupt:
    print(model.complete(request(schema=None)).text)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    with process:
        deadline = time.monotonic() + 30
        while not server.requests and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=10)
    assert out == "ok\n"
    assert server.left.is_set()


# -- what comes back ----------------------------------------------------------------------------------------


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


# -- names --------------------------------------------------------------------------------------------------


def test_a_name_holds_address_and_model(server: OpenAIServer) -> None:
    model = OpenAICompatibleModel.from_name(f"{server.url}/#tiny")
    assert model.name == f"openai:{server.url}#tiny"
    assert OpenAICompatibleModel.from_name(model.name.removeprefix("openai:")).complete(request()).text
    slashed = OpenAICompatibleModel.from_name("http://h:8000/v1#org/model:7b#q4")
    assert slashed.name == "openai:http://h:8000/v1#org/model:7b#q4"


def test_the_only_model_need_not_be_named(server: OpenAIServer) -> None:
    assert OpenAICompatibleModel.from_name(server.url).name.endswith("#tiny")


def test_several_models_are_listed() -> None:
    with OpenAIServer(models=["a", "b"]) as server:
        assert served(server.url) == ("a", "b")
        with pytest.raises(UserError, match="has 2 models: a, b") as caught:
            OpenAICompatibleModel.from_name(f"{server.url}#")
        assert f"openai:{server.url}#a" in caught.value.hint
        with pytest.raises(UserError, match=r"does not have the model .*: `c`") as caught:
            OpenAICompatibleModel(server.url, "c").complete(request())
        assert caught.value.hint == "It has: a, b."


def test_a_server_without_models() -> None:
    with OpenAIServer(models=[]) as server:
        with pytest.raises(UserError, match="has no model"):
            OpenAICompatibleModel.from_name(server.url)
        server.faults.append(Status(200, {"object": "list", "data": None}))
        assert served(server.url) == ()


@pytest.mark.parametrize("url", ["", "localhost:8000/v1", "ftp://host/v1", "http://", "user:pass@host:1/v1"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UserError, match="begins with http://") as caught:
        OpenAICompatibleModel(url, "tiny")
    assert "http://host:8000/v1" in caught.value.hint
    assert "pass" not in str(caught.value)


def test_an_unreadable_address_shows_no_password() -> None:
    with pytest.raises(UserError, match="cannot be read") as caught:
        OpenAICompatibleModel("http://user:pass/word@host/v1", "tiny")
    assert "pass" not in str(caught.value).replace("password", "")


def test_a_model_needs_a_name() -> None:
    with pytest.raises(UserError, match="needs a name"):
        OpenAICompatibleModel("http://host/v1", " ")


# -- errors -------------------------------------------------------------------------------------------------


def test_a_server_that_is_not_running() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
    waits: list[float] = []
    for use in (
        lambda: served(url),
        lambda: OpenAICompatibleModel(url, "m", sleep=waits.append).complete(request()),
    ):
        with pytest.raises(ModelUnavailable, match=f"nothing answers at {url}") as caught:
            use()
        assert "Start the model server" in caught.value.hint
    assert waits == []  # a mistake is told at once


@pytest.mark.parametrize("path", ["", "/api", "/v1/v1"])
def test_a_wrong_path(server: OpenAIServer, path: str) -> None:
    url = server.root + path
    for use in (lambda: served(url), lambda: OpenAICompatibleModel(url, "tiny").complete(request())):
        with pytest.raises(UserError, match="has nothing there") as caught:
            use()
        assert "usually ends in /v1" in caught.value.hint
        assert (f"try {server.url}" in caught.value.hint) == (path != "/v1/v1")


@pytest.mark.parametrize(
    ("fault", "kind", "message", "hint"),
    [
        (Status(401, "{}"), UserError, "does not accept the key", "TCS_HPT_API_KEY"),
        (Status(403, "<html>no</html>"), UserError, "does not accept the key", "TCS_HPT_API_KEY"),
        (Status(400, {"error": {"message": "API key not valid."}}), UserError, "accept the key", "API_KEY"),
        (
            Status(404, {"error": 'model "x" not found, try pulling it'}),
            UserError,
            "not have the model",
            "It has",
        ),
        (Status(400, {"error": "No models loaded."}), UserError, "does not have the model", "It has: tiny"),
        (Status(200, "<!DOCTYPE html><p>hi"), UserError, "answered with a web page", "/v1"),
        (Status(404, "<html>nginx</html>"), UserError, "answered with a web page", "/v1"),
        (Status(200, "hello"), UserError, "did not answer in the OpenAI protocol", "/v1"),
        (Status(200, {"models": []}), UserError, "did not answer in the OpenAI protocol", "/v1"),
        (Status(200, {"error": "Unexpected endpoint or method."}), UserError, "has nothing there", "/v1"),
        (Status(413, ""), ModelError, "does not fit into the context", "Shorten"),
        (
            Status(400, {"error": {"type": "exceed_context_size_error"}}),
            ModelError,
            "not fit",
            "larger context",
        ),
        (
            Status(400, {"message": "This model's maximum context length is 8"}),
            ModelError,
            "not fit",
            "Shorten",
        ),
        (Status(418, {"error": "teapot"}), ModelError, "answered 418: teapot", "Check"),
        (
            Status(307, "", {"Location": "https://else.where/v1?k=1"}),
            UserError,
            "https://else.where/v1",
            "trust",
        ),
    ],
)
def test_errors_say_who_must_do_what(
    server: OpenAIServer, fault: Status, kind: type[TcsHptError], message: str, hint: str
) -> None:
    error, waits = failure(server, fault)
    assert isinstance(error, kind)
    assert message in error.message
    assert hint in error.hint
    assert "<" not in error.message
    assert waits == []
    assert len(server.bodies) == 1


def test_a_web_page_is_not_printed_when_a_gateway_fails(server: OpenAIServer) -> None:
    error, _ = failure(server, *[Status(502, "<html>Bad Gateway</html>")] * 2, attempts=2)
    assert isinstance(error, ModelUnavailable)
    assert "failed (502)" in error.message


def test_later_a_study_goes_on_without_the_server(server: OpenAIServer) -> None:
    model, _ = patient(server)
    model.complete(request())
    server.key = "changed"
    with pytest.raises(ModelError, match="does not accept the key"):
        model.complete(request())


def test_a_closed_model_says_so(server: OpenAIServer) -> None:
    model, _ = patient(server)
    model.close()
    with pytest.raises(ModelError, match="is closed"):
        model.complete(request())


# -- secrets ------------------------------------------------------------------------------------------------


def sent_keys(server: OpenAIServer) -> set[str | None]:
    return {r.headers.get("authorization") for r in server.requests}


def test_the_key_comes_from_the_environment(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TCS_HPT_API_KEY", f" {KEY}\n")
    server.key = KEY
    assert OpenAICompatibleModel.from_name(server.url).complete(request()).text
    assert sent_keys(server) == {f"Bearer {KEY}"}


def test_the_key_for_openai_goes_nowhere_else(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert OpenAICompatibleModel.from_name(server.url).complete(request()).text
    assert sent_keys(server) == {None}


@pytest.mark.parametrize(
    ("url", "is_sent"),
    [
        ("https://api.openai.com/v1", True),
        ("https://API.OpenAI.com:443/v1", True),
        ("http://api.openai.com/v1", False),
        ("https://api.openai.com.evil.example/v1", False),
        ("https://evil.example/api.openai.com/v1", False),
        ("https://api.openai.com@evil.example/v1", False),
        ("https://evil.example?api.openai.com", False),
        ("https://myapi.openai.com/v1", False),
    ],
)
def test_which_address_is_openai(url: str, is_sent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert (Address.of(url).key.get_secret_value() == KEY) == is_sent
    monkeypatch.setenv("TCS_HPT_API_KEY", "own")
    assert Address.of(url).key.get_secret_value() == "own"


def test_a_redirect_does_not_get_the_key(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TCS_HPT_API_KEY", KEY)
    with OpenAIServer() as other:
        error, _ = failure(server, Status(308, "", {"Location": f"{other.url}/chat/completions"}))
        assert isinstance(error, UserError)
        assert other.requests == []


@pytest.mark.parametrize("key", ["sk-käse", "two words", "a\nb", "a\x00"])
def test_a_key_that_cannot_be_one_is_not_shown(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TCS_HPT_API_KEY", key) if "\x00" not in key else None
    with pytest.raises(UserError, match="no key has") as caught:
        OpenAICompatibleModel("http://host/v1", "m", api_key=key)
    assert key not in str(caught.value)


def test_nothing_shows_a_secret(
    server: OpenAIServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("TCS_HPT_API_KEY", KEY)
    secrets = [KEY, "hunter2", "tok=abcdef", "abcdef"]
    url = server.url.replace("http://", "http://me:hunter2@") + "?tok=abcdef"
    leak = f"bad {KEY} for me:hunter2 at {url}; sk-proj-Zq7****0042"
    seen: list[str] = []

    def provoke(fault: Status, use: Callable[[], Any]) -> None:
        server.faults.append(fault)
        with pytest.raises(TcsHptError) as caught:
            use()
        error: BaseException | None = caught.value
        while error is not None:
            seen.extend((str(error), repr(error)))
            error = error.__cause__

    model = OpenAICompatibleModel(url, "tiny", attempts=1, sleep=lambda _: None)
    for status in (200, 301, 400, 401, 403, 404, 405, 413, 418, 429, 500, 503):
        for body in (
            leak,
            {"error": {"message": leak, "code": leak, "param": leak}},
            {"detail": [{"msg": leak}]},
        ):
            headers = {"Location": f"http://me:hunter2@else.where/?tok=abcdef&key={KEY}"}
            provoke(Status(status, body, headers), lambda: model.complete(request(schema=None)))
            server.faults.clear()
            provoke(Status(status, body, headers), lambda: served(url))
            server.faults.clear()
    caplog.clear()  # the server's own headers are logged in full
    recorded = RecordingModel(model, tmp_path / "recording.jsonl")
    assert recorded.complete(request()).text
    seen += [recorded.name, repr(model), repr(model._connection), repr(model._connection._address)]
    seen += [(tmp_path / "recording.jsonl").read_text()]
    for text in seen:
        for secret in [*secrets, "sk-proj"]:
            assert secret not in text
    assert model.name == f"openai:{server.url}#tiny"
    assert caplog.records
    assert all(KEY not in r.getMessage() and "hunter2" not in r.getMessage() for r in caplog.records)
    # They were used, all the same.
    assert sent_keys(server) == {f"Bearer {KEY}"}
    assert all(r.path.endswith("?tok=abcdef") for r in server.requests)


def test_a_password_in_the_address_is_used_where_there_is_no_key(server: OpenAIServer) -> None:
    url = server.url.replace("http://", "http://me:p%40ss@")
    assert OpenAICompatibleModel(url, "tiny").complete(request()).text
    assert sent_keys(server) == {"Basic bWU6cEBzcw=="}
    server.faults.append(Status(418, {"error": "you sent bWU6cEBzcw== or me:p@ss or me:p%40ss"}))
    with pytest.raises(ModelError, match=r"you sent \*\*\* or me:\*\*\* or \*\*\*"):
        OpenAICompatibleModel(url, "tiny").complete(request())


def test_a_proxy_is_not_asked_for_this_machine(server: OpenAIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert OpenAICompatibleModel(server.url, "tiny").complete(request()).text


def test_proxy_settings_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "gopher://me:hunter2@host")
    with pytest.raises(UserError, match="proxy settings") as caught:
        OpenAICompatibleModel("http://host/v1", "m")
    assert "hunter2" not in str(caught.value)


def test_a_complaint_does_not_repeat_the_request() -> None:
    content = {"detail": [{"loc": ["body", "seed"], "msg": "no", "input": {"messages": ["long"]}}]}
    complaint = Complaint.of(422, content, lambda text: text)
    assert "long" not in complaint.text
    assert '"seed"' in complaint.text
