from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar

import pytest

from tcs_hpt.errors import ModelUnavailable, ReplayMiss
from tcs_hpt.llm.opening import open_model
from tcs_hpt.testing.models import request
from tcs_hpt.testing.openai_server import OpenAIServer


def test_an_openai_server_is_reached_before_the_first_trial() -> None:
    with OpenAIServer() as server:
        url = server.url
        model, reason = open_model(f"openai:{url}")
        assert model.name in reason
        assert "does not list" not in reason
        model.close()
        other, reason = open_model(f"openai:{url}#another")
        assert other.name.endswith("#another")
        assert "The server does not list it; it lists" in reason
        other.close()
    with pytest.raises(ModelUnavailable):
        open_model(f"openai:{url}#another")


def test_a_password_in_a_url_is_not_recorded() -> None:
    with OpenAIServer() as server:
        with_password = server.url.replace("http://", "http://me:secret@")
        model, reason = open_model(f"openai:{with_password}")
        model.close()
    assert "secret" not in reason + model.name


class FakeTransformersModel:
    opened: ClassVar[list[tuple[str, bool | None]]] = []
    commit = "0123abc"

    def __init__(self, source: str, *, ignore_memory: bool | None = None) -> None:
        self.opened.append((source, ignore_memory))
        self.name = f"transformers:{source}"


def test_a_transformers_model_is_named_by_what_was_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tcs_hpt.llm.transformers_local.TransformersModel", FakeTransformersModel)
    _, reason = open_model("transformers:me/my-model")
    assert FakeTransformersModel.opened.pop() == ("me/my-model", False)
    assert "transformers:me/my-model was asked for" in reason
    assert "commit 0123abc" in reason  # what is newest on the Hub may be another one tomorrow
    _, reason = open_model("transformers:me/my-model@0123abc", ignore_memory=True)
    assert FakeTransformersModel.opened.pop() == ("me/my-model@0123abc", True)
    assert "It is commit" not in reason


def test_scripted_first_answers_without_a_model() -> None:
    model, reason = open_model("scripted:first")
    assert json.loads(model.complete(request()).text)["confidence"] == 1
    assert model.name == "scripted:first"
    assert "scripted:first" in reason


def test_scripted_and_replay_files_are_opened(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text('["hello"]')
    model, _ = open_model(f"scripted:{script}")
    assert model.complete(request()).text == "hello"
    recording = tmp_path / "calls.jsonl"
    recording.write_text("")
    model, _ = open_model(f"replay:{recording}")
    with pytest.raises(ReplayMiss):
        model.complete(request())
