"""An Ollama server without models, which speaks the real one's wire format; for tests and demos.

    with OllamaServer(StubModel("qwen2.5-coder:1.5b")) as server:
        model = OllamaModel("qwen2.5-coder:1.5b", host=server.host)

It listens on a free port of 127.0.0.1 and answers `/api/version`, `tags`, `show`, `ps`, `pull`, `generate` (load and
unload only) and `chat`, streamed or whole. A request with a schema gets its smallest instance. It counts four
characters as a token, drops the oldest messages that do not fit into the context window as the real server does, and
remembers which models are loaded. What goes wrong with real servers is a `Trap`. Standard library only.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tcs_hpt.llm import ChatRequest
from tcs_hpt.llm.scripted import first_choice
from tcs_hpt.testing._ollama_connection import Connection, ConnectionServer
from tcs_hpt.testing._ollama_stub import (
    BLOB,
    DEFAULT_CONTEXT,
    PROSE,
    Json,
    StubModel,
    Trap,
    chunks,
    decide,
    identity,
    now,
    seconds_of,
    time_of,
    whole,
)

__all__ = ["PROSE", "OllamaServer", "Received", "StubModel", "Trap"]


@dataclass(frozen=True)
class Received:
    """One request, as it came."""

    method: str
    path: str
    body: Json


@dataclass
class _Loaded:
    model: StubModel
    context: int
    expires_at: float


class OllamaServer:
    """Serves from `__enter__` to `__exit__`.

    Args:
        models: What is installed.
        library: What can be pulled besides.
        version: What `/api/version` says.
        traps: What happens to the first chats, one each; more may be appended to `traps` at any time.
        answer: Makes the text of an answer.
        ignores_num_ctx: Every model gets a context of 4096, whatever is asked for.
        html: It is not Ollama at all, but a web server that shows its page under every address.
        clock: The time, in seconds since 1970.
    """

    def __init__(
        self,
        *models: StubModel,
        library: tuple[StubModel, ...] = (),
        version: str = "0.12.6",
        traps: tuple[Trap, ...] = (),
        answer: Callable[[ChatRequest], str] = first_choice,
        ignores_num_ctx: bool = False,
        html: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.installed = {m.full_name: m for m in models}
        self.pullable = {m.full_name: m for m in library}
        self.version = version
        self.traps: deque[Trap] = deque(traps)
        self.answer = answer
        self.ignores_num_ctx = ignores_num_ctx
        self.html = html
        self.clock = clock
        self.requests: list[Received] = []
        """Every request so far."""
        self.seen: list[list[Json]] = []
        """By chat, the messages that were left for the model."""
        self.loads: list[tuple[str, int]] = []
        """Every time a model was loaded: its name and context window."""
        self.hangs: set[str] = set()
        """Paths whose requests are taken and not answered, e.g. `/api/ps`."""
        self.release = threading.Event()
        """Ends `slow`, `stall` and `hangs`; also set when the server ends."""
        self.loaded: dict[str, _Loaded] = {}
        self.lock = threading.Lock()
        self._http = _HttpServer(self)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), name="ollama stub")

    def __enter__(self) -> OllamaServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.release.set()
        self._http.shutdown()
        self._thread.join()
        self._http.end_connections()
        self._http.server_close()

    @property
    def host(self) -> str:
        """What OLLAMA_HOST would be."""
        return f"127.0.0.1:{self._http.server_port}"

    @property
    def chats(self) -> list[Json]:
        """The bodies of all chats so far."""
        return [r.body for r in self.requests if r.path == "/api/chat"]

    # -- models ---------------------------------------------------------------------------------------------

    def find(self, name: str) -> StubModel | None:
        """The installed model of that name, with or without `:latest`."""
        return self.installed.get(StubModel(name).full_name)

    def load(self, model: StubModel, body: Json) -> int:
        """Bring a model into memory as a request wants it; returns its context window."""
        wanted = body.get("options", {}).get("num_ctx", DEFAULT_CONTEXT)
        context = DEFAULT_CONTEXT if self.ignores_num_ctx else min(wanted, model.context_length)
        with self.lock:
            current = self.loaded.get(model.full_name)
            if current is None or current.context != context or current.expires_at <= self.clock():
                self.loads.append((model.full_name, context))
            expires_at = self.clock() + seconds_of(body.get("keep_alive"))
            self.loaded[model.full_name] = _Loaded(model, context, expires_at)
        return context

    def unload(self, model: StubModel) -> None:
        """Drop a model from memory."""
        with self.lock:
            self.loaded.pop(model.full_name, None)

    def in_memory(self) -> list[_Loaded]:
        """What is loaded and has not expired; the longest-lived first."""
        with self.lock:
            alive = [m for m in self.loaded.values() if m.expires_at > self.clock()]
        return sorted(alive, key=lambda m: -m.expires_at)


class _HttpServer(ConnectionServer):
    def __init__(self, stub: OllamaServer) -> None:
        super().__init__(_Handler)
        self.stub = stub


class _Handler(Connection):
    server: _HttpServer

    def do_GET(self) -> None:
        """Answer a GET."""
        self._answer({})

    def do_POST(self) -> None:
        """Answer a POST."""
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = json.loads(raw)
        except ValueError:
            self.send_json({"error": "missing request body" if not raw else "invalid JSON"}, status=400)
            return
        self._answer(body)

    def _answer(self, body: Json) -> None:
        stub = self.server.stub
        stub.requests.append(Received(self.command, self.path, body))
        if self.path in stub.hangs:
            stub.release.wait()
        if stub.html:
            self.send(b"<!doctype html><title>It works!</title>", "text/html; charset=utf-8")
            return
        routes: dict[tuple[str, str], Callable[[Json], None]] = {
            ("GET", "/"): lambda _: self.send(b"Ollama is running", "text/plain; charset=utf-8"),
            ("GET", "/api/version"): lambda _: self.send_json({"version": stub.version}),
            ("GET", "/api/tags"): self._tags,
            ("GET", "/api/ps"): self._ps,
            ("POST", "/api/show"): self._show,
            ("POST", "/api/pull"): self._pull,
            ("POST", "/api/generate"): self._generate,
            ("POST", "/api/chat"): self._chat,
        }
        route = routes.get((self.command, self.path))
        if route is None:
            self.send(b"404 page not found", "text/plain", status=404)
        else:
            route(body)

    # -- models ---------------------------------------------------------------------------------------------

    def _tags(self, _: Json) -> None:
        models = [
            identity(m) | {"modified_at": time_of(0), "size": m.size} for m in self._stub.installed.values()
        ]
        self.send_json({"models": models})

    def _ps(self, _: Json) -> None:
        models = [
            identity(m.model)
            | {
                "size": m.model.size,
                "expires_at": time_of(m.expires_at),
                "size_vram": m.model.size if m.model.on_gpu else 0,
                "context_length": m.context,
            }
            for m in self._stub.in_memory()
        ]
        self.send_json({"models": models})

    def _show(self, body: Json) -> None:
        model = self._named(body)
        if model is None:
            return
        self.send_json(
            {
                "license": "",
                "modelfile": f"FROM {model.full_name}\n",
                "parameters": "",
                "template": model.template,
                "details": identity(model)["details"],
                "model_info": {
                    "general.architecture": model.architecture,
                    "general.parameter_count": 1_500_000_000,
                    f"{model.architecture}.context_length": model.context_length,
                },
                "capabilities": list(model.capabilities),
                "modified_at": time_of(0),
            }
        )

    def _pull(self, body: Json) -> None:
        wanted = StubModel(body.get("model") or body.get("name", "")).full_name
        steps: list[Json] = [{"status": "pulling manifest"}]
        model = self._stub.pullable.get(wanted) or self._stub.installed.get(wanted)
        if model is None:
            steps.append({"error": "pull model manifest: file does not exist"})
        else:
            part = {"status": f"pulling {BLOB[7:19]}", "digest": BLOB, "total": model.size}
            steps += [part, *(part | {"completed": model.size * share // 4} for share in (1, 2, 3, 4))]
            steps += [{"status": s} for s in ("verifying sha256 digest", "writing manifest", "success")]
        if model is not None:  # before the client reads of the success
            self._stub.installed[wanted] = model
        if body.get("stream", True):
            self.send_lines(iter(steps))
        else:
            self.send_json(steps[-1], status=500 if model is None else 200)

    def _generate(self, body: Json) -> None:
        model = self._named(body)
        if model is None:
            return
        if body.get("prompt"):
            self.send_json({"error": "this stub only loads and unloads here"}, status=501)
            return
        reason = self._load_or_unload(model, body)
        self.send_json({"model": body["model"], "created_at": now(), "response": "", "done": True} | reason)

    def _load_or_unload(self, model: StubModel, body: Json) -> Json:
        if "keep_alive" in body and seconds_of(body["keep_alive"]) == 0:
            self._stub.unload(model)
            return {"done_reason": "unload"}
        self._stub.load(model, body)
        return {"done_reason": "load"}

    def _named(self, body: Json) -> StubModel | None:
        name = body.get("model") or body.get("name") or ""
        model = self._stub.find(name)
        if model is None:
            self.send_json({"error": f"model '{name}' not found"}, status=404)
        return model

    # -- chat -----------------------------------------------------------------------------------------------

    def _chat(self, body: Json) -> None:
        model = self._named(body)
        if model is None:
            return
        if body.get("think") and "thinking" not in model.capabilities:
            self.send_json({"error": f'"{body["model"]}" does not support thinking'}, status=400)
            return
        if not body.get("messages"):
            message = {"message": {"role": "assistant", "content": ""}, "done": True}
            reason = self._load_or_unload(model, body)
            self.send_json({"model": body["model"], "created_at": now()} | message | reason)
            return
        trap = self._stub.traps.popleft() if self._stub.traps else None
        if self._fails(trap):
            return
        context = self._stub.load(model, body)
        if seconds_of(body.get("keep_alive")) == 0:
            self._stub.unload(model)
        chat = decide(model, body, context, trap, self._stub.answer)
        self._stub.seen.append(chat.messages)
        parts = chunks(body, chat)
        if body.get("stream", True):
            self.send_lines(self._with_trap(parts, trap))
        else:
            self.send_json(whole(list(parts)))

    def _fails(self, trap: Trap | None) -> bool:
        if trap == "error_500":
            self.send_json({"error": "llama runner process has terminated: exit status 2"}, status=500)
        elif trap == "busy_503":
            busy = "server busy, please try again.  maximum pending requests exceeded"
            self.send_json({"error": busy}, status=503)
        elif trap == "out_of_memory":
            text = "model requires more system memory (24.0 GiB) than is available (7.6 GiB)"
            self.send_json({"error": text}, status=500)
        elif trap == "reset":
            self.reset()
        else:
            return False
        return True

    def _with_trap(self, parts: Iterator[Json], trap: Trap | None) -> Iterator[Json | bytes]:
        if trap == "slow":
            self._stub.release.wait()
        yield next(parts)
        if trap == "stall":
            self._stub.release.wait()
        elif trap == "half_stream":
            yield json.dumps(next(parts)).encode()[:20]
            self.hang_up()
            return
        elif trap == "error_in_stream":
            yield {"error": "an error was encountered while running the model: unexpected EOF"}
            return
        yield from parts

    @property
    def _stub(self) -> OllamaServer:
        return self.server.stub
