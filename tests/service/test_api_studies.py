from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.build import history, study, task
from tests.service.api import MANIFEST, Api, api, record


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Api]:
    with api(tmp_path) as made:
        yield made


# -- the list -----------------------------------------------------------------------------------------------


def test_the_list_is_newest_first_and_comes_in_parts(world: Api) -> None:
    for i in range(5):
        world.enter(name=f"s{i}")
    first = world.get("/studies", limit=2)
    assert [s["name"] for s in first["items"]] == ["s4", "s3"]
    second = world.get("/studies", limit=2, after=first["next"])
    assert [s["name"] for s in second["items"]] == ["s2", "s1"]
    last = world.get("/studies", limit=2, after=second["next"])
    assert [s["name"] for s in last["items"]] == ["s0"]
    assert last["next"] is None
    world.get("/studies", 422, after="x")
    world.get("/studies", 422, limit=0)
    world.get("/studies", 422, state="lost")


def test_the_list_is_searched_by_text_and_state(world: Api) -> None:
    world.enter(name="one")
    world.enter(name="two", method="random")
    world.enter(name="three", manifest=MANIFEST)
    world.post("/studies/two/pause", status=202)
    record(world.store, history(task()), study(name="terminal", trials=6))
    record(world.store, [], study(name="left", trials=6), ended=False)

    def names(**query: Any) -> list[str]:
        return [s["name"] for s in world.get("/studies", **query)["items"]]

    assert names(q="RANDOM") == ["two"]
    assert names(q="my_net") == ["three"]
    assert names(q="100%") == []
    assert names(q="a\x00b") == []
    assert names(state="paused") == ["two"]
    assert names(state="queued") == ["one"]
    assert names(state="external") == ["three"]
    assert names(state="finished") == ["terminal"]
    assert names(state="idle") == ["left"]
    assert names(state="failed") == []
    assert names(state="finished", limit=1) == ["terminal"]


def test_a_line_says_what_a_study_has_found(world: Api) -> None:
    record(world.store, history(task()), study(name="done", trials=6))
    (line,) = world.get("/studies")["items"]
    assert line["best"] == 0.955
    assert line["best_trial"] == 4
    assert (line["trials_done"], line["trials_total"], line["failures"]) == (6, 6, 1)
    assert (line["metric"], line["direction"], line["target"]) == ("val_accuracy", "maximize", 0.97)
    assert line["title"] == "MLP on digits"
    assert line["updated_at"] == "2026-01-01T00:00:00Z"


# -- one study ----------------------------------------------------------------------------------------------


def test_a_study_says_what_it_amounts_to(world: Api) -> None:
    record(world.store, history(task()), study(name="done", trials=6))
    shown = world.get("/studies/done")
    assert shown["state"] == "finished"
    assert shown["best_config"]["epochs"] == 30
    assert shown["best_test"] == {"test_accuracy": 0.123456}
    assert shown["start_value"] == 0.9125
    assert shown["model_reason"] == "It was there."
    assert shown["last_event"] == world.store.study_row("done").last_event > 0
    assert shown["actions"] == ["delete"]


def test_test_metrics_stay_hidden_while_a_study_goes_on(world: Api) -> None:
    record(world.store, history(task()), study(name="going", trials=9), ended=False)
    assert world.get("/studies/going")["best_test"] is None


def test_a_study_that_goes_on_is_read_again(world: Api) -> None:
    trials = history(task())
    spec = record(world.store, trials[:2], study(name="live", trials=6), ended=False)
    assert world.get("/studies/live")["best"] == 0.9425
    record_more(world, spec.name, trials[3])
    shown = world.get("/studies/live")
    assert (shown["best"], shown["best_config"]["epochs"]) == (0.955, 30)
    assert world.get("/studies/live/progress")["numbers"] == [1, 2, 4]


def record_more(world: Api, name: str, ended: Any) -> None:
    from tcs_hpt.events import TrialEnded

    world.store.save_trial(name, ended)
    world.store.append_event(name, TrialEnded(trial=ended), "2026-01-01T00:01:00+00:00")


def test_another_study_of_the_same_name_is_another_one(world: Api) -> None:
    record(world.store, history(task()), study(name="again", trials=6))
    assert world.get("/studies/again")["trials_done"] == 6
    world.delete("/studies/again")
    world.get("/studies/again", 404)
    world.enter(name="again")
    assert world.get("/studies/again")["trials_done"] == 0
    assert world.get("/studies/again/progress")["numbers"] == []


