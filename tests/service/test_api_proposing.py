"""Who proposes the trials of an external study: models that are opened, away, slow or closed again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tcs_hpt.errors import ModelUnavailable
from tcs_hpt.llm.scripted import ScriptedModel, first_choice
from tcs_hpt.proposers import ExpertProposer
from tests.service.api import HERE, MANIFEST, Api, api
from tests.service.trainer import ask, score, tell


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Api]:
    with api(tmp_path) as made:
        yield made


def test_a_model_is_opened_when_somebody_first_asks(tmp_path: Path) -> None:
    with api(tmp_path) as world:
        made = world.enter(manifest=MANIFEST, method="tcs", model="scripted:first")
        assert made["model"] == ""
        given = ask(world)
        shown = world.get("/studies/s")
        assert shown["model"] == "scripted:first"
        assert shown["model_reason"] == "The model scripted:first was asked for."
        tell(world, 1, metrics=score(given["config"]))
        ask(world)
        story = world.get("/studies/s/trials/2")
        assert story["source"] == "agents"
        assert story["calls"] > 0
        assert story["analysis"]["by"] == "agents"


def test_another_process_goes_on_where_the_first_one_was(tmp_path: Path) -> None:
    with api(tmp_path) as world:
        world.enter(manifest=MANIFEST, method="tcs", model="scripted:first")
        given = ask(world)
    from starlette.testclient import TestClient

    from tcs_hpt.service.app import create_app
    from tcs_hpt.service.settings import ServiceSettings
    from tcs_hpt.store import Store

    with Store.open(str(tmp_path / "home" / "studies.db")) as store:
        app = create_app(ServiceSettings(), store=store)
        with TestClient(app, base_url=HERE) as client:
            body = {"metrics": score(given["config"])}
            assert client.post("/api/v1/studies/s/trials/1/tell", json=body).status_code == 200
            assert client.post("/api/v1/studies/s/ask", json={}).json()["trial"] == 2
    with Store.open(str(tmp_path / "home" / "studies.db")) as store:
        assert [e.event.kind for e in store.events("s", kinds=("study_started",))] == ["study_started"]


def test_a_model_that_is_away_is_a_503_and_costs_nothing(world: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    world.enter(manifest=MANIFEST, method="tcs", model="scripted:first")

    def away(*_: Any, **__: Any) -> Any:
        raise ModelUnavailable("no model answers", hint="Start one.")

    from tcs_hpt.service import desks

    with monkeypatch.context() as patched:
        patched.setattr(desks, "opened_models", away)
        problem = ask(world, 503)
        assert (problem["detail"], problem["hint"]) == ("no model answers", "Start one.")
    assert ask(world)["trial"] == 1


def test_a_thought_that_fails_gives_its_number_back(world: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    world.enter(manifest=MANIFEST)

    def fails(*_: Any) -> Any:
        raise ModelUnavailable("the model died", hint="Start it again.")

    with monkeypatch.context() as patched:
        patched.setattr(ExpertProposer, "propose", fails)
        ask(world, 503)
    assert not world.store.leases("s")
    assert ask(world)["trial"] == 1


def test_who_asks_while_another_thinks_is_told_to_come_again(
    world: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.enter(manifest=MANIFEST)
    thinking, go_on = threading.Event(), threading.Event()
    propose = ExpertProposer.propose

    def slowly(self: ExpertProposer, context: Any) -> Any:
        thinking.set()
        assert go_on.wait(60)
        return propose(self, context)

    monkeypatch.setattr(ExpertProposer, "propose", slowly)
    monkeypatch.setattr(world.app.state.service.desks, "_patience", 0.05)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, world)
        assert thinking.wait(60)
        problem = ask(world, 409)
        assert "being worked out" in problem["detail"]
        assert world.get("/studies/s")["state"] == "external"  # nobody else waits
        go_on.set()
        assert first.result()["trial"] == 1


def test_models_of_studies_that_nobody_asks_are_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[str] = []

    class Model(ScriptedModel):
        def close(self) -> None:
            closed.append(self.name)

    from tcs_hpt.service.desks import MOST_OPEN

    with api(tmp_path) as world:
        monkeypatch.setattr(
            world.app.state.service.desks,
            "_opening",
            lambda name: (Model(name="scripted:first", then=first_choice), "For a test."),
        )
        for i in range(MOST_OPEN + 1):
            world.enter(name=f"s{i}", manifest=MANIFEST, method="tcs", model="scripted:first")
            world.post(f"/studies/s{i}/ask", {}, 201)
        assert len(closed) == 1
        world.post("/studies/s0/ask", {}, 201)  # opened again
    assert len(closed) == MOST_OPEN + 2
