"""Servers that are gone, fail, hang, or are something else."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from tcs_hpt.errors import ModelError, ModelUnavailable, TcsHptError
from tcs_hpt.llm.machine import ollama_state
from tcs_hpt.llm.ollama import (
    OllamaModel,
    installed,
    is_running,
    loaded,
    pull,
)
from tcs_hpt.testing.models import request
from tcs_hpt.testing.ollama_server import OllamaServer, Trap
from tests.llm.ollama.stubs import EMBEDDING, EXPECTED, PASSING, QWEN, Open, closed_port, when_asked


def test_nobody_there() -> None:
    host = closed_port()
    for attempt in (
        lambda: OllamaModel("a", host=host),
        lambda: installed(host),
        lambda: pull("a", host=host),
    ):
        started = time.perf_counter()
        with pytest.raises(ModelUnavailable, match=f"no Ollama server answers at http://{host}") as caught:
            attempt()
        assert "ollama serve" in caught.value.hint
        assert time.perf_counter() - started < 5
    assert is_running(host) is None


def test_a_missing_model_names_the_way_to_get_it(server: OllamaServer) -> None:
    with pytest.raises(ModelUnavailable, match=r"does not have the model `llama3\.2:3b`") as caught:
        OllamaModel("llama3.2:3b", host=server.host)
    assert "tcs-hpt models pull ollama:llama3.2:3b" in caught.value.hint
    assert "--pull" in caught.value.hint


def test_a_model_removed_meanwhile_is_missing(server: OllamaServer, opened: Open) -> None:
    model = opened(QWEN)
    del server.installed[QWEN.name]
    with pytest.raises(ModelUnavailable, match="does not have the model"):
        model.complete(request())


def test_a_model_that_cannot_chat_is_refused(opened: Open) -> None:
    with pytest.raises(ModelUnavailable, match="cannot chat; it is for embedding"):
        opened(EMBEDDING)


def test_another_server_is_not_taken_for_ollama() -> None:
    with OllamaServer(html=True) as server:
        assert is_running(server.host) is None
        for attempt in (
            lambda: OllamaModel("a", host=server.host),
            lambda: OllamaModel("a", host=f"http://{server.host}/elsewhere"),
            lambda: loaded(server.host),
        ):
            with pytest.raises(ModelUnavailable, match="is not an Ollama server"):
                attempt()


def test_a_server_replaced_meanwhile_is_noticed(server: OllamaServer, opened: Open) -> None:
    model = opened(QWEN)
    server.html = True
    with pytest.raises(ModelUnavailable, match="is not an Ollama server"):
        model.complete(request())


@pytest.mark.parametrize("trap", PASSING)
def test_what_passes_is_tried_again(server: OllamaServer, opened: Open, trap: Trap) -> None:
    server.traps.extend([trap, trap])
    reply = opened(QWEN).complete(request())
    assert reply.text == EXPECTED
    assert len(server.chats) == 3
    assert server.chats[0] == server.chats[2]


@pytest.mark.parametrize(
    ("trap", "message"),
    [
        ("half_stream", "connection .* was lost"),
        ("reset", "connection .* was lost"),
        ("error_500", "failed on `qwen2.5-coder:1.5b`: llama runner process has terminated"),
        ("busy_503", "server busy"),
        ("error_in_stream", "unexpected EOF"),
    ],
)
def test_but_not_for_ever(server: OllamaServer, opened: Open, trap: Trap, message: str) -> None:
    server.traps.extend([trap] * 10)
    with pytest.raises(ModelError, match=message) as caught:
        opened(QWEN, attempts=3).complete(request())
    assert caught.value.hint
    assert len(server.chats) == 3


def test_too_little_memory_is_not_tried_again(server: OllamaServer, opened: Open) -> None:
    server.traps.append("out_of_memory")
    with pytest.raises(ModelUnavailable, match=r"cannot hold .*24\.0 GiB") as caught:
        opened(QWEN).complete(request())
    assert "smaller model" in caught.value.hint
    assert len(server.chats) == 1


@pytest.mark.parametrize("trap", ["slow", "stall"])
def test_a_server_that_hangs_is_noticed(server: OllamaServer, opened: Open, trap: Trap) -> None:
    server.traps.append(trap)
    model = opened(QWEN, read_timeout=0.7)
    started = time.perf_counter()
    with pytest.raises(ModelError, match=r"sent nothing for 0\.7 seconds"):
        model.complete(request())
    assert time.perf_counter() - started < 10
    assert len(server.chats) == 1


def test_a_slow_first_token_is_waited_for(server: OllamaServer, opened: Open) -> None:
    model = opened(QWEN)
    server.traps.append("slow")
    when_asked(server, server.release.set)
    reply = model.complete(request())
    assert reply.text == EXPECTED
    assert reply.seconds >= 0.1


@pytest.mark.parametrize("trap", ["slow", "stall"])
def test_ctrl_c_works_at_once(server: OllamaServer, opened: Open, trap: Trap) -> None:
    model = opened(QWEN)
    server.traps.append(trap)
    me = threading.get_ident()
    when_asked(server, lambda: signal.pthread_kill(me, signal.SIGINT))
    started = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        model.complete(request())
    assert time.perf_counter() - started < 10
    assert len(server.chats) == 1
    assert model.complete(request()).text == EXPECTED


def test_without_the_package_the_extra_is_named() -> None:
    # A fresh interpreter: here the package is already imported.
    code = """
