"""Random search, and what all classical methods share with it: the start, and draws that repeat no trial.

Everything is rebuilt and reseeded for every proposal, so that a resumed study goes on as an unbroken one would.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from tcs_hpt.guard import Rules, check
from tcs_hpt.proposers._base import ProposalContext
from tcs_hpt.proposers._optuna_space import OptunaSpace
from tcs_hpt.proposers.expert import given_start, guarded
from tcs_hpt.proposers.untested import untested
from tcs_hpt.records import Proposal, Source
from tcs_hpt.spec import Config

if TYPE_CHECKING:
    import optuna

DRAWN_AGAIN = 100
"""Draws that may repeat a trial before an untested configuration is looked for by enumeration."""

_ENUMERATION = 5  # purpose of random numbers


class RandomProposer:
    """Uniform draws on each parameter's own scale (Bergstra and Bengio, 2012), by Optuna's `RandomSampler`."""

    def propose(self, context: ProposalContext) -> Proposal | None:
        """A configuration that was not tried yet; a duplicate is drawn again."""
        if context.is_start and (start := given_start(context)) is not None:
            return start
        return drawn(context, "random", "Drawn at random.")


def drawn(context: ProposalContext, source: Source, reason: str) -> Proposal | None:
    """An untested configuration at random; None when every one was tested.

    All methods draw the same configuration at the same place of studies with the same seed, as long as their trials agree.
    """
    import optuna

    study = in_memory_study(context, optuna.samplers.RandomSampler(seed=sampler_seed(context)))
    space = OptunaSpace(context.space, modelled=False)
    for _ in range(DRAWN_AGAIN):
        config = space.draw(study.ask())
        if is_new(context, config):
            return guarded(context, Proposal(config=config, source=source, reason=reason))
    left = any_untested(context)
    if left is None:
        return None
    note = f" {DRAWN_AGAIN} draws repeated trials; this one was found by enumeration."
    return guarded(context, Proposal(config=left, source=source, reason=reason + note))


def any_untested(context: ProposalContext) -> Config | None:
    """An untested configuration, found by enumeration; None when the space is exhausted."""
    return untested(context.space, context.trials, context.random(_ENUMERATION))


def is_new(context: ProposalContext, config: Config) -> bool:
    """Whether a configuration is inside the space and repeats no trial."""
    return check(config, context.space, context.trials, Rules(no_repeats=True)).accepted


def sampler_seed(context: ProposalContext) -> int:
    """The seed of a sampler for the coming trial."""
    return int(context.random().integers(2**31))


def in_memory_study(context: ProposalContext, sampler: optuna.samplers.BaseSampler) -> optuna.Study:
    """An empty study that nothing else sees and that says nothing on standard error."""
    import optuna

    logging.getLogger("optuna.storages").setLevel(logging.WARNING)  # "A new study created"
    return optuna.create_study(sampler=sampler, direction=context.task.objective.direction)
