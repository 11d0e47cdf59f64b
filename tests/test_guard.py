from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcs_hpt.guard import AGENT_RULES, FREE_RULES, check
from tcs_hpt.space import SearchSpace
from tests.build import configs, histories, history, spaces, task, trial

SPEC = task()
SPACE = SearchSpace(SPEC.params)
BASE = SPACE.defaults()


def reasons(config: dict[str, Any], *, rules: Any = AGENT_RULES) -> str:
    return "; ".join(check(config, SPACE, history(SPEC), rules, BASE).reasons)


def test_one_untested_change_inside_the_space_is_accepted() -> None:
    assert check({**BASE, "epochs": 25}, SPACE, history(SPEC), AGENT_RULES, BASE).accepted


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"lr": 7.0}, "lr must be between 1e-4 and 1, got 7.0"),
        ({"momentum": 0.5}, "momentum exists only when optimizer is sgd"),
        ({"lr": 0.02, "epochs": 25}, "2 parameters were changed (lr, epochs); change exactly one"),
        ({}, "nothing was changed"),
        ({"lr": 0.003}, "trial 2 already tested this configuration"),
        ({"lr": 0.0030001}, "trial 2 already tested"),
    ],
)
def test_refusals_say_why(change: dict[str, Any], reason: str) -> None:
    assert reason in reasons({**BASE, **change})


def test_a_parent_and_its_child_are_one_change() -> None:
    sgd = SPACE.changed(BASE, "optimizer", "sgd")
    assert check(sgd, SPACE, [], AGENT_RULES, BASE).accepted
    assert not check({**sgd, "lr": 0.1}, SPACE, [], AGENT_RULES, BASE).accepted


def test_a_child_that_is_switched_on_and_set_is_a_second_change() -> None:
    sgd = {**SPACE.changed(BASE, "optimizer", "sgd"), "momentum": 0.5}
    decision = check(sgd, SPACE, [], AGENT_RULES, BASE)
    assert decision.reasons == ("optimizer was changed and momentum was set as well; change exactly one",)


def test_failed_and_running_trials_count_as_tested_interrupted_ones_do_not() -> None:
    config = {**BASE, "epochs": 25}
    for state, accepted in [("failed", False), ("running", False), ("interrupted", True)]:
        other = trial(1, config, None, state=state)
        assert check(config, SPACE, [other], AGENT_RULES, BASE).accepted is accepted


def test_free_search_may_change_everything_but_not_leave_the_space() -> None:
    assert check({**BASE, "lr": 0.5, "epochs": 3}, SPACE, [], FREE_RULES).accepted
    assert not check({**BASE, "lr": 5.0}, SPACE, [], FREE_RULES).accepted


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.data(), spaces())
def test_what_the_guard_accepts_is_inside_the_space(data: st.DataObject, space: SearchSpace) -> None:
    trials = data.draw(histories(space, max_size=4))
    base = data.draw(configs(space))
    config: dict[str, Any] = dict(data.draw(configs(space)))
    for name in data.draw(st.lists(st.sampled_from([*space.names, "other"]), max_size=2)):
        config[name] = data.draw(anything)
    decision = check(config, space, trials, AGENT_RULES, base)
    assert decision.accepted == (not decision.reasons)
    if decision.accepted:
        assert space.contains(config)
        assert len(space.changed_parameters(base, config)) == 1
        assert space.key(config) not in {space.key(t.config) for t in trials if t.state != "interrupted"}
