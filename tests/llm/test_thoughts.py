from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcs_hpt.llm._thoughts import split_thoughts

TAGS = ["<think>", "</think>", "[THINK]", "[/THINK]", "{", '"', "a", " ", "\n"]


@pytest.mark.parametrize(
    ("text", "answer", "thoughts"),
    [
        ("<think>\nhm\n</think>\n\nyes", "yes", "hm"),
        ("<think></think>yes", "yes", ""),
        ("<think>\n\n</think>\n\n", "", ""),
        ("[THINK]hm[/THINK]yes", "yes", "hm"),
        ("<Thinking>hm</THINKING>yes", "yes", "hm"),
        ("<thought>hm</thought>yes", "yes", "hm"),
    ],
)
def test_thoughts_are_what_the_tags_hold(text: str, answer: str, thoughts: str) -> None:
    assert split_thoughts(text) == (answer, thoughts)


@pytest.mark.parametrize("text", ["", "yes", "  yes\n", "<thinks>a", "a < b", '{"a": 1}\n'])
def test_a_text_without_tags_stays_as_it_is(text: str) -> None:
    assert split_thoughts(text) == (text, "")


@pytest.mark.parametrize(
    ("text", "answer", "thoughts"),
    [
        ('hm\n</think>\n\n{"a": 1}', '{"a": 1}', "hm"),
        ("hm</think>", "", "hm"),
        ('{"draft": 1}\n</think>\n{"a": 1}', '{"a": 1}', '{"draft": 1}'),
    ],
)
def test_the_opening_tag_may_have_been_in_the_prompt(text: str, answer: str, thoughts: str) -> None:
    assert split_thoughts(text) == (answer, thoughts)


@pytest.mark.parametrize("text", ["<think>hm, 1", " <think>\nhm, 1", "<think>hm, 1<think>"])
def test_thoughts_that_never_end_leave_no_answer(text: str) -> None:
    assert split_thoughts(text) == ("", "hm, 1")


def test_a_model_may_think_several_times() -> None:
    text = "<think>a</think>\nOne.\n<think>b</think>\nTwo."
    assert split_thoughts(text) == ("One.\n\nTwo.", "a\n\nb")


@pytest.mark.parametrize(
    ("text", "answer", "thoughts"),
    [
        ("<think>I write <think> first</think>yes", "yes", "I write\n\nfirst"),
        ("<think>a <think>b</think> c</think> yes", "yes", "a\n\nb\n\nc"),
        ('<think>hm</think>{"a": 1}</think>', '{"a": 1}', "hm"),
        ('<think>hm</think>{"a": 1}\n</think>\n', '{"a": 1}', "hm"),
    ],
)
def test_tags_too_many_do_no_harm(text: str, answer: str, thoughts: str) -> None:
    assert split_thoughts(text) == (answer, thoughts)


def test_thousands_of_brackets_are_text() -> None:
    text = "[" * 100_000
    assert split_thoughts(text) == (text, "")


@pytest.mark.parametrize("before", ["", "<think>hm</think>", "hm</think>\n"])
def test_tags_inside_a_json_answer_belong_to_it(before: str) -> None:
    answer = '{"reason": "it wrote <think> and </think>"}'
    assert split_thoughts(before + answer) == (answer, "hm" if before else "")


@given(st.lists(st.sampled_from(TAGS), max_size=12).map("".join))
def test_no_letter_is_lost_or_doubled(text: str) -> None:
    answer, thoughts = split_thoughts(text)
    assert (answer + thoughts).count("a") == text.count("a")


@given(st.text(alphabet='ab {}\n"', max_size=20), st.text(alphabet='ab {}\n"', min_size=1, max_size=20))
def test_what_was_put_in_comes_out(thoughts: str, answer: str) -> None:
    assert split_thoughts(f"<think>{thoughts}</think>{answer}") == (answer.strip(), thoughts.strip())
