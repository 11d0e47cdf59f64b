from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from tcs_hpt.errors import ModelUnavailable, ReplayMiss, UserError
from tcs_hpt.llm import download, models
from tcs_hpt.testing.models import request


def test_catalogue_is_keyed_by_name_and_complete() -> None:
    assert next(iter(models.CATALOGUE)) == models.DEFAULT_EMBEDDED
    for name, model in models.CATALOGUE.items():
        assert model.name == name
        assert re.fullmatch(r"[0-9a-f]{64}", model.sha256)
        assert model.file.endswith(".gguf")
        assert model.full_name == f"embedded:{name}"
    assert models.CATALOGUE["smollm2-135m"].size_mb == 98


def test_models_dir_is_the_environments_or_in_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TCS_HPT_MODELS_DIR", str(tmp_path))
    assert models.models_dir() == tmp_path
    monkeypatch.setenv("TCS_HPT_MODELS_DIR", "")
    assert models.models_dir().name == "models"
    assert "tcs-hpt" in str(models.models_dir())


@pytest.mark.parametrize("name", ["smollm2-135m", "embedded:smollm2-135m"])
def test_a_known_model_is_found_with_or_without_backend(name: str) -> None:
    assert models.known_model(name).name == "smollm2-135m"


@pytest.mark.parametrize("name", ["", "gpt", "embedded:", "scripted:", "replay", "mystery:x"])
def test_a_name_that_means_nothing_lists_the_choices(name: str) -> None:
    with pytest.raises(UserError, match="does not name a model") as caught:
        models.open_model(name)
    for choice in ("auto", "embedded:smollm2-135m", "scripted:first", "replay:FILE"):
        assert choice in caught.value.hint


def test_an_unknown_embedded_model_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match="`huge` is not a known model") as caught:
        models.open_model("embedded:huge")
    assert "smollm2-135m" in caught.value.hint


def test_a_missing_model_file_is_the_users(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no model file"):
        models.open_model(f"embedded:{tmp_path}/none.gguf")


def test_scripted_first_answers_without_a_model() -> None:
    model, reason = models.open_model("scripted:first")
    assert json.loads(model.complete(request()).text)["confidence"] == 1
    assert model.name == "scripted:first"
    assert "scripted:first" in reason


def test_scripted_and_replay_files_are_opened(tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text('["hello"]')
    model, _ = models.open_model(f"scripted:{script}")
    assert model.complete(request()).text == "hello"
    recording = tmp_path / "calls.jsonl"
    recording.write_text("")
    model, _ = models.open_model(f"replay:{recording}")
    with pytest.raises(ReplayMiss):
        model.complete(request())


def test_without_the_engine_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    monkeypatch.setenv("TCS_HPT_MODELS_DIR", str(tmp_path))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it was fetched")

    monkeypatch.setattr(download, "fetch", refuse)
    with pytest.raises(ModelUnavailable) as caught:
        models.open_model("auto")
    assert "pip install 'tcs-hpt[embedded]'" in caught.value.hint


@pytest.mark.embedded
def test_auto_is_the_embedded_default_and_says_why(smollm2: Path) -> None:
    model, reason = models.open_model("auto")
    try:
        assert model.name == "embedded:smollm2-135m"
        assert "No model was named" in reason
        by_path, _ = models.open_model(f"embedded:{smollm2}")
        assert by_path.complete(request()).text == model.complete(request()).text
        by_path.close()
    finally:
        model.close()
