from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import ollama
import pytest

from tcs_hpt.errors import ModelError, ModelUnavailable, TcsHptError, UserError
from tcs_hpt.llm import ChatModel, ChatRequest
from tcs_hpt.llm._ollama_server import _address, is_local
from tcs_hpt.llm.llama_cpp import LlamaCppModel
from tcs_hpt.llm.ollama import (
    InstalledModel,
    OllamaModel,
    _least_tokens,
    _most_tokens,
    _split,
    _tokens_of,
    installed,
    is_running,
    loaded,
    pull,
)
from tcs_hpt.llm.scripted import first_choice
from tcs_hpt.records import Message
from tcs_hpt.testing.models import SCHEMA, ModelContract, request
from tcs_hpt.testing.ollama_server import PROSE, OllamaServer, StubModel, Trap

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


@pytest.fixture(autouse=True)
def _no_surroundings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OLLAMA_HOST", "OLLAMA_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[OllamaServer]:
    with OllamaServer(*MODELS, library=(StubModel("llama3.2:3b"),)) as server:
        yield server


Open = Callable[..., OllamaModel]


@pytest.fixture
def opened(server: OllamaServer) -> Iterator[Open]:
    """Opens models of the server, with short waits, and closes them."""
    models = []

    def open_(model: StubModel, **options: Any) -> OllamaModel:
        models.append(OllamaModel(model.name, host=server.host, backoff=0.001, **options))
        return models[-1]

    yield open_
    for model in models:
        model.close()


def closed_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


@pytest.mark.parametrize("stub", [QWEN, THINKING, NEEDS_THOUGHTS, GPT_OSS, ALOUD, CPU], ids=lambda m: m.name)
class TestOllamaModel(ModelContract):
    @pytest.fixture
    def model(self, opened: Open, stub: StubModel) -> ChatModel:
        return opened(stub)

    @pytest.fixture
    def model_to_close(self, model: ChatModel) -> ChatModel:
        return model


# -- the request ------------------------------------------------------------------------------------------------


def test_everything_of_a_request_reaches_the_server(server: OllamaServer, opened: Open) -> None:
    opened(QWEN, keep_alive="7m").complete(request(seed=2**31 + 5, temperature=0.25, max_tokens=99))
    (chat,) = server.chats
    assert chat["model"] == "qwen2.5-coder:1.5b"
    assert chat["messages"] == [{"role": m.role, "content": m.content} for m in request().messages]
    assert chat["format"] == SCHEMA
    assert chat["options"] == {"num_ctx": 4096, "num_predict": 99, "seed": 5, "temperature": 0.25}
    assert (chat["keep_alive"], chat["stream"]) == ("7m", True)
    assert "think" not in chat
    assert "logprobs" not in chat


def test_an_answer_cut_by_its_bound_says_so(opened: Open) -> None:
    reply = opened(QWEN).complete(request(max_tokens=3))
    assert (reply.text, reply.finish_reason, reply.completion_tokens) == (EXPECTED[:12], "length", 3)


def test_names_with_and_without_tag_and_prefix(server: OllamaServer) -> None:
    server.installed["mine:latest"] = StubModel("mine")
    for name in ("mine", "mine:latest", "ollama:mine"):
        model = OllamaModel(name, host=server.host)
        assert model.name == f"ollama:{name.removeprefix('ollama:')}"
        assert model.complete(request()).text == EXPECTED
        model.rest()
        assert loaded(server.host) == ()
        model.close()


def test_log_probabilities_are_those_of_the_answer(opened: Open) -> None:
    for stub in (QWEN, THINKING):
        reply = opened(stub, think=stub is THINKING).complete(request(logprobs=True))
        assert "".join(t.text for t in reply.tokens) == reply.text == EXPECTED
        assert {t.logprob for t in reply.tokens} == {-0.25}
        assert all(t.logit is None for t in reply.tokens)
    assert opened(QWEN).complete(request()).tokens == ()


def test_tokens_that_do_not_make_up_the_answer_are_not_told() -> None:
    from tcs_hpt.llm import Token

    tokens = [Token("hm", -1.0), Token(" {", -1.0), Token("}", -1.0), Token("", -1.0)]
    assert _tokens_of("{}", tokens) == tuple(tokens[1:])
    assert _tokens_of("{ }", tokens) == ()
    assert _tokens_of("", []) == ()


# -- context window ---------------------------------------------------------------------------------------------


