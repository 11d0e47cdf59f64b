"""Ask and tell: the trials of a study, trained by who asks for them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.service.api import MANIFEST, Api, api
from tests.service.trainer import ask, score, tell


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Api]:
    with api(tmp_path) as made:
        yield made


@pytest.fixture
def study(world: Api) -> Api:
    world.enter(manifest=MANIFEST)
    return world


def test_a_study_is_asked_and_told_to_its_end(study: Api) -> None:
    first = ask(study)
    assert (first["trial"], first["fixed"], first["seed"]) == (1, {"batch_size": 64}, 0)
    assert first["config"] == {"lr": 0.001, "layers": 2}
    assert first["lease_seconds"] == 600
    verdict = study.post("/studies/s/trials/1/epochs", {"epoch": 1, "metrics": {"val_accuracy": 0.3}})
    assert verdict == {"should_stop": False, "reason": ""}
    story = tell(study, 1, metrics=score(first["config"]))
    assert (story["state"], story["value"], story["epochs"]) == ("finished", 0.7, 1)
    assert story["metrics"] == {"val_accuracy": 0.7}  # the study goes on
    for number in (2, 3):
        given = ask(study)
        assert given["trial"] == number
        assert given["reason"]
        tell(study, number, metrics=score(given["config"]))
    shown = study.get("/studies/s")
    assert (shown["state"], shown["message"]) == ("finished", "All trials are done.")
    assert shown["trials_done"] == 3
    assert shown["best_test"] == {"test_accuracy": 0.4}
    problem = ask(study, 410)
    assert "over" in problem["detail"]
    kinds = [e["kind"] for e in study.get("/studies/s/events.json")["items"]]
    assert kinds[0] == "study_started"
    assert kinds[-2:] == ["trial_ended", "study_ended"]
    assert kinds.count("study_started") == kinds.count("study_ended") == 1
    assert kinds.count("proposed") == kinds.count("trial_started") == kinds.count("trial_ended") == 3


def test_the_budget_is_spoken_for_while_it_is_trained(study: Api) -> None:
    numbers = [ask(study)["trial"] for _ in range(3)]
    assert numbers == [1, 2, 3]
    response = study.client.post("/api/v1/studies/s/ask", json={})
    assert response.status_code == 409
    assert int(response.headers["retry-after"]) > 0
    tell(study, 2, failure={"kind": "interrupted", "message": "the machine was needed"})
    again = ask(study)
    second = study.get("/studies/s/trials/2")
    assert (again["trial"], again["config"]) == (4, second["config"])
    assert second["state"] == "interrupted"


def test_the_same_words_twice_are_one(study: Api) -> None:
    given = ask(study)
    first = tell(study, 1, metrics=score(given["config"]))
    assert tell(study, 1, metrics=score(given["config"])) == first
    problem = tell(study, 1, 409, metrics={"val_accuracy": 0.1})
    assert "over" in problem["detail"]
    tell(study, 1, 409, failure={"kind": "crashed"})
    ask(study)
    tell(study, 2, failure={"kind": "crashed", "message": "boom"})
    tell(study, 2, failure={"kind": "crashed", "message": "boom"})
    tell(study, 2, 409, failure={"kind": "crashed", "message": "bang"})
    ends = [e for e in study.get("/studies/s/events.json")["items"] if e["kind"] == "trial_ended"]
    assert len(ends) == 2


def test_the_same_words_at_the_same_time_are_one(study: Api) -> None:
    given = ask(study)
    body = {"metrics": score(given["config"])}
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: study.client.post("/api/v1/studies/s/trials/1/tell", json=body), range(8))
        )
    assert {a.status_code for a in answers} == {200}
    ends = [e for e in study.get("/studies/s/events.json")["items"] if e["kind"] == "trial_ended"]
    assert len(ends) == 1


def test_several_who_ask_at_once_get_different_configurations(world: Api) -> None:
    world.enter(manifest=MANIFEST, trials=6, method="random")
    with ThreadPoolExecutor(6) as pool:
        given = list(pool.map(lambda _: ask(world), range(6)))
    assert sorted(g["trial"] for g in given) == [1, 2, 3, 4, 5, 6]
    assert len({str(g["config"]) for g in given}) == 6


# -- how a trial ends ---------------------------------------------------------------------------------------


def test_the_last_epoch_counts_where_no_metrics_are_told(study: Api) -> None:
    ask(study)
    for epoch, value in ((1, 0.3), (2, 0.6)):
        study.post(
            "/studies/s/trials/1/epochs",
            {"epoch": epoch, "metrics": {"val_accuracy": value, "train_loss": 1.0}},
        )
    assert tell(study, 1, metrics={})["value"] == 0.6


def test_metrics_without_the_objective_are_no_score(study: Api) -> None:
    ask(study)
    story = tell(study, 1, metrics={"train_loss": 0.1})
    assert story["failure"]["kind"] == "no_metric"
    assert "val_accuracy" in story["failure"]["message"]


def test_a_score_that_is_not_finite_is_a_divergence(study: Api) -> None:
    ask(study)
    headers = {"Content-Type": "application/json"}
    body = b'{"metrics": {"val_accuracy": NaN}}'
    response = study.client.post("/api/v1/studies/s/trials/1/tell", content=body, headers=headers)
    assert response.status_code == 200
    assert response.json()["failure"]["kind"] == "diverged"
    assert tell(study, 1, metrics={"val_accuracy": None})["failure"]["kind"] == "diverged"


def test_a_failure_is_a_record_like_any_other(study: Api) -> None:
    ask(study)
    story = tell(study, 1, failure={"kind": "out_of_memory", "message": "CUDA out of memory"})
    assert story["state"] == "failed"
    assert story["failure"] == {"kind": "out_of_memory", "message": "CUDA out of memory"}
    assert study.get("/studies/s")["failures"] == 1


BODIES: list[dict[str, Any]] = [
    {},
    {"metrics": {"val_accuracy": 1}, "failure": {"kind": "crashed"}},
    {"metrics": {"val accuracy": 1}},
    {"metrics": {"val_accuracy": "0.5"}},
    {"metrics": {"val_accuracy": True}},
    {"metrics": {"val_accuracy": [1]}},
    {"failure": {"kind": "bored"}},
    {"failure": {"message": "no kind"}},
    {"metrics": {"a": 1}, "trial": 1},
    {"metrics": {f"m{i}": 1.0 for i in range(300)}},
]


@pytest.mark.parametrize("body", BODIES, ids=lambda b: str(b)[:50])
def test_what_is_told_is_checked(study: Api, body: dict[str, Any]) -> None:
    ask(study)
    study.post("/studies/s/trials/1/tell", body, 422)
    assert study.get("/studies/s/trials/1")["state"] == "running"


# -- epochs -------------------------------------------------------------------------------------------------


def test_an_epoch_that_comes_twice_is_kept_once(study: Api) -> None:
    ask(study)
    body = {"epoch": 1, "metrics": {"val_accuracy": 0.3}}
    study.post("/studies/s/trials/1/epochs", body)
    study.post("/studies/s/trials/1/epochs", body)
    study.post("/studies/s/trials/1/epochs", {"epoch": 2, "metrics": {"val_accuracy": 0.3}})
    assert [p["epoch"] for p in study.get("/studies/s/trials/1")["curve"]] == [1, 2]


def test_a_trial_that_diverges_is_asked_to_stop(world: Api) -> None:
    world.enter(manifest=MANIFEST, prune="diagnosis")
    ask(world)
    verdicts = [
        world.post(
            "/studies/s/trials/1/epochs", {"epoch": e, "metrics": {"train_loss": v, "val_accuracy": 0.1}}
        )
        for e, v in ((1, 1.0), (2, 2.0), (3, 1e9), (4, None), (5, None))
    ]
    assert verdicts[0] == {"should_stop": False, "reason": ""}
    assert verdicts[-1]["should_stop"] is True
    assert "diverged" in verdicts[-1]["reason"]
    story = tell(world, 1, metrics={"val_accuracy": 0.1})
    assert "diverged" in story["stopped_early"]
    kinds = [e["kind"] for e in world.get("/studies/s/events.json")["items"]]
    assert kinds.count("stop_asked") == 1


def test_epochs_of_a_trial_that_is_over_are_refused(study: Api) -> None:
    given = ask(study)
    tell(study, 1, metrics=score(given["config"]))
    study.post("/studies/s/trials/1/epochs", {"epoch": 1, "metrics": {}}, 409)
    study.post("/studies/s/trials/9/epochs", {"epoch": 1, "metrics": {}}, 404)
    tell(study, 9, 404, metrics={})
    assert [t.number for t in study.store.load_trials("s")] == [1]
    assert study.store.load_trials("s")[0].epochs == ()


# -- leases -------------------------------------------------------------------------------------------------


def test_a_trainer_that_is_silent_loses_its_trial_to_the_next(study: Api) -> None:
    first = ask(study, lease_seconds=60)
    study.clock.now += 59
    study.post("/studies/s/trials/1/epochs", {"epoch": 1, "metrics": {"val_accuracy": 0.2}})
    study.clock.now += 59
    assert ask(study)["trial"] == 2  # the epoch renewed the lease of the first
    study.clock.now += 2
    again = ask(study)
    assert (again["trial"], again["config"]) == (3, first["config"])
    lost = study.get("/studies/s/trials/1")
    assert (lost["state"], lost["failure"]["kind"]) == ("interrupted", "interrupted")
    assert "60 seconds" in lost["failure"]["message"]
    problem = tell(study, 1, 409, metrics=score(first["config"]))
    assert "interrupted" in problem["detail"]
    study.post("/studies/s/trials/1/epochs", {"epoch": 2, "metrics": {}}, 409)
    assert tell(study, 3, metrics=score(again["config"]))["state"] == "finished"


def test_a_trainer_that_comes_late_to_a_trial_that_nobody_took_is_heard(study: Api) -> None:
    given = ask(study, lease_seconds=10)
    study.clock.now += 10_000
    assert tell(study, 1, metrics=score(given["config"]))["state"] == "finished"


def test_a_configuration_that_ends_two_trainers_counts_as_crashed(study: Api) -> None:
    ask(study, lease_seconds=10)
    study.clock.now += 11
    ask(study, lease_seconds=10)
    study.clock.now += 11
    third = ask(study)
    assert third["config"] != study.get("/studies/s/trials/1")["config"]
    assert study.get("/studies/s/trials/2")["failure"]["kind"] == "crashed"


def test_a_lease_has_bounds(study: Api) -> None:
    ask(study, 422, lease_seconds=5)
    ask(study, 422, lease_seconds=86_401)
    assert ask(study, lease_seconds=86_400)["lease_seconds"] == 86_400


# -- what a person wants ------------------------------------------------------------------------------------


def test_a_paused_study_gives_out_nothing_and_hears_everything(study: Api) -> None:
    given = ask(study)
    assert study.post("/studies/s/pause", status=202)["state"] == "paused"
    assert "paused" in ask(study, 409)["detail"]
    assert tell(study, 1, metrics=score(given["config"]))["state"] == "finished"
    assert study.post("/studies/s/resume", status=202)["state"] == "external"
    assert ask(study)["trial"] == 2


def test_a_stopped_study_is_over_and_lets_its_trainers_end(study: Api) -> None:
    given = ask(study)
    assert study.post("/studies/s/stop", status=202)["state"] == "stopped"
    assert "stopped" in ask(study, 410)["detail"]
    verdict = study.post("/studies/s/trials/1/epochs", {"epoch": 1, "metrics": {}})
    assert verdict == {"should_stop": True, "reason": "the study was stopped"}
    assert tell(study, 1, metrics=score(given["config"]))["state"] == "finished"


def test_a_study_that_somebody_trains_is_deleted_after_it_was_stopped(study: Api) -> None:
    import time

    study.clock.now = time.time()
    ask(study)
    study.delete("/studies/s", 409)
    study.post("/studies/s/stop", status=202)
    assert "delete" in study.get("/studies/s")["actions"]
    study.delete("/studies/s")
    study.get("/studies/s", 404)
    tell(study, 1, 404, metrics={})
    study.enter(manifest=MANIFEST)
    assert ask(study)["trial"] == 1


def test_a_study_that_workers_run_cannot_be_asked(world: Api) -> None:
    world.enter()
    problem = ask(world, 409)
    assert "the service itself" in problem["detail"]
    tell(world, 1, 409, metrics={})


def test_stopping_rules_end_an_external_study_too(world: Api) -> None:
    world.enter(manifest=MANIFEST, trials=10, stop_at_target=True)
    given = ask(world)
    tell(world, given["trial"], metrics={"val_accuracy": 0.95})
    shown = world.get("/studies/s")
    assert (shown["state"], shown["message"]) == ("finished", "Stopped early: the target is reached.")


def test_a_space_without_anything_untested_is_exhausted(world: Api) -> None:
    tiny = MANIFEST | {"params": {"layers": {"type": "int", "low": 1, "high": 2, "default": 1}}}
    world.enter(manifest=tiny, trials=10)
    for number in (1, 2):
        given = ask(world)
        assert given["trial"] == number
        tell(world, number, metrics=score(given["config"]))
    assert "no untested configuration" in ask(world, 410)["detail"]
    assert world.get("/studies/s")["state"] == "finished"


def test_time_ends_an_external_study(world: Api) -> None:
    world.enter(manifest=MANIFEST, max_seconds=3600)
    given = ask(world)
    world.clock.now += 3601
    tell(world, 1, metrics=score(given["config"]))
    assert world.get("/studies/s")["message"] == "Stopped early: the time is used up."
