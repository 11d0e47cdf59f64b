"""Classical search with Optuna's samplers, in an in-memory study.

The sampler is rebuilt and reseeded for every proposal, so that a resumed study goes on as an unbroken one would.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcs_hpt.guard import Rules, check
from tcs_hpt.proposers._base import ProposalContext
from tcs_hpt.proposers.expert import given_start, guarded
from tcs_hpt.records import Proposal
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import CategoricalParameter, Config, IntParameter, Scalar

if TYPE_CHECKING:
    import optuna

ASKED_AGAIN = 100
"""Draws after which a space counts as exhausted, when all of them repeat a trial."""


def draw(space: SearchSpace, trial: optuna.trial.Trial) -> Config:
    """One configuration, parents first, through Optuna's define-by-run interface."""
    config: Config = {}
    for name in space.parents_first:
        if name not in space.active(config | {name: 0}):
            continue
        parameter = space.params[name]
        value: Scalar
        if isinstance(parameter, CategoricalParameter):
            index = trial.suggest_categorical(name, range(len(parameter.choices)))
            value = parameter.choices[index]
        elif isinstance(parameter, IntParameter):
            high = int(space.round(name, parameter.high))  # the last value on the grid
            value = trial.suggest_int(name, parameter.low, high, step=parameter.step or 1, log=parameter.log)
        else:
            top = float(space.round(name, parameter.high))
            value = trial.suggest_float(name, parameter.low, top, step=parameter.step, log=parameter.log)
        config[name] = value
    return {n: config[n] for n in space.names if n in config}


class RandomProposer:
    """Uniform draws on each parameter's own scale (Bergstra and Bengio, 2012), by Optuna's `RandomSampler`."""

    def propose(self, context: ProposalContext) -> Proposal | None:
        """A configuration that was not tried yet; a duplicate is drawn again."""
        if context.is_start and context.study.start == "defaults":
            return given_start(context)
        import optuna

        seed = int(context.random().integers(2**31))
        study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=seed))
        for _ in range(ASKED_AGAIN):
            config = draw(context.space, study.ask())
            if check(config, context.space, context.trials, Rules(no_repeats=True)).accepted:
                return guarded(context, Proposal(config=config, source="random", reason="Drawn at random."))
        return None
