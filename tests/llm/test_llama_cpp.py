from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest

from tcs_hpt.errors import ModelError, ModelUnavailable
from tcs_hpt.llm import ChatModel, ChatReply
from tcs_hpt.llm.llama_cpp import LlamaCppModel, _is_constrained, import_engine
from tcs_hpt.records import Message
from tcs_hpt.testing.models import ModelContract, request

LONG = "The learning rate is one of the parameters that matter most. " * 12


class CountingModel(LlamaCppModel):
    """Remembers how many tokens of each prompt had to be evaluated."""

    def __init__(self, path: Path, **options: Any) -> None:
        self.evaluated: list[int] = []
        super().__init__(path, name="counting", **options)

    def _call(self, method: str, slot: int, body: dict[str, Any]) -> list[dict[str, Any]]:
        chunks = super()._call(method, slot, body)
        self.evaluated.append(chunks[-1]["timings"]["prompt_n"])
        return chunks


@pytest.fixture
def small(smollm2: Path) -> Iterator[CountingModel]:
    model = CountingModel(smollm2, context=256)
    yield model
    model.close()


@pytest.mark.embedded
class TestLlamaCppModel(ModelContract):
    @pytest.fixture
    def model(self, embedded: LlamaCppModel) -> ChatModel:
        return embedded

    @pytest.fixture
    def model_to_close(self, small: CountingModel) -> ChatModel:
        return small


@pytest.mark.embedded
def test_the_reply_says_what_the_model_holds(small: CountingModel, smollm2: Path) -> None:
    """About its weights, and not much more with so short a context; asking again does not raise it without end."""
    replies = [small.complete(request(seed=seed)).memory_mb or 0.0 for seed in range(5)]
    weights = smollm2.stat().st_size / 2**20
    assert weights / 2 < replies[0] < 3 * weights  # a part may come from memory that the process had kept
    assert replies == sorted(replies)
    assert replies[-1] - replies[0] < weights / 4


@pytest.mark.embedded
def test_answers_are_compact_and_keep_the_order_of_the_schema(embedded: LlamaCppModel) -> None:
    for seed in range(3):
        text = embedded.complete(request(seed=seed)).text
        assert text == json.dumps(json.loads(text), ensure_ascii=False)
        assert list(json.loads(text)) == ["change", "confidence", "reason"]


@pytest.mark.embedded
def test_the_seed_and_temperature_reach_the_sampler(embedded: LlamaCppModel) -> None:
    def ask(seed: int, temperature: float) -> str:
        return embedded.complete(request(schema=None, max_tokens=12, seed=seed, temperature=temperature)).text

    assert len({ask(seed, 1.5) for seed in range(3)}) > 1
    assert len({ask(seed, 0.0) for seed in (0, -1, 2**40)}) == 1


@pytest.mark.embedded
def test_another_process_would_answer_the_same(embedded: LlamaCppModel, small: CountingModel) -> None:
    # `small` is a fresh engine with another context; `embedded` has answered other things before.
    for lane in ("optimizer", "analysis"):
        assert small.complete(request(lane=lane)).text == embedded.complete(request(lane=lane)).text


@pytest.mark.embedded
def test_a_repair_round_gives_the_same_wherever_it_is_asked(
    embedded: LlamaCppModel, small: CountingModel
) -> None:
    messages = (
        *request().messages,
        Message(role="assistant", content="{"),
        Message(role="user", content="That is not JSON."),
    )
    embedded.complete(request())
    assert (
        small.complete(request(messages=messages)).text == embedded.complete(request(messages=messages)).text
    )


@pytest.mark.embedded
def test_each_lane_keeps_its_fixed_part(small: CountingModel) -> None:
    fixed = {lane: Message(role="system", content=f"You are {lane}. {LONG}") for lane in ("a", "b")}

    def evaluated(lane: str, text: str) -> int:
        small.evaluated.clear()
        messages = (fixed[lane], Message(role="user", content=text))
        small.complete(request(messages=messages, lane=lane, schema=None, max_tokens=1))
        return sum(small.evaluated)

    first = [evaluated("a", "One?"), evaluated("b", "One?")]
    assert min(first) > 130
    again = [evaluated("a", "Two?"), evaluated("b", "Two?"), evaluated("a", "Two?"), evaluated("b", "One?")]
    assert max(again) < 20
    assert evaluated("a", "Two? " * 10) > max(again)


