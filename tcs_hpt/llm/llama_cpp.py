"""The embedded model: a GGUF file, run by llama.cpp inside this process, through the `xllamacpp` package.

How a request is answered, and why:

- A schema becomes an llguidance grammar that allows no free whitespace. Passed as `response_format`, llama.cpp would
  accept any whitespace between tokens, and small models fill their answer with line breaks.
- The leading system messages of a request are its fixed part. They are kept evaluated, one lane per slot, so a
  request only pays for what follows them; everything after them is evaluated anew. What llama.cpp computes for a
  token depends a little on how many tokens it evaluates together, so reusing as much as happens to be cached would
  make the answer depend on earlier requests. Here the reused part is always evaluated in the same way, and the same
  request gives the same text, whatever was asked before, also in another process on the same machine.
- The native call runs in a thread of its own and is polled for interruption between batches, because Python cannot
  handle Ctrl-C while it is inside a native call.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
import urllib.error
import urllib.request
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tcs_hpt.errors import ModelError, ModelUnavailable
from tcs_hpt.llm._base import ChatReply, ChatRequest
from tcs_hpt.llm._memory import HeldMemory
from tcs_hpt.llm.machine import usable_cores
from tcs_hpt.records import Message

SLOTS = 2
"""Prompt prefixes that stay evaluated at the same time; two agents speak in turn."""
BATCH_TOKENS = 64
"""Evaluated between two looks at an interruption: about one second of a 1.5B model on two cores; larger is no faster."""
SPIN_COUNT = "10000"
"""How often a computing thread looks for its partners before it sleeps. libgomp's own 300,000 is no faster on a free
machine, and three to fifteen times slower when trials keep the cores busy."""
HTTP_TIMEOUT_SECONDS = 30.0
PLACEHOLDER = "<<content>>"
"""Stands for a message's text while the fixed part of a prompt is cut out of the rendered template."""


