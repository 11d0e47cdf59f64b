"""The estimator against two real tokenizers, on the texts it is used for."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcs_hpt.llm.llama_cpp import LlamaCppModel
from tcs_hpt.summary import estimate_tokens
from tests.golden_files import FOLDER

TEXTS = {p.stem: p.read_text(encoding="utf-8") for p in sorted(FOLDER.glob("*.txt"))}
LOWEST, HIGHEST = 0.95, 1.35
"""Estimate over real count: hardly ever too low, never wasteful."""


@pytest.mark.embedded
def test_against_the_tokenizer_of_smollm2(embedded: LlamaCppModel) -> None:
    ratios = {stem: estimate_tokens(text) / embedded.token_count(text) for stem, text in TEXTS.items()}
    assert {s: r for s, r in ratios.items() if not LOWEST <= r <= HIGHEST} == {}


def test_against_recorded_counts_of_the_tokenizer_of_qwen() -> None:
    path = Path(__file__).parent / "data" / "qwen_token_counts.json"
    recorded: dict[str, int] = json.loads(path.read_text(encoding="utf-8"))
    known = {s: recorded.get(hashlib.sha256(t.encode()).hexdigest()) for s, t in TEXTS.items()}
    missing = [s for s, count in known.items() if count is None]
    assert not missing, (
        "record them: python benchmarks/token_estimate.py --record --model embedded:qwen2.5-coder-1.5b"
    )
    ratios = {s: estimate_tokens(TEXTS[s]) / count for s, count in known.items() if count}
    assert {s: r for s, r in ratios.items() if not LOWEST <= r <= HIGHEST} == {}


@given(st.text(max_size=80), st.text(max_size=80))
def test_longer_texts_never_count_less(a: str, b: str) -> None:
    assert estimate_tokens(a + "\n" + b) == estimate_tokens(a) + 1 + estimate_tokens(b)
