"""Asking a model with one repair round, and recording every call."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from tcs_hpt.agents.answers import Parsed
from tcs_hpt.errors import ModelError
from tcs_hpt.llm import ChatModel, ChatReply, ChatRequest
from tcs_hpt.prompts import Prompt, render
from tcs_hpt.records import Message, ModelCall, Rejected, Role

ATTEMPTS = 2
"""The first try and one repair round that shows the error."""
TEMPERATURE = 0.7
FAILED = "the model failed: "
"""Begins the problem of a call that gave no answer at all."""

T = TypeVar("T")


@dataclass(frozen=True)
class Answered(Generic[T]):
    """What came of asking: a value or the reason why there is none, and every call that was made."""

    value: T | None
    calls: tuple[ModelCall, ...]
    rejected: tuple[Rejected, ...]
    """Attempts that could not be used."""

    @property
    def failure(self) -> str:
        """What was wrong with the last attempt; empty when there is a value."""
        if self.value is not None or not self.calls:
            return ""
        return "; ".join(self.calls[-1].problems)


def gave_nothing(call: ModelCall) -> bool:
    """Whether the model failed instead of answering."""
    return any(p.startswith(FAILED) for p in call.problems)


def call_seed(study_seed: int, position: int, role: Role, attempt: int) -> int:
    """The model's seed for one call: different for each, the same in every run of a study. In [0, 2**31)."""
    digest = hashlib.sha256(f"{study_seed}/{position}/{role}/{attempt}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def ask(
    model: ChatModel,
    prompt: Prompt,
    role: Role,
    read: Callable[[str], Parsed[T]],
    *,
    schema: dict[str, Any],
    max_tokens: int,
    seed: Callable[[int], int],
    check: Callable[[T], tuple[str, ...]] = lambda _: (),
    on_attempt: Callable[[int], None] = lambda _: None,
) -> Answered[T]:
    """Ask once, and once more with the error shown if the answer cannot be used.

    A model that fails (`ModelError`) counts as a failed attempt; it is recorded, not raised.

    Args:
        model: Whom to ask.
        prompt: What to ask.
        role: On whose behalf; also the lane for prefix caches.
        read: From text to a value.
        schema: JSON Schema of the answer.
        max_tokens: Bound of the reply.
        seed: Model seed for attempt 1, 2.
        check: Further problems of a value that could be read, e.g. the guard's.
        on_attempt: Called before each attempt.
    """
    messages = prompt.messages
    calls: list[ModelCall] = []
    rejected: list[Rejected] = []
    for attempt in range(1, ATTEMPTS + 1):
        on_attempt(attempt)
        request = ChatRequest(
            messages=messages,
            max_tokens=max_tokens,
            schema=schema,
            temperature=TEMPERATURE,
            seed=seed(attempt),
            lane=role,
        )
        reply, parsed = _answer(model, request, read)
        problems = tuple(clean(p) for p in parsed.problems)
        if parsed.value is not None:
            problems = check(parsed.value)
        calls.append(
            ModelCall(
                role=role,
                model=model.name,
                template=prompt.name,
                template_sha256=prompt.sha256,
                messages=messages,
                reply=clean(reply.text),
                thoughts=clean(reply.thoughts),
                prompt_tokens=reply.prompt_tokens,
                completion_tokens=reply.completion_tokens,
                seconds=reply.seconds,
                memory_mb=reply.memory_mb,
                seed=request.seed,
                temperature=request.temperature,
                attempt=attempt,
                problems=problems,
            )
        )
        if parsed.value is not None and not problems:
            return Answered(parsed.value, tuple(calls), tuple(rejected))
        rejected.append(Rejected(attempt=attempt, config=_storable(parsed.raw), reasons=problems))
        if any(p.startswith(FAILED) for p in problems):
            continue  # nothing was said that could be repaired: ask the same again
        repair = render("repair.v1", problems=[p[:300] for p in problems[:5]])
        messages = (
            *prompt.messages,
            Message(role="assistant", content=clean(reply.text[:1000]) or "{}"),
            Message(role="user", content=repair.user),
        )
    return Answered(None, tuple(calls), tuple(rejected))


def _answer(
    model: ChatModel, request: ChatRequest, read: Callable[[str], Parsed[T]]
) -> tuple[ChatReply, Parsed[T]]:
    try:
        reply = model.complete(request)
    except ModelError as error:
        return ChatReply(text=""), Parsed(None, (f"{FAILED}{error.message}",))
    parsed = read(reply.text)
    if parsed.value is None and reply.finish_reason == "length":
        cut = f"the answer was cut after {request.max_tokens} tokens; be brief"
        return reply, Parsed(None, (*parsed.problems, cut), parsed.raw)
    return reply, parsed


def _storable(raw: object, depth: int = 0) -> dict[str, object]:
    """Whatever a model wrote, as something that JSON can hold and that has a bounded size."""
    if not isinstance(raw, dict):
        return {}
    return {clean(str(k)[:64]): _plain(v, depth) for k, v in list(raw.items())[:40]}


def _plain(value: object, depth: int) -> object:
    if isinstance(value, dict):
        return _storable(value, depth + 1) if depth < 3 else repr(value)[:200]
    if isinstance(value, bool) or value is None or (isinstance(value, int) and abs(value) < 2**53):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return clean(value[:300]) if isinstance(value, str) else repr(value)[:200]


def clean(text: str) -> str:
    """Text that every database can hold: no lone surrogates, no NUL."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
