from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from tcs_hpt.errors import ModelUnavailable, ReplayMiss, TcsHptError, UserError
from tcs_hpt.llm import download, llama_cpp
from tcs_hpt.llm.machine import Machine
from tcs_hpt.llm.models import KnownModel
from tcs_hpt.llm.opening import NotInstalled, open_model, suggest
from tcs_hpt.testing.models import request
from tcs_hpt.testing.ollama_server import OllamaServer, StubModel
from tcs_hpt.testing.openai_server import OpenAIServer

GB = 10**9
ROOMY = Machine(cores=8, memory_total=64 * GB, memory_available=60 * GB)
FULL = Machine(cores=8, memory_total=64 * GB, memory_available=GB)
CRAMMED = Machine(cores=8, memory_total=64 * GB, memory_available=GB // 10)


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never the server of whoever runs the tests."""
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    monkeypatch.delenv("TCS_HPT_IGNORE_MEMORY", raising=False)


class Engine:
    """Stands in for llama.cpp: remembers what it was asked to load."""

    def __init__(self, path: Path, *, name: str) -> None:
        self.path, self.name = path, name

    def close(self) -> None:
        pass


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """An embedded engine that needs no model file; the list holds what was fetched."""
    fetched: list[str] = []

    def fetch(model: KnownModel, folder: Path, **_: object) -> Path:
        fetched.append(model.name)
        return folder / model.file

    monkeypatch.setattr(download, "fetch", fetch)
    monkeypatch.setattr(llama_cpp, "LlamaCppModel", Engine)
    monkeypatch.setattr(llama_cpp, "import_engine", lambda: None)
    monkeypatch.setenv("TCS_HPT_MODELS_DIR", str(tmp_path / "models"))
    return fetched


# -- names --------------------------------------------------------------------------------------------------


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


# -- embedded -----------------------------------------------------------------------------------------------


def test_an_unknown_embedded_model_lists_the_known_ones(engine: list[str]) -> None:
    with pytest.raises(UserError, match="`huge` is not a known model") as caught:
        open_model("embedded:huge")
    assert "smollm2-135m" in caught.value.hint
    with pytest.raises(UserError) as caught:
        open_model("embedded:qwen2.5-coder:7b")
    assert "Did you mean ollama:qwen2.5-coder:7b?" in caught.value.hint
    assert engine == []


def test_a_missing_model_file_is_the_users(engine: list[str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no model file"):
        open_model(f"embedded:{tmp_path}/none.gguf")


def test_a_known_file_is_fetched_and_opened(engine: list[str]) -> None:
    model, reason = open_model("embedded:smollm2-135m", look=lambda: ROOMY)
    assert model.name == "embedded:smollm2-135m"
    assert engine == ["smollm2-135m"]
    assert reason == "The model embedded:smollm2-135m was asked for."


def test_a_file_too_large_for_the_memory_is_refused_before_it_is_fetched(engine: list[str]) -> None:
    with pytest.raises(
        ModelUnavailable, match=r"needs about 1\.9 GB of memory, and 1\.0 GB are free"
    ) as caught:
        open_model("embedded:qwen2.5-coder-1.5b", look=lambda: FULL)
    assert "Use embedded:smollm2-135m" in caught.value.hint
    assert "TCS_HPT_IGNORE_MEMORY=1" in caught.value.hint
    with pytest.raises(ModelUnavailable) as caught:
        open_model("embedded:smollm2-135m", look=lambda: CRAMMED)
    assert "Close other programs" in caught.value.hint
    assert engine == []


def test_a_file_by_path_is_measured_too(engine: list[str], tmp_path: Path) -> None:
    path = tmp_path / "large.gguf"
    with path.open("wb") as file:
        file.truncate(2 * GB)  # takes no room on the disk
    with pytest.raises(ModelUnavailable, match=r"needs about 3\.6 GB"):
        open_model(f"embedded:{path}", look=lambda: FULL)
    model, _ = open_model(f"embedded:{path}", look=lambda: ROOMY)
    assert isinstance(model, Engine)
    assert model.path == path


def test_the_memory_may_be_ignored(engine: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    name = "embedded:qwen2.5-coder-1.5b"
    open_model(name, look=lambda: CRAMMED, ignore_memory=True)
    monkeypatch.setenv("TCS_HPT_IGNORE_MEMORY", "1")
    open_model(name, look=lambda: CRAMMED)
    assert engine == ["qwen2.5-coder-1.5b"] * 2
    with pytest.raises(ModelUnavailable):
        open_model(name, look=lambda: CRAMMED, ignore_memory=False)
    monkeypatch.setenv("TCS_HPT_IGNORE_MEMORY", "0")
    with pytest.raises(ModelUnavailable):
        open_model(name, look=lambda: CRAMMED)


# -- auto ---------------------------------------------------------------------------------------------------


def test_auto_without_a_server_is_the_embedded_default(engine: list[str]) -> None:
    model, reason = open_model("auto", look=lambda: ROOMY)
    assert model.name == "embedded:smollm2-135m"
    assert reason.startswith("No model was named. No Ollama server answers, so the embedded smollm2-135m")


def test_auto_takes_a_known_model_of_a_running_server(
    monkeypatch: pytest.MonkeyPatch, engine: list[str]
) -> None:
    with OllamaServer(
        StubModel("gemma3:1b"), StubModel("qwen2.5-coder:1.5b"), StubModel("mistral")
    ) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.host)
        model, reason = open_model("auto", look=lambda: ROOMY)
        assert model.name == "ollama:qwen2.5-coder:1.5b"
        assert json.loads(model.complete(request()).text)["confidence"] == 1
        model.close()
    assert "No model was named." in reason
    assert "the first of its 2 known models" in reason
    assert "mistral:latest" in reason
    assert engine == []


def test_auto_passes_over_a_server_without_known_models(
    monkeypatch: pytest.MonkeyPatch, engine: list[str]
) -> None:
    with OllamaServer(StubModel("mistral")) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.host)
        model, reason = open_model("auto", look=lambda: ROOMY)
    assert model.name == "embedded:smollm2-135m"
    assert "mistral:latest" in reason


def test_without_the_engine_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    monkeypatch.setenv("TCS_HPT_MODELS_DIR", str(tmp_path))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it was fetched")

    monkeypatch.setattr(download, "fetch", refuse)
    with pytest.raises(
        ModelUnavailable, match="there is no language model to use: no Ollama server answers"
    ) as caught:
        open_model("auto")
    for way in (
        "pip install 'tcs-hpt[embedded]'",
        "https://ollama.com/download",
        "openai:URL#MODEL",
        "--method expert",
    ):
        assert way in caught.value.hint


@pytest.mark.embedded
def test_auto_is_the_embedded_default_and_says_why(smollm2: Path) -> None:
    model, reason = open_model("auto")
    try:
        assert model.name == "embedded:smollm2-135m"
        assert "No model was named" in reason
        by_path, _ = open_model(f"embedded:{smollm2}")
        assert by_path.complete(request()).text == model.complete(request()).text
        by_path.close()
    finally:
        model.close()


# -- ollama -------------------------------------------------------------------------------------------------


def test_an_ollama_model_is_opened_under_the_name_that_the_server_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with OllamaServer(StubModel("phi4-mini:latest"), StubModel("mistral")) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.host)
        for asked, opened in (("phi4-mini:3.8b", "phi4-mini:latest"), ("mistral", "mistral:latest")):
            model, reason = open_model(f"ollama:{asked}", look=lambda: ROOMY)
            assert model.name == f"ollama:{opened}"
            assert reason == f"The model ollama:{asked} was asked for."
            model.close()


def test_without_a_server_the_error_names_the_ways() -> None:
    with pytest.raises(ModelUnavailable, match="no Ollama server answers") as caught:
        open_model("ollama:qwen3:8b")
    for way in ("ollama serve", "https://ollama.com/download", "embedded:smollm2-135m"):
        assert way in caught.value.hint


def test_a_missing_model_is_not_fetched_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    with OllamaServer(library=(StubModel("qwen3:8b"),)) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.host)
        with pytest.raises(NotInstalled, match="does not have the model `qwen3:8b`") as caught:
            open_model("ollama:qwen3:8b")
        assert not server.installed
    assert "`tcs-hpt models pull ollama:qwen3:8b` (5.2 GB)" in caught.value.hint
    assert "--pull" in caught.value.hint
    assert "did you mean" not in caught.value.hint
    assert (caught.value.name, caught.value.size) == ("qwen3:8b", 5_225_388_164)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("qwen3:7b", "ollama:qwen3:8b"),
        ("mistrl", "ollama:mistral:latest"),
        ("phi4-resoning:14b", "ollama:phi4-reasoning:14b"),
    ],
)
def test_a_slip_in_the_name_is_asked_about(monkeypatch: pytest.MonkeyPatch, name: str, meant: str) -> None:
    with OllamaServer(StubModel("qwen3:8b"), StubModel("mistral")) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.host)
        with pytest.raises(NotInstalled) as caught:
            open_model(f"ollama:{name}")
    assert f"did you mean {meant}?" in caught.value.hint


def test_a_missing_model_is_fetched_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    with OllamaServer(library=(StubModel("qwen3:0.6b", size=400),)) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.host)
        model, reason = open_model(
            "ollama:qwen3:0.6b", pull=True, on_progress=lambda *p: seen.append(p), look=lambda: ROOMY
        )
        model.close()
        assert "fetched it first" in reason
        assert seen[-1] == (400, 400)
        with pytest.raises(ModelUnavailable, match="no model"):
            open_model("ollama:no-such-model", pull=True)


def test_a_model_larger_than_the_memory_is_left_to_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with OllamaServer(StubModel("qwen3:8b")) as server:
        monkeypatch.setenv("OLLAMA_HOST", server.host)
        model, reason = open_model("ollama:qwen3:8b", look=lambda: CRAMMED)
        assert model.name == "ollama:qwen3:8b"
        model.close()
    assert "needs about 6.9 GB of memory, which is more than is free here" in reason


# -- others -------------------------------------------------------------------------------------------------


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


def test_auto_says_what_to_do_about_an_address_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://no port:x")
    with pytest.raises(UserError, match="not the address of a server") as caught:
        open_model("auto", look=lambda: Machine(2, 8 * 10**9, 8 * 10**9))
    assert "OLLAMA_HOST" in caught.value.hint
    assert "embedded:smollm2-135m needs no server" in caught.value.hint


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
