"""Models of an Ollama server, on this machine or another, through the `ollama` package.

How a request is made, and why:

- Ollama gives a prompt the context window it was told, and silently drops what does not fit. Every request therefore
  asks for a window that is surely large enough, in steps and never smaller than before, because another size makes
  the server load the model anew. Afterwards the server's own counts are checked for a prompt that was cut.
- Thinking is off unless asked for: the agents choose from a short list, thoughts cost minutes on a CPU, and servers
  before 0.12 apply the schema to the thoughts. Servers since then can do the opposite: with thinking switched off they
  ignore the schema for some models (https://github.com/ollama/ollama/issues/14645). So when the answer of a model that
  can think is empty, or holds no JSON where a schema was given, the request is made once more the other way round:
  with thoughts if it was without, without if it was with them. gpt-oss always thinks (as briefly as it can be asked
  to), and models such as phi4-reasoning think inside the answer; left without an answer, they are asked once more
  without the schema and with twice the room for thoughts. Nothing is remembered between requests, so the same request
  is always made in the same way.
- Answers are streamed: Ctrl-C works at once, and a server that hangs is noticed between two pieces.
"""

from __future__ import annotations

import contextlib
import math
import re
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from tcs_hpt.errors import ModelError, ModelUnavailable, UserError
from tcs_hpt.llm._base import ChatReply, ChatRequest
from tcs_hpt.llm._ollama_address import is_local
from tcs_hpt.llm._ollama_answer import Answer, listen, tokens_of
from tcs_hpt.llm._ollama_server import (
    ATTEMPTS,
    BACKOFF_SECONDS,
    BRIEF_SECONDS,
    CONNECT_SECONDS,
    READ_SECONDS,
    InstalledModel,
    LoadedModel,
    Server,
    installed,
    is_running,
    loaded,
    pull,
)
from tcs_hpt.records import Message

if TYPE_CHECKING:
    import ollama

__all__ = ["InstalledModel", "LoadedModel", "OllamaModel", "installed", "is_running", "loaded", "pull"]

Think: TypeAlias = bool | Literal["low", "medium", "high"] | None

CONTEXT_STEP = 4096
"""Context windows are multiples of this [tokens]."""
THOUGHT_TOKENS = 2048
"""What a thinking model may write before its answer, besides the answer's own bound."""
KEEP_ALIVE = "30m"
"""How long the server keeps the model after a request: longer than a trial, so that it is not loaded every time."""
UNLOAD_SECONDS = 10.0
"""How long to wait until the server has given the memory back."""

_PIECES = re.compile(r"[A-Za-z]+|\d|[^\sA-Za-z\d]|\n| {2,}|\t")
_WORDS = re.compile(r"[A-Za-z]+|\d{1,3}")


