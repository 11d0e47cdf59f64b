from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tcs_hpt.errors import ReplayMiss, UserError
from tcs_hpt.llm import ChatModel, ChatReply
from tcs_hpt.llm.replay import RecordingModel, ReplayModel
from tcs_hpt.llm.scripted import ScriptedModel, first_choice
from tcs_hpt.testing.models import ModelContract, request


class TestRecordingModel(ModelContract):
    @pytest.fixture
    def model(self, tmp_path: Path) -> ChatModel:
        return RecordingModel(ScriptedModel(then=first_choice), tmp_path / "new" / "calls.jsonl")

    @pytest.fixture
    def model_to_close(self, model: ChatModel) -> ChatModel:
        return model


def record(path: Path, *replies: ChatReply | str) -> None:
    model = RecordingModel(ScriptedModel(replies), path)
    for _ in replies:
        model.complete(request())


def test_a_recording_plays_back_whole_replies(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    said = ChatReply(
        "é", thoughts="hm", prompt_tokens=7, completion_tokens=3, seconds=1.5, finish_reason="length"
    )
    record(path, said)
    assert ReplayModel(path).complete(request()) == said
    assert ReplayModel(path).complete(request(lane="another")) == said


def test_repeated_requests_are_answered_in_order_then_the_last_repeats(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    record(path, "one", "two")
    record(path, "three")
    model = ReplayModel(path)
    assert [model.complete(request()).text for _ in range(5)] == ["one", "two", "three", "three", "three"]


def test_a_changed_request_misses_loudly(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    record(path, "one")
    changed = request("Which change is better?")
    model = ReplayModel(path)
    for _ in range(2):
        with pytest.raises(ReplayMiss) as caught:
            model.complete(changed)
    for word in ("lane `optimizer`", changed.digest(), "Which change is better?", "record it again"):
        assert word in str(caught.value)


@pytest.mark.parametrize("changes", [{"seed": 2}, {"schema": None}, {"max_tokens": 9}, {"temperature": 0.0}])
def test_everything_that_changes_the_reply_is_part_of_the_key(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    path = tmp_path / "calls.jsonl"
    record(path, "one")
    with pytest.raises(ReplayMiss):
        ReplayModel(path).complete(request(**changes))


@pytest.mark.parametrize("damaged", ["{", "[]", '{"digest": "a"}', '{"digest": "a", "reply": {"no": 1}}'])
def test_a_damaged_line_is_named(tmp_path: Path, damaged: str) -> None:
    path = tmp_path / "calls.jsonl"
    record(path, "one")
    with path.open("a") as file:
        file.write(damaged + "\n")
    with pytest.raises(UserError, match="line 2 of the recording"):
        ReplayModel(path)


def test_a_missing_recording_is_the_users(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the recording"):
        ReplayModel(tmp_path / "none.jsonl")


def test_closing_a_recording_closes_what_it_records(tmp_path: Path) -> None:
    closed = []

    class Closable(ScriptedModel):
        def close(self) -> None:
            closed.append(self.name)

    RecordingModel(Closable(name="inner"), tmp_path / "calls.jsonl").close()
    assert closed == ["inner"]
