"""Keys and passwords go where they belong and are never shown."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tcs_hpt.errors import ModelError, TcsHptError, UserError
from tcs_hpt.llm._openai_address import Address
from tcs_hpt.llm._openai_errors import Complaint
from tcs_hpt.llm.openai_compatible import OpenAICompatibleModel, served
from tcs_hpt.llm.replay import RecordingModel
from tcs_hpt.testing.models import request
from tcs_hpt.testing.openai_server import OpenAIServer, Status
from tests.llm.openai_compatible.asking import KEY, failure


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
    bodies = (leak, {"error": {"message": leak, "code": leak, "param": leak}}, {"detail": [{"msg": leak}]})
    for body in bodies:  # one status after the other: a server that fails in the same way thrice is given up
        for status in (200, 301, 400, 401, 403, 404, 405, 413, 418, 429, 500, 503):
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
