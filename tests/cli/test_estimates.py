from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tcs_hpt.cli._comparing import trials_left
from tcs_hpt.compare import plan_confirmation, studies_of, winners
from tcs_hpt.store import Store
from tests.comparing import TRIALS, Executor, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Store.open(str(tmp_path / "studies.db")) as store:
        yield World(tmp_path, store)


def test_trials_that_are_left_are_counted_by_task(world: World) -> None:
    planned = world.plan("coin,expert", "2")
    name = world.entry.spec.name
    assert trials_left(planned, world.store, 0) == {name: 4 * TRIALS}
    world.make(planned[:1], Executor()).run()
    assert trials_left(planned, world.store, 0) == {name: 3 * TRIALS}
    world.make(planned, Executor()).run()
    assert trials_left(planned, world.store, 0) == {}


@pytest.mark.parametrize(("start", "most"), [("defaults", 3), ("cold", 2)])
def test_winners_to_be_tried_again_are_counted_too(world: World, start: str, most: int) -> None:
    planned = world.plan("coin,expert", "2", start=start)
    name = world.entry.spec.name
    assert trials_left(planned, world.store, 5)[name] == 4 * TRIALS + 5 * most
    world.make(planned, Executor()).run()
    repeats = plan_confirmation("c", winners(studies_of(world.store, "c")), {name: world.entry}, 5)
    assert trials_left(planned, world.store, 5)[name] == len(repeats)
    world.make(repeats[:2], Executor()).run()
    assert trials_left(planned, world.store, 5)[name] == len(repeats) - 2
    world.make(repeats, Executor()).run()
    assert trials_left(planned, world.store, 5) == {}
