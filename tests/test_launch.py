from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tcs_hpt.catalog import LoadedTask, load_task
from tcs_hpt.errors import UserError
from tcs_hpt.records import Trial
from tcs_hpt.spec import StopRules
from tcs_hpt.store import Store, WrongState
from tcs_hpt.testing.samples import simple_trial
from tcs_hpt.tuning.launch import (
    Launch,
    Models,
    enter_study,
    make_study,
    opened_models,
    remove_study,
    study_spec,
)
from tcs_hpt.tuning.places import study_folder

MANIFEST = """
schema = 1
name = "mine"
command = ["{python}", "train.py"]
[objective]
metric = "score"
direction = "maximize"
[params.lr]
type = "float"
low = 1e-4
high = 1.0
log = true
default = 0.01
[params.layers]
type = "int"
low = 1
high = 8
default = 2
[fixed]
patience = 10
[profiles.quick]
fixed = { patience = 1 }
"""
NOON = 1_800_000_000.0


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "home" / "studies.db")) as store:
        yield store


@pytest.fixture
def mine(tmp_path: Path) -> LoadedTask:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "task.toml").write_text(MANIFEST)
    (folder / "train.py").write_text("")
    return load_task(folder)


def launch(**changes: Any) -> Launch:
    fields: dict[str, Any] = {"task": "mine", "method": "random", "name": "n"}
    return Launch(**fields | changes)


def made(store: Store, loaded: LoadedTask, asked: Launch) -> list[Trial]:
    """The study as `tcs-hpt tune` would make it, without running it."""
    with ExitStack() as stack:
        spec = study_spec(asked, loaded, store)
        models = opened_models(stack, asked, spec.name, store)
        return make_study(asked, spec, loaded, store, models).trials


# -- what is meant --------------------------------------------------------------------------------------------


def test_a_launch_survives_the_queue() -> None:
    asked = launch(
        fix={"lr": 0.5, "layers": 3, "flag": True, "word": "x"}, only=("lr",), max_seconds=1.5, patience=3
    )
    again = Launch.model_validate_json(asked.model_dump_json())
    assert again == asked
    assert repr(again.fix) == repr(asked.fix)


@pytest.mark.parametrize(
    "wrong",
    [
        {"trials": 0},
        {"jobs": 0},
        {"seed": -1},
        {"max_seconds": 0},
        {"keep": "some"},
        {"start": "warm"},
        {"prune": "hard"},
        {"answers": "x"},
        {"colour": "red"},
    ],
)
def test_a_launch_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        launch(**wrong)


def test_the_study_is_what_the_launch_says(store: Store, mine: LoadedTask) -> None:
    asked = launch(
        trials=7,
        seed=3,
        start="cold",
        keep="all",
        prune="diagnosis",
        memory=False,
        description="d",
        max_seconds=60,
        stop_at_target=True,
        patience=2,
        stop_converged=True,
        max_failures=0,
        fix={"layers": "4"},
    )
    spec = study_spec(asked, mine, store)
    assert (spec.name, spec.method, spec.trials, spec.seed, spec.start) == ("n", "random", 7, 3, "cold")
    assert (spec.keep, spec.prune, spec.memory, spec.description) == ("all", "diagnosis", False, "d")
    assert spec.stop == StopRules(seconds=60, target=True, patience=2, converged=True, failures=0)
    assert (list(spec.task.params), spec.task.fixed["layers"]) == (["lr"], 4)
    assert store.list_studies() == []


def test_only_built_in_tasks_are_quick_unless_told_otherwise(store: Store, mine: LoadedTask) -> None:
    assert study_spec(launch(), mine, store).task.fixed["patience"] == 10
    assert study_spec(launch(profile="quick"), mine, store).task.fixed["patience"] == 1
    built_in = study_spec(launch(task="mlp_digits"), load_task("mlp_digits"), store)
    assert built_in.profile == "quick"


def test_a_study_without_a_name_gets_one_that_is_free(store: Store, mine: LoadedTask) -> None:
    first, second = (enter_study(launch(name=""), mine, store, now=NOON).name for _ in range(2))
    assert first.startswith("mine-")
    assert second != first
    with pytest.raises(UserError, match="cannot name a study"):
        study_spec(launch(name="../x"), mine, store)


# -- models ---------------------------------------------------------------------------------------------------


def test_a_method_without_a_model_opens_none(store: Store, mine: LoadedTask) -> None:
    with ExitStack() as stack:
        assert opened_models(stack, launch(model="nonsense"), "n", store) == Models()


def test_two_agents_may_have_two_models(store: Store, mine: LoadedTask, tmp_path: Path) -> None:
    (tmp_path / "replies.json").write_text('["{}"]')
    other = f"scripted:{tmp_path}/replies.json"
    asked = launch(method="tcs", model="scripted:first", optimizer_model=other)
    made(store, mine, asked)
    spec = store.get_study("n")
    assert (spec.analysis_model, spec.optimizer_model) == ("scripted:first", other)


