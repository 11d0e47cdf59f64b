"""Putting an answer together from what an OpenAI-compatible server sends, streamed or whole."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from tcs_hpt.llm._base import Token

SSE_FIELDS = (b"", b"data", b"event", b"id", b"retry", b"error")
"""What comes before the colon of a line of server-sent events; a comment has nothing there. llama.cpp had `error`."""


class BrokenOff(Exception):
    """The server stopped in the middle of its answer."""


class NotAnAnswer(Exception):
    """The server sent something else, or an error in place of an answer.

    Args:
        content: What it sent: the parsed JSON where it was JSON, else the text.
        streamed: Whether it came after a stream had begun.
    """

    def __init__(self, content: Any, *, streamed: bool) -> None:
        super().__init__("not an answer")
        self.content = content
        self.streamed = streamed


@dataclass
class Answer:
    """What the server has sent so far."""

    text: str = ""
    thoughts: str = ""
    finish_reason: Literal["stop", "length"] | None = None
    """None while it is not complete."""
    prompt_tokens: int = 0
    """0 when the server does not say; so too the others."""
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    tokens: list[tuple[bytes, float]] = field(default_factory=list)
    """Each token's bytes, which may be a part of a character, and its log-probability."""

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Take in one event of a stream, or a whole response."""
        if isinstance(usage := chunk.get("usage"), Mapping):
            self.prompt_tokens = usage.get("prompt_tokens") or self.prompt_tokens
            self.completion_tokens = usage.get("completion_tokens") or self.completion_tokens
            details = usage.get("completion_tokens_details") or {}
            self.reasoning_tokens = details.get("reasoning_tokens") or self.reasoning_tokens
        for choice in chunk.get("choices") or ():
            message = choice.get("delta") or choice.get("message") or {}
            # vLLM renamed the field, and for a while sent both.
            self.thoughts += message.get("reasoning_content") or message.get("reasoning") or ""
            self._add_content(message.get("content") or message.get("refusal"))
            for entry in (choice.get("logprobs") or {}).get("content") or ():
                written = entry.get("bytes")
                encoded = entry["token"].encode() if written is None else bytes(list(written))
                self.tokens.append((encoded, float(entry["logprob"])))
            if finish := choice.get("finish_reason"):
                self.finish_reason = "length" if finish == "length" else "stop"

    def _add_content(self, content: Any) -> None:
        if isinstance(content, str):
            self.text += content
            return
        for part in content or ():  # Mistral's thinking models answer in typed parts
            if part.get("type") == "thinking":
                thinking = part.get("thinking") or ""
                self.thoughts += (
                    thinking if isinstance(thinking, str) else "".join(t["text"] for t in thinking)
                )
            else:
                self.text += part.get("text") or ""


def read_answer(lines: Iterable[bytes]) -> Answer:
    """Read a response to the end of the answer in it.

    Whether it is a stream is told by its first line, since servers may ignore `stream` or name the wrong content
    type. A line holds a whole event in this protocol.

    Raises:
        BrokenOff: It ended before the answer did.
        NotAnAnswer: There is none in it.
        httpx.TransportError: The connection broke before the answer was complete.
    """
    answer, whole, streamed = Answer(), bytearray(), False
    try:
        for line in lines:
            name, colon, value = line.partition(b":")
            if not streamed and (whole or (line and not (colon and name in SSE_FIELDS))):
                whole += line + b"\n"
                continue
            streamed = streamed or bool(colon)
            if name not in (b"data", b"error") or not value.strip():
                continue
            if value.strip() == b"[DONE]":
                answer.finish_reason = answer.finish_reason or "stop"
                break
            _add_event(answer, value)
    except httpx.TransportError:
        if answer.finish_reason is None:
            raise
    if whole:
        _add_whole(answer, bytes(whole))
    elif not streamed or answer.finish_reason is None:
        raise BrokenOff
    return answer


def tokens_of(answer: Answer, text: str) -> tuple[Token, ...]:
    """The tokens that make up `text`, the answer without thoughts; none when they do not.

    A character that was written in several tokens is one here, as probable as they are together.
    """
    tokens: list[Token] = []
    pending, logprob = b"", 0.0
    for encoded, its_logprob in answer.tokens:
        pending += encoded
        logprob += its_logprob
        try:
            written = pending.decode()
        except UnicodeDecodeError:
            continue
        tokens.append(Token(written, min(logprob, 0.0)))
        pending, logprob = b"", 0.0
    return _making_up(tokens, text.strip())


def _making_up(tokens: list[Token], text: str) -> tuple[Token, ...]:
    """The last tokens that together are `text`; the one that ends a turn may follow them."""
    for end in (len(tokens), len(tokens) - 1):
        suffix = ""
        for start in range(end - 1, -1, -1):
            suffix = tokens[start].text + suffix
            if suffix.strip() == text:
                return tuple(tokens[start:end])
            if len(suffix.strip()) > len(text):
                break
    return ()


def _add_event(answer: Answer, value: bytes) -> None:
    try:
        event = json.loads(value)
    except ValueError as error:
        raise BrokenOff from error
    if not isinstance(event, Mapping) or event.get("error") or event.get("object") == "error":
        raise NotAnAnswer(event, streamed=True)
    _add(answer, event, streamed=True)


def _add_whole(answer: Answer, body: bytes) -> None:
    try:
        content = json.loads(body)
    except ValueError:
        raise NotAnAnswer(body.decode(errors="replace"), streamed=False) from None
    if not isinstance(content, Mapping) or not content.get("choices"):
        raise NotAnAnswer(content, streamed=False)
    _add(answer, content, streamed=False)
    answer.finish_reason = answer.finish_reason or "stop"


def _add(answer: Answer, content: Mapping[str, Any], *, streamed: bool) -> None:
    try:
        answer.add(content)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        # Not the shape that the protocol gives it, wherever it was found to differ.
        raise NotAnAnswer(content, streamed=streamed) from error
