"""Method `ga`: the genetic algorithm of the AutoLLM paper, with DEAP's operators.

    generation 1: the start and random configurations
    then, again and again: binary tournaments -> one-point crossover of pairs -> mutation of every tenth gene

Nothing is kept between proposals: the generations are bred again from the records, each from random numbers of its own, so that
a resumed study goes on as an unbroken one would.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from tcs_hpt.proposers._base import ProposalContext
from tcs_hpt.proposers._optuna_space import OptunaSpace
from tcs_hpt.proposers.classical import drawn, in_memory_study
from tcs_hpt.proposers.expert import given_start, guarded
from tcs_hpt.proposers.fitness import Fitness, Judge, by_score
from tcs_hpt.proposers.required import require
from tcs_hpt.records import Proposal, Trial, ordered
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import Config, Scalar

POPULATION = 10
"""Configurations of a generation, as published; the generations follow from the budget (published: 10)."""
MUTATION = 0.1
"""Probability that a gene is drawn anew. The paper says "a mutation rate of 10%"; this reads it per gene."""
TOURNAMENT = 2
BARREN = 50
"""Generations in a row without an untested child, after which a configuration is drawn at random."""

_BREEDING = 8  # purpose of random numbers
_DEAP_TURN = threading.Lock()


class GeneticProposer:
    """A generational genetic algorithm over the parameters as genes, in the order of the space.

    Parents are the winners of binary tournaments, paired in that order; every pair is crossed at one point, and both children replace
    them: the paper names neither a crossover probability nor an elite, and its best score of a generation falls at times. A gene that
    mutates is drawn uniformly on its own scale. A parameter that is not active has no gene; a child that switches it on takes its
    default. A failed parent loses every tournament against one with a score.

    A child that was tested before is not run again: it joins its generation with the recorded score and costs no trial, so a
    generation may have fewer trials than members. With parallel trials, parents that are still running count as failed, and a
    generation bred from them is bred again when they have ended.

    Args:
        population: Configurations of a generation.
        judge: What the tournaments compare: the score, or the place among the trade-offs of several metrics.

    Raises:
        UserError: The package `deap` is missing; when the proposer is made.
        ValueError: `population` is below 2.
    """

    def __init__(self, population: int = POPULATION, judge: Judge = by_score) -> None:
        if population < 2:
            raise ValueError(f"a population needs at least 2 configurations, got {population}")
        require("ga", "deap")
        self._population = population
        self._judge = judge

    def propose(self, context: ProposalContext) -> Proposal | None:
        """The next untested child; None when the space is exhausted.

        Raises:
            UserError: The objective has a single metric, and the tournaments shall compare trade-offs.
        """
        self._judge([], context.task.objective)  # a judge that cannot judge says so before anything runs
        if context.is_start and (start := given_start(context)) is not None:
            return start
        if len(ordered(context.trials)) < self._population:
            return drawn(context, "ga", self._first_generation(context))
        for generation in self._bred(context):
            if generation.untested:
                return self._proposal(context, generation.untested[0], generation.number)
        return drawn(context, "ga", f"Drawn at random, since {BARREN} generations brought nothing untested.")

    def generations(self, context: ProposalContext) -> list[Generation]:
        """The populations of a study, bred again from its trials as for every proposal; the last is that of the newest child.

        Trials that were drawn when breeding brought nothing untested belong to none, nor do children of a running parent that were not
        bred again when it had ended. Pure.
        """
        found = list(self._bred(context))
        while found and not found[-1].fresh:
            found.pop()
        return found

    def _bred(self, context: ProposalContext) -> Iterator[Generation]:
        """Generation after generation, to the first with a member that was not tried, or until too many brought nothing new."""
        trials = ordered(context.trials)
        tested = {context.space.key(t.config): t for t in reversed(trials)}
        members = tuple(trials[: self._population])
        seen = {context.space.key(t.config) for t in members}
        generation = Generation(1, self._population, members, fresh=members)
        yield generation
        barren = 0
        while generation.complete and barren < BARREN:
            number = generation.number + 1
            children = self._children(context, generation.members, number)
            keys = [context.space.key(c.config) for c in children]
            generation = Generation(
                number,
                self._population,
                tuple(tested[key] for key in keys if key in tested),
                tuple(tested[key] for key in dict.fromkeys(keys) if key in tested and key not in seen),
                tuple(child for child, key in zip(children, keys, strict=True) if key not in tested),
            )
            yield generation
            barren = 0 if generation.fresh else barren + 1
            seen.update(keys)

    def _first_generation(self, context: ProposalContext) -> str:
        reason = f"Generation 1 of populations of {self._population}, drawn at random."
        budget = context.study.trials
        if budget <= self._population:
            reason += f" {budget} trials do not reach a second one, so this is random search; `ga:4` would breed after 4."
        return reason

    def _proposal(self, context: ProposalContext, child: _Child, generation: int) -> Proposal:
        first, second = child.parents
        born = f"trials {first} and {second} crossed" if first != second else f"trial {first}"
        changed = f", {', '.join(child.mutated)} drawn anew" if child.mutated else ""
        reason = f"Generation {generation} of populations of {self._population}: {born}{changed}."
        return guarded(context, Proposal(config=child.config, source="ga", reason=reason))

    def _children(self, context: ProposalContext, members: Sequence[Trial], generation: int) -> list[_Child]:
        """As many as there are members. The same for the same members, whatever trials came after them."""
        from deap import tools

        numbers = np.random.default_rng([context.study.seed, generation, _BREEDING])
        strangers = _strangers(context, int(numbers.integers(2**31)))
        fitness = self._judge(members, context.task.objective)
        individuals = [_Individual(context.space, t, f) for t, f in zip(members, fitness, strict=True)]
        children: list[_Child] = []
        with _deap_random(int(numbers.integers(2**31))):
            while len(children) < len(members):
                parents = tools.selTournament(individuals, 2, tournsize=TOURNAMENT)
                genes = [list(p) for p in parents]
                if len(context.space.names) > 1:
                    tools.cxOnePoint(*genes)
                children += [
                    _mutated(context.space, found, (parents[0].number, parents[1].number), strangers, numbers)
                    for found in genes
                ]
        return children[: len(members)]


@dataclass(frozen=True)
class Generation:
    """A population as far as it was tried."""

    number: int
    size: int
    """Of the whole population."""
    members: tuple[Trial, ...]
    """In the order in which they were bred; one that was tested before is its earlier trial, and equal children are one trial twice."""
    fresh: tuple[Trial, ...]
    """Those of them that no generation before had."""
    untested: tuple[_Child, ...] = ()
    """Children that have no trial yet."""

    @property
    def complete(self) -> bool:
        """Whether every member was tried."""
        return len(self.members) == self.size


class _Individual(list[Scalar | None]):
    """A configuration as genes, None for a parameter that is not active; with what DEAP's selection compares."""

    def __init__(self, space: SearchSpace, trial: Trial, fitness: Fitness) -> None:
        super().__init__(trial.config.get(name) for name in space.names)
        self.number = trial.number
        self.fitness = fitness


