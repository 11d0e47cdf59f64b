from __future__ import annotations

import math
from typing import Any

import pytest

from tcs_hpt.errors import UserError
from tcs_hpt.proposers import ProposalContext, make_proposer
from tcs_hpt.proposers.fitness import WORST, by_front, by_score
from tcs_hpt.records import Proposal, Trial
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import Objective, StudySpec
from tcs_hpt.statistics import pareto_front
from tcs_hpt.testing.proposers import SPACES, ended, proposer_study

TWO = Objective.model_validate(
    {
        "metric": "weighted_score",
        "direction": "maximize",
        "terms": [
            {"metric": "accuracy", "direction": "maximize", "weight": 1.0},
            {"metric": "latency", "direction": "minimize", "weight": 0.01},
        ],
    }
)


def point(number: int, accuracy: float, latency: float, **changes: Any) -> Trial:
    metrics = {"accuracy": accuracy, "latency": latency}
    fields: dict[str, Any] = {
        "number": number,
        "config": {"lr": 0.1},
        "state": "finished",
        "proposal": Proposal(config={"lr": 0.1}, source="ga"),
        "value": TWO.complete(metrics)["weighted_score"],
        "metrics": metrics,
    }
    return Trial.model_validate(fields | changes)


def test_fronts_come_first_and_room_decides_on_the_same_front() -> None:
    trials = [
        point(1, 0.9, 50.0),  # the most accurate
        point(2, 0.8, 30.0),
        point(3, 0.79, 28.0),  # close to trial 2 on one side, far from trial 4 on the other
        point(4, 0.5, 10.0),  # the quickest
        point(5, 0.7, 40.0),  # beaten by trials 2 and 3
        point(6, 0.4, 45.0),  # beaten by trial 5 as well
    ]
    found = by_front(trials, TWO)
    assert [rank for rank, _ in found] == [0, 0, 0, 0, -1, -2]
    assert found[0][1] == found[3][1] == math.inf
    # The sides of the box between the neighbours, each by its range, here 0.4 and 40; DEAP takes their mean.
    between = [((0.9 - 0.79) / 0.4 + (50 - 28) / 40) / 2, ((0.8 - 0.5) / 0.4 + (30 - 10) / 40) / 2]
    assert [found[1][1], found[2][1]] == pytest.approx(between)


def test_weights_have_no_part() -> None:
    other = Objective.model_validate(
        TWO.model_dump() | {"terms": [term.model_dump() | {"weight": 7.0} for term in TWO.terms]}
    )
    trials = [point(i, 0.1 * i, (i * 7) % 5) for i in range(1, 9)]
    assert by_front(trials, TWO) == by_front(trials, other)
    assert by_score(trials, TWO) == [(t.value,) for t in trials]


def test_what_failed_or_breaks_a_bound_is_worst() -> None:
    trials = [
        point(1, 0.9, 50.0, violations=("latency <= 20, got 50",)),
        point(2, 0.1, 19.0),
        point(3, 0.5, 5.0, state="failed", value=None, metrics={}),
        point(4, 0.5, 5.0, state="running", value=None, metrics={}),
    ]
    for judge in (by_front, by_score):
        found = judge(trials, TWO)
        assert [f[0] == WORST for f in found] == [True, False, True, True]
    assert by_front(trials[:1], TWO) == [(WORST, 0.0)]
    assert by_front([], TWO) == []


@pytest.mark.parametrize("method", ["ga:pareto", "ga:4+pareto"])
def test_a_single_metric_is_refused_before_anything_runs(method: str) -> None:
    study = proposer_study(SPACES["one float"])
    with pytest.raises(
        UserError, match=r"needs two metrics to trade .* val_accuracy decides alone"
    ) as caught:
        make_proposer(method).propose(ProposalContext(study, [], 1))
    assert "[[objectives]]" in caught.value.hint


@pytest.mark.parametrize("method", ["ga:+pareto", "ga:1+pareto", "ga:pareto+4", "ga:paretos"])
def test_other_names_are_refused(method: str) -> None:
    with pytest.raises(UserError, match="there is no method"):
        make_proposer(method)


def conflicting(number: int, proposal: Proposal, space: SearchSpace) -> Trial:
    """Two metrics that pull every parameter to another end; nothing is best in both."""
    places = space.encode(proposal.config)
    accuracy = 1.0 - sum((p - 0.9) ** 2 for p in places) / len(places)
    latency = sum((p - 0.1) ** 2 for p in places) / len(places)
    metrics = TWO.complete({"accuracy": accuracy, "latency": 100.0 * latency})
    return ended(number, proposal, space, metrics=metrics, value=metrics["weighted_score"])


def volume(trials: list[Trial]) -> float:
    """The area that the front covers, against accuracy 0 and latency 100."""
    points = [(t.metrics["accuracy"] or 0.0, t.metrics["latency"] or 0.0) for t in trials]
    front = sorted(points[i] for i in pareto_front(points, ["maximize", "minimize"]))
    area, done = 0.0, 0.0
    for accuracy, latency in front:  # accuracy rises, and so does latency
        area += max(0.0, accuracy - done) * (100.0 - latency)
        done = max(done, accuracy)
    return area


def study_of_two(seed: int) -> StudySpec:
    study = proposer_study(
        {f"p{i}": {"type": "float", "low": 0.0, "high": 1.0} for i in range(8)},
        trials=80,
        seed=seed,
        start="cold",
    )
    return study.model_copy(update={"task": study.task.model_copy(update={"objective": TWO})})


def test_its_front_is_ahead_of_the_one_of_random_search() -> None:
    fronts: dict[str, list[float]] = {"ga:10+pareto": [], "random": []}
    for method, found in fronts.items():
        for seed in range(3):
            study, proposer, trials = study_of_two(seed), make_proposer(method), list[Trial]()
            for number in range(1, 81):
                proposal = proposer.propose(ProposalContext(study, trials, number))
                assert proposal is not None
                trials.append(conflicting(number, proposal, SearchSpace(study.task.params)))
            found.append(volume(trials))
    pairs = list(zip(fronts["ga:10+pareto"], fronts["random"], strict=True))
    assert all(bred > drawn for bred, drawn in pairs)
