"""What is sent, and what is sent instead when a server refuses it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tcs_hpt.errors import ModelError
from tcs_hpt.llm._openai_dialect import Dialect, plain
from tcs_hpt.records import Message
from tcs_hpt.testing.models import SCHEMA, request
from tcs_hpt.testing.openai_server import OpenAIServer, Status
from tests.llm.openai_compatible.asking import ask, failure, patient


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