def test_the_window_grows_in_steps_and_never_shrinks(server: OllamaServer, opened: Open) -> None:
    model = opened(QWEN)
    for words in (1, 100, 300, 1, 310):
        model.complete(request(WORDS * words))
    assert [c["options"]["num_ctx"] for c in server.chats] == [4096, 4096, 8192, 8192, 8192]
    assert server.loads == [("qwen2.5-coder:1.5b", 4096), ("qwen2.5-coder:1.5b", 8192)]
    assert all(len(messages) == 2 for messages in server.seen)


def test_the_window_is_never_above_the_models_own(server: OllamaServer, opened: Open) -> None:
    model = opened(SHORT)
    model.complete(request(WORDS * 100))
    assert server.chats[-1]["options"]["num_ctx"] == 2048


def test_a_prompt_longer_than_the_models_context_is_refused_unsent(
    server: OllamaServer, opened: Open
) -> None:
    with pytest.raises(ModelError, match="has a context of 2048") as caught:
        opened(SHORT).complete(request(WORDS * 300))
    assert "Shorten the prompt" in caught.value.hint
    assert server.chats == []


@pytest.mark.parametrize("words", [330, 400, 1000])
def test_a_server_that_cuts_the_prompt_is_found_out(words: int) -> None:
    with OllamaServer(QWEN, ignores_num_ctx=True) as server:
        model = OllamaModel(QWEN.name, host=server.host, unload="never")
        assert model.complete(request(WORDS * 10)).text == EXPECTED
        with pytest.raises(ModelError, match=r"cut the prompt .* context of 4096") as caught:
            model.complete(request(WORDS * words))
        assert "OLLAMA_CONTEXT_LENGTH" in caught.value.hint
        model.close()


def test_a_dropped_message_is_found_out() -> None:
    messages = (
        *request(WORDS * 350).messages,
        Message(role="assistant", content="{"),
        Message(role="user", content="That is not JSON."),
    )
    with OllamaServer(QWEN, ignores_num_ctx=True) as server:
        model = OllamaModel(QWEN.name, host=server.host, unload="never")
        with pytest.raises(ModelError, match="cut the prompt"):
            model.complete(request(messages=messages))
        assert len(server.seen[0]) < 4
        model.close()


@pytest.mark.parametrize(
    "text",
    [
        WORDS * 40,
        json.dumps([{"epoch": n, "val_loss": 1 / (n + 3), "lr": 1e-4 * n} for n in range(40)], indent=2),
        "=" * 500 + "\n|---|---|\n" * 20,
        "Internationalization of recommendation architectures: " * 20,
        "Die Lernrate schwankt für größere Stapel. " * 20,
        "学习率太高,损失震荡。" * 30,
    ],
    ids=["english", "numbers", "rules", "long words", "german", "chinese"],
)
@pytest.mark.embedded
def test_the_estimates_enclose_a_real_tokenizer(embedded: LlamaCppModel, text: str) -> None:
    assert 1.2 * _least_tokens(text) < embedded.token_count(text) <= _most_tokens(text)


# -- thoughts ---------------------------------------------------------------------------------------------------


def test_thinking_is_off_unless_asked_for(server: OllamaServer, opened: Open) -> None:
    reply = opened(THINKING).complete(request())
    assert (reply.text, reply.thoughts) == (EXPECTED, "")
    assert server.chats[0]["think"] is False
    assert server.chats[0]["options"]["num_predict"] == 120


def test_thoughts_are_recorded_and_have_their_own_room(server: OllamaServer, opened: Open) -> None:
    reply = opened(THINKING, think=True, thought_tokens=500).complete(request())
    assert (reply.text, reply.thoughts) == (EXPECTED, THINKING.thoughts.strip())
    assert server.chats[0]["think"] is True
    assert server.chats[0]["options"]["num_predict"] == 620


