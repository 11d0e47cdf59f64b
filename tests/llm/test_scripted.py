from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field

from tcs_hpt.errors import ModelError, UserError
from tcs_hpt.llm import ChatModel, ChatReply
from tcs_hpt.llm.scripted import ScriptedModel, first_choice
from tcs_hpt.testing.models import ModelContract, request


class TestScriptedModel(ModelContract):
    @pytest.fixture
    def model(self) -> ChatModel:
        return ScriptedModel(then=first_choice)

    @pytest.fixture
    def model_to_close(self) -> ChatModel:
        return ScriptedModel()


def test_replies_come_in_order_and_requests_are_kept() -> None:
    whole = ChatReply(text="cut", finish_reason="length")
    model = ScriptedModel(["one", whole, lambda r: r.messages[-1].content.upper()])
    requests = [request("a"), request("b"), request("c")]
    assert [model.complete(r) for r in requests][1] is whole
    assert model.requests == requests


def test_a_function_sees_the_request() -> None:
    assert ScriptedModel([lambda r: r.messages[-1].content.upper()]).complete(request("abc")).text == "ABC"


def test_running_out_is_an_error_that_says_how_to_go_on() -> None:
    model = ScriptedModel(["only"])
    model.complete(request())
    with pytest.raises(ModelError, match="no reply left for request 2") as caught:
        model.complete(request())
    assert "scripted:first" in caught.value.hint
    assert len(model.requests) == 2


def test_then_answers_everything_after_the_script() -> None:
    model = ScriptedModel(["first"], then="again")
    assert [model.complete(request()).text for _ in range(3)] == ["first", "again", "again"]


@pytest.mark.parametrize(
    "content",
    [
        '["one", {"a": 1}]',
        '"one"\n\n{"a": 1}\n',
    ],
)
def test_a_file_holds_a_list_or_lines(tmp_path: Path, content: str) -> None:
    path = tmp_path / "replies.json"
    path.write_text(content)
    model = ScriptedModel.from_file(path)
    assert [model.complete(request()).text for _ in range(2)] == ["one", '{"a": 1}']
    assert model.name == f"scripted:{path}"


@pytest.mark.parametrize(
    ("content", "message"),
    [('"one"\nnot json\n', "line 2"), ("[1]", "must be a string or an object, got 1")],
)
def test_a_bad_file_says_where(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "replies.json"
    path.write_text(content)
    with pytest.raises(UserError, match=message):
        ScriptedModel.from_file(path)


def test_a_missing_file_is_the_users(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the replies"):
        ScriptedModel.from_file(tmp_path / "none.json")


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")

    share: float = Field(gt=0, le=0.5)
    name: str = Field(min_length=3)


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    choice: Literal["b", "a"]
    fixed: Literal[7]
    part: Part
    parts: list[Part] = Field(min_length=2)
    pair: tuple[int, str]
    count: int = Field(ge=3, multiple_of=5)
    below: int = Field(lt=-4)
    above: int = Field(gt=2)
    maybe: int | None
    flag: bool
    nothing: None
    optional: str = "not written"


def test_first_choice_satisfies_every_kind_of_field() -> None:
    text = first_choice(request(schema=Answer.model_json_schema()))
    answer = Answer.model_validate_json(text)
    assert answer.choice == "b"
    assert answer.count == 5
    assert answer.above == 3
    assert list(json.loads(text)) == [n for n in Answer.model_fields if n != "optional"]


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": ["integer", "null"], "minimum": 4}, 4),
        ({"allOf": [{"type": "object", "properties": {"a": {"const": 1}}}, {"required": ["a"]}]}, {"a": 1}),
        ({"type": "number", "maximum": -2}, -3),
        ({"type": "number", "minimum": 1e-6}, 1e-6),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 1}, [False]),
        ({"properties": {"a": {"type": "string"}}}, {}),
    ],
)
def test_first_choice_is_the_smallest_value(schema: dict[str, Any], expected: Any) -> None:
    assert json.loads(first_choice(request(schema=schema))) == expected


def test_first_choice_without_schema_is_text() -> None:
    assert first_choice(request(schema=None)) == "ok"
