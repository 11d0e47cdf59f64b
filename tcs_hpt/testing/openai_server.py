"""A stand-in for OpenAI-compatible servers, faithful on the wire and to their faults, on 127.0.0.1.

    with OpenAIServer(formats=["json_object"]) as server:
        model = OpenAICompatibleModel(server.url, "tiny")

It answers with the smallest answer to the request's schema, or with what it is given, and keeps what it was sent.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

from tcs_hpt.llm import ChatRequest
from tcs_hpt.llm.scripted import first_choice

LOGPROB = -0.25
"""Of every token it writes."""
STRICT_REFUSES = ("minLength", "maxLength", "pattern", "minimum", "maximum", "default")
"""Keywords that a hosted strict mode does not take."""


@dataclass(frozen=True)
class Received:
    """One request to the server."""

    method: str
    path: str
    """With its query string."""
    headers: Mapping[str, str]
    """By lower-case name."""
    body: dict[str, Any]


@dataclass(frozen=True)
class Said:
    """What the model says."""

    text: str
    thoughts: str = ""
    finish_reason: str | None = None
    """By default `length` when it had to be cut, else `stop`."""


@dataclass(frozen=True)
class Status:
    """A response instead of an answer."""

    status: int
    body: str | dict[str, Any] = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Breaks:
    """The answer breaks off."""

    after: int = 1
    """Pieces of the answer that are sent before; 0: not even the status."""
    how: Literal["end", "reset", "hang"] = "end"
    """The stream ends too early, the connection is reset, or nothing comes any more until the client leaves."""


Fault: TypeAlias = Status | Breaks


class OpenAIServer:
    """Serves `/v1/models` and `/v1/chat/completions` while it is entered.

    Args:
        models: The names of its models; requests for others are refused.
        say: What the model answers to the body of a request; by default the smallest answer to its schema.
        key: The key that requests must bring; none is needed without.
        formats: Types of `response_format` that it knows; others are refused, and without any also the field.
        refuses: Fields of a request that it refuses.
        strict: Refuse schemas with keywords that hosted models refuse.
        streams: Whether it streams; otherwise it ignores `stream`.
        counts: Whether it says how many tokens there were.
        thoughts_in: Where thoughts go: into a field of this name, or into `content` in tags.
        context: Tokens that prompt and answer may have together.
    """

    def __init__(
        self,
        *,
        models: Collection[str] = ("tiny",),
        say: Callable[[dict[str, Any]], str | Said] | None = None,
        key: str = "",
        formats: Collection[str] = ("json_schema", "json_object"),
        refuses: Collection[str] = (),
        strict: bool = False,
        streams: bool = True,
        counts: bool = True,
        thoughts_in: Literal["reasoning_content", "reasoning", "content"] = "reasoning_content",
        context: int | None = None,
    ) -> None:
        self.models = models
        self.say = say or smallest_answer
        self.key = key
        self.formats = formats
        self.refuses = refuses
        self.strict = strict
        self.streams = streams
        self.counts = counts
        self.thoughts_in = thoughts_in
        self.context = context
        self.requests: list[Received] = []
        """Every request so far, also those it refused."""
        self.faults: deque[Fault] = deque()
        """What goes wrong with the next requests, one each, before it answers again."""
        self.left = threading.Event()
        """Set when a client left a server that hangs."""
        self._closing = threading.Event()
        self._server = _HTTPServer(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def root(self) -> str:
        """Its URL without a path."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """Its base URL, which ends in `/v1`."""
        return f"{self.root}/v1"

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """What the chat completions were asked with."""
        return [r.body for r in self.requests if r.method == "POST"]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def refusal(self, body: dict[str, Any]) -> Status | None:
        """Why a request gets no answer, in the words of the servers that say so; None when it does get one."""
        if body.get("model") not in self.models:
            return _error(404, f"The model `{body.get('model')}` does not exist.", "model", "model_not_found")
        for name in self.refuses:
            if name in body:
                better = " Use 'max_completion_tokens' instead." if name == "max_tokens" else ""
                message = f"Unsupported parameter: '{name}' is not supported with this model.{better}"
                return _error(400, message, name, "unsupported_parameter")
        kind = body.get("response_format", {}).get("type")
        if kind is not None and kind not in self.formats:
            known = " or ".join(f"'{name}'" for name in (*self.formats, "text"))
            return Status(400, {"error": f"'response_format.type' must be {known}"})
        if self.strict and kind == "json_schema":
            schema = json.dumps(body["response_format"]["json_schema"]["schema"])
            for keyword in STRICT_REFUSES:
                if f'"{keyword}":' in schema:
                    message = f"Invalid schema for response_format 'answer': '{keyword}' is not permitted."
                    return _error(400, message, "response_format", None)
        wanted = _prompt_tokens(body) + _max_tokens(body)
        if self.context is not None and wanted > self.context:
            message = f"This model's maximum context length is {self.context} tokens, you requested {wanted}."
            return _error(400, message, "messages", "context_length_exceeded")
        return None

    def wait_for_the_end(self, connection: socket.socket) -> None:
        """Say nothing until the client leaves or the server closes."""
        connection.settimeout(0.02)
        while not self._closing.is_set():
            with contextlib.suppress(TimeoutError):
                try:
                    gone = not connection.recv(1)
                except ConnectionError:
                    gone = True
                if gone:
                    self.left.set()
                    return


def smallest_answer(body: dict[str, Any]) -> str:
    """The smallest answer to the schema of a request, wherever it is stated; `ok` when there is none."""
    stated = re.search(r"JSON Schema:\n(\{.*\})", "\n".join(m["content"] for m in body["messages"]))
    schema = json.loads(stated[1]) if stated else None
    if body.get("response_format", {}).get("type") == "json_schema":
        schema = body["response_format"]["json_schema"]["schema"]
    return first_choice(ChatRequest(messages=(), max_tokens=0, schema=schema))


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, stub: OpenAIServer) -> None:
        self.stub = stub
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Nothing: a client that leaves is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _HTTPServer

    def do_GET(self) -> None:
        """The list of models."""
        fault = self._receive({})
        if isinstance(fault, Status):
            self._send(fault)
        elif self.path.partition("?")[0] != "/v1/models":
            self._send(Status(404, {"detail": "Not Found"}))
        else:
            listed = [
                {"id": name, "object": "model", "owned_by": "nobody"} for name in self.server.stub.models
            ]
            self._send(Status(200, {"object": "list", "data": listed}))

    def do_POST(self) -> None:
        """An answer."""
        stub = self.server.stub
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        fault = self._receive(body)
        if isinstance(fault, Status):
            self._send(fault)
        elif self.path.partition("?")[0] != "/v1/chat/completions":
            self._send(Status(404, {"detail": "Not Found"}))
        elif refusal := stub.refusal(body):
            self._send(refusal)
        elif fault is not None and fault.after == 0:
            self._break(fault)
        elif stub.streams and body.get("stream"):
            self._stream(body, fault)
        else:
            self._send(Status(200, _whole(stub, body)))

    def _receive(self, body: dict[str, Any]) -> Fault | None:
        stub = self.server.stub
        headers = {name.lower(): value for name, value in self.headers.items()}
        stub.requests.append(Received(self.command, self.path, headers, body))
        if stub.key and headers.get("authorization") != f"Bearer {stub.key}":
            return _error(
                401, f"Incorrect API key provided: {headers.get('authorization')}", None, "invalid_api_key"
            )
        return stub.faults.popleft() if stub.faults else None

    def _send(self, response: Status) -> None:
        text = response.body if isinstance(response.body, str) else json.dumps(response.body)
        content = text.encode()
        headers = {"Content-Type": "text/html" if text.startswith("<") else "application/json"}
        self.send_response(response.status)
        for name, value in (headers | dict(response.headers) | {"Content-Length": str(len(content))}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _stream(self, body: dict[str, Any], fault: Breaks | None) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream; charset=utf-8")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number, event in enumerate(_events(self.server.stub, body)):
            if fault is not None and number == fault.after:
                self._break(fault)
                return
            self._chunk(f"data: {event}\n\n".encode())
        self._chunk(b"data: [DONE]\n\n")
        self._chunk(b"")

    def _chunk(self, content: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))

    def _break(self, fault: Breaks) -> None:
        self.close_connection = True
        if fault.how == "hang":
            self.server.stub.wait_for_the_end(self.connection)
        elif fault.how == "reset":
            # Lingering for no time makes the system send a reset instead of an orderly end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        elif fault.after:
            self._chunk(b"")

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def _said(stub: OpenAIServer, body: dict[str, Any]) -> tuple[Said, list[str], list[str]]:
    """What is said, and the pieces of thoughts and answer that the request has room for."""
    said = stub.say(body)
    if isinstance(said, str):
        said = Said(said)
    thinking, answering = _pieces(said.thoughts), _pieces(said.text)
    if thinking and stub.thoughts_in == "content":
        thinking, answering = [], ["<think>", "\n", *thinking, "\n", "</think>", "\n\n", *answering]
    room = _max_tokens(body)
    cut = len(thinking) + len(answering) > room
    thinking = thinking[:room]
    answering = answering[: room - len(thinking)]
    return (
        replace(said, finish_reason=said.finish_reason or ("length" if cut else "stop")),
        thinking,
        answering,
    )


def _whole(stub: OpenAIServer, body: dict[str, Any]) -> dict[str, Any]:
    said, thinking, answering = _said(stub, body)
    message = {"role": "assistant", "content": "".join(answering)}
    if thinking:
        message[stub.thoughts_in] = "".join(thinking)
    choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": said.finish_reason}
    if body.get("logprobs"):
        choice["logprobs"] = {"content": [_logprob(piece) for piece in answering]}
    response = {"id": "chatcmpl-1", "object": "chat.completion", "model": body["model"], "choices": [choice]}
    return response | ({"usage": _usage(body, thinking, answering)} if stub.counts else {})


def _events(stub: OpenAIServer, body: dict[str, Any]) -> Iterator[str]:
    said, thinking, answering = _said(stub, body)
    common = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": body["model"]}

    def event(delta: dict[str, Any], finish: str | None = None, piece: str | None = None) -> str:
        choice: dict[str, Any] = {"index": 0, "delta": delta, "finish_reason": finish}
        if body.get("logprobs") and piece is not None:
            choice["logprobs"] = {"content": [_logprob(piece)]}
        # Servers in C++ and Rust do not escape characters outside ASCII.
        return json.dumps(common | {"choices": [choice]}, ensure_ascii=False)

    yield event({"role": "assistant", "content": ""})
    for piece in thinking:
        yield event({stub.thoughts_in: piece})
    for piece in answering:
        yield event({"content": piece}, piece=piece)
    yield event({}, said.finish_reason)
    if stub.counts and (body.get("stream_options") or {}).get("include_usage"):
        yield json.dumps(common | {"choices": [], "usage": _usage(body, thinking, answering)})


def _error(status: int, message: str, param: str | None, code: str | None) -> Status:
    error = {"message": message, "type": "invalid_request_error", "param": param, "code": code}
    return Status(status, {"error": error})


def _pieces(text: str) -> list[str]:
    return [text[start : start + 4] for start in range(0, len(text), 4)]


def _logprob(piece: str) -> dict[str, Any]:
    return {"token": piece, "logprob": LOGPROB, "bytes": list(piece.encode()), "top_logprobs": []}


def _usage(body: dict[str, Any], thinking: list[str], answering: list[str]) -> dict[str, int]:
    prompt, completion = _prompt_tokens(body), len(thinking) + len(answering)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _prompt_tokens(body: dict[str, Any]) -> int:
    return sum(len(message["content"].split()) for message in body["messages"])


def _max_tokens(body: dict[str, Any]) -> int:
    return int(body.get("max_tokens") or body.get("max_completion_tokens") or 1000)
