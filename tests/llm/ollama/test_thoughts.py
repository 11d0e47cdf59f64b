"""Models that think, aloud or apart, and schemas ignored over it."""

from __future__ import annotations

from typing import Any

import pytest

from tcs_hpt.errors import UserError
from tcs_hpt.llm._ollama_answer import _split
from tcs_hpt.testing.models import request
from tcs_hpt.testing.ollama_server import PROSE, OllamaServer, StubModel, Trap
from tests.llm.ollama.stubs import ALOUD, EXPECTED, GPT_OSS, NEEDS_THOUGHTS, QWEN, THINKING, Open


def test_thinking_is_off_unless_asked_for(server: OllamaServer, opened: Open) -> None:
    reply = opened(THINKING).complete(request())
    assert (reply.text, reply.thoughts) == (EXPECTED, "")
    assert server.chats[0]["think"] is False
    assert server.chats[0]["options"]["num_predict"] == 120


def test_thoughts_are_recorded_and_have_their_own_room(server: OllamaServer, opened: Open) -> None:
    reply = opened(THINKING, think=True, thought_tokens=500).complete(request())
    assert (reply.text, reply.thoughts) == (EXPECTED, THINKING.thoughts.strip())
    assert server.chats[0]["think"] is True
    assert server.chats[0]["options"]["num_predict"] == 620


def test_thoughts_do_not_lengthen_the_answer(opened: Open) -> None:
    reply = opened(THINKING, think=True).complete(request(max_tokens=4))
    assert (reply.text, reply.finish_reason, reply.completion_tokens) == (EXPECTED[:16], "length", 4)
    exact = -(-len(EXPECTED) // 4)
    whole = opened(THINKING, think=True).complete(request(max_tokens=exact))
    assert (whole.text, whole.finish_reason) == (EXPECTED, "stop")


def test_gpt_oss_thinks_as_briefly_as_it_can(server: OllamaServer, opened: Open) -> None:
    assert opened(GPT_OSS).complete(request()).thoughts
    opened(GPT_OSS, think="high").complete(request())
    assert [c["think"] for c in server.chats] == ["low", "high"]


def test_a_schema_ignored_without_thoughts_is_asked_again_with_them(
    server: OllamaServer, opened: Open
) -> None:
    reply = opened(NEEDS_THOUGHTS).complete(request())
    assert (reply.text, reply.thoughts) == (EXPECTED, NEEDS_THOUGHTS.thoughts.strip())
    assert [(c["think"], "format" in c) for c in server.chats] == [(False, True), (True, True)]
    assert reply.completion_tokens == -(-len(PROSE) // 4) + -(-len(EXPECTED) // 4)


@pytest.mark.parametrize(
    ("stub", "think", "second"),
    [
        (THINKING, None, (True, True)),
        (THINKING, True, (False, True)),
        (GPT_OSS, None, ("low", False)),
        (ALOUD, None, (None, False)),
    ],
    ids=["off", "on", "gpt-oss", "aloud"],
)
def test_thoughts_without_an_answer_are_asked_again_once(
    server: OllamaServer, opened: Open, stub: StubModel, think: Any, second: Any
) -> None:
    server.traps.extend(["no_answer"])
    reply = opened(stub, think=think).complete(request())
    assert len(server.chats) == 2
    assert (server.chats[1].get("think"), "format" in server.chats[1]) == second
    assert reply.thoughts.startswith(stub.thoughts.strip())
    assert reply.text == (EXPECTED if second[1] else "ok")
    server.traps.extend(["no_answer", "no_answer"])
    reply = opened(stub, think=think).complete(request())
    assert len(server.chats) == 4
    assert (reply.text, reply.finish_reason) == ("", "length")
    assert reply.thoughts == "\n\n".join([stub.thoughts.strip()] * 2)


@pytest.mark.parametrize("trap", ["think_tags", "closing_tag"])
def test_thoughts_in_the_content_are_split_off(server: OllamaServer, opened: Open, trap: Trap) -> None:
    server.traps.append(trap)
    reply = opened(ALOUD).complete(request())
    assert (reply.text, reply.thoughts) == (EXPECTED, ALOUD.thoughts.strip())
    assert server.chats[0]["options"]["num_predict"] == 120 + 2048


def test_a_thought_that_never_ends_is_no_answer(server: OllamaServer, opened: Open) -> None:
    server.traps.append("unclosed_tag")
    reply = opened(ALOUD).complete(request())
    assert (reply.text, reply.thoughts) == ("ok", ALOUD.thoughts.strip())
    assert server.chats[1]["options"]["num_predict"] == 120 + 2 * 2048


def test_an_ignored_schema_is_no_error(server: OllamaServer, opened: Open) -> None:
    server.traps.extend(["prose"] * 3)
    assert opened(QWEN).complete(request()).text == PROSE
    assert len(server.chats) == 1
    reply = opened(THINKING).complete(request())
    assert (reply.text, reply.thoughts) == (PROSE, THINKING.thoughts.strip())
    assert len(server.chats) == 3


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("plain", ("", "plain")),
        (" \n", ("", "")),
        ("<think>a</think>b", ("a", "b")),
        ("<think>a", ("a", "")),
        ("a</think>\n\nb", ("a", "b")),
        ('{"reason": "</think>"}', ("", '{"reason": "</think>"}')),
        ("<think>\n\n</think>\n\n{}", ("", "{}")),
    ],
)
def test_splitting(content: str, expected: tuple[str, str]) -> None:
    assert _split(content) == expected


def test_a_model_that_cannot_think_is_not_asked_to(opened: Open) -> None:
    with pytest.raises(UserError, match="cannot be asked to think"):
        opened(QWEN, think=True)
