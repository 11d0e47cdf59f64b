"""The one interface to a language model. Nothing here knows about tuning."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol

from tcs_hpt.records import Message


@dataclass(frozen=True)
class ChatRequest:
    """What a model is asked."""

    messages: tuple[Message, ...]
    max_tokens: int
    """Upper bound of the reply; a reply cut here has `finish_reason="length"`."""
    schema: Mapping[str, Any] | None = None
    """JSON Schema that the reply must satisfy, as far as the backend can enforce it."""
    temperature: float = 0.7
    seed: int = 0
    logprobs: bool = False
    """Whether the reply should say how likely each of its tokens was; a backend that cannot know leaves it out."""
    lane: str = ""
    """Requests of one lane share a prompt prefix; a backend may keep one cache per lane."""

    def digest(self) -> str:
        """SHA-256 over everything that can change the reply, `lane` left out."""
        content = asdict(self) | {"messages": [m.model_dump() for m in self.messages]}
        del content["lane"]
        return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True)
class Token:
    """One token that a model wrote."""

    text: str
    logprob: float
    """Natural logarithm of its probability, before temperature and grammar where the backend tells them apart."""
    logit: float | None = None
    """Raw score of the token before the softmax; None where the backend does not expose it."""


@dataclass(frozen=True)
class ChatReply:
    """What a model answered."""

    text: str
    thoughts: str = ""
    """What a thinking model wrote before its answer; recorded, never parsed."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    memory_mb: float | None = None
    """That the model held when it had answered: weights, caches and work space, on its GPU and off it [MiB]. None where that is not known."""
    finish_reason: Literal["stop", "length"] = "stop"
    tokens: tuple[Token, ...] = ()
    """The answer token by token, when `logprobs` was asked for and the backend knows."""


class ChatModel(Protocol):
    """A language model that answers chats.

    `complete` may be called many times, from one thread at a time. It raises `ModelError` when the model cannot
    be reached or dies; a useless answer is not an error, it is returned as it came.
    """

    @property
    def name(self) -> str:
        """How the user would name it, e.g. `embedded:smollm2-135m`."""
        ...

    def complete(self, request: ChatRequest) -> ChatReply:
        """Answer one request."""
        ...

    def rest(self) -> None:
        """Give back what a training run on the same device may need; the next request takes it again.

        Called after every decision. A backend that shares no device with the trials does nothing.
        """
        ...

    def close(self) -> None:
        """Release memory and processes; calling it twice is fine."""
        ...
