"""Putting an answer together from the stream of an Ollama server, and telling it from the thoughts before it."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from tcs_hpt.llm._base import Token

if TYPE_CHECKING:
    import ollama


@dataclass
class Answer:
    """What was heard of one answer so far."""

    content: str = ""
    thinking: str = ""
    tokens: list[Token] = field(default_factory=list)
    pieces: int = 0
    """Of the answer, without thoughts; nearly always one token each."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    was_cut: bool = False

    def hear(self, part: ollama.ChatResponse) -> None:
        """Add one piece of the stream."""
        self.thinking += part.message.thinking or ""
        if part.message.content:
            self.content += part.message.content
            self.pieces += not _is_thinking_aloud(self.content)
        self.tokens += [Token(text=t.token, logprob=t.logprob) for t in part.logprobs or ()]
        if part.done:
            self.prompt_tokens = part.prompt_eval_count or 0
            self.completion_tokens = part.eval_count or 0
            self.was_cut = part.done_reason == "length"

    @property
    def text(self) -> str:
        """The answer without thoughts."""
        return _split(self.content)[1]

    @property
    def thoughts(self) -> str:
        """Whatever was written before the answer."""
        aloud = _split(self.content)[0]
        return "\n\n".join(t for t in (self.thinking.strip(), aloud) if t)


def listen(client: ollama.Client, limit: int | None, arguments: dict[str, Any]) -> Answer:
    """Stream one answer; `limit` bounds its pieces, where the server bounds thoughts and answer together."""
    import httpx

    answer = Answer()
    # A generator, whatever its annotation says; closing it ends the request, and the server stops computing.
    stream = cast("Generator[ollama.ChatResponse]", client.chat(stream=True, **arguments))
    done = False
    with contextlib.closing(stream):
        for part in stream:
            if limit is not None and answer.pieces >= limit and part.message.content:
                answer.was_cut = True
                # The server's counts come last, and are not waited for.
                answer.completion_tokens = answer.pieces
                return answer
            answer.hear(part)
            done = bool(part.done)
    if not done:
        raise httpx.RemoteProtocolError("the stream ended before the answer did")
    return answer


def _is_thinking_aloud(content: str) -> bool:
    return content.lstrip().startswith("<think>") and "</think>" not in content


def _split(content: str) -> tuple[str, str]:
    """Thoughts that stand in the content, and the answer.

    Some templates write the opening tag into the prompt, so that only the closing one is in the content.
    """
    stripped = content.strip()
    if _is_thinking_aloud(content):
        return stripped.removeprefix("<think>").strip(), ""
    if "</think>" in stripped and stripped[0] not in '{["':
        thoughts, _, answer = stripped.partition("</think>")
        return thoughts.removeprefix("<think>").strip(), answer.strip()
    return "", content if stripped else ""


def tokens_of(text: str, tokens: Sequence[Token]) -> tuple[Token, ...]:
    """Those at the end that make up the answer; before them are thoughts. None when they do not fit together."""
    wanted = text.strip()
    found = ""
    for start in range(len(tokens) - 1, -1, -1):
        found = tokens[start].text + found
        if found.strip() == wanted:
            return tuple(tokens[start:])
        if len(found.strip()) > len(wanted):
            break
    return ()
