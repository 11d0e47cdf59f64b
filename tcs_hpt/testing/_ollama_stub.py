"""What the stub of an Ollama server has and says; `ollama_server` puts it on the wire."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypeAlias

from tcs_hpt.llm import ChatRequest
from tcs_hpt.records import Message

Json: TypeAlias = dict[str, Any]
Trap: TypeAlias = Literal[
    "prose",
    "no_answer",
    "think_tags",
    "closing_tag",
    "unclosed_tag",
    "half_stream",
    "reset",
    "slow",
    "stall",
    "error_500",
    "busy_503",
    "out_of_memory",
    "error_in_stream",
]
"""What may happen to one chat: the schema is ignored; thoughts come and no answer; thoughts stand in the content, with
both tags, only the closing one, or only the opening one; the connection is closed in the middle of a line, or reset
before any; nothing comes before the first token, or after it, until `release` is set; the server fails, is busy, has
too little memory, or fails after the first token."""

DEFAULT_CONTEXT = 4096
DEFAULT_KEEP_ALIVE = 300.0
CHARACTERS_PER_TOKEN = 4
PROSE = "I would lower the learning rate, because the loss oscillates."
LOGPROB = -0.25
BLOB = "sha256:" + "5f" * 32
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class StubModel:
    """A model that the server says it has."""

    name: str
    capabilities: tuple[str, ...] = ("completion",)
    architecture: str = "llama"
    context_length: int = 32768
    template: str = "{{ .System }}{{ .Prompt }}"
    size: int = 1_000_000
    """On disk and in memory [bytes]."""
    parameters: str = "1.5B"
    quantization: str = "Q4_K_M"
    on_gpu: bool = True
    thoughts: str = "The loss oscillates, so the steps are too long. "
    """What it thinks, if it can."""
    schema_needs_thoughts: bool = False
    """Whether the schema is ignored while thinking is off, as current servers do for some models."""

    @property
    def full_name(self) -> str:
        """The name with its tag."""
        return self.name if ":" in self.name.rpartition("/")[2] else f"{self.name}:latest"


@dataclass
class Chat:
    """What a chat will say, decided before anything is sent."""

    messages: list[Json]
    """What was left for the model."""
    thoughts: list[str]
    content: list[str]
    prompt_tokens: int
    completion_tokens: int
    was_cut: bool


def decide(
    model: StubModel, body: Json, context: int, trap: Trap | None, answer: Callable[[ChatRequest], str]
) -> Chat:
    """Decide what a chat says."""
    options = body.get("options", {})
    bound = options.get("num_predict", -1)
    messages, prompt_tokens = _fit(body["messages"], context)
    schema = body.get("format")
    can_think = "thinking" in model.capabilities
    always = model.architecture == "gptoss"
    thinks = can_think and (always or body.get("think", True) is not False)
    if schema and can_think and not thinks and model.schema_needs_thoughts:
        trap = trap or "prose"
    text = PROSE if trap == "prose" else answer(_request(messages, schema, options))
    if trap == "think_tags":
        text = f"<think>\n{model.thoughts}\n</think>\n\n{text}"
    elif trap == "closing_tag":
        text = f"{model.thoughts}\n</think>\n\n{text}"
    elif trap == "unclosed_tag":
        text = f"<think>\n{model.thoughts}"
    thoughts = _tokens(model.thoughts) if thinks or trap == "no_answer" else []
    content = [] if trap == "no_answer" else _tokens(text)
    if bound >= 0:
        thoughts, unthought = thoughts[:bound], len(thoughts) >= bound and bool(thoughts)
        # With a schema the server asks the model twice, the second time with the thoughts in the prompt.
        room = 0 if unthought else bound if schema else bound - len(thoughts)
        content, was_cut = content[:room], len(content) > room
    else:
        was_cut = False
    if schema and thoughts and content:
        prompt_tokens, completion_tokens = prompt_tokens + len(thoughts), len(content)
    else:
        completion_tokens = len(thoughts) + len(content)
    was_cut = was_cut or trap in ("no_answer", "unclosed_tag")
    return Chat(messages, thoughts, content, prompt_tokens, completion_tokens, was_cut)


def chunks(body: Json, chat: Chat) -> Iterator[Json]:
    """The objects that a stream of this chat consists of."""
    pieces = [("thinking", t) for t in chat.thoughts] + [("content", t) for t in chat.content]
    for kind, text in pieces:
        message = {"role": "assistant", "content": ""} | {kind: text}
        chunk: Json = {"model": body["model"], "created_at": now(), "message": message, "done": False}
        if body.get("logprobs"):
            chunk["logprobs"] = [{"token": text, "logprob": LOGPROB, "bytes": list(text.encode())}]
        yield chunk
    yield {
        "model": body["model"],
        "created_at": now(),
        "message": {"role": "assistant", "content": ""},
        "done": True,
        "done_reason": "length" if chat.was_cut else "stop",
        "total_duration": 5_000_000,
        "load_duration": 1_000_000,
        "prompt_eval_count": chat.prompt_tokens,
        "prompt_eval_duration": 2_000_000,
        "eval_count": chat.completion_tokens,
        "eval_duration": 2_000_000,
    }


def _fit(messages: list[Json], context: int) -> tuple[list[Json], int]:
    """Messages without the oldest that do not fit; system messages and the last stay, and are clipped if need be."""
    kept = list(messages)
    while _prompt_tokens(kept) > context:
        oldest = next((m for m in kept[:-1] if m["role"] != "system"), None)
        if oldest is None:
            return kept, context
        kept.remove(oldest)
    return kept, _prompt_tokens(kept)


def _prompt_tokens(messages: list[Json]) -> int:
    return sum(len(_tokens(m["content"])) + 4 for m in messages)


def _tokens(text: str) -> list[str]:
    return [text[i : i + CHARACTERS_PER_TOKEN] for i in range(0, len(text), CHARACTERS_PER_TOKEN)]


def _request(messages: list[Json], schema: Json | None, options: Json) -> ChatRequest:
    return ChatRequest(
        messages=tuple(Message(role=m["role"], content=m["content"]) for m in messages),
        max_tokens=options.get("num_predict", -1),
        schema=schema,
        temperature=options.get("temperature", 0.8),
        seed=options.get("seed", 0),
    )


def whole(chunks: list[Json]) -> Json:
    """The one object that stands for a stream."""
    last = chunks[-1]
    message: Json = {"role": "assistant", "content": "".join(c["message"]["content"] for c in chunks)}
    thoughts = "".join(c["message"].get("thinking", "") for c in chunks)
    if thoughts:
        message["thinking"] = thoughts
    logprobs = [p for c in chunks for p in c.get("logprobs", ())]
    return last | {"message": message} | ({"logprobs": logprobs} if logprobs else {})


def identity(model: StubModel) -> Json:
    """What every listing says about a model."""
    return {
        "name": model.full_name,
        "model": model.full_name,
        "digest": "ab" * 32,
        "details": {
            "parent_model": "",
            "format": "gguf",
            "family": model.architecture,
            "families": [model.architecture],
            "parameter_size": model.parameters,
            "quantization_level": model.quantization,
        },
    }


def seconds_of(keep_alive: str | float | None) -> float:
    """Go's notation of a duration, or seconds; negative means forever."""
    if keep_alive is None:
        return DEFAULT_KEEP_ALIVE
    if isinstance(keep_alive, str):
        parts = re.findall(r"([\d.]+)(ms|s|m|h)", keep_alive)
        seconds = sum(float(number) * _UNITS[unit] for number, unit in parts) if parts else float(keep_alive)
        keep_alive = -seconds if keep_alive.startswith("-") else seconds
    return keep_alive if keep_alive >= 0 else float(timedelta(days=365 * 200).total_seconds())


def time_of(seconds: float) -> str:
    """Seconds since 1970 as the server writes them."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def now() -> str:
    """The time of an answer."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