@pytest.mark.embedded
def test_the_context_is_there_for_each_lane(small: CountingModel) -> None:
    fits = LONG + LONG[: len(LONG) // 3]
    for lane in ("a", "b", "c"):
        reply = small.complete(request(fits, lane=lane, schema=None, max_tokens=2))
        assert 190 < reply.prompt_tokens < 256


@pytest.mark.embedded
@pytest.mark.parametrize("role", ["system", "user"])
def test_a_prompt_longer_than_the_context_is_refused(small: CountingModel, role: str) -> None:
    messages = [Message(role="system", content="Hi."), Message(role="user", content="Hi.")]
    messages[role == "user"] = messages[role == "user"].model_copy(update={"content": LONG * 3})
    with pytest.raises(ModelError, match=r"the prompt has \d+ tokens, .* context of 256") as caught:
        small.complete(request(messages=tuple(messages)))
    assert "Shorten the prompt" in caught.value.hint
    assert small.complete(request()).text


@pytest.mark.embedded
def test_a_reply_cut_short_says_so(embedded: LlamaCppModel) -> None:
    reply = embedded.complete(request(max_tokens=3))
    assert reply.finish_reason == "length"
    assert reply.completion_tokens == 3


@pytest.mark.embedded
def test_a_prompt_without_system_message_and_one_without_user(embedded: LlamaCppModel) -> None:
    for message in request().messages:
        assert (
            embedded.complete(request(messages=(message,), schema=None, max_tokens=5)).completion_tokens > 0
        )


@pytest.mark.embedded
def test_tokens_are_counted_by_the_models_tokenizer(
    embedded: LlamaCppModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert embedded.token_count("") == 0
    assert embedded.token_count("hello world") == 2
    assert embedded.token_count(LONG) == 145


@pytest.mark.embedded
def test_a_schema_that_cannot_be_enforced_is_an_error(embedded: LlamaCppModel) -> None:
    with pytest.raises(ModelError, match="outside the JSON schema"):
        embedded.complete(request(schema={"type": "no such type"}, max_tokens=10))
    assert embedded.complete(request()).text


@pytest.mark.embedded
def test_a_closed_model_says_so(small: CountingModel) -> None:
    small.close()
    for use in (lambda: small.complete(request()), lambda: small.token_count("a")):
        with pytest.raises(ModelError, match="is closed"):
            use()


@pytest.mark.embedded
def test_closing_ends_a_running_answer(smollm2: Path) -> None:
    model = LlamaCppModel(smollm2, name="m")
    raised: list[ModelError] = []

    def ask() -> None:
        try:
            model.complete(request("Tell a story.", schema=None, max_tokens=3000, temperature=1.5))
        except ModelError as error:
            raised.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    time.sleep(0.3)
    model.close()
    thread.join(20)
    assert not thread.is_alive()
    assert [e.message for e in raised] == ["m is closed"]


@pytest.mark.embedded
def test_it_is_silent_and_ends_without_being_closed(smollm2: Path) -> None:
    code = f"""
from pathlib import Path
from tcs_hpt.llm.llama_cpp import LlamaCppModel
from tcs_hpt.testing.models import request
model = LlamaCppModel(Path({str(smollm2)!r}), name="m", context=256)
assert model.complete(request()).text
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.embedded
@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent as a POSIX signal")
def test_ctrl_c_interrupts_an_answer_and_the_model_lives_on(smollm2: Path) -> None:
    code = f"""
from pathlib import Path
from tcs_hpt.llm.llama_cpp import LlamaCppModel
from tcs_hpt.testing.models import request
model = LlamaCppModel(Path({str(smollm2)!r}), name="m")
print("asking", flush=True)
try:
    model.complete(request("Count to a million: " + "1 2 3 4 5 6 7 8 9 " * 100, schema=None, max_tokens=3000))
except KeyboardInterrupt:
    print("interrupted", flush=True)
    assert model.complete(request()).text
    raise
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "asking\n"
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert out == "interrupted\n"
    assert err.rstrip().endswith("KeyboardInterrupt")
    assert process.returncode == -signal.SIGINT


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(ModelUnavailable) as caught:
        LlamaCppModel(tmp_path / "any.gguf", name="m")
    assert "pip install 'tcs-hpt[embedded]'" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "finish_reason", "constrained"),
    [
        ('{"a": 1}', "stop", True),
        ("{", "stop", False),
        ("{", "length", True),
        ("", "length", True),
        ("Sure, here", "length", False),
        ("", "stop", False),
    ],
)
def test_text_that_no_grammar_would_allow_is_told_apart(
    text: str, finish_reason: Literal["stop", "length"], constrained: bool
) -> None:
    assert _is_constrained(ChatReply(text, finish_reason=finish_reason)) is constrained


def test_loading_the_engine_leaves_the_environment_alone() -> None:
    before = dict(os.environ)
    import_engine()
    assert dict(os.environ) == before


def test_a_file_that_is_missing_or_damaged(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="there is no model file"):
        LlamaCppModel(tmp_path / "none.gguf", name="m")
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(b"GGUF" + bytes(1000))
    with pytest.raises(ModelUnavailable, match="cannot load"):
        LlamaCppModel(damaged, name="m")