@dataclass(frozen=True)
class _Child:
    config: Config
    parents: tuple[int, int]
    """Numbers of their trials."""
    mutated: tuple[str, ...]


def _mutated(
    space: SearchSpace,
    genes: Sequence[Scalar | None],
    parents: tuple[int, int],
    strangers: Iterator[Config],
    numbers: np.random.Generator,
) -> _Child:
    """The child of these genes; one that mutates has the value of a random configuration."""
    hit = [name for name, at in zip(space.names, numbers.random(len(genes)), strict=True) if at < MUTATION]
    values = {name: gene for name, gene in zip(space.names, genes, strict=True) if gene is not None}
    stranger = next(strangers) if hit else {}
    values |= {name: stranger[name] for name in hit if name in stranger}
    config = space.completed(values)
    return _Child(config, parents, tuple(n for n in hit if n in stranger and n in config))


def _strangers(context: ProposalContext, seed: int) -> Iterator[Config]:
    """Random configurations, as method `random` draws them."""
    import optuna

    study = in_memory_study(context, optuna.samplers.RandomSampler(seed=seed))
    space = OptunaSpace(context.space, modelled=False)
    while True:
        yield space.draw(study.ask())


@contextmanager
def _deap_random(seed: int) -> Iterator[None]:
    """DEAP draws from Python's global random numbers: seeded inside, as they were outside, one thread at a time."""
    with _DEAP_TURN:
        before = random.getstate()
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(before)
