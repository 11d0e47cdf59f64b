from __future__ import annotations

import re
from pathlib import Path

import pytest

from tcs_hpt.errors import UserError
from tcs_hpt.llm import models
from tcs_hpt.llm.models import Layout, library_model, memory_needed


def test_catalogue_is_keyed_by_name_and_complete() -> None:
    assert next(iter(models.CATALOGUE)) == models.DEFAULT_EMBEDDED
    for name, model in models.CATALOGUE.items():
        assert model.name == name
        assert re.fullmatch(r"[0-9a-f]{64}", model.sha256)
        assert model.file.endswith(".gguf")
        assert model.full_name == f"embedded:{name}"
    assert models.CATALOGUE["smollm2-135m"].size_mb == 98


def test_library_is_keyed_by_name_and_complete() -> None:
    for name, model in models.LIBRARY.items():
        assert model.name == name
        assert re.fullmatch(r"[a-z0-9.-]+:[a-z0-9.-]+", name), "a tag, so that it means one set of weights"
        assert model.full_name == f"ollama:{name}"
        assert 100_000_000 < model.size < model.memory
        assert model.licence
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", model.source)
        assert re.fullmatch(r"[\d.]+[MB]", model.parameters)
        assert model.description.endswith(".")
    paper = {name for name, model in models.LIBRARY.items() if model.paper}
    assert paper == {"phi4-reasoning:14b", "qwen2.5-coder:32b"}


def test_no_tag_stands_for_two_models() -> None:
    tags = [tag for model in models.LIBRARY.values() for tag in (model.name, *model.also)]
    assert len(tags) == len(set(tags))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("qwen2.5-coder:7b", "qwen2.5-coder:7b"),
        ("ollama:qwen2.5-coder:7b", "qwen2.5-coder:7b"),
        ("phi4-mini", "phi4-mini:3.8b"),
        ("phi4-mini:latest", "phi4-mini:3.8b"),
        ("qwen3:4b-instruct-2507-q4_K_M", "qwen3:4b-instruct"),
        ("qwen2.5-coder:7b-q8_0", None),
        ("someone/qwen2.5-coder:7b", None),
        ("mistral", None),
        ("", None),
    ],
)
def test_a_library_model_is_found_by_any_of_its_tags(name: str, found: str | None) -> None:
    model = library_model(name)
    assert (model.name if model else None) == found


@pytest.mark.parametrize(
    ("name", "full"),
    [("qwen3", "qwen3:latest"), ("qwen3:8b", "qwen3:8b"), ("box:5000/me/q", "box:5000/me/q:latest")],
)
def test_a_name_without_tag_means_the_latest(name: str, full: str) -> None:
    assert models.full_tag(name) == full


def test_memory_is_weights_context_and_engine() -> None:
    # Qwen3 8B: 36 layers, 8 key-value heads of 128 numbers, two bytes each, keys and values, 8,192 tokens.
    cache = 36 * 8 * 128 * 2 * 2 * 8192
    assert memory_needed(5_000_000_000, Layout(36, 8, 128)) == 5_000_000_000 + cache + 500_000_000
    assert memory_needed(5_000_000_000) > memory_needed(5_000_000_000, Layout(28, 2, 128))
    known = models.LIBRARY["qwen3:8b"]
    assert known.memory == memory_needed(known.size, known.layout)


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


def test_an_unknown_model_lists_the_known_ones() -> None:
    with pytest.raises(UserError, match="`huge` is not a known model") as caught:
        models.known_model("huge")
    assert "smollm2-135m" in caught.value.hint


def test_every_model_is_listed_once() -> None:
    names = [model.full_name for model in models.known_models()]
    assert len(names) == len(set(names)) == len(models.CATALOGUE) + len(models.LIBRARY)