def test_thoughts_do_not_lengthen_the_answer(opened: Open) -> None:
    reply = opened(THINKING, think=True).complete(request(max_tokens=4))
    assert (reply.text, reply.finish_reason, reply.completion_tokens) == (EXPECTED[:16], "length", 4)
    exact = -(-len(EXPECTED) // 4)
    whole = opened(THINKING, think=True).complete(request(max_tokens=exact))
    assert (whole.text, whole.finish_reason) == (EXPECTED, "stop")


def test_gpt_oss_thinks_as_briefly_as_it_can(server: OllamaServer, opened: Open) -> None:
    assert opened(GPT_OSS).complete(request()).thoughts
    opened(GPT_OSS, think="high").complete(request())
    assert [c["think"] for c in server.chats] == ["low", "high"]


def test_a_schema_ignored_without_thoughts_is_asked_again_with_them(
    server: OllamaServer, opened: Open
) -> None:
    reply = opened(NEEDS_THOUGHTS).complete(request())
    assert (reply.text, reply.thoughts) == (EXPECTED, NEEDS_THOUGHTS.thoughts.strip())
    assert [(c["think"], "format" in c) for c in server.chats] == [(False, True), (True, True)]
    assert reply.completion_tokens == -(-len(PROSE) // 4) + -(-len(EXPECTED) // 4)


@pytest.mark.parametrize(
    ("stub", "think", "second"),
    [
        (THINKING, None, (True, True)),
        (THINKING, True, (False, True)),
        (GPT_OSS, None, ("low", False)),
        (ALOUD, None, (None, False)),
    ],
    ids=["off", "on", "gpt-oss", "aloud"],
)
def test_thoughts_without_an_answer_are_asked_again_once(
    server: OllamaServer, opened: Open, stub: StubModel, think: Any, second: Any
) -> None:
    server.traps.extend(["no_answer"])
    reply = opened(stub, think=think).complete(request())
    assert len(server.chats) == 2
    assert (server.chats[1].get("think"), "format" in server.chats[1]) == second
    assert reply.thoughts.startswith(stub.thoughts.strip())
    assert reply.text == (EXPECTED if second[1] else "ok")
    server.traps.extend(["no_answer", "no_answer"])
    reply = opened(stub, think=think).complete(request())
    assert len(server.chats) == 4
    assert (reply.text, reply.finish_reason) == ("", "length")
    assert reply.thoughts == "\n\n".join([stub.thoughts.strip()] * 2)


@pytest.mark.parametrize("trap", ["think_tags", "closing_tag"])
def test_thoughts_in_the_content_are_split_off(server: OllamaServer, opened: Open, trap: Trap) -> None:
    server.traps.append(trap)
    reply = opened(ALOUD).complete(request())
    assert (reply.text, reply.thoughts) == (EXPECTED, ALOUD.thoughts.strip())
    assert server.chats[0]["options"]["num_predict"] == 120 + 2048


def test_a_thought_that_never_ends_is_no_answer(server: OllamaServer, opened: Open) -> None:
    server.traps.append("unclosed_tag")
    reply = opened(ALOUD).complete(request())
    assert (reply.text, reply.thoughts) == ("ok", ALOUD.thoughts.strip())
    assert server.chats[1]["options"]["num_predict"] == 120 + 2 * 2048


def test_an_ignored_schema_is_no_error(server: OllamaServer, opened: Open) -> None:
    server.traps.extend(["prose"] * 3)
    assert opened(QWEN).complete(request()).text == PROSE
    assert len(server.chats) == 1
    reply = opened(THINKING).complete(request())
    assert (reply.text, reply.thoughts) == (PROSE, THINKING.thoughts.strip())
    assert len(server.chats) == 3


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("plain", ("", "plain")),
        (" \n", ("", "")),
        ("<think>a</think>b", ("a", "b")),
        ("<think>a", ("a", "")),
        ("a</think>\n\nb", ("a", "b")),
        ('{"reason": "</think>"}', ("", '{"reason": "</think>"}')),
        ("<think>\n\n</think>\n\n{}", ("", "{}")),
    ],
)
def test_splitting(content: str, expected: tuple[str, str]) -> None:
    assert _split(content) == expected


def test_a_model_that_cannot_think_is_not_asked_to(opened: Open) -> None:
    with pytest.raises(UserError, match="cannot be asked to think"):
        opened(QWEN, think=True)


# -- memory -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stub", "unload", "stays"),
    [
        (QWEN, "auto", False),
        (CPU, "auto", True),
        (CPU, "always", False),
        (QWEN, "never", True),
    ],
)
def test_resting_gives_gpu_memory_back(
    server: OllamaServer, opened: Open, stub: StubModel, unload: str, stays: bool
) -> None:
    model = opened(stub, unload=unload)
    model.rest()
    assert not any(r.path == "/api/chat" for r in server.requests)
    model.complete(request())
    assert [m.name for m in loaded(server.host)] == [stub.name]
    model.rest()
    assert [m.name for m in loaded(server.host)] == ([stub.name] if stays else [])
    assert model.complete(request()).text == EXPECTED


