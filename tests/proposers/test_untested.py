from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tcs_hpt.proposers.untested import all_values, configurations, is_active, untested
from tcs_hpt.records import Trial
from tcs_hpt.space import SearchSpace
from tcs_hpt.testing.proposers import SMALL
from tests.build import configs, spaces, task, trial


def space_of(params: dict[str, Any]) -> SearchSpace:
    return SearchSpace(task(params).params)


@given(st.data())
def test_all_values_are_inside_and_differ(data: st.DataObject) -> None:
    space = data.draw(spaces(max_size=1))
    values = all_values(space, "p0")
    assert all(space.contains({"p0": v}) for v in values)
    assert len({space.key({"p0": v}) for v in values}) == len(values)


@given(st.data())
def test_every_configuration_counts_as_one_of_them(data: st.DataObject) -> None:
    """Nothing that a proposer could draw is missing from the enumeration."""
    space = data.draw(spaces(max_size=1))
    known = {space.key({"p0": v}) for v in all_values(space, "p0")}
    assert space.key(data.draw(configs(space))) in known


def test_enormous_ranges_cost_nothing() -> None:
    space = space_of({"seed": {"type": "int", "low": 0, "high": 2**60}})
    assert len(all_values(space, "seed")) == 2**60 + 1
    assert untested(space, [], np.random.default_rng(0)) is not None


@given(st.data())
def test_active_parents_first_is_what_the_space_says(data: st.DataObject) -> None:
    space = data.draw(spaces())
    config = data.draw(configs(space))
    known: dict[str, Any] = {}
    for name in space.parents_first:
        assert is_active(space, name, known) == (name in config)
        known |= {name: config[name]} if name in config else {}


def test_configurations_are_all_there_once() -> None:
    space = space_of(SMALL)
    found = list(configurations(space, lambda name: all_values(space, name)))
    assert len(found) == len({space.key(c) for c in found}) == 9
    assert all(space.contains(c) for c in found)


@settings(max_examples=30)
@given(st.integers(0, 1000))
def test_the_last_configuration_is_found_and_then_none(seed: int) -> None:
    space, random = space_of(SMALL), np.random.default_rng(seed)
    trials: list[Trial] = []
    while (config := untested(space, trials, random)) is not None:
        trials.append(trial(len(trials) + 1, config, 0.5))
    assert len({space.key(t.config) for t in trials}) == 9


def test_where_the_search_begins_depends_on_the_seed() -> None:
    space = space_of(SMALL)
    firsts = [untested(space, [], np.random.default_rng(seed)) for seed in range(20)]
    assert len(list(itertools.groupby(sorted(firsts, key=str)))) > 4
