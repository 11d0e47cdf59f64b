from __future__ import annotations

from pathlib import Path

import pytest

from tcs_hpt.errors import ModelUnavailable, UserError
from tcs_hpt.llm.opening import open_model
from tests.llm.opening.stubs import CRAMMED, FULL, GB, ROOMY, Engine


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


@pytest.mark.parametrize(("jobs", "threads"), [(1, 8), (2, 4), (3, 2), (64, 1)])
def test_what_runs_side_by_side_shares_the_cores(
    engine: list[str], tmp_path: Path, jobs: int, threads: int
) -> None:
    path = tmp_path / "any.gguf"
    path.touch()
    for name in ("embedded:smollm2-135m", f"embedded:{path}", "auto"):
        model, _ = open_model(name, jobs=jobs, look=lambda: ROOMY)
        assert isinstance(model, Engine)
        assert model.threads == threads


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
