"""From a name to weights, and what goes wrong on the way."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from tcs_hpt.errors import ModelUnavailable
from tcs_hpt.llm import machine
from tcs_hpt.llm._cgroups import MemoryLimit
from tcs_hpt.llm.transformers_local import TransformersModel, require_engine
from tcs_hpt.testing.models import SCHEMA, request
from tests.llm.transformers_local.models import save_random_model, transformers

_weights = pytest.importorskip("tcs_hpt.llm._weights", exc_type=ImportError)


def test_opening_leaves_the_environment_of_trials_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    require_engine()
    assert "GOMP_SPINCOUNT" not in os.environ
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    require_engine()
    assert os.environ["GOMP_SPINCOUNT"] == "7"


def refused(source: str, **settings: Any) -> ModelUnavailable:
    with pytest.raises(ModelUnavailable) as caught:
        TransformersModel(source, **settings)
    assert "\n" not in caught.value.message
    assert caught.value.hint
    return caught.value


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    assert "there is no model file" in str(refused(str(tmp_path / "none.gguf")))
    assert "there is no model folder" in str(refused(str(tmp_path / "none")))
    assert "there is no model folder ./none" in str(refused("./none"))
    assert "cannot load" in str(refused(str(tmp_path)))
    (tmp_path / "weights.bin").write_bytes(b"")
    assert "only GGUF files" in str(refused(str(tmp_path / "weights.bin")))
    (tmp_path / "damaged.gguf").write_bytes(b"GGUF and no more")
    assert "cannot load" in str(refused(str(tmp_path / "damaged.gguf")))
    folder = save_random_model(tmp_path / "cut")
    (folder / "model.safetensors").write_bytes(b"\0" * 20)
    assert "cannot load" in str(refused(str(folder)))


def test_code_of_a_model_is_not_run_unasked(tmp_path: Path) -> None:
    config = {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "own.py").write_text("raise SystemExit('it ran')\n")
    assert "Python code of its own" in str(refused(str(tmp_path)))


def free(monkeypatch: pytest.MonkeyPatch, available: float) -> None:
    """So much memory is free for this process [bytes], by the machine's count or by its container's."""
    monkeypatch.setattr(_weights, "main_memory", lambda: (10**12, available))


def test_a_model_that_does_not_fit_is_refused_before_its_weights_are_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = (folder / "model.safetensors").stat().st_size
    free(monkeypatch, weights)
    error = refused(str(folder))
    assert "GB of memory" in error.message
    free(monkeypatch, 1.2 * weights)
    TransformersModel(str(folder), device="cpu").close()


def test_what_to_do_about_too_little_memory_can_be_done_at_a_keyboard(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 1000)
    hint = refused(str(folder)).hint
    assert "dtype" not in hint
    assert "embedded:PATH.gguf" in hint
    assert "TCS_HPT_IGNORE_MEMORY=1" in hint
    monkeypatch.setenv("TCS_HPT_IGNORE_MEMORY", "1")
    TransformersModel(str(folder), device="cpu").close()
    monkeypatch.setenv("TCS_HPT_IGNORE_MEMORY", "0")
    refused(str(folder))
    TransformersModel(str(folder), device="cpu", ignore_memory=True).close()


def test_the_limit_of_a_container_counts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = MemoryLimit(limit=2000, used=1000)
    monkeypatch.setattr(machine, "memory_limits", lambda _: (limit,))
    assert "0.0 GB are free for this process" in refused(str(folder), device="cpu").message


@pytest.mark.parametrize(
    ("source", "name", "revision"),
    [
        ("me/tiny", "me/tiny", None),
        ("me/tiny@0123abc", "me/tiny", "0123abc"),
        ("me/tiny@refs/pr/1", "me/tiny", "refs/pr/1"),
    ],
)
def test_a_commit_may_stand_behind_a_name_of_the_hub(source: str, name: str, revision: str | None) -> None:
    place = _weights.locate(source)
    assert (place.folder, place.revision, place.on_hub) == (name, revision, True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": "abacus"}, "torch knows no device `abacus`"),
        ({"device": "cuda:99"}, "there is no device `cuda:99`"),
        ({"device": "meta"}, "there is no device `meta`"),
        ({"dtype": "int8"}, "`int8` is not a number format"),
        ({"dtype": "nn"}, "`nn` is not a number format"),
    ],
)
def test_wrong_settings_are_refused(folder: Path, settings: dict[str, str], message: str) -> None:
    assert message in str(refused(str(folder), **settings))


def test_half_precision_answers_too(folder: Path) -> None:
    model = TransformersModel(str(folder), device="cpu", dtype="bfloat16")
    assert json.loads(model.complete(request()).text)


@pytest.mark.parametrize("package", ["torch", "transformers", "llguidance"])
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    error = refused("anything")
    assert package in error.message
    assert "tcs-hpt[transformers]" in error.hint


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (transformers.utils.hub, sys.modules["huggingface_hub"].constants):
        for constant in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
            monkeypatch.setattr(module, constant, str(tmp_path), raising=False)
    return tmp_path


def test_a_model_that_is_not_here_without_a_network_is_one_sentence(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["huggingface_hub"].constants, "HF_HUB_OFFLINE", True)
    assert refused("someone/something").message == (
        "transformers:someone/something is not on this machine, and the Hugging Face Hub cannot be reached"
    )


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (404, "RepoNotFound", "there is no transformers:someone/something on the Hugging Face Hub"),
        (403, "GatedRepo", "is gated on the Hugging Face Hub"),
    ],
)
def test_what_the_hub_refuses_is_one_sentence(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch, status: int, code: str, message: str
) -> None:
    with hub_that_refuses(status, code) as address:
        monkeypatch.setattr(sys.modules["huggingface_hub"].constants, "ENDPOINT", address)
        assert message in refused("someone/something").message


@contextmanager
def hub_that_refuses(status: int, code: str) -> Iterator[str]:
    class Refusal(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            if code:
                self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Refusal)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.embedded
def test_the_embedded_models_file_answers_with_logits(smollm2: Path) -> None:
    model = TransformersModel(str(smollm2), device="cpu")
    reply = model.complete(request(logprobs=True))
    model.close()
    assert set(json.loads(reply.text)) == set(SCHEMA["properties"])
    assert "".join(token.text for token in reply.tokens) == reply.text
    assert all(token.logprob < 0 and token.logit is not None for token in reply.tokens)
