from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tcs_hpt.records import (
    Analysis,
    EpochRecord,
    Failure,
    Message,
    ModelCall,
    Proposal,
    Rejected,
    Trial,
    Usage,
)
from tcs_hpt.spec import Config
from tests.build import epochs, history, study, task, trial
from tests.service.api import Api, api, record

EVIL = "<script>alert(1)</script>\x1b[31m\x00\u202e"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Api]:
    with api(tmp_path) as made:
        yield made


@pytest.fixture
def six(world: Api) -> Api:
    """Six trials with a bit of everything."""
    record(world.store, history(task()), study(name="six", trials=6))
    return world


def test_trials_come_by_number_and_in_parts(six: Api) -> None:
    everything = six.get("/studies/six/trials")
    assert [t["number"] for t in everything["items"]] == [1, 2, 3, 4, 5, 6]
    assert everything["next"] is None
    part = six.get("/studies/six/trials", after=2, limit=3)
    assert [t["number"] for t in part["items"]] == [3, 4, 5]
    assert part["next"] == 5
    assert six.get("/studies/six/trials", after=6)["items"] == []
    assert part["items"] == everything["items"][2:5]


def test_a_line_says_what_was_tried_and_what_came_of_it(six: Api) -> None:
    lines = {t["number"]: t for t in six.get("/studies/six/trials")["items"]}
    assert (lines[4]["value"], lines[4]["is_best"], lines[4]["epochs"]) == (0.955, True, 30)
    assert (lines[4]["base_trial"], lines[4]["actual"]) == (2, "improves")
    assert lines[3]["actual"] == "worsens"
    assert lines[1]["actual"] is None
    assert lines[5]["failure"] == {"kind": "diverged", "message": "val_accuracy was not finite"}
    assert lines[5]["value"] is None
    assert lines[3]["config"]["momentum"] == 0.9


def test_a_base_on_another_part_still_counts(six: Api) -> None:
    (line,) = six.get("/studies/six/trials", after=3, limit=1)["items"]
    assert (line["base_trial"], line["actual"]) == (2, "improves")


def test_all_trials_as_columns(six: Api) -> None:
    columns = six.get("/studies/six/progress")
    assert columns["numbers"] == [1, 2, 3, 4, 5, 6]
    assert columns["values"] == [0.9125, 0.9425, 0.88, 0.955, None, 0.9475]
    assert columns["best"] == [0.9125, 0.9425, 0.9425, 0.955, 0.955, 0.955]
    assert columns["states"][4] == "failed"
    assert columns["params"]["momentum"] == [None, None, 0.9, None, None, None]
    assert list(columns["params"]) == list(task().params)


def rich(world: Api, **changes: Any) -> Trial:
    """A trial in which everything that comes from elsewhere is hostile."""
    analysis = Analysis(
        problem_diagnosis=EVIL,
        impact_assessment={"lr": "high"},
        primary_action="lr",
        specific_recommendation="lr: 0.001 -> 0.003",
        reasoning=EVIL,
        expected_outcome="improves",
        expected_size="small",
    )
    call = ModelCall(
        role="analysis",
        model="scripted",
        template="analysis.v1",
        template_sha256="0" * 64,
        messages=(Message(role="user", content=EVIL),),
        reply="\ud800 half a character",
        prompt_tokens=3,
        seconds=0.5,
        problems=("it is not JSON",),
    )
    config: Config = {"lr": 0.003, "optimizer": "adam"}
    proposal = Proposal(
        config=config,
        source="agents",
        reason=EVIL,
        base_trial=1,
        change="lr: 0.001 -> 0.003",
        options=("lr: 0.001 -> 0.003",),
        analysis=analysis,
        calls=(call,),
        rejected=(
            Rejected(attempt=1, config={"lr": math.nan, "x": [math.inf, {"y": None}]}, reasons=("no",)),
        ),
        report="STATE",
        seconds=1.5,
    )
    fields: dict[str, Any] = {
        "proposal": proposal,
        "metrics": {"val_accuracy": 0.95, "val_loss": None, "test_accuracy": 0.9},
        "epochs": (
            EpochRecord(epoch=1, metrics={"val_accuracy": 0.5, "test_accuracy": 0.4}),
            EpochRecord(epoch=2, metrics={"val_accuracy": None}, non_finite=("val_accuracy",)),
        ),
        "usage": Usage(wall_seconds=3.5, cpu_seconds=3.0, peak_memory_mb=100.0),
        "started_at": "2026-01-01T00:00:00+00:00",
    }
    first = trial(1, {"lr": 0.001, "optimizer": "adam"}, 0.9)
    second = trial(2, config, 0.95, 1, **fields | changes)
    record(world.store, [first, second], study(name="rich", trials=5), ended=False)
    return second


