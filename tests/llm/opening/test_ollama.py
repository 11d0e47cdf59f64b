from __future__ import annotations

import pytest

from tcs_hpt.errors import ModelUnavailable
from tcs_hpt.llm.opening import NotInstalled, open_model
from tcs_hpt.testing.ollama_server import OllamaServer, StubModel
from tests.llm.opening.stubs import CRAMMED, ROOMY


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
