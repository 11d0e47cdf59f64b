"""Models behind an OpenAI-compatible server: vLLM, LM Studio, llama-server, Ollama's `/v1`, and hosted ones.

Servers take different parts of the protocol. A request is first put in the strongest way (an enforced schema, a
temperature, a seed, a stream), and where a server refuses that, in a weaker one, which is remembered: see `Dialect`.
The key comes from the environment variable `TCS_HPT_API_KEY`; `OPENAI_API_KEY` is read only for api.openai.com, and
never sent to another host.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from tcs_hpt.errors import ModelError, TcsHptError, UserError
from tcs_hpt.llm._base import ChatReply, ChatRequest
from tcs_hpt.llm._openai_answer import Answer, read_answer, tokens_of
from tcs_hpt.llm._openai_connection import ANSWER_SECONDS, ATTEMPTS, CONNECT_SECONDS, READ_SECONDS, Connection
from tcs_hpt.llm._openai_dialect import Dialect
from tcs_hpt.llm._openai_errors import NoSuchModel, PromptTooLong, Refused, wrong_path
from tcs_hpt.llm._thoughts import split_thoughts

CHARACTERS_PER_TOKEN = 4
"""Rough average of English text and JSON, for servers that do not count."""
THINKING_TOKENS = 4096
LISTING_SECONDS = 10.0
"""A list of models is ready or there is none."""


class OpenAICompatibleModel:
    """A model behind an OpenAI-compatible server.

    Args:
        base_url: Where the server is, e.g. `http://localhost:8000/v1`.
        model: What the server calls the model.
        api_key: The key; by default from the environment, and none when empty.
        connect_seconds: Until the server is reached.
        read_seconds: Without a byte from the server, before as well as within an answer.
        answer_seconds: For a whole answer.
        attempts: How often a request is sent while the server is busy, fails or breaks off.
        thinking_tokens: Room that a thinking model gets in addition to a request's `max_tokens`, from the moment
            on when its thoughts have left no room for its answer.
        sleep: Waits between attempts [s].
        clock: A monotonic clock [s], for the pauses that a dead server gets.

    Raises:
        UserError: The URL or the key cannot be one.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str | None = None,
        connect_seconds: float = CONNECT_SECONDS,
        read_seconds: float = READ_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
        attempts: int = ATTEMPTS,
        thinking_tokens: int = THINKING_TOKENS,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not model.strip():
            raise UserError(
                "a model needs a name", hint="Name it after the base URL: http://host:8000/v1#NAME."
            )
        self._connection = Connection(
            base_url,
            api_key=api_key,
            connect_seconds=connect_seconds,
            read_seconds=read_seconds,
            answer_seconds=answer_seconds,
            attempts=attempts,
            sleep=sleep,
            clock=clock,
        )
        self._model = model.strip()
        self._thinking_tokens = thinking_tokens
        self._thinks = False
        self._closed = False
        self._format_works = False
        self.dialect = Dialect()
        """How requests are put to this server, as far as they were; `dialect.response_format` says how an answer is
        held to its schema."""

    @classmethod
    def from_name(cls, rest: str) -> OpenAICompatibleModel:
        """The model that `URL#MODEL` names; `URL` alone stands for the only model of a server.

        Raises:
            UserError: It names nothing, or the server has several models or none.
            ModelUnavailable: The server cannot be asked.
        """
        url, _, model = rest.partition("#")
        return cls(url, model.strip() or _only_model(url))

    @property
    def name(self) -> str:
        """How the user would name it, without a password or a query string in the URL."""
        return f"openai:{self._connection.place}#{self._model}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._connection.place!r}, {self._model!r})"

    def complete(self, request: ChatRequest) -> ChatReply:
        """Answer one request.

        Raises:
            UserError: At the first requests only: the address, the key or the model's name is wrong.
            ModelError: The server cannot be reached, fails although asked several times, does not take the
                request in any form, or the prompt is longer than the context.
        """
        if self._closed:
            raise ModelError(f"{self.name} is closed", hint="Open the model again.")
        started = time.perf_counter()
        answer = self._with_room_to_think(request) if self._thinks else None
        if answer is None:
            answer = self._answer(request)
        if not self._thinks and self._thinking_tokens and _was_cut_by_thoughts(answer):
            roomy = self._with_room_to_think(request)
            self._thinks = roomy is not None
            answer = roomy or answer
        return _reply(request, answer, seconds=time.perf_counter() - started)

    def rest(self) -> None:
        """Nothing to give back: the server shares no device with the trials, or decides itself."""

    def close(self) -> None:
        """Close the connection; calling it twice is fine."""
        self._closed = True
        self._connection.close()

    def _with_room_to_think(self, request: ChatRequest) -> Answer | None:
        """None when the model's context has no such room."""
        try:
            return self._answer(request, self._thinking_tokens)
        except PromptTooLong:
            return None

    def _answer(self, request: ChatRequest, thinking_tokens: int = 0) -> Answer:
        def ask(dialect: Dialect) -> Answer:
            body = dialect.body(self._model, request, thinking_tokens=thinking_tokens)
            return self._connection.post("chat/completions", body, read_answer)

        try:
            settled, answer = _settle(self.dialect, request, ask)
        except NoSuchModel as error:
            raise NoSuchModel(f"{error.message}: `{self._model}`", hint=self._known_models()) from error
        if self._format_works:
            # Then a refusal is about this one schema, and the next is enforced as before.
            settled = replace(settled, response_format=self.dialect.response_format)
        self._format_works = self._format_works or request.schema is not None
        self.dialect = settled
        return answer

    def _known_models(self) -> str:
        try:
            names = _served(self._connection)
        except TcsHptError:
            return "Check the name after `#`, and that the server has loaded the model."
        return f"It has: {', '.join(names)}." if names else "It has no model loaded."


