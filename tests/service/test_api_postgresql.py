"""The same answers over a database on a server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tcs_hpt.service.pulse import EVERYTHING
from tests.build import history, study, task
from tests.postgres import postgresql, postgresql_blank_url, postgresql_template, postgresql_url
from tests.service.api import MANIFEST, Api, api, record

__all__ = ["postgresql", "postgresql_blank_url", "postgresql_template", "postgresql_url"]


@pytest.fixture
def world(tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setenv(
        "XDG_DATA_HOME", str(tmp_path)
    )  # where the folders of studies go without a file beside them
    with api(tmp_path, url=request.getfixturevalue("postgresql_url")) as made:
        yield made


def test_a_study_is_read(world: Api) -> None:
    record(world.store, history(task()), study(name="six", trials=6))
    assert world.get("/studies", q="a\x00b")["items"] == []
    assert [s["name"] for s in world.get("/studies", state="finished")["items"]] == ["six"]
    assert world.get("/studies/six")["best"] == 0.955
    assert [t["epochs"] for t in world.get("/studies/six/trials")["items"]] == [10, 10, 10, 30, 2, 30]
    assert world.get("/studies/six/trials/4")["actual"] == "improves"
    assert len(world.get("/studies/six/events.json", limit=1000)["items"]) == 20


def test_a_study_is_asked_and_told_to_its_end(world: Api) -> None:
    pulse = world.app.state.service.pulse
    before = pulse.look([EVERYTHING])
    world.enter(manifest=MANIFEST)
    for number in (1, 2, 3):
        given = world.post("/studies/s/ask", {}, 201)
        assert given["trial"] == number
        world.post(f"/studies/s/trials/{number}/epochs", {"epoch": 1, "metrics": {"val_accuracy": 0.5}})
        world.post(f"/studies/s/trials/{number}/tell", {"metrics": {}})
    assert world.get("/studies/s")["state"] == "finished"
    assert pulse.look([EVERYTHING]) != before
    assert pulse.look(["s"])["s"].state == "ended"
    world.delete("/studies/s")
    assert pulse.look([EVERYTHING]) == before
