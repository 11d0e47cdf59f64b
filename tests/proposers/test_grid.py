from __future__ import annotations

from typing import Any

import pytest

from tcs_hpt.proposers import ProposalContext, make_proposer
from tcs_hpt.proposers.grid import POINTS, first_levels, level_values
from tcs_hpt.records import Trial
from tcs_hpt.space import SearchSpace
from tcs_hpt.testing.proposers import SPACES, ended, play, proposer_study
from tests.build import task

MIXED: dict[str, Any] = {
    "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True},
    "layers": {"type": "int", "low": 1, "high": 4},
    "width": {"type": "categorical", "choices": [16, 32, 64, 128, 256]},
    "optimizer": {"type": "categorical", "choices": ["adam", "sgd", "lion"]},
}


def test_levels_lie_in_the_middles_of_equal_parts() -> None:
    space = SearchSpace(task(MIXED).params)
    assert level_values(space, "lr", 2) == (0.001, 0.1)
    assert level_values(space, "layers", 2) == (2, 3)
    assert level_values(space, "layers", 9) == (1, 2, 3, 4)
    assert level_values(space, "width", 2) == (32, 128)
    assert level_values(space, "width", 3) == (16, 64, 256)
    assert level_values(space, "optimizer", 2) == ("adam", "sgd", "lion")  # without order there is no middle


@pytest.mark.parametrize(
    ("space", "trials", "levels"),
    [("one float", 10, 10), ("one float", 1, 2), ("steps", 10, 3), ("steps", 8, 2), ("many", 10, 2)],
)
def test_there_are_as_few_levels_as_the_budget_needs(space: str, trials: int, levels: int) -> None:
    assert first_levels(SearchSpace(task(SPACES[space]).params), trials) == levels


def test_any_first_part_of_the_grid_is_spread() -> None:
    """Four points into it, both levels of every parameter were tried, whatever the seed."""
    for seed in range(5):
        study = proposer_study(SPACES["steps"], trials=8, seed=seed, start="cold")
        trials = play(make_proposer("grid"), study, 4, ("finished",))
        for name in study.task.params:
            assert len({t.config[name] for t in trials}) == 2


def test_the_grid_is_used_up_and_then_refined() -> None:
    study = proposer_study(SPACES["steps"], trials=8, start="cold")
    trials = play(make_proposer("grid"), study, 12, ("finished",))
    coarse, fine = trials[:8], trials[8:]
    assert {t.proposal.reason for t in coarse} == {
        "Farthest from all trials on a grid of 2 levels a parameter."
    }
    assert {t.proposal.reason for t in fine} == {
        "Farthest from all trials on a grid of 4 levels a parameter."
    }
    assert all(t.proposal.source == "grid" for t in trials)


def test_the_seed_decides_between_equally_far_points() -> None:
    orders = set()
    for seed in range(6):
        study = proposer_study(SPACES["steps"], trials=8, seed=seed, start="cold")
        trials = play(make_proposer("grid"), study, 8, ("finished",))
        orders.add(tuple(tuple(t.config.values()) for t in trials))
        assert len({frozenset(o) for o in orders}) == 1  # the grid itself is the same
    assert len(orders) > 3


def test_scores_do_not_steer_a_grid() -> None:
    study = proposer_study(SPACES["conditions"])
    space = SearchSpace(study.task.params)
    trials = play(make_proposer("grid"), study, 4, ("finished",))
    others: list[Trial] = [ended(t.number, t.proposal, space, value=float(t.number)) for t in trials]
    proposals = [make_proposer("grid").propose(ProposalContext(study, some, 5)) for some in (trials, others)]
    assert proposals[0] == proposals[1]


def test_of_a_large_grid_some_points_are_compared() -> None:
    study = proposer_study(SPACES["many"])
    assert 2 ** len(study.task.params) > POINTS
    trials = play(make_proposer("grid"), study, 5, ("finished",))
    space = SearchSpace(study.task.params)
    for trial in trials[1:]:
        assert all(trial.config[n] in level_values(space, n, 2) for n in space.names)
        assert min(space.distance(trial.config, t.config) for t in trials if t is not trial) > 0.2
