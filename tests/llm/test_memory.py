from __future__ import annotations

import mmap

import pytest

from tcs_hpt.llm._memory import MIB, HeldMemory


def touched(mib: int) -> mmap.mmap:
    """Memory that the process did not have before; an allocator may hand out what it kept."""
    pages = mmap.mmap(-1, mib * MIB)
    for start in range(0, len(pages), mmap.PAGESIZE):
        pages[start] = 1
    return pages


def test_what_is_taken_while_loading_and_answering_counts_and_repeated_answers_once() -> None:
    memory = HeldMemory()
    with memory.loading():
        weights = touched(40)
    assert 35 < memory.mb < 60
    for _ in range(5):
        with memory.answering():
            work = touched(20)
        work.close()
    assert 50 < memory.mb < 85
    weights.close()


def test_a_failure_passes_through() -> None:
    memory = HeldMemory()
    with pytest.raises(KeyError), memory.answering():
        raise KeyError
    assert memory.mb == 0
