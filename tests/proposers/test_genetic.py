from __future__ import annotations

import random
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import fmean

import pytest

from tcs_hpt.errors import UserError
from tcs_hpt.proposers import ProposalContext, make_proposer
from tcs_hpt.proposers.genetic import MUTATION, GeneticProposer, _Child
from tcs_hpt.records import Proposal, Trial
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import Config, StudySpec
from tcs_hpt.testing.proposers import SMALL, SPACES, ended, play, proposer_study

BORN = re.compile(
    r"Generation (\d+) of populations of (\d+): (?:trials (\d+) and (\d+) crossed|trial (\d+))(?:, (.+) drawn anew)?\."
)


def finished(method: str, study: StudySpec, count: int) -> list[Trial]:
    return play(make_proposer(method), study, count, ("finished",))


def told(trial: Trial) -> tuple[int, int, int, frozenset[str]]:
    """Generation, parents and mutated parameters, from a proposal's reason."""
    found = BORN.fullmatch(trial.proposal.reason)
    assert found, trial.proposal.reason
    generation, _, first, second, only, mutated = found.groups()
    names = frozenset(mutated.split(", ")) if mutated else frozenset()
    return int(generation), int(first or only), int(second or only), names


def crossed(first: Config, second: Config, child: Config, free: frozenset[str]) -> bool:
    """Whether a child is the beginning of one parent and the rest of the other, but for mutated parameters."""
    names = [n for n in first if n not in free]
    from_first = [child[n] == first[n] for n in names]
    from_second = [child[n] == second[n] for n in names]
    return any(
        all(one[:cut]) and all(other[cut:])
        for one, other in ((from_first, from_second), (from_second, from_first))
        for cut in range(len(names) + 1)
    )


def test_a_population_that_the_budget_does_not_exceed_is_random_search() -> None:
    study = proposer_study(SPACES["many"], trials=10)
    trials = finished("ga", study, 10)
    assert [t.config for t in trials] == [t.config for t in finished("random", study, 10)]
    assert [t.proposal.source for t in trials] == ["start"] + 9 * ["ga"]
    assert all("so this is random search; `ga:4` would" in t.proposal.reason for t in trials[1:])
    assert "random search" not in finished("ga:4", study, 3)[-1].proposal.reason


def test_children_are_crossed_from_their_parents() -> None:
    trials = finished("ga:6", proposer_study(SPACES["many"], trials=40), 40)
    generations = []
    for trial in trials[6:]:
        generation, first, second, mutated = told(trial)
        generations.append(generation)
        assert max(first, second) < trial.number
        assert crossed(trials[first - 1].config, trials[second - 1].config, trial.config, mutated)
    assert generations == sorted(generations)
    assert 6 <= generations[-1] <= 8  # 34 trials of six children each, some of which repeat a parent


def test_every_tenth_gene_is_drawn_anew() -> None:
    trials = finished("ga:10", proposer_study(SPACES["many"], trials=90), 90)
    mutated = [len(told(t)[3]) / 20 for t in trials[10:]]
    assert fmean(mutated) == pytest.approx(MUTATION, abs=0.03)


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_the_better_of_two_are_parents_more_often(direction: str) -> None:
    ranks = []
    for seed in range(24):
        trials = finished(
            "ga:8", proposer_study(SPACES["many"], trials=16, seed=seed, direction=direction), 16
        )
        order = sorted(trials[:8], key=lambda t: t.value or 0.0, reverse=direction == "maximize")
        places = {t.number: place for place, t in enumerate(order)}
        second_generation = [told(t) for t in trials[8:] if told(t)[0] == 2]
        ranks += [places[parent] for _, *parents, _ in second_generation for parent in parents]
    # The winner of a tournament of two out of eight has place 2.19 on average, a random one 3.5.
    assert fmean(ranks) == pytest.approx(2.19, abs=0.3)


def test_its_later_trials_are_better_than_random_ones() -> None:
    later: dict[str, list[float]] = {"ga:6": [], "random": []}
    for method, found in later.items():
        for seed in range(4):
            study = proposer_study(SPACES["many"], trials=48, seed=seed, start="cold")
            found.append(fmean(t.value or 0.0 for t in finished(method, study, 48)[-12:]))
    assert min(later["ga:6"]) > max(later["random"])


def test_a_failed_parent_loses_against_one_with_a_score() -> None:
    pairs = []
    for seed in range(12):
        study = proposer_study(SPACES["many"], trials=20, seed=seed)
        trials = play(make_proposer("ga:6"), study, 12, 5 * ("failed",) + 1000 * ("finished",))
        pairs += [told(t)[1:3] for t in trials[6:] if told(t)[0] == 2]
    # One of six wins a tournament of two with 11/36, and one of two tournaments with 0.52; a failed one of six with 0.25.
    assert fmean(6 in pair for pair in pairs) == pytest.approx(0.52, abs=0.12)


def test_nothing_is_run_twice_and_the_whole_space_is_reached() -> None:
    study = proposer_study(SMALL, trials=30)
    space = SearchSpace(study.task.params)
    trials = finished("ga:3", study, 30)
    assert len(trials) == len({space.key(t.config) for t in trials}) == 9