def served(base_url: str) -> tuple[str, ...]:
    """The names of the models that a server has, in its order.

    Asks once, and waits for a few seconds only.

    Raises:
        UserError: The URL does not lead to an OpenAI-compatible server, or the server refuses the key.
        ModelUnavailable: Nothing answers there.
        ModelError: The server fails.
    """
    with _listing(base_url) as connection:
        return _served(connection)


def _listing(base_url: str) -> Connection:
    return Connection(base_url, attempts=1, read_seconds=LISTING_SECONDS, answer_seconds=LISTING_SECONDS)


def _served(connection: Connection) -> tuple[str, ...]:
    content = connection.get("models")
    if not isinstance(content, dict) or not isinstance(content.get("data", ""), list | None):
        raise wrong_path(connection.place, "lists no models")
    return tuple(
        str(entry["id"]) for entry in content["data"] or () if isinstance(entry, dict) and "id" in entry
    )


def _only_model(url: str) -> str:
    with _listing(url) as connection:
        names, shown = _served(connection), connection.place
    if len(names) == 1:
        return names[0]
    if not names:
        raise UserError(f"the server at {shown} has no model", hint="Load one in the server first.")
    raise UserError(
        f"the server at {shown} has {len(names)} models: {', '.join(names)}",
        hint=f"Name one of them: openai:{shown}#{names[0]}.",
    )


def _settle(
    dialect: Dialect, request: ChatRequest, ask: Callable[[Dialect], Answer]
) -> tuple[Dialect, Answer]:
    """Ask in the first dialect that the server takes.

    A change of the dialect is kept while it changes the complaint; one that brings the same complaint again was not
    what the server meant, and is taken back.

    Raises:
        ModelError: It takes none.
    """
    try:
        return dialect, ask(dialect)
    except Refused as error:
        refused = error
    others = dialect.alternatives(refused.complaint, request)
    while (other := next(others, None)) is not None:
        try:
            return other, ask(other)
        except Refused as error:
            if error.complaint != refused.complaint:
                refused, others = error, other.alternatives(error.complaint, request)
    raise refused.error from refused


def _was_cut_by_thoughts(answer: Answer) -> bool:
    thought = answer.thoughts or answer.reasoning_tokens or split_thoughts(answer.text)[1]
    return answer.finish_reason == "length" and bool(thought)


def _reply(request: ChatRequest, answer: Answer, *, seconds: float) -> ChatReply:
    text, inline = split_thoughts(answer.text)
    thoughts = "\n\n".join(part for part in (answer.thoughts.strip(), inline) if part)
    written = _estimated_tokens(answer.text) + _estimated_tokens(answer.thoughts)
    return ChatReply(
        text=text,
        thoughts=thoughts,
        prompt_tokens=answer.prompt_tokens or sum(_estimated_tokens(m.content) for m in request.messages),
        completion_tokens=answer.completion_tokens or written,
        seconds=seconds,
        finish_reason=answer.finish_reason or "stop",
        tokens=tokens_of(answer, text) if request.logprobs else (),
    )


def _estimated_tokens(text: str) -> int:
    return -(-len(text) // CHARACTERS_PER_TOKEN)
