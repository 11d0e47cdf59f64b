"""No server of whoever runs the tests, and an engine without a model file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcs_hpt.llm import download, llama_cpp
from tcs_hpt.llm.models import KnownModel
from tests.llm.opening.stubs import Engine


@pytest.fixture(autouse=True)
def no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never the server of whoever runs the tests."""
    monkeypatch.setenv("OLLAMA_HOST", "127.0.0.1:9")
    monkeypatch.delenv("TCS_HPT_IGNORE_MEMORY", raising=False)


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