def test_a_model_on_another_machine_is_left_alone(
    server: OllamaServer, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tcs_hpt.llm.ollama.is_local", lambda _: False)
    model = opened(QWEN)
    model.complete(request())
    model.rest()
    assert len(loaded(server.host)) == 1


def test_resting_does_not_mind_that_the_server_is_gone() -> None:
    with OllamaServer(QWEN) as server:
        model = OllamaModel(QWEN.name, host=server.host, backoff=0.001)
        model.complete(request())
    model.rest()
    with pytest.raises(ModelUnavailable, match="no Ollama server answers"):
        model.complete(request())
    model.close()


def test_a_closed_model_says_so(opened: Open) -> None:
    model = opened(QWEN)
    model.close()
    model.rest()
    with pytest.raises(ModelError, match="is closed"):
        model.complete(request())


# -- failures ---------------------------------------------------------------------------------------------------


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


PASSING: list[Trap] = ["half_stream", "reset", "error_500", "busy_503", "error_in_stream"]


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


def when_asked(server: OllamaServer, do: Callable[[], None]) -> None:
    """Runs `do` in another thread, a moment after the next chat has reached the server."""

    def run() -> None:
        while not server.chats:
            time.sleep(0.01)
        time.sleep(0.15)
        do()

    threading.Thread(target=run).start()


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


# -- the server -------------------------------------------------------------------------------------------------


def test_what_a_server_says_about_itself(server: OllamaServer, opened: Open) -> None:
    assert is_running(server.host) == server.version
    assert installed(server.host)[0] == InstalledModel("qwen2.5-coder:1.5b", 1_000_000, "1.5B", "Q4_K_M")
    assert len(installed(server.host)) == len(MODELS)
    opened(QWEN).complete(request())
    (model,) = loaded(server.host)
    assert (model.size, model.vram, model.context) == (1_000_000, 1_000_000, 4096)


def test_the_host_comes_from_the_environment(server: OllamaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", f"http://{server.host}/")
    assert is_running() == server.version
    assert len(installed()) == len(MODELS)
    with OllamaServer() as other:
        assert installed(other.host) == ()


def test_a_proxy_is_not_asked_for_this_machines_server(
    server: OllamaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://{closed_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert is_running(server.host)
    assert len(installed(server.host)) == len(MODELS)


@pytest.mark.parametrize(
    ("host", "address", "local"),
    [
        (None, "http://127.0.0.1:11434", True),
        ("localhost", "http://localhost:11434", True),
        (":8080", "http://127.0.0.1:8080", True),
        ("0.0.0.0:8080", "http://127.0.0.1:8080", True),
        ("[::]", "http://[::1]:11434", True),
        ("http://[::1]:7", "http://[::1]:7", True),
        ("gpu-box", "http://gpu-box:11434", False),
        ("192.168.1.7:1", "http://192.168.1.7:1", False),
        ("http://gpu-box", "http://gpu-box:80", False),
        ("https://example.org/ollama/", "https://example.org:443/ollama", False),
    ],
)
def test_addresses_are_read_as_ollama_reads_them(host: str | None, address: str, local: bool) -> None:
    assert _address(host) == address
    assert is_local(address) is local
    # The address is also what the client makes of it, which leaves out a scheme's own port.
    understood = httpx.URL(str(ollama.Client(host=address)._client.base_url).rstrip("/"))
    assert understood == httpx.URL(address)


@pytest.mark.parametrize(
    "host", ["host:port", "http://[::1", "ftp://example.org", "a b", "127.0.0.1:99999999"]
)
def test_what_is_not_an_address_is_the_users(host: str) -> None:
    with pytest.raises(UserError, match="is not the address of a server") as caught:
        is_running(host)
    assert "OLLAMA_HOST" in caught.value.hint


def test_pulling_shows_its_progress(server: OllamaServer, opened: Open) -> None:
    steps: list[tuple[int, int]] = []
    pull("ollama:llama3.2:3b", host=server.host, on_progress=lambda *step: steps.append(step))
    assert steps == [(n, 1_000_000) for n in (0, 250_000, 500_000, 750_000, 1_000_000)]
    assert opened(StubModel("llama3.2:3b")).complete(request()).text == EXPECTED
    pull("llama3.2:3b", host=server.host)


def test_pulling_what_does_not_exist(server: OllamaServer) -> None:
    with pytest.raises(ModelUnavailable, match="library has no model `lama`") as caught:
        pull("lama", host=server.host)
    assert "ollama.com/library" in caught.value.hint
    assert [r.path for r in server.requests].count("/api/pull") == 1


def test_every_error_has_a_hint(server: OllamaServer, opened: Open) -> None:
    for trap in (*PASSING, "out_of_memory"):
        server.traps.extend([trap] * 2)
        with pytest.raises(TcsHptError) as caught:
            opened(QWEN, attempts=1 if trap != "out_of_memory" else 2).complete(request())
        assert caught.value.hint, trap
        server.traps.clear()


def test_requests_without_a_schema_are_free(server: OllamaServer, opened: Open) -> None:
    free = ChatRequest(messages=(Message(role="user", content="Hello"),), max_tokens=5)
    assert opened(QWEN).complete(free).text == "ok"
    assert "format" not in server.chats[0]
