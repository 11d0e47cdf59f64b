"""Nothing that a model says is taken unless it was found."""

from __future__ import annotations

import json

import pytest

from tcs_hpt.importing import describe
from tcs_hpt.importing.describe import Description
from tcs_hpt.importing.metric_found import MetricFound, Place
from tcs_hpt.llm import ChatRequest
from tcs_hpt.llm.scripted import ScriptedModel, first_choice

PLACE = Place("stdout", "pattern")
FOUND = tuple(
    MetricFound(n, PLACE, 1, pattern=f"(?P<{n}>x)") for n in ("val_acc", "val_f1", "val_loss", "test_f1")
)
REPLY = {
    "title": "ResNet on photos",
    "description": "A ResNet.",
    "metric": "val_acc",
    "direction": "maximize",
    "priority": "speed",
    "memory": "none",
}  # fmt: skip


def asked(text: str, *replies: str, **changes: str) -> Description:
    model = ScriptedModel(replies or [json.dumps(REPLY | changes)])
    return describe.ask(model, text, FOUND, script="train.py")


def test_what_is_sound_is_taken_with_its_source() -> None:
    said = asked("A ResNet on my photos")
    assert (said.title, said.metric, said.direction) == ("ResNet on photos", "val_acc", "maximize")
    assert said.description == "A ResNet on my photos"
    assert said.priorities == "Fast training matters most."
    assert {f.name: f.source for f in said.fields} == {
        "title": "scripted, from your words",
        "description": "your words",
        "metric": "scripted, from your words; the script writes it",
        "direction": "the name val_acc",
        "priority": "scripted, from your words",
    }
    assert said.refused == ()


@pytest.mark.parametrize("metric", ["val_auc", "test_f1", "", "rm -rf"])
def test_a_metric_that_the_script_does_not_write_is_refused(metric: str) -> None:
    said = asked("My photos", metric=metric)
    assert said.metric == ""
    assert said.direction is None
    assert len(said.refused) == (1 if metric else 0)
    assert all(f.name != "metric" for f in said.fields)


@pytest.mark.parametrize(
    ("text", "metric"),
    [
        ("ResNet, I care about F1, 8 GB GPU", "val_f1"),
        ("tune val_loss please", "val_loss"),
        ("Accuracy counts", "val_acc"),
        ("f1 rather than accuracy", "val_f1"),
        ("not accuracy but F1", "val_f1"),
    ],
)
def test_a_metric_that_the_user_names_goes_before_the_model(text: str, metric: str) -> None:
    other = "val_loss" if metric == "val_acc" else "val_acc"
    assert asked(text, metric=other).metric == metric


def test_a_metric_that_the_user_names_and_nobody_writes_is_said() -> None:
    said = asked("My ResNet: I care about AUC")
    assert said.metric == "val_acc"
    assert said.refused == (
        "You wrote AUC, but the script writes no such metric; it writes val_acc, val_f1, val_loss, test_f1.",
    )


@pytest.mark.parametrize(
    "title", ["The model and the data in at most eight words.", "Transformer for speech", "!!!"]
)
def test_a_title_about_something_else_is_refused(title: str) -> None:
    said = asked("A ResNet on my photos", title=title)
    assert said.title == ""
    assert "it is not taken" in said.refused[0]


def test_the_name_knows_the_direction_better_than_the_model() -> None:
    said = asked("photos", metric="val_loss", direction="maximize")
    assert said.direction == "minimize"
    assert "its name says minimize" in said.refused[0]


@pytest.mark.parametrize(
    ("text", "memory"),
    [
        ("photos, at most 16 GB of RAM", 16384),
        ("photos, 500 MB", 500),
        ("photos, 1.5 GiB memory, RTX 3090", 1536),
        ("photos, 8 GB GPU", None),
        ("photos on a GPU with 8 GB", None),
        ("10 GB of photos on an A100", None),
        ("photos", None),
    ],
)
def test_memory_is_a_limit_only_when_it_is_the_machine_s(text: str, memory: int | None) -> None:
    assert asked(text, memory="8 GB").memory_mb == memory


def test_memory_that_the_user_did_not_name_is_refused() -> None:
    assert "not in your words" in asked("photos", memory="64 GB").refused[0]


@pytest.mark.parametrize("reply", ["", "no JSON", "[1, 2]"])
def test_an_answer_that_cannot_be_read_is_asked_again_and_then_done_without(reply: str) -> None:
    assert asked("photos", reply, json.dumps(REPLY)).metric == "val_acc"
    said = asked("I care about F1", reply, reply)
    assert (said.description, said.metric, said.title) == ("I care about F1", "val_f1", "")
    assert "no answer" in said.fields[0].source


@pytest.mark.parametrize("value", [None, 3, ["x"], {"a": 1}, "\x00\x1b[31m" * 50])
def test_hostile_fields_are_left_out(value: object) -> None:
    said = asked("photos", json.dumps(dict.fromkeys(REPLY, value)))
    assert said.metric == ""
    assert said.memory_mb is None
    assert said.title.isprintable()
    assert len(said.title) <= 80


def test_a_model_that_fails_costs_nothing_but_its_fields() -> None:
    model = ScriptedModel([])
    assert describe.ask(model, "photos", FOUND, script="t.py").description == "photos"


def test_the_request_offers_only_what_was_found() -> None:
    requests: list[ChatRequest] = []

    def answer(request: ChatRequest) -> str:
        requests.append(request)
        return first_choice(request)

    said = describe.ask(ScriptedModel(then=answer), "photos", FOUND, script="train.py", about="Trains.")
    assert said.metric == "val_acc"
    (request,) = requests
    assert request.schema is not None
    assert request.schema["properties"]["metric"] == {"enum": [m.name for m in FOUND]}
    assert "photos" in request.messages[-1].content
    assert "train.py: Trains." in request.messages[-1].content