class OllamaModel:
    """A model that an Ollama server runs.

    Args:
        name: As the server names it, with or without `ollama:` before and `:latest` after it.
        host: The server; by default OLLAMA_HOST, else this machine.
        think: Whether a thinking model thinks before it answers, or how much; by default as little as it can.
        thought_tokens: Room for thoughts, besides a request's `max_tokens`.
        keep_alive: How long the server keeps the model after a request, as Ollama writes it.
        unload: Whether `rest` makes the server give the model's memory back. `auto`: when the server is on this
            machine and the model is on a GPU, which a trial may need.
        connect_timeout: Seconds until a server must accept the connection.
        read_timeout: Seconds without a byte from the server.
        brief_timeout: The same for what the server answers at once: about its models, and unloading one.
        attempts: How often a request is made when the server fails in passing (connection lost, busy).
        backoff: Seconds before the second attempt, doubled before each further one.

    Raises:
        ModelUnavailable: The `ollama` package is missing, no Ollama server answers, it does not have the model, or
            the model cannot chat.
        UserError: `host` is not an address, or `think` is asked of a model that cannot.
    """

    def __init__(
        self,
        name: str,
        *,
        host: str | None = None,
        think: Think = None,
        thought_tokens: int = THOUGHT_TOKENS,
        keep_alive: str | float = KEEP_ALIVE,
        unload: Literal["auto", "always", "never"] = "auto",
        connect_timeout: float = CONNECT_SECONDS,
        read_timeout: float = READ_SECONDS,
        brief_timeout: float = BRIEF_SECONDS,
        attempts: int = ATTEMPTS,
        backoff: float = BACKOFF_SECONDS,
    ) -> None:
        self._model = name.removeprefix("ollama:")
        self._thought_tokens = thought_tokens
        self._keep_alive = keep_alive
        self._unload = unload
        self._window = 0
        """The largest context window asked for so far."""
        self._confirmed = 0
        """The window that the server was seen to give."""
        self._memory_mb: float | None = None
        """That the server said it holds the model in, with this window [MiB]."""
        self._closed = False
        self._server = Server(
            host,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
            brief_timeout=brief_timeout,
            attempts=attempts,
            backoff=backoff,
        )
        try:
            shown = self._server.ask_briefly(lambda client: client.show(self._model), model=self._model)
            self._know(shown, think)
        except BaseException:
            self._server.close()
            raise

    def _know(self, shown: ollama.ShowResponse, think: Think) -> None:
        """Take what matters from the server's description of the model."""
        information = shown.modelinfo or {}
        capabilities = shown.capabilities
        if capabilities and "completion" not in capabilities:
            raise ModelUnavailable(
                f"{self.name} cannot chat; it is for {', '.join(capabilities)}",
                hint="Choose a model that answers in text.",
            )
        architecture = str(information.get("general.architecture", ""))
        length = information.get(f"{architecture}.context_length")
        self._longest = length if isinstance(length, int) and length > 0 else None
        """The largest context window the model was made for."""
        template = shown.template or ""
        # Its text counts as part of the prompt: phi4-reasoning's holds a system prompt of several hundred tokens.
        self._overhead = 64 + min(_most_tokens(template), 1024)
        self._can_think = "thinking" in (capabilities or ())
        self._must_think = self._can_think and architecture in ("gptoss", "gpt-oss")
        self._thinks_aloud = not self._can_think and "<think>" in template
        if think and not self._can_think:
            raise UserError(f"{self.name} cannot be asked to think", hint="Leave `think` out for this model.")
        if self._must_think:
            self._think: Think = think or "low"
        else:
            self._think = (think or False) if self._can_think else None

    @property
    def name(self) -> str:
        """How the user would name it."""
        return f"ollama:{self._model}"

    def complete(self, request: ChatRequest) -> ChatReply:
        """Answer one request.

        Where the server ignores the schema, the text is returned as it came. The counts include a second request,
        if one was needed. Thoughts do not count towards `max_tokens`.

        Raises:
            ModelError: The prompt does not fit into the model's context or was cut by the server, or the server fails.
            ModelUnavailable: The server or the model is gone. A server that has been gone for several requests is not
                asked at once again (`_breaker` has the rule).
        """
        if self._closed:
            raise ModelError(f"{self.name} is closed", hint="Open the model again.")
        started = time.perf_counter()
        answer = self._chat(request, self._think)
        thoughts, prompt, completion = answer.thoughts, answer.prompt_tokens, answer.completion_tokens
        if self._is_useless(answer, request):
            other = self._chat_otherwise(request)
            thoughts = "\n\n".join(t for t in (thoughts, other.thoughts) if t)
            prompt, completion = prompt + other.prompt_tokens, completion + other.completion_tokens
            if other.text and not (answer.text and self._is_useless(other, request)):
                answer = other
        return ChatReply(
            text=answer.text,
            thoughts=thoughts,
            prompt_tokens=prompt,
            completion_tokens=completion,
            seconds=time.perf_counter() - started,
            memory_mb=self._memory_mb,
            finish_reason="length" if answer.was_cut else "stop",
            tokens=tokens_of(answer.text, answer.tokens),
        )

    def rest(self) -> None:
        """Have the server unload the model, as `unload` says, and wait a few seconds until it has.

        Never fails, and never waits long: a server that is gone holds no memory, and the next request reports it.
        """
        if self._closed or self._unload == "never" or self._server.breaker.is_open:
            return
        with contextlib.suppress(ModelError):
            if self._unload == "auto" and not (is_local(self._server.address) and self._on_gpu()):
                return
            self._server.ask_briefly(
                lambda client: client.generate(self._model, keep_alive=0), model=self._model
            )
            # The server answers before the memory is free, and the trial starts right after this.
            deadline = time.monotonic() + UNLOAD_SECONDS
            while self._loaded() and time.monotonic() < deadline:
                time.sleep(0.1)

    def close(self) -> None:
        """Rest, and close the connection; calling it twice is fine."""
        try:
            self.rest()
        finally:
            self._closed = True
            self._server.close()

    # -- one chat -------------------------------------------------------------------------------------------

    def _chat(
        self, request: ChatRequest, think: Think, *, free: bool = False, thought_tokens: int | None = None
    ) -> Answer:
        """Ask once; `free` leaves the schema out."""
        thinks = bool(think) or (think is None and self._thinks_aloud)
        room = (self._thought_tokens if thought_tokens is None else thought_tokens) if thinks else 0
        window, room = self._sizes(request, room)
        arguments: dict[str, Any] = {
            "model": self._model,
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            "think": think,
            "format": None if free or request.schema is None else dict(request.schema),
            "logprobs": True if request.logprobs else None,
            "keep_alive": self._keep_alive,
            "options": {
                "num_ctx": window,
                "num_predict": request.max_tokens + room,
                "seed": request.seed % 2**31,
                "temperature": request.temperature,
            },
        }
        limit = request.max_tokens if room else None
        answer = self._server.ask(lambda client: listen(client, limit, arguments), model=self._model)
        self._window = window  # only one that the server could give
        self._refuse_if_cut(answer, request, window)
        return answer

    def _chat_otherwise(self, request: ChatRequest) -> Answer:
        """Ask in the way that was not tried first; see the top of the module."""
        if self._can_think and not self._must_think:
            return self._chat(request, not self._think)
        return self._chat(request, self._think, free=True, thought_tokens=2 * self._thought_tokens)

    def _is_useless(self, answer: Answer, request: ChatRequest) -> bool:
        """Whether asking in another way can help."""
        if not answer.text:
            return bool(answer.thoughts) or self._can_think or self._thinks_aloud
        ignored = (
            request.schema is not None and request.schema.get("type") == "object" and "{" not in answer.text
        )
        return ignored and self._can_think and not self._must_think

    def _sizes(self, request: ChatRequest, room: int) -> tuple[int, int]:
        """The context window to ask for, and how much of `room` it has for thoughts [tokens]."""
        least = self._least_prompt(request.messages)
        if self._longest is not None and least + request.max_tokens > self._longest:
            raise ModelError(
                f"the prompt has at least {least} tokens and the answer may have {request.max_tokens}, but "
                f"{self.name} has a context of {self._longest}",
                hint="Shorten the prompt (the report's token budget), or choose a model with a longer context.",
            )
        most = self._overhead + sum(_most_tokens(m.content) + 16 for m in request.messages)
        needed = most + request.max_tokens + room
        window = max(self._window, math.ceil(needed / CONTEXT_STEP) * CONTEXT_STEP)
        if self._longest is not None:
            window = min(window, self._longest)
        # Beyond its window a model writes on, and the server drops the beginning of the prompt for it.
        return window, max(0, min(room, window - most - request.max_tokens))

    def _least_prompt(self, messages: Sequence[Message]) -> int:
        return sum(_least_tokens(m.content) for m in messages)

    def _refuse_if_cut(self, answer: Answer, request: ChatRequest, asked: int) -> None:
        """Raise when the counts prove that the server dropped a part of the prompt.

        A count that is too small alone proves nothing: 0.30 left out what it had cached
        (https://github.com/ollama/ollama/issues/16414).
        """
        window = asked
        if self._confirmed < asked:
            given = None
            with contextlib.suppress(ModelError):  # the answer is here; servers before 0.1.38 cannot say
                found = self._loaded()
                given = next((m.context for m in found if m.context is not None), None)
                self._memory_mb = next((m.size / 2**20 for m in found if m.size), None)
            if given is not None and given < asked:
                window = given
            else:
                self._confirmed = asked
        count = answer.prompt_tokens
        lost = window < asked and 0 < count < self._least_prompt(request.messages)
        if count >= window or count + answer.completion_tokens > window or lost:
            raise ModelError(
                f"the server cut the prompt of {self.name} to fit a context of {window} tokens",
                hint="Shorten the prompt (the report's token budget), or give the server a larger context "
                "(OLLAMA_CONTEXT_LENGTH).",
            )

    def _loaded(self) -> tuple[LoadedModel, ...]:
        """This model, if the server holds it in memory."""
        own = _with_tag(self._model)
        return tuple(m for m in self._server.loaded() if _with_tag(m.name) == own)

    def _on_gpu(self) -> bool:
        return any(m.vram > 0 for m in self._loaded())


def _with_tag(name: str) -> str:
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _most_tokens(text: str) -> int:
    """More tokens than any usual vocabulary makes of a text."""
    count = 0
    for piece in _PIECES.findall(text):
        if piece.isascii():
            count += math.ceil(len(piece) / 3) if piece.isalpha() else 1
        else:
            count += len(piece.encode())
    return count


def _least_tokens(text: str) -> int:
    """Fewer tokens than any usual vocabulary makes of a text: none spans two words or more than three digits."""
    return len(_WORDS.findall(text)) + len(re.sub(r"[\x00-\x7f]", "", text).encode()) // 8
