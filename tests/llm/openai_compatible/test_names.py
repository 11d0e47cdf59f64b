"""Addresses and names of models."""

from __future__ import annotations

import pytest

from tcs_hpt.errors import UserError
from tcs_hpt.llm.openai_compatible import OpenAICompatibleModel, served
from tcs_hpt.testing.models import request
from tcs_hpt.testing.openai_server import OpenAIServer, Status


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
