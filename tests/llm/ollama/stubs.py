"""Stand-ins for models with a known character."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

from tcs_hpt.llm.ollama import (
    OllamaModel,
)
from tcs_hpt.llm.scripted import first_choice
from tcs_hpt.testing.models import request
from tcs_hpt.testing.ollama_server import OllamaServer, StubModel, Trap

QWEN = StubModel("qwen2.5-coder:1.5b", architecture="qwen2")


THINKING = StubModel("qwen3:8b", architecture="qwen3", capabilities=("completion", "thinking"))


NEEDS_THOUGHTS = StubModel(
    "qwen3.5:9b", architecture="qwen35", capabilities=("completion", "thinking"), schema_needs_thoughts=True
)


GPT_OSS = StubModel("gpt-oss:20b", architecture="gptoss", capabilities=("completion", "thinking"))


ALOUD = StubModel("phi4-reasoning:14b", architecture="phi3", template="Think in <think> {{ .Prompt }}")


CPU = StubModel("smollm2:135m", on_gpu=False)


EMBEDDING = StubModel("nomic-embed-text", capabilities=("embedding",))


SHORT = StubModel("short:1b", context_length=2048)


MODELS = (QWEN, THINKING, NEEDS_THOUGHTS, GPT_OSS, ALOUD, CPU, EMBEDDING, SHORT)


EXPECTED = first_choice(request())


WORDS = "The validation loss oscillates since the third epoch. "


Open = Callable[..., OllamaModel]


def closed_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


PASSING: list[Trap] = ["half_stream", "reset", "error_500", "busy_503", "error_in_stream"]


def when_asked(server: OllamaServer, do: Callable[[], None]) -> None:
    """Runs `do` in another thread, a moment after the next chat has reached the server."""

    def run() -> None:
        while not server.chats:
            time.sleep(0.01)
        time.sleep(0.15)
        do()

    threading.Thread(target=run).start()