def import_engine() -> Any:
    """The `xllamacpp` module.

    Raises:
        ModelUnavailable: It is not installed.
    """
    # Only while the engine's libgomp is loaded, which reads it once; trials must not inherit it.
    ours = not {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys()
    if ours:
        os.environ["GOMP_SPINCOUNT"] = SPIN_COUNT
    try:
        import xllamacpp
    except ImportError as error:
        raise ModelUnavailable(
            f"the embedded engine cannot be imported: {error}", hint="Run `pip install 'tcs-hpt[embedded]'`."
        ) from error
    finally:
        if ours:
            del os.environ["GOMP_SPINCOUNT"]
    return xllamacpp


class LlamaCppModel:
    """A GGUF model in this process.

    The same request gives the same text on the same machine. Requests are answered one after the other; their lanes
    are given slots in order of appearance, the third shares the first one's, and so on.

    Args:
        path: The GGUF file.
        name: How the user would name it.
        context: Tokens that prompt and answer may have together, for each of the slots.
        threads: Threads that compute; by default one per physical core that this process may use.

    Raises:
        ModelUnavailable: The engine is not installed, or the file cannot be loaded.
    """

    def __init__(self, path: Path, *, name: str, context: int = 4096, threads: int | None = None) -> None:
        self._name = name
        self._context = context
        self._key = secrets.token_hex(16)
        self._engine = import_engine()
        self._memory = HeldMemory()
        with self._memory.loading():
            server = _load(self._engine, path, context, threads or usable_cores(), self._key)
        self._address = str(server.listening_address)
        self._lanes: dict[str, int] = {}
        self._fixed: dict[int, str] = {}
        """By slot, the fixed part that it holds."""
        self._cancelled = threading.Event()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="llama.cpp")
        # The native server must be gone before the interpreter takes its libraries down; this also runs at exit.
        self._server = [server]
        self._release = weakref.finalize(self, _release, self._worker, self._server)

    @property
    def name(self) -> str:
        """How the user would name it."""
        return self._name

    def complete(self, request: ChatRequest) -> ChatReply:
        """Answer one request.

        Raises:
            ModelError: The prompt is longer than the context, the schema cannot be enforced, or the model
                is closed.
        """
        started = time.perf_counter()
        with self._memory.answering():
            chunks = self._answer(request)
        reply = _reply(chunks, seconds=time.perf_counter() - started, memory_mb=self._memory.mb)
        if request.schema is not None and not _is_constrained(reply):
            raise ModelError(
                f"{self._name} answered outside the JSON schema: {reply.text[:60]!r}",
                hint="The schema holds something that cannot be enforced: check its types, patterns and references.",
            )
        return reply

    def _answer(self, request: ChatRequest) -> list[dict[str, Any]]:
        """The chunks of an answer to the request."""
        slot = self._lanes.setdefault(request.lane, len(self._lanes) % SLOTS)
        fixed = self._fixed_part(request.messages)
        if fixed:
            self._evaluate(slot, fixed)
        body: dict[str, Any] = {
            "messages": [{"role": m.role, "content": m.content} for m in request.messages],
            "max_tokens": request.max_tokens,
            "temperature": request.temperature,
            "seed": request.seed % 2**31,
            "cache_prompt": bool(fixed),
        }
        if request.schema is not None:
            body["grammar"] = self._grammar(request.schema)
        return self._call("handle_chat_completions", slot, body)

    def token_count(self, text: str) -> int:
        """How many tokens the model's own tokenizer makes of a text."""
        tokens = self._post("/tokenize", {"content": text, "add_special": False})["tokens"]
        return len(tokens)

    def rest(self) -> None:
        """Nothing to give back: it computes on the CPU, from a file that the system may page out."""

    def close(self) -> None:
        """Interrupt what is running and release the memory; calling it twice is fine."""
        self._cancelled.set()
        self._release()

    def _fixed_part(self, messages: tuple[Message, ...]) -> str:
        """The rendered prompt up to the text of the first message that is not a system message."""
        system = 0
        while system < len(messages) and messages[system].role == "system":
            system += 1
        if system in (0, len(messages)):
            return ""
        shown = [{"role": m.role, "content": m.content} for m in messages[:system]]
        shown.append({"role": messages[system].role, "content": PLACEHOLDER})
        rendered = str(self._post("/apply-template", {"messages": shown})["prompt"])
        before, found, _ = rendered.rpartition(PLACEHOLDER)
        return before if found else ""

    def _evaluate(self, slot: int, fixed: str) -> None:
        """Bring a slot into the one state that this fixed part has, however it got there."""
        body = {"prompt": fixed, "max_tokens": 0, "temperature": 0.0, "seed": 0}
        if self._fixed.pop(slot, None) != fixed:
            self._call("handle_completions", slot, body | {"cache_prompt": False})
        # Drops whatever follows the fixed part and evaluates its last token again, alone. After a fresh evaluation
        # this repeats a token that is there already, so that it is always one that was evaluated alone.
        self._call("handle_completions", slot, body | {"cache_prompt": True})
        self._fixed[slot] = fixed

    def _grammar(self, schema: Mapping[str, Any]) -> str:
        guided = dict(schema) | {
            "x-guidance": {"whitespace_flexible": False, "key_separator": ": ", "item_separator": ", "}
        }
        grammar = self._engine.json_schema_to_grammar(guided)
        return grammar.decode() if isinstance(grammar, bytes) else str(grammar)

    def _call(self, method: str, slot: int, body: dict[str, Any]) -> list[dict[str, Any]]:
        """Run a native completion in the worker thread; returns its chunks, the last of them with the counts."""
        if not self._server:
            raise self._closed()
        chunks: list[dict[str, Any]] = []
        cancelled = self._cancelled

        def receive(chunk: dict[str, Any]) -> bool:
            chunks.append(chunk)
            return cancelled.is_set()

        # Progress is not shown to anyone; asking for it makes the engine call back between batches.
        streamed = {"stream": True, "stream_options": {"include_usage": True}, "return_progress": True}
        # Only the worker touches the server: a reference in this frame would outlive `close` in a traceback.
        running = self._submit(method, body | streamed | {"id_slot": slot}, receive)
        try:
            running.result()
        except (ValueError, RuntimeError) as error:
            if cancelled.is_set():
                raise self._closed() from error
            raise ModelError(
                f"{self._name} cannot take the request: {error}",
                hint="Check the JSON schema and the messages of the request.",
            ) from error
        except BaseException:
            # Ctrl-C: the worker stops at its next batch, and the next call waits for that.
            cancelled.set()
            self._cancelled = threading.Event()
            raise
        if cancelled.is_set():
            raise self._closed()
        self._refuse(chunks)
        return chunks

    def _submit(
        self, method: str, body: dict[str, Any], receive: Callable[[dict[str, Any]], bool]
    ) -> Future[None]:
        server = self._server

        def run() -> None:
            getattr(server[0], method)(body, receive)

        try:
            return self._worker.submit(run)
        except RuntimeError as error:
            raise self._closed() from error

    def _refuse(self, chunks: list[dict[str, Any]]) -> None:
        error = next((c["error"] for c in chunks if "error" in c), None)
        if error is None:
            return
        if error.get("type") == "exceed_context_size_error":
            raise ModelError(
                f"the prompt has {error.get('n_prompt_tokens')} tokens, and {self._name} was opened with a "
                f"context of {self._context}",
                hint="Shorten the prompt (the report's token budget), or open the model with a larger context.",
            )
        raise ModelError(
            f"{self._name} failed: {error.get('message', error)}", hint="Try again, or choose another model."
        )

    def _post(self, route: str, body: dict[str, Any]) -> dict[str, Any]:
        """Ask the engine's own loopback server, for what the Python package does not offer."""
        if not self._server:
            raise self._closed()
        request = urllib.request.Request(
            self._address + route,
            data=json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"},
        )
        # Never through a proxy from the environment: this is the same process.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=HTTP_TIMEOUT_SECONDS) as response:
                answer: dict[str, Any] = json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                detail = error.read().decode(errors="replace")
            raise ModelError(
                f"{self._name} refused {route}: {detail}", hint="Check the messages of the request."
            ) from error
        except OSError as error:
            raise ModelError(
                f"{self._name} does not answer {route}: {error}", hint="Open it again."
            ) from error
        return answer

    def _closed(self) -> ModelError:
        return ModelError(f"{self._name} is closed", hint="Open the model again.")