def test_a_child_that_was_tested_joins_with_its_score() -> None:
    """In a space of nine, generations soon repeat; later ones are then bred from trials of any age."""
    trials = finished("ga:3", proposer_study(SMALL, trials=30, seed=3), 9)
    born = [told(t) for t in trials[3:] if BORN.fullmatch(t.proposal.reason)]
    assert born
    assert max(generation for generation, *_ in born) > 3


def test_global_random_numbers_are_left_alone() -> None:
    study = proposer_study(SPACES["many"], trials=20)
    trials = finished("ga:4", study, 6)
    random.seed(1)
    wanted = [random.random() for _ in range(2)]
    random.seed(1)
    got = [random.random()]
    make_proposer("ga:4").propose(ProposalContext(study, trials, 7))
    assert [*got, random.random()] == wanted


def test_studies_side_by_side_do_not_disturb_each_other() -> None:
    studies = [proposer_study(SPACES["many"], trials=20, seed=seed) for seed in range(4)]
    alone = [[t.config for t in finished("ga:4", study, 16)] for study in studies]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda s: [t.config for t in finished("ga:4", s, 16)], studies))
    assert together == alone


def test_running_parents_do_not_stop_it() -> None:
    study = proposer_study(SPACES["many"], trials=20)
    space = SearchSpace(study.task.params)
    proposer = make_proposer("ga:4")
    trials: list[Trial] = []
    for number in range(1, 9):
        proposal = proposer.propose(ProposalContext(study, trials, number))
        assert proposal is not None
        trials.append(ended(number, proposal, space, state="running"))
    assert len({space.key(t.config) for t in trials}) == 8


@pytest.mark.parametrize("method", ["ga:1", "ga:0", "ga:x", "ga:", "ga:04", "ga:12345", "ga:tcs"])
def test_a_population_must_be_a_number_from_two_on(method: str) -> None:
    with pytest.raises(UserError, match="there is no method"):
        make_proposer(method)


def test_a_population_of_one_cannot_breed() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        GeneticProposer(1)


class Watched(GeneticProposer):
    """Writes down the children of every generation as they were bred for the newest proposal."""

    def __init__(self, population: int) -> None:
        super().__init__(population)
        self.bred: dict[int, list[Config]] = {}

    def propose(self, context: ProposalContext) -> Proposal | None:
        self.bred.clear()
        return super().propose(context)

    def _children(self, context: ProposalContext, members: Sequence[Trial], generation: int) -> list[_Child]:
        found = super()._children(context, members, generation)
        self.bred[generation] = [child.config for child in found]
        return found


@pytest.mark.parametrize("seed", range(3))
def test_generations_are_bred_again_from_the_records(seed: int) -> None:
    """As they were when the last trial was proposed, those that rejoined with an earlier trial among them."""
    study = proposer_study(SPACES["choices only"], trials=30, seed=seed, start="cold")
    space = SearchSpace(study.task.params)
    watched = Watched(4)
    trials = play(watched, study, 30, ("finished",))
    first = {space.key(t.config): t.number for t in reversed(trials)}
    children = dict(watched.bred)
    found = watched.generations(ProposalContext(study, trials, 31))
    assert [g.number for g in found] == [1, *children]
    assert [t.number for t in found[0].members] == [1, 2, 3, 4]
    for generation in found[1:]:
        bred = [first.get(space.key(c)) for c in children[generation.number]]
        assert [t.number for t in generation.members] == [n for n in bred if n is not None]
        assert generation.complete == (None not in bred)
        assert all(told(t)[0] == generation.number for t in generation.fresh)
    assert all(g.complete for g in found[:-1])
    assert sum(len(g.members) for g in found) > 30
    assert [t.number for g in found for t in g.fresh] == list(range(1, 31))


def test_generations_end_with_the_last_trial_that_was_bred() -> None:
    study = proposer_study(SPACES["many"], trials=20)
    trials = finished("ga:4", study, 10)
    proposer = GeneticProposer(4)
    for count, numbers, complete in [(0, [], True), (3, [1], False), (4, [1], True), (5, [1, 2], False)]:
        found = proposer.generations(ProposalContext(study, trials[:count], count + 1))
        assert [g.number for g in found] == numbers
        assert all(g.complete for g in found) == complete


def test_generations_after_an_interruption_are_those_without_it() -> None:
    study = proposer_study(SPACES["choices only"], trials=16, start="cold")
    unbroken = finished("ga:4", study, 16)
    broken = play(make_proposer("ga:4"), study, 16, ("finished", "interrupted", "finished"))
    assert len(broken) > len(unbroken)
    proposer = GeneticProposer(4)
    one, other = (
        [[t.config for t in g.members] for g in proposer.generations(ProposalContext(study, t, len(t) + 1))]
        for t in (unbroken, broken)
    )
    assert one == other


def test_trials_drawn_when_nothing_was_left_belong_to_no_generation() -> None:
    study = proposer_study(SPACES["one integer"], trials=40)
    trials = finished("ga:2", study, 40)
    drawn = [t.number for t in trials if t.proposal.reason.startswith("Drawn at random, since")]
    assert drawn
    found = GeneticProposer(2).generations(ProposalContext(study, trials, 41))
    assert {t.number for g in found for t in g.members} == set(range(1, 41)) - set(drawn)
    assert found[-1].fresh
