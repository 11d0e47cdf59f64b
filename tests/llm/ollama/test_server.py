"""Finding a server, asking it about its models, and having it fetch one."""

from __future__ import annotations

import httpx
import ollama
import pytest

from tcs_hpt.errors import ModelUnavailable, UserError
from tcs_hpt.llm._ollama_address import address_of, is_local
from tcs_hpt.llm.ollama import (
    InstalledModel,
    installed,
    is_running,
    loaded,
    pull,
)
from tcs_hpt.testing.models import request
from tcs_hpt.testing.ollama_server import OllamaServer, StubModel
from tests.llm.ollama.stubs import EXPECTED, MODELS, QWEN, Open, closed_port


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
    assert address_of(host) == address
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