def _load(engine: Any, path: Path, context: int, threads: int, key: str) -> Any:
    """Start the native server, silently."""
    if not path.is_file():
        raise ModelUnavailable(f"there is no model file {path}", hint="Check the path.")
    params = engine.CommonParams()
    params.model.path = str(path)
    params.n_parallel = SLOTS
    params.kv_unified = False
    params.n_ctx = context * SLOTS
    params.n_batch = BATCH_TOKENS
    params.n_ubatch = BATCH_TOKENS
    params.cpuparams.n_threads = threads
    params.cpuparams_batch.n_threads = threads
    params.warmup = False
    # Slots keep their prompts themselves; copies of them in memory would only cost.
    params.cache_ram_mib = 0
    params.cache_idle_slots = False
    params.verbosity = -1
    # The engine insists on a loopback server; nobody without the key can use it.
    params.api_keys = [key]
    params.cors_origins = "null"
    params.n_threads_http = 1
    params.ui = False
    params.endpoint_slots = False
    params.endpoint_metrics = True
    try:
        server = engine.Server(params)
        # Expected: a server that was made can be destroyed. But its constructor returns before its loop has started,
        # and a loop told to stop before it started runs on forever, so that the destructor would wait forever
        # (xllamacpp 2026.10). The loop itself answers this, so afterwards it has started.
        server.handle_metrics()
        return server
    except RuntimeError as error:
        raise ModelUnavailable(
            f"llama.cpp cannot load {path}: {error}",
            hint="It may be damaged, too large for the memory, or of a kind that this llama.cpp does not know.",
        ) from error


def _release(worker: ThreadPoolExecutor, server: list[Any]) -> None:
    worker.shutdown(wait=True, cancel_futures=True)
    server.clear()


def _is_constrained(reply: ChatReply) -> bool:
    """Whether a grammar was at work; llama.cpp only logs one that it cannot compile, and answers without it."""
    if reply.finish_reason == "length":
        return not reply.text or reply.text[0] in '{["-0123456789tfn'
    try:
        json.loads(reply.text, strict=False)
    except json.JSONDecodeError:
        return False
    return True


def _reply(chunks: list[dict[str, Any]], *, seconds: float, memory_mb: float) -> ChatReply:
    choices = [c["choices"][0] for c in chunks if c.get("choices")]
    usage = next(c["usage"] for c in reversed(chunks) if c.get("usage"))
    finish = next((c["finish_reason"] for c in reversed(choices) if c.get("finish_reason")), "stop")
    return ChatReply(
        text="".join(c["delta"].get("content") or "" for c in choices),
        thoughts="".join(c["delta"].get("reasoning_content") or "" for c in choices),
        prompt_tokens=usage["prompt_tokens"],
        completion_tokens=usage["completion_tokens"],
        seconds=seconds,
        memory_mb=memory_mb,
        finish_reason="length" if finish == "length" else "stop",
    )
