from __future__ import annotations

import pytest

from tcs_hpt.agents.answers import PROBLEMS
from tcs_hpt.errors import UserError
from tcs_hpt.evidence.roles import role_of
from tcs_hpt.experiments.example_state import ExampleState
from tcs_hpt.experiments.states import STATES, find_states
from tcs_hpt.guard import AGENT_RULES, check

EACH = pytest.mark.parametrize("state", STATES.values(), ids=STATES)


@EACH
def test_every_change_on_offer_could_run_next(state: ExampleState) -> None:
    assert len(state.changes) == len(state.configs) == 8
    space = state.context.space
    for config in state.configs.values():
        decision = check(config, space, state.trials, AGENT_RULES, state.base.config)
        assert decision.accepted, decision.reasons
    assert len({space.key(c) for c in state.configs.values()}) == 8


@EACH
def test_trials_are_inside_their_space_and_carry_the_values_of_their_curves(state: ExampleState) -> None:
    metric = state.task.objective.metric
    for trial in state.trials:
        assert state.context.space.contains(trial.config)
        curve = [e.metrics[metric] for e in trial.epochs]
        assert trial.value in (None, curve[-1], max(v for v in curve if v is not None))


@EACH
def test_the_known_problem_is_what_the_curves_show(state: ExampleState) -> None:
    assert state.context.report.diagnosis.main in state.problems
    assert state.problems <= set(PROBLEMS)
    assert state.context.report.diagnosis.main in state.context.report_text


@EACH
def test_the_offers_are_fair(state: ExampleState) -> None:
    assert state.coin("right") == state.coin("wrong")
    assert state.coin("right") + state.coin("wrong") + state.coin("open") == 1
    assert (state.coin("right") > 0) == bool(state.moves)


@EACH
def test_learning_rates_are_on_offer(state: ExampleState) -> None:
    names = state.context.space.names
    assert sum(role_of(c.parameter, names) == "learning_rate" for c in state.changes.values()) >= 1


def test_ways() -> None:
    diverged, plateau = STATES["diverged"], STATES["plateau"]
    assert diverged.way("lr: 0.5 -> 0.05") == "right"
    assert diverged.way("lr: 0.5 -> 1") == "wrong"
    assert diverged.way("epochs: 30 -> 60") == "open"
    assert STATES["overfitting"].way("dropout: 0.1 -> 0.5") == "right"
    assert {plateau.way(text) for text in plateau.changes} == {"open"}


def test_states_are_found_by_name_in_the_given_order_and_once() -> None:
    assert [s.name for s in find_states(["plateau", "diverged", "plateau"])] == ["plateau", "diverged"]
    with pytest.raises(UserError, match="no example state 'overfit'") as caught:
        find_states(["diverged", "overfit"])
    assert "overfitting" in caught.value.hint
