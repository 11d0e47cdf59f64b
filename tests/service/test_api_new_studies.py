"""Entering a study: what is taken, and what is refused with its place."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tcs_hpt.service.bodies import StudyCreate
from tcs_hpt.tuning.launch import Launch
from tests.build import history, study, task
from tests.service.api import MANIFEST, Api, api, record


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Api]:
    with api(tmp_path) as made:
        yield made


def test_a_study_is_entered_and_waits_for_a_worker(world: Api) -> None:
    response = world.client.post(
        "/api/v1/studies",
        json={"task": "function_2d", "method": "expert", "trials": 3, "name": "first", "seed": 7},
    )
    assert response.status_code == 201
    assert response.headers["location"] == "/api/v1/studies/first"
    made = response.json()
    assert made == world.get("/studies/first")
    assert made["state"] == "queued"
    assert (made["task"], made["method"], made["seed"], made["trials_total"]) == (
        "function_2d",
        "expert",
        7,
        3,
    )
    assert made["actions"] == ["pause", "stop", "delete"]
    assert (made["best"], made["best_config"], made["start_value"], made["prediction"]) == (None,) * 4
    assert {p["name"] for p in made["params"]} == set(world.store.get_study("first").task.params)
    entry = world.store.queue_entry("first")
    assert entry is not None
    assert Launch.model_validate_json(entry.launch).task == "function_2d"
    assert entry.entered_at == world.clock.now


def test_a_study_without_a_name_gets_one(world: Api) -> None:
    names = {world.enter(name="")["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("function_2d-") for name in names)


def test_a_manifest_makes_an_external_study(world: Api) -> None:
    made = world.enter(manifest=MANIFEST)
    assert made["state"] == "external"
    assert made["task"] == "my_net"
    assert made["fixed"] == {"batch_size": 64}
    lr = next(p for p in made["params"] if p["name"] == "lr")
    assert (lr["type"], lr["low"], lr["high"], lr["log"], lr["default"]) == ("float", 1e-5, 0.1, True, 1e-3)
    layers = next(p for p in made["params"] if p["name"] == "layers")
    assert [type(layers[k]) for k in ("low", "high", "default")] == [int, int, int]


def test_a_dry_run_checks_everything_and_enters_nothing(world: Api) -> None:
    planned = world.post(
        "/studies", {"task": "function_2d", "method": "expert", "name": "x", "dry_run": True}
    )
    assert planned["state"] == "queued"
    assert planned["model_reason"] == ""
    assert world.get("/studies")["items"] == []
    world.enter(name="x")
    problem = world.post(
        "/studies", {"task": "function_2d", "method": "expert", "name": "x", "dry_run": True}, 409
    )
    assert problem["errors"][0]["pointer"] == "/name"


def test_a_dry_run_says_why_a_model_would_answer(world: Api) -> None:
    body = {"task": "function_2d", "method": "tcs", "model": "scripted:first", "dry_run": True}
    assert world.post("/studies", body)["model_reason"] == "The model scripted:first was asked for."


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({}, "either `task` or `manifest`", "/task"),
    ({"task": "function_2d", "manifest": MANIFEST}, "both", "/task"),
    ({"task": "no_such_task"}, "no task 'no_such_task'", "/task"),
    ({"task": "../../etc"}, "pattern", "/task"),
    ({"task": "/etc"}, "pattern", "/task"),
    ({"task": "function_2d", "name": "../up"}, "pattern", "/name"),
    ({"task": "function_2d", "name": "a\nb"}, "pattern", "/name"),
    ({"task": "function_2d", "name": "<b>"}, "pattern", "/name"),
    ({"task": "function_2d", "name": "n" * 121}, "120", "/name"),
    ({"task": "function_2d", "trials": 0}, "greater than or equal to 1", "/trials"),
    ({"task": "function_2d", "trials": "10"}, "valid integer", "/trials"),
    ({"task": "function_2d", "trials": True}, "valid integer", "/trials"),
    ({"task": "function_2d", "python": "/bin/sh"}, "not permitted", "/python"),
    ({"task": "function_2d", "data_dir": "/"}, "not permitted", "/data_dir"),
    ({"task": "function_2d", "pull": True}, "not permitted", "/pull"),
    ({"task": "function_2d", "start": "warm"}, "'defaults', 'knowledge' or 'cold'", "/start"),
    ({"task": "function_2d", "method": "magic"}, "no method 'magic'", ""),
    ({"task": "function_2d", "method": "tcs:no-such"}, "", ""),
    ({"task": "function_2d", "profile": "huge"}, "no profile 'huge'", ""),
    ({"task": "function_2d", "fix": {"nonsense": 1}}, "no parameter 'nonsense'", ""),
    ({"task": "function_2d", "only": ["nonsense"]}, "no parameter 'nonsense'", ""),
    ({"task": "function_2d", "fix": {"a b": 1}}, "pattern", "/fix/a b/[key]"),
    ({"task": "function_2d", "fidelity": "nonsense"}, "nonsense", ""),
    ({"task": "function_2d", "model": "scripted:/etc/passwd"}, "cannot use the model", "/model"),
    ({"task": "function_2d", "model": "replay:/etc/passwd"}, "cannot use the model", "/model"),
    ({"task": "function_2d", "model": "transformers:/home"}, "cannot use the model", "/model"),
    ({"task": "function_2d", "model": "embedded:/tmp/x.gguf"}, "cannot use the model", "/model"),
    ({"task": "function_2d", "model": "openai:http://evil.example/v1#m"}, "'evil.example'", "/model"),
    ({"task": "function_2d", "model": "openai:http://[::bad#m"}, "without a name", "/model"),
    ({"task": "function_2d", "analysis_model": "nonsense"}, "cannot use", "/analysis_model"),
]


@pytest.mark.parametrize(("body", "says", "pointer"), REFUSED, ids=lambda v: str(v)[:60])
def test_what_cannot_be_is_refused_with_its_place(
    world: Api, body: dict[str, Any], says: str, pointer: str
) -> None:
    problem = world.post("/studies", {"method": "expert", **body}, 422)
    assert says in problem["detail"]
    if pointer:
        assert problem["errors"][0]["pointer"] == pointer
    assert world.get("/studies")["items"] == []
    assert not world.store.queue()


def test_a_server_on_this_machine_or_one_that_was_allowed_may_be_a_model(tmp_path: Path) -> None:
    with api(tmp_path, model_hosts=("gpu-box",)) as world:
        for name, host in (("a", "127.0.0.1:8000"), ("b", "localhost:8000"), ("c", "GPU-box:8000")):
            world.enter(name=name, method="tcs", model=f"openai:http://{host}/v1#m")
        assert {entry.name for entry in world.store.queue()} == {"a", "b", "c"}


MANIFESTS: list[tuple[dict[str, Any], str, str]] = [
    ({"command": ["rm", "-rf", "/"]}, "/manifest/command", "never runs a command"),
    ({"env": {"A": "b"}}, "/manifest/env", "never runs a command"),
    ({"run_in": "task"}, "/manifest/run_in", "never runs a command"),
    ({"schema": 2}, "/manifest/schema", "schema"),
    ({"name": "../up"}, "/manifest/name", "name"),
    ({"objective": {"metric": "a"}}, "/manifest/objective/direction", "direction"),
    ({"title": "a\x00b"}, "/manifest/title", "control characters"),
    ({"params": {"a\x1b[0m": {}}}, "/manifest/params", "control characters"),
    ({"title": None}, "/manifest/title", "no null"),
    ({"fixed": {"a": 2**70}}, "/manifest/fixed/a", "64 bits"),
    ({"fixed": {"a": {"b": [1]}}}, "/manifest/fixed/a", ""),
    ({"params": {"lr": {"type": "float", "low": 1.0, "high": 0.1}}}, "/manifest/params/lr/low", "below"),
    ({"params": {"lr": {"type": "magic"}}}, "/manifest/params/lr/type", "float, int or categorical"),
    ({"params": []}, "/manifest/params", "table"),
]


@pytest.mark.parametrize(("changes", "pointer", "says"), MANIFESTS, ids=lambda v: str(v)[:60])
def test_a_manifest_is_checked_whole(world: Api, changes: dict[str, Any], pointer: str, says: str) -> None:
    problem = world.post("/studies", {"method": "random", "manifest": MANIFEST | changes}, 422)
    found = {e["pointer"]: e for e in problem["errors"]}
    assert pointer in found
    assert says in found[pointer]["detail"]
    assert all(e["fix"] for e in problem["errors"])


def test_a_manifest_that_nests_without_end_is_refused(world: Api) -> None:
    deep: Any = 1
    for _ in range(200):
        deep = {"a": deep}
    problem = world.post("/studies", {"method": "random", "manifest": MANIFEST | {"fixed": deep}}, 422)
    assert "nested too deeply" in problem["errors"][0]["detail"]


def test_a_name_is_taken_once(world: Api) -> None:
    world.enter(name="same")
    problem = world.post("/studies", {"task": "function_2d", "method": "expert", "name": "same"}, 409)
    assert "same" in problem["detail"]
    assert problem["hint"]
    record(world.store, history(task()), study(name="terminal", trials=6))
    world.post("/studies", {"task": "function_2d", "method": "expert", "name": "terminal"}, 409)


def test_the_body_offers_what_a_launch_takes_with_its_defaults() -> None:
    ours = {n: f for n, f in StudyCreate.model_fields.items() if n not in ("manifest", "dry_run")}
    theirs = {n: f for n, f in Launch.model_fields.items() if n not in ("data_dir", "python", "pull")}
    assert set(ours) == set(theirs)
    defaults = {n: f.get_default(call_default_factory=True) for n, f in theirs.items() if not f.is_required()}
    for name, default in defaults.items():
        mine = ours[name].get_default(call_default_factory=True)
        assert (tuple(mine) if isinstance(mine, list) else mine) == default, name