import sys
sys.modules["ollama"] = None
from tcs_hpt.errors import ModelUnavailable
from tcs_hpt.llm.machine import ollama_state
from tcs_hpt.llm.ollama import OllamaModel, installed, is_running, pull
assert is_running("127.0.0.1:1") is None
for attempt in (lambda: OllamaModel("a"), installed, lambda: pull("a")):
    try:
        attempt()
    except ModelUnavailable as error:
        assert "pip install ollama" in error.hint, error
    else:
        raise AssertionError
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_every_error_has_a_hint(server: OllamaServer, opened: Open) -> None:
    for trap in (*PASSING, "out_of_memory"):
        server.traps.extend([trap] * 2)
        with pytest.raises(TcsHptError) as caught:
            opened(QWEN, attempts=1 if trap != "out_of_memory" else 2).complete(request())
        assert caught.value.hint, trap
        server.traps.clear()


def test_a_server_that_hangs_is_not_waited_for_again_and_again(server: OllamaServer, opened: Open) -> None:
    model = opened(QWEN, read_timeout=0.3)
    server.traps.extend(["slow"] * 10)
    for _ in range(3):
        with pytest.raises(ModelError, match="sent nothing"):
            model.complete(request())
    with pytest.raises(
        ModelUnavailable, match="has not answered 3 times in a row; it is not asked again for"
    ):
        model.complete(request())
    assert len(server.chats) == 3
    asked = len(server.requests)
    model.rest()
    assert len(server.requests) == asked  # nor for its memory


def test_a_server_that_was_started_again_is_used_again(
    server: OllamaServer, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = opened(QWEN, attempts=1)
    server.traps.extend(["reset"] * 3)
    for _ in range(3):
        with pytest.raises(ModelUnavailable, match="was lost"):
            model.complete(request())
    with pytest.raises(ModelUnavailable, match="times in a row"):
        model.complete(request())
    monkeypatch.setattr(model._server.breaker, "_clock", lambda: time.monotonic() + 3600)
    assert model.complete(request()).text == EXPECTED


@pytest.mark.parametrize("path", ["/api/ps", "/api/generate"])
def test_closing_does_not_wait_for_a_server_that_hangs(server: OllamaServer, path: str) -> None:
    model = OllamaModel(QWEN.name, host=server.host, brief_timeout=0.3)
    model.complete(request())
    server.hangs.add(path)
    started = time.perf_counter()
    model.rest()
    model.close()
    assert time.perf_counter() - started < 10  # one of its own timeouts, not the 600 seconds of an answer


@pytest.mark.parametrize("path", ["/api/tags", "/api/ps"])
def test_looking_at_a_server_that_hangs_ends_soon(server: OllamaServer, path: str) -> None:
    server.hangs.add(path)
    state = ollama_state(server.host, timeout=0.3)
    assert state is not None
    assert "sent nothing for 0.3 seconds" in state.problem


def test_opening_a_model_of_a_server_that_hangs_ends_soon(server: OllamaServer) -> None:
    server.hangs.add("/api/show")
    with pytest.raises(ModelError, match=r"sent nothing for 0\.3 seconds"):
        OllamaModel(QWEN.name, host=server.host, brief_timeout=0.3)