def test_the_story_of_a_trial_is_complete(world: Api) -> None:
    rich(world)
    story = world.get("/studies/rich/trials/2")
    assert (story["expected"], story["actual"]) == ("improves", "improves")
    assert story["analysis"]["problem_diagnosis"] == EVIL
    assert story["analysis"]["impact_assessment"] == {"lr": "high"}
    assert story["options"] == ["lr: 0.001 -> 0.003"]
    assert story["report"] == "STATE"
    assert story["decision"] == {"accepted": True, "reasons": []}
    assert story["rejected"] == [
        {"attempt": 1, "config": {"lr": None, "x": [None, {"y": None}]}, "reasons": ["no"]}
    ]
    assert (story["calls"], story["thinking_seconds"], story["seconds"]) == (1, 1.5, 3.5)
    assert story["started_at"] == "2026-01-01T00:00:00Z"
    assert story["log_tail"] is None
    assert world.get("/studies/rich")["prediction"] == {"right": 1, "judged": 1}


def test_test_metrics_are_shown_for_the_best_trial_of_a_study_that_is_over_alone(world: Api) -> None:
    rich(world)
    going = world.get("/studies/rich/trials/2")
    assert going["metrics"] == {"val_accuracy": 0.95, "val_loss": None}
    assert going["curve"] == [
        {"epoch": 1, "metrics": {"val_accuracy": 0.5}},
        {"epoch": 2, "metrics": {"val_accuracy": None}},
    ]
    record(world.store, history(task()), study(name="over", trials=6))
    assert "test_accuracy" in world.get("/studies/over/trials/4")["metrics"]
    assert "test_accuracy" not in world.get("/studies/over/trials/2")["metrics"]


def test_the_prompts_are_on_a_page_of_their_own(world: Api) -> None:
    rich(world)
    (call,) = world.get("/studies/rich/trials/2/calls")["items"]
    assert call["messages"] == [{"role": "user", "content": EVIL}]
    assert call["reply"] == "\\ud800 half a character"
    assert call["problems"] == ["it is not JSON"]
    assert "messages" not in json.dumps(world.get("/studies/rich/trials/2"))


