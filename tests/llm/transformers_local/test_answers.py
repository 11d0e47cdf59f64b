"""The model's contract: answers, kept prefixes, windows, interruption, rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tcs_hpt.errors import ModelError
from tcs_hpt.llm import ChatModel
from tcs_hpt.llm.transformers_local import TransformersModel
from tcs_hpt.records import Message
from tcs_hpt.testing.models import SCHEMA, ModelContract, request
from tests.llm.transformers_local.models import WINDOW, on_each_forward, torch, transformers


class TestTransformersModel(ModelContract):
    @pytest.fixture
    def model(self, model: TransformersModel) -> ChatModel:
        return model

    @pytest.fixture
    def model_to_close(self, folder: Path) -> ChatModel:
        return TransformersModel(str(folder))


def test_it_is_named_as_the_user_would(folder: Path) -> None:
    assert TransformersModel(str(folder)).name == f"transformers:{folder}"


def test_an_answer_is_written_in_the_schemas_order_without_free_whitespace(model: TransformersModel) -> None:
    text = model.complete(request(seed=5)).text
    assert text == json.dumps(json.loads(text), ensure_ascii=False)
    assert list(json.loads(text)) == list(SCHEMA["properties"])


def test_the_reply_says_what_the_model_holds_where_its_device_tells(
    model: TransformersModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert model._memory_mb() == model._memory.mb >= 0
    assert model.complete(request()).memory_mb == model._memory.mb
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 3 * 2**20)
    monkeypatch.setattr(model, "_device", torch.device("cuda"))
    assert model._memory_mb() == 3
    monkeypatch.setattr(model, "_device", torch.device("mps"))
    assert model._memory_mb() is None


def test_a_character_in_several_tokens_belongs_to_the_last_of_them(model: TransformersModel) -> None:
    reply = model.complete(request(schema={"enum": ["é日é"]}, logprobs=True))
    assert reply.text == '"é日é"'
    assert [token.text for token in reply.tokens] == ['"', "", "é", "", "", "日", "", "é", '"']


@pytest.mark.parametrize(
    "schema", [{"type": "fruit"}, {"$ref": "#/$defs/none"}, {"type": "string", "pattern": "("}]
)
def test_a_schema_that_cannot_be_enforced_is_refused(
    model: TransformersModel, schema: dict[str, Any]
) -> None:
    with pytest.raises(ModelError, match="schema cannot be enforced"):
        model.complete(request(schema=schema))


def test_an_answer_is_cut_where_the_tokens_end(model: TransformersModel) -> None:
    reply = model.complete(request(max_tokens=3))
    assert (reply.finish_reason, reply.completion_tokens) == ("length", 3)
    assert reply.text.startswith('{"')


def test_a_kept_prefix_is_not_read_again_and_changes_no_bit(folder: Path, model: TransformersModel) -> None:
    asked = request(lane="prefix", logprobs=True)
    model.complete(request("What now?", lane="prefix", temperature=2))
    read: list[int] = []
    with on_each_forward(read.append):
        kept = model.complete(asked)
    assert 1 < read[0] < kept.prompt_tokens / 2
    assert set(read[1:]) == {1}

    fresh = TransformersModel(str(folder), device="cpu")
    all_read: list[int] = []
    with on_each_forward(all_read.append):
        first = fresh.complete(asked)
    fresh.close()
    assert all_read[0] + all_read[1] == kept.prompt_tokens
    assert (first.text, first.tokens) == (kept.text, kept.tokens)


def test_a_changed_system_message_is_read(model: TransformersModel) -> None:
    other = (Message(role="system", content="What now?"), request().messages[1])
    read: list[int] = []
    model.complete(request(lane="changed"))
    with on_each_forward(read.append):
        reply = model.complete(request(lane="changed", messages=other))
    assert read[0] + read[1] == reply.prompt_tokens


def test_a_prompt_longer_than_the_window_is_refused(model: TransformersModel) -> None:
    with pytest.raises(
        ModelError, match=rf"has \d+ tokens, and transformers:tiny reads at most {WINDOW}"
    ) as caught:
        model.complete(request("Which change is best? " * 200))
    assert "Shorten the prompt" in caught.value.hint


def test_an_answer_ends_with_the_window(model: TransformersModel) -> None:
    text = "Which change is best? " * 80
    prompt = model.complete(request(text, max_tokens=1)).prompt_tokens
    assert WINDOW - 200 < prompt < WINDOW
    endless = {"type": "string", "minLength": 2 * WINDOW}
    reply = model.complete(request(text, schema=endless, max_tokens=2 * WINDOW))
    assert reply.finish_reason == "length"
    assert reply.prompt_tokens + reply.completion_tokens == WINDOW


def test_tokens_are_counted_with_the_models_own_tokenizer(folder: Path, model: TransformersModel) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert model.token_count("Which change is best?") == len(tokenizer.tokenize("Which change is best?")) > 0
    assert model.token_count("") == 0


def test_ctrl_c_interrupts_and_the_next_answer_is_the_same(model: TransformersModel) -> None:
    asked = request(schema=None, max_tokens=40)
    whole = model.complete(asked).text
    count = 0

    def interrupt(_: int) -> None:
        nonlocal count
        count += 1
        if count == 5:
            raise KeyboardInterrupt

    with on_each_forward(interrupt), pytest.raises(KeyboardInterrupt):
        model.complete(asked)
    assert model.complete(asked).text == whole


def test_closing_ends_an_answer_that_is_being_written(folder: Path) -> None:
    model = TransformersModel(str(folder))
    count = 0

    def close(_: int) -> None:
        nonlocal count
        count += 1
        if count == 5:
            model.close()

    with on_each_forward(close), pytest.raises(ModelError, match="is closed"):
        model.complete(request(schema=None, max_tokens=400))
    assert count == 5


def test_a_closed_model_says_so(folder: Path) -> None:
    model = TransformersModel(str(folder))
    model.close()
    model.rest()
    with pytest.raises(ModelError, match="is closed"):
        model.complete(request())
    with pytest.raises(ModelError, match="is closed"):
        model.token_count("a")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_resting_gives_device_memory_back(folder: Path) -> None:
    model = TransformersModel(str(folder), device="cuda")
    first = model.complete(request(logprobs=True))
    busy = torch.cuda.memory_allocated()
    model.rest()
    assert torch.cuda.memory_allocated() < busy / 2
    assert model.complete(request(logprobs=True)).tokens == first.tokens
    model.close()


def test_weights_without_room_on_the_host_stay_where_they_are(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = movable(folder, monkeypatch)
    monkeypatch.setattr("tcs_hpt.llm.transformers_local.main_memory", lambda: (10**12, 1000))
    model.rest()
    assert not model._resting
    model.close()


def test_a_move_that_fails_does_not_end_the_study(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = movable(folder, monkeypatch)
    first = model.complete(request()).text
    moves: list[Any] = []

    def move(place: Any) -> None:
        moves.append(place)
        if place == "cpu":
            raise RuntimeError("CUDA error: out of memory")

    monkeypatch.setattr(model._model, "to", move)
    model.rest()
    assert model.complete(request()).text == first
    assert moves == ["cpu", model._device]  # what had moved already is brought back
    model.close()


def movable(folder: Path, monkeypatch: pytest.MonkeyPatch) -> TransformersModel:
    """A model on the CPU that rests as if it were on a device of its own."""
    model = TransformersModel(str(folder), device="cpu")
    monkeypatch.setattr(model, "_may_rest", True)
    return model