def test_somebody_who_holds_a_lease_runs_a_study_in_a_terminal(world: Api) -> None:
    record(world.store, [], study(name="held", trials=6), ended=False)
    assert world.store.acquire("held", 1, "engine", seconds=30, now=world.clock.now)
    assert world.get("/studies/held")["state"] == "running"
    assert world.get("/studies/held")["actions"] == []
    world.clock.now += 31
    assert world.get("/studies/held")["state"] == "idle"


def test_who_runs_a_study_is_shown(world: Api) -> None:
    world.enter()
    claimed = world.store.claim("w1", host="box", device="0", limit=1, seconds=15, now=world.clock.now)
    assert claimed is not None
    shown = world.get("/studies/s")
    assert (shown["state"], shown["worker"], shown["device"]) == ("running", "w1", "0")
    assert shown["actions"] == ["pause", "stop"]
    world.clock.now += 16
    assert world.get("/studies/s")["state"] == "queued"  # its worker is gone


def test_why_a_study_ended_is_said_in_a_sentence(world: Api) -> None:
    world.enter()
    world.store.claim("w1", host="box", device="0", limit=1, seconds=15, now=world.clock.now)
    assert world.store.end_claim("s", "w1", "ended", "target")
    assert world.get("/studies/s")["message"] == "Stopped early: the target is reached."
    assert world.get("/studies/s")["state"] == "finished"


# -- what a person wants ------------------------------------------------------------------------------------


def test_a_study_is_paused_resumed_and_stopped(world: Api) -> None:
    world.enter()
    assert world.post("/studies/s/pause", status=202)["state"] == "paused"
    assert world.get("/studies/s")["actions"] == ["resume", "stop", "delete"]
    assert world.post("/studies/s/resume", status=202)["state"] == "queued"
    assert world.post("/studies/s/stop", status=202)["state"] == "stopped"
    assert world.get("/studies/s")["actions"] == ["resume", "delete"]
    assert world.post("/studies/s/stop", status=202)["state"] == "stopped"
    problem = world.post("/studies/s/pause", status=409)
    assert "stopped" in problem["detail"]


def test_a_running_study_says_what_is_wanted_of_it(world: Api) -> None:
    world.enter()
    world.store.claim("w1", host="box", device="0", limit=1, seconds=15, now=world.clock.now)
    shown = world.post("/studies/s/pause", status=202)
    assert (shown["state"], shown["actions"]) == ("running", ["resume", "stop"])
    shown = world.post("/studies/s/stop", status=202)
    assert (shown["state"], shown["actions"]) == ("running", ["resume"])


def test_a_study_of_a_terminal_cannot_be_paused(world: Api) -> None:
    record(world.store, history(task()), study(name="terminal", trials=6))
    problem = world.post("/studies/terminal/pause", status=409)
    assert "not entered through the service" in problem["detail"]


def test_a_study_is_deleted_with_its_folder(world: Api, tmp_path: Path) -> None:
    world.enter()
    folder = tmp_path / "home" / "studies" / "s" / "trial_0001"
    folder.mkdir(parents=True)
    (folder / "stdout.log").write_text("x")
    world.delete("/studies/s")
    assert not folder.parent.exists()
    assert world.get("/studies")["items"] == []
    world.delete("/studies/s", 404)


def test_a_running_study_is_not_deleted(world: Api) -> None:
    world.enter()
    now = time.time()  # deleting looks at the real time
    world.clock.now = now
    world.store.claim("w1", host="box", device="0", limit=1, seconds=60, now=now)
    world.delete("/studies/s", 409)
    assert world.get("/studies/s")["state"] == "running"


# -- what there is ------------------------------------------------------------------------------------------


def test_the_service_says_what_it_offers(world: Api) -> None:
    info = world.get("/info")
    assert info["methods"][0] == {
        "name": "tcs",
        "what": "two agents over the state report and all evidence",
        "needs_model": True,
    }
    assert {"smoke", "quick"} <= set(info["profiles"])
    assert info["starts"] == ["defaults", "knowledge", "cold"]
    assert info["auth"] is False
    assert info["store"] == world.store.label
    assert world.client.get("/healthz").json() == {"status": "ok"}
    assert world.client.get("/readyz").json() == {"status": "ok", "workers": 0, "queued": 0, "running": 0}
    world.enter(name="a")
    world.enter(name="b")
    world.store.claim("w1", host="box", device="0", limit=1, seconds=15, now=world.clock.now)
    assert world.client.get("/readyz").json() == {"status": "ok", "workers": 0, "queued": 1, "running": 1}


