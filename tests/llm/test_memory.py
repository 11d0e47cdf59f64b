from __future__ import annotations

import pytest

from tcs_hpt.llm._memory import MIB, HeldMemory


def test_what_is_taken_while_loading_and_answering_counts_and_repeated_answers_once() -> None:
    memory = HeldMemory()
    with memory.loading():
        weights = bytearray(b"w" * (40 * MIB))
    assert 39 < memory.mb < 60
    for _ in range(5):
        with memory.answering():
            work = bytearray(b"a" * (20 * MIB))
        del work
    assert 58 < memory.mb < 85
    assert len(weights) == 40 * MIB


def test_a_failure_passes_through() -> None:
    memory = HeldMemory()
    with pytest.raises(KeyError), memory.answering():
        raise KeyError
    assert memory.mb == 0
