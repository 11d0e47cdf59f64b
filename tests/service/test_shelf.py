"""When the service looks at all trials of a study: when that is asked for, again after a change, and ahead of time after a start."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tcs_hpt.events import EpochReported, TrialEnded, TrialStarted
from tcs_hpt.records import EpochRecord, Trial
from tcs_hpt.service import shelf as shelf_module
from tcs_hpt.service.read_ahead import read_ahead
from tcs_hpt.service.shelf import Shelf
from tcs_hpt.spec import StudySpec
from tcs_hpt.store import Store, glance
from tests.build import history, study, task, trial
from tests.service.api import AT, api, record


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "studies.db")) as opened:
        yield opened


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The studies whose trials were all looked at, in order."""
    seen: list[str] = []

    def counted(store: Store, name: str) -> list[Trial]:
        seen.append(name)
        return glance.light_trials(store, name)

    monkeypatch.setattr(shelf_module, "light_trials", counted)
    return seen


def read(store: Store, shelf: Shelf, *, newest: int = 100, closing: bool = False) -> None:
    """Read ahead, in a loop of its own in another thread: in this one the browser's may run."""

    async def reading() -> None:
        event = asyncio.Event()
        if closing:
            event.set()
        await read_ahead(store, shelf, event, newest=newest)

    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, reading()).result()


def named(name: str) -> StudySpec:
    return study(task(), name=name, trials=20)


def test_trials_are_looked_at_once(store: Store, looks: list[str]) -> None:
    record(store, history(task()), named("a"))
    shelf = Shelf(store)
    first = shelf.facts(shelf.study("a"))
    assert shelf.facts(shelf.study("a")) is first
    assert first.best == shelf.study("a").row.best_trial == 4
    assert looks == ["a"]


def test_a_study_alone_costs_no_look(store: Store, looks: list[str]) -> None:
    record(store, history(task()), named("a"))
    known = Shelf(store).study("a")
    assert (known.model_reason, known.ended) == ("It was there.", "trials")
    assert looks == []


def test_they_are_looked_at_again_after_a_change_and_not_after_an_epoch(
    store: Store, looks: list[str]
) -> None:
    trials = history(task())
    record(store, trials, named("a"), ended=False)
    shelf = Shelf(store)
    before = shelf.facts(shelf.study("a"))
    better = trial(7, trials[0].config, 0.99)

    store.append_event("a", EpochReported(number=7, epoch=EpochRecord(epoch=1, metrics={})), AT)
    assert shelf.facts(shelf.study("a")) is before

    store.save_trial("a", better.model_copy(update={"state": "running", "value": None}))
    store.append_event("a", TrialStarted(number=7, config=better.config), AT)
    assert shelf.facts(shelf.study("a")).progress.states[-1] == "running"

    store.save_trial("a", better)
    store.append_event("a", TrialEnded(trial=better), AT)
    after = shelf.facts(shelf.study("a"))
    assert (before.best, after.best) == (4, 7)
    assert looks == ["a"] * 3


def test_facts_of_a_moment_ago_are_not_taken_for_later_ones(store: Store) -> None:
    """A request that began before a trial ended asks for its facts after another request saw the end."""
    trials = history(task())
    record(store, trials[:-1], named("a"), ended=False)
    shelf = Shelf(store)
    early = shelf.study("a")
    store.save_trial("a", trials[-1])
    store.append_event("a", TrialEnded(trial=trials[-1]), AT)
    assert len(shelf.facts(early).progress.numbers) == 6  # newer than asked for: that does no harm
    assert len(shelf.facts(shelf.study("a")).progress.numbers) == 6


def test_a_study_made_anew_is_another_one(store: Store) -> None:
    record(store, history(task()), named("a"))
    shelf = Shelf(store)
    assert len(shelf.facts(shelf.study("a")).progress.numbers) == 6
    store.delete_study("a")
    record(store, history(task())[:2], named("a"))
    assert shelf.facts(shelf.study("a")).progress.numbers == [1, 2]


def test_the_newest_studies_are_read_ahead(store: Store, looks: list[str]) -> None:
    for name in ("a", "b", "c"):
        record(store, history(task()), named(name))
    shelf = Shelf(store)
    read(store, shelf, newest=2)
    assert looks == ["c", "b"]
    shelf.facts(shelf.study("b"))
    assert looks == ["c", "b"]


def test_no_look_ahead_begins_when_the_service_is_closing(store: Store, looks: list[str]) -> None:
    record(store, history(task()), named("a"))
    read(store, Shelf(store), closing=True)
    assert looks == []


def test_a_study_that_cannot_be_read_does_not_end_the_reading(
    store: Store, looks: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "gone", "c"):
        record(store, history(task()), named(name))
    shelf = Shelf(store)
    whole = shelf.study

    def study_of(name: str) -> object:
        if name == "gone":
            store.delete_study("gone")
        return whole(name)

    monkeypatch.setattr(shelf, "study", study_of)
    read(store, shelf)
    assert looks == ["c", "a"]


def test_the_service_reads_ahead_when_it_starts(tmp_path: Path, looks: list[str]) -> None:
    with Store.open(str(tmp_path / "home" / "studies.db")) as before:
        record(before, history(task()), named("a"))
    with api(tmp_path) as world:
        for _ in range(500):
            if looks:
                break
            world.get("/tasks")  # nothing that needs a look
        assert looks == ["a"]