def test_what_a_script_printed_is_data(world: Api, tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    folder.mkdir()
    (folder / "stdout.log").write_bytes(b"x" * 10_000 + b"\n<b>\xff\x1b[31mred\x1b[0m\n")
    (tmp_path / "secret").write_text("secret")
    rich(world, folder=str(folder))
    tail = world.get("/studies/rich/trials/2")["log_tail"]
    assert tail["stdout"].endswith("<b>\ufffdred")
    assert len(tail["stdout"]) <= 4096
    assert tail["stderr"] == ""


def test_a_pipe_in_place_of_a_log_does_not_hang(world: Api, tmp_path: Path) -> None:
    import os

    folder = tmp_path / "trial"
    folder.mkdir()
    os.mkfifo(folder / "stdout.log")
    rich(world, folder=str(folder))
    assert world.get("/studies/rich/trials/2")["log_tail"] == {"stdout": "", "stderr": ""}


def test_what_is_not_there_is_a_404(six: Api) -> None:
    assert "7" in six.get("/studies/six/trials/7", 404)["detail"]
    assert "7" in six.get("/studies/six/trials/7/calls", 404)["detail"]
    assert six.get("/studies/six/trials/x", 422)["errors"]


def test_a_trial_that_runs_has_no_end_yet(world: Api) -> None:
    running = trial(1, {"lr": 0.1}, None, state="running", failure=None, curve=epochs(3, 0.5))
    record(world.store, [running], study(name="now", trials=3), ended=False)
    story = world.get("/studies/now/trials/1")
    assert (story["state"], story["epochs"], story["failure"]) == ("running", 3, None)


# -- events -------------------------------------------------------------------------------------------------


def test_events_come_in_order_and_in_parts(six: Api) -> None:
    everything = six.get("/studies/six/events.json", limit=1000)
    assert [e["seq"] for e in everything["items"]] == list(range(1, 21))
    assert everything["next"] is None
    assert [e["kind"] for e in everything["items"][:4]] == [
        "study_started",
        "proposed",
        "trial_started",
        "trial_ended",
    ]
    part = six.get("/studies/six/events.json", after=3, limit=2)
    assert [e["seq"] for e in part["items"]] == [4, 5]
    assert part["next"] == 5
    assert all(e["event"]["kind"] == e["kind"] for e in everything["items"])
    assert all(e["at"].endswith("Z") for e in everything["items"])


def test_events_hide_test_metrics_and_the_environment(world: Api) -> None:
    spec = study(task(env={"API_KEY": "hunter2"}), name="kept", trials=6)
    record(world.store, history(task()), spec)
    text = json.dumps(world.get("/studies/kept/events.json", limit=1000))
    assert "test_accuracy" not in text
    assert "hunter2" not in text
    assert "val_accuracy" in text


# -- side by side, questions, report ------------------------------------------------------------------------


def test_studies_of_one_task_are_compared(six: Api) -> None:
    record(six.store, history(task())[:2], study(name="two", trials=2, method="random"))
    seen = six.get("/comparisons", studies="six, two,six")
    assert [s["name"] for s in seen["studies"]] == ["six", "two"]
    first, second = seen["studies"]
    assert (first["best"], second["best"]) == (0.955, 0.9425)
    assert first["mean"] == pytest.approx((0.9125 + 0.9425 + 0.88 + 0.955 + 0.9475) / 5)
    assert (first["failures"], first["trials_done"]) == (1, 6)
    assert second["progress"]["numbers"] == [1, 2]
    assert seen["metric"] == "val_accuracy"


def test_what_cannot_be_compared_says_why(six: Api) -> None:
    other = task(objective={"metric": "val_loss", "direction": "minimize"})
    record(six.store, [], study(other, name="other", trials=2), ended=False)
    problem = six.get("/comparisons", 422, studies="six,other")
    assert "the metric of one is 'val_accuracy', of the other 'val_loss'" in problem["detail"]
    six.get("/comparisons", 404, studies="six,nobody")
    six.get("/comparisons", 422, studies=" , ")
    six.get("/comparisons", 422, studies=",".join(f"s{i}" for i in range(21)))
    six.get("/comparisons", 422)


def test_questions_are_answered_from_the_records(six: Api) -> None:
    said = six.post("/studies/six/questions", {"question": "why did trial 5 fail?"})
    assert 5 in said["trials"]
    assert "val_accuracy was not finite" in said["answer"]
    assert said["kind"]
    six.post("/studies/six/questions", {"question": ""}, 422)
    six.post("/studies/six/questions", {"question": "x" * 1001}, 422)
    six.post("/studies/six/questions", {}, 422)


def test_the_report_is_one_page_in_which_nothing_runs(world: Api) -> None:
    rich(world, failure=None)
    response = world.client.get("/api/v1/studies/rich/report.html")
    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "sandbox" in response.headers["content-security-policy"]
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "<script>alert(1)" not in response.text


def test_a_failure_message_is_data(world: Api) -> None:
    failed = trial(1, {"lr": 0.1}, None).model_copy(update={"failure": Failure(kind="crashed", message=EVIL)})
    record(world.store, [failed], study(name="bad", trials=1))
    assert world.get("/studies/bad/trials")["items"][0]["failure"]["message"] == EVIL