def test_a_study_that_was_entered_gets_its_models_when_it_is_run(store: Store, mine: LoadedTask) -> None:
    asked = launch(method="tcs", model="scripted:first")
    enter_study(asked, mine, store, now=NOON)
    assert store.study_row("n").model == ""
    made(store, mine, asked)
    assert store.study_row("n").model == "scripted:first"
    made(store, mine, asked)  # again, as after a pause
    made(store, mine, asked.model_copy(update={"model": "auto"}))  # goes on with its own
    assert store.get_study("n").analysis_model == "scripted:first"


def test_a_study_that_was_made_differently_gets_no_models(store: Store, mine: LoadedTask) -> None:
    asked = launch(method="tcs", model="scripted:first")
    enter_study(asked, mine, store, now=NOON)
    with pytest.raises(UserError, match="made differently: seed was 0, now 1"):
        made(store, mine, asked.model_copy(update={"seed": 1}))
    assert store.get_study("n").analysis_model == ""


# -- entering -------------------------------------------------------------------------------------------------


def test_a_study_is_entered_with_its_final_name(store: Store, mine: LoadedTask) -> None:
    spec = enter_study(launch(name=""), mine, store, now=NOON)
    (entry,) = store.queue()
    assert (entry.name, entry.state, entry.entered_at) == (spec.name, "queued", NOON)
    assert Launch.model_validate_json(entry.launch) == launch(name=spec.name)
    assert store.get_study(spec.name) == spec


def test_a_study_for_others_to_run_is_not_queued(store: Store, mine: LoadedTask) -> None:
    enter_study(launch(), mine, store, now=NOON, state="external")
    assert [e.state for e in store.queue()] == ["external"]


def test_a_study_is_entered_once(store: Store, mine: LoadedTask) -> None:
    enter_study(launch(), mine, store, now=NOON)
    with pytest.raises(WrongState, match="already a study 'n' in the queue"):
        enter_study(launch(trials=99), mine, store, now=NOON)
    assert store.get_study("n").trials == 10


def test_what_was_cut_off_while_it_was_entered_is_entered_again(store: Store, mine: LoadedTask) -> None:
    store.create_study(study_spec(launch(), mine, store))  # and then the process died
    enter_study(launch(), mine, store, now=NOON)
    assert [e.name for e in store.queue()] == ["n"]


def test_a_study_from_a_terminal_may_go_on_in_the_service(store: Store, mine: LoadedTask) -> None:
    made(store, mine, launch(method="tcs", model="scripted:first"))
    with pytest.raises(UserError, match="made differently"):
        enter_study(launch(method="random"), mine, store, now=NOON)
    enter_study(launch(method="tcs", trials=20), mine, store, now=NOON)
    assert store.get_study("n").trials == 20
    assert store.get_study("n").analysis_model == "scripted:first"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"method": "magic"}, "there is no method 'magic'"),
        ({"method": "tcs:no-magic"}, "magic"),
        ({"profile": "huge"}, "no profile 'huge'"),
        ({"fix": {"depth": 1}}, "no parameter 'depth'"),
        ({"fix": {"lr": 5.0}}, "lr"),
        ({"name": "a b"}, "cannot name a study"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(
    store: Store, mine: LoadedTask, wrong: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(UserError, match=sentence) as caught:
        enter_study(launch(**wrong), mine, store, now=NOON)
    assert caught.value.hint
    assert store.list_studies() == []


# -- removing -------------------------------------------------------------------------------------------------


def test_a_study_is_removed_with_its_folder(store: Store, mine: LoadedTask) -> None:
    for name in ("n", "other"):
        enter_study(launch(name=name), mine, store, now=NOON)
        folder = study_folder(store, name)
        (folder / "trial_0001").mkdir(parents=True)
    remove_study(store, "n")
    assert [row.name for row in store.list_studies()] == ["other"]
    assert not study_folder(store, "n").exists()
    assert study_folder(store, "other").exists()
    remove_study(store, "other")
    with pytest.raises(UserError, match="no study 'other'"):
        remove_study(store, "other")


def test_a_study_that_runs_keeps_its_folder(store: Store, mine: LoadedTask) -> None:
    enter_study(launch(), mine, store, now=NOON)
    folder = study_folder(store, "n")
    folder.mkdir(parents=True)
    config = {"lr": 0.01, "layers": 2}
    assert store.start_trial("n", simple_trial(1, config=config), "engine", seconds=1e9, now=NOON)
    with pytest.raises(WrongState):
        remove_study(store, "n")
    assert folder.exists()
