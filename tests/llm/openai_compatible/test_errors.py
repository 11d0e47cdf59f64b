"""Errors say who must do what."""

from __future__ import annotations

import socket

import pytest

from tcs_hpt.errors import ModelError, ModelUnavailable, TcsHptError, UserError
from tcs_hpt.llm.openai_compatible import OpenAICompatibleModel, served
from tcs_hpt.testing.models import request
from tcs_hpt.testing.openai_server import OpenAIServer, Status
from tests.llm.openai_compatible.asking import failure, patient


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