def test_tasks_are_listed_with_what_they_need(world: Api) -> None:
    tasks = {t["name"]: t for t in world.get("/tasks")["items"]}
    assert tasks["mlp_digits"]["source"] == "built-in"
    assert tasks["mlp_digits"]["missing_extra"] == ""
    assert tasks["mlp_digits"]["problem"] == ""
    one = world.get("/tasks/mlp_digits")
    assert one["readme"].startswith("#")
    assert one["metric"] == "val_accuracy"
    problem = world.get("/tasks/nothing", 404)
    assert "mlp_digits" in problem["hint"]


def test_models_are_listed_with_what_auto_would_take(world: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from tcs_hpt.llm import machine

    monkeypatch.setattr(machine, "ollama_state", lambda: None)
    models = world.get("/models")
    known = {m["name"]: m for m in models["items"]}
    small = known["embedded:smollm2-135m"]
    assert (small["licence"], small["where"]) == ("Apache-2.0", "embedded")
    assert small["size_mb"] > 50
    assert models["auto"]["name"] == "embedded:smollm2-135m"
    assert "No Ollama server answers" in models["auto"]["reason"]


# -- errors everywhere --------------------------------------------------------------------------------------


def test_every_path_of_a_study_knows_that_there_is_none(world: Api) -> None:
    bodies: dict[str, Any] = {
        "epochs": {"epoch": 1, "metrics": {}},
        "tell": {"metrics": {}},
        "questions": {"question": "why?"},
    }
    seen = 0
    for path, methods in world.client.get("/api/v1/openapi.json").json()["paths"].items():
        if "/studies/{name}" not in path:
            continue
        url = path.replace("{name}", "nobody").replace("{number}", "1")
        for method in methods:
            body = bodies.get(url.rsplit("/", 1)[1], {})
            response = world.client.request(method, url, json=None if method in ("get", "delete") else body)
            assert response.status_code == 404, (method, path, response.text)
            assert "nobody" in response.json()["detail"]
            seen += 1
    assert seen >= 15


def test_a_near_name_is_suggested(world: Api) -> None:
    world.enter(name="gcn_cora_one")
    assert "gcn_cora_one" in world.get("/studies/gcn_cora_on", 404)["hint"]


def test_a_path_that_is_not_there_is_a_problem_too(world: Api) -> None:
    problem = world.get("/nothing", 404)
    assert problem["instance"] == "/api/v1/nothing"
    world.post("/info", status=405)


def test_a_body_that_is_not_json_says_so(world: Api) -> None:
    headers = {"Content-Type": "application/json"}
    response = world.client.post("/api/v1/studies", content=b"{not json", headers=headers)
    assert response.status_code == 422
    assert "not JSON" in response.json()["detail"]
    response = world.client.post("/api/v1/studies", content=b"[" * 100_000, headers=headers)
    assert response.status_code in (400, 422)
    assert response.headers["content-type"] == "application/problem+json"


def test_a_database_that_is_away_is_a_503(world: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from tcs_hpt.errors import StoreError

    def away(*_: Any, **__: Any) -> None:
        raise StoreError("the database cannot be reached", hint="Start it.")

    monkeypatch.setattr(type(world.store), "study_rows", away)
    monkeypatch.setattr(type(world.store), "queue", away)
    response = world.client.get("/api/v1/studies")
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert response.json()["hint"] == "Start it."
    assert world.client.get("/readyz").status_code == 503
    assert world.client.get("/healthz").status_code == 200


def test_a_mistake_of_ours_tells_nothing_of_its_inside(
    world: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(type(world.store), "study_rows", broken)
    response = world.client.get("/api/v1/studies")
    assert response.status_code == 500
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "secret" not in response.text
    assert "secret" in caplog.text


def test_numbers_that_are_too_large_for_a_database_are_refused(world: Api) -> None:
    world.enter()
    for path in (f"/studies/s/trials/{2**63}", f"/studies/s/trials?after={2**63}", "/studies/s/trials/0"):
        assert world.get(path, 422)["errors"]
