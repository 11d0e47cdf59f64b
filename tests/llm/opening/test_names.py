from __future__ import annotations

import re
from pathlib import Path

import pytest

from tcs_hpt.errors import TcsHptError, UserError
from tcs_hpt.llm.opening import open_model, suggest
from tcs_hpt.testing.ollama_server import OllamaServer, StubModel
from tests.llm.opening.stubs import CRAMMED


@pytest.mark.parametrize(
    "name",
    ["", "gpt", "embedded:", "ollama:", "openai:", "transformers:", "scripted:", "replay", "mystery:x"],
)
def test_a_name_that_means_nothing_lists_the_choices(name: str) -> None:
    with pytest.raises(UserError, match="does not name a model") as caught:
        open_model(name)
    for choice in (
        "auto",
        "ollama:NAME",
        "openai:URL#MODEL",
        "embedded:smollm2-135m",
        "scripted:first",
        "replay:FILE",
    ):
        assert choice in caught.value.hint


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("smollm2-135m", "embedded:smollm2-135m"),
        ("smolm2-135m", "embedded:smollm2-135m"),
        ("qwen2.5-coder:7b", "ollama:qwen2.5-coder:7b"),
        ("qwen2.5-codr:7b", "ollama:qwen2.5-coder:7b"),
        ("phi4-mini", "ollama:phi4-mini:3.8b"),
        ("Phi4-Reasoning:14B", "ollama:phi4-reasoning:14b"),
        ("olama:qwen3:8b", "ollama:qwen3:8b"),
        ("models/tiny.gguf", "embedded:models/tiny.gguf"),
        ("http://box:8000/v1", "openai:http://box:8000/v1#MODEL"),
        ("http://box:8000/v1#qwen", "openai:http://box:8000/v1#qwen"),
        ("Qwen/Qwen2.5-0.5B-Instruct", "transformers:Qwen/Qwen2.5-0.5B-Instruct"),
    ],
)
def test_a_near_miss_is_asked_about(name: str, meant: str) -> None:
    with pytest.raises(UserError, match="does not name a model") as caught:
        open_model(name)
    assert f"Did you mean {meant}?" in caught.value.hint


@pytest.mark.parametrize("name", ["zzz", "gpt-4o-and-more", ""])
def test_nothing_near_is_not_guessed(name: str) -> None:
    assert suggest(name) == ""


@pytest.mark.parametrize(
    "name",
    ["auto", "ollama:qwen3:8b", "embedded:qwen2.5-coder-1.5b", "embedded:smollm", "mystery:x", "openai:u"],
)
def test_hints_name_no_option_that_a_command_at_hand_lacks(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`tune`, `compare` and `models check` open models; what all three take is --pull."""
    monkeypatch.setenv("TCS_HPT_MODELS_DIR", str(tmp_path))
    with OllamaServer(StubModel("mistral")) as server:
        hosts = {"127.0.0.1:9", server.host} if name.startswith("ollama:") else {"127.0.0.1:9"}
        for host in hosts:
            monkeypatch.setenv("OLLAMA_HOST", host)
            with pytest.raises(TcsHptError) as caught:
                open_model(name, look=lambda: CRAMMED)
            outside_commands = re.sub(r"`tcs-hpt [^`]*`", "", caught.value.hint)
            assert set(re.findall(r"--[a-z-]+", outside_commands)) <= {"--pull"}, caught.value.hint
