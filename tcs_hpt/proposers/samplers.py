"""Model-based classical methods, with Optuna's samplers: TPE, a Gaussian process, and CMA-ES.

A sampler is made anew for every proposal, seeded by the place in the budget, and told of every record in the order of the
trials: finished ones with their score, failed ones as failed, running ones as running, interrupted ones not at all. Trial 1 is
the study's start, and counts among the start-up trials; those that are left are drawn as method `random` draws them.

Every proposal is one that no trial has tested. A sampler that repeats one is asked again, with what it proposed shown to it as
running; when it goes on repeating, the configuration is drawn at random and the proposal's reason says so.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tcs_hpt.proposers._base import ProposalContext
from tcs_hpt.proposers._optuna_space import OptunaSpace
from tcs_hpt.proposers.classical import any_untested, drawn, in_memory_study, is_new, sampler_seed
from tcs_hpt.proposers.expert import given_start, guarded
from tcs_hpt.proposers.required import require
from tcs_hpt.records import Proposal, Trial, finished, ordered, score
from tcs_hpt.spec import CategoricalParameter, Config

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

ASKED_AGAIN = 10
"""Times a sampler may repeat a trial before the configuration is drawn at random."""


class SamplerProposer(ABC):
    """What the methods below share; each makes its sampler and says what it does.

    `source` is the method's name, `startup` the number of scored trials before the sampler is asked, `why` what it does, for
    the proposal's reason.
    """

    source: str
    startup: int
    why: str

    def propose(self, context: ProposalContext) -> Proposal | None:
        """The sampler's configuration; None when the space is exhausted."""
        if context.is_start and (start := given_start(context)) is not None:
            return start
        scored = len(_scored(context.trials))
        if scored < self.startup:
            return drawn(context, self.source, f"Drawn at random; {self._waits(scored)}.")
        space = OptunaSpace(context.space)
        study = self._told(context, space)
        for asked in range(ASKED_AGAIN):
            config = self._asked(study, space)
            if is_new(context, config):
                reason = f"{self.why} after {scored} scored trial{'s' if scored > 1 else ''}.{self._note(context, config)}"
                return guarded(context, Proposal(config=config, source=self.source, reason=reason))
            if asked == 0 and any_untested(context) is None:
                return None
        repeats = f"{self.source} proposed tested configurations {ASKED_AGAIN} times"
        return drawn(context, self.source, f"Drawn at random, since {repeats}.")

    def _waits(self, scored: int) -> str:
        return f"{self.source} starts after {self.startup} scored trials, and there are {scored}"

    @abstractmethod
    def _sampler(self, context: ProposalContext) -> optuna.samplers.BaseSampler:
        """A new sampler for the coming trial."""

    def _told(self, context: ProposalContext, space: OptunaSpace) -> optuna.Study:
        """A study of the records, to be asked for the next trial."""
        from optuna.trial import create_trial

        study = in_memory_study(context, self._sampler(context))
        values = _values(context.trials)
        for trial in ordered(context.trials):
            study.add_trial(
                create_trial(
                    params=space.params(trial.config),
                    distributions=space.distributions(trial.config),
                    state=_state(trial),
                    value=values.get(trial.number),
                )
            )
        return study

    def _asked(self, study: optuna.Study, space: OptunaSpace) -> Config:
        return space.draw(study.ask())

    def _note(self, context: ProposalContext, config: Config) -> str:
        """A sentence on what the sampler left to chance."""
        names = self._at_random(context, config)
        return f" At random: {', '.join(names)}." if names else ""

    def _at_random(self, context: ProposalContext, config: Config) -> Sequence[str]:
        return ()


def _values(trials: Sequence[Trial]) -> dict[int, float]:
    """Scores by the number of their trial, moved and stretched to [0, 1].

    None of the samplers depends on the unit of the scores, and squares of enormous ones overflow.
    """
    told = _scored(trials)
    largest = max((abs(score(t)) for t in told), default=0.0) or 1.0
    scores = {t.number: score(t) / largest for t in told}
    low = min(scores.values(), default=0.0)
    span = max(scores.values(), default=0.0) - low
    return {number: (value - low) / span if span > 0 else 0.0 for number, value in scores.items()}


def _scored(trials: Sequence[Trial]) -> list[Trial]:
    """Trials that are told with their score; those that break the objective's bounds are told as failed."""
    return [t for t in finished(trials) if t.feasible]


def _state(trial: Trial) -> optuna.trial.TrialState:
    from optuna.trial import TrialState

    if trial.state == "finished" and trial.value is not None and trial.feasible:
        return TrialState.COMPLETE
    return TrialState.RUNNING if trial.state == "running" else TrialState.FAIL


class TpeProposer(SamplerProposer):
    """Method `tpe`: Optuna's `TPESampler` with a start-up of 3 and otherwise its defaults.

    That is the multivariate estimator: it draws all parameters from one density, so that in ten trials a good pair of values stays
    together (Falkner, Klein and Hutter, 2018, section 3.2), and it is what Optuna's users get. Conditional parameters that
    some scored trial lacks are drawn from densities of their own. Running trials count as bad ones (constant liar).
    The `group` option, which would model conditional parameters jointly, is experimental in Optuna 5 and left off.
    """

    source = "tpe"
    startup = 3
    why = "Likelier among the better trials than among the rest, by Parzen estimators"

    def _sampler(self, context: ProposalContext) -> optuna.samplers.BaseSampler:
        import optuna

        return optuna.samplers.TPESampler(
            seed=sampler_seed(context), n_startup_trials=self.startup, multivariate=True, constant_liar=True
        )


class GpProposer(SamplerProposer):
    """Method `gp`: Optuna's `GPSampler` (Matern 5/2, log expected improvement) with a start-up of 3.

    Running trials are taken into the expectation (q-batch expected improvement). Conditional parameters that some scored trial
    lacks are drawn at random; the reason names them. Choices that are rising numbers are modelled as numbers.

    Raises:
        UserError: PyTorch or another package of the extra `gp` is missing; when the proposer is made, not at trial 4.
    """

    source = "gp"
    startup = 3
    why = "Largest expected improvement under a Gaussian process"

    def __init__(self) -> None:
        # Without greenlet, Optuna warns on standard error and takes several times as long.
        require("gp", "torch", "greenlet", "threadpoolctl")

    def _sampler(self, context: ProposalContext) -> optuna.samplers.BaseSampler:
        import optuna

        return optuna.samplers.GPSampler(
            seed=sampler_seed(context), n_startup_trials=self.startup, warn_independent_sampling=False
        )

    def _asked(self, study: optuna.Study, space: OptunaSpace) -> Config:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

        # The matrices are tiny: on two cores, threads that wait for each other cost ten times the work itself.
        with threadpool_limits(limits=1):
            return super()._asked(study, space)

    def _at_random(self, context: ProposalContext, config: Config) -> Sequence[str]:
        told = _scored(context.trials)
        return [n for n in config if any(n not in t.config for t in told)]


class CmaesProposer(SamplerProposer):
    """Method `cmaes`: Optuna's `CmaEsSampler`, over the numbers of the space.

    CMA-ES moves a normal distribution over numbers that every configuration has. Unordered choices and conditional
    parameters fall back to its independent sampler, so they are drawn at random in every trial, and the reason names them; choices
    that are rising numbers count as numbers. The distribution begins in the middle of every scale, a sixth of it wide,
    whatever trial 1 was. A generation has 4 trials (Optuna's default of 4 + 3 ln(parameters) would not finish its second in ten),
    so it moves for the first time after 4 scored trials of its own, trial 1 not counted. With parallel trials, one may count for
    the generation after the one that it was drawn from.

    Raises:
        UserError: The package `cmaes` is missing; when the proposer is made.
    """

    source = "cmaes"
    startup = 1
    why = "Drawn from the normal distribution of CMA-ES"
    generation = 4

    def __init__(self) -> None:
        require("cmaes", "cmaes")

    def _waits(self, scored: int) -> str:
        return "cmaes starts after the first scored trial"

    def _sampler(self, context: ProposalContext) -> optuna.samplers.BaseSampler:
        import optuna

        moved = frozenset(n for n in context.space.names if self._moves(context, n))

        class Sampler(optuna.samplers.CmaEsSampler):
            """Keeps its dimensions: the original gives up for good when a trial lacks a conditional parameter."""

            def infer_relative_search_space(
                self, study: optuna.Study, trial: optuna.trial.FrozenTrial
            ) -> dict[str, BaseDistribution]:
                whole = super().infer_relative_search_space(study, trial)
                return {name: distribution for name, distribution in whole.items() if name in moved}

        return Sampler(seed=sampler_seed(context), popsize=self.generation, warn_independent_sampling=False)

    def _told(self, context: ProposalContext, space: OptunaSpace) -> optuna.Study:
        """A study in which the sampler was asked for every trial and then told what was run instead.

        `CmaEsSampler` keeps its state in the trials that it was asked for, so they cannot just be added. What it proposes on the
        way is discarded; only the generation that a trial belongs to is kept.
        """
        study = in_memory_study(context, self._sampler(context))
        values = _values(context.trials)
        for trial in ordered(context.trials):
            study.enqueue_trial(space.params(trial.config))
            asked = study.ask()
            space.draw(asked)
            # Optuna 5 asks a sampler only when a parameter needs it, and here every value is given.
            assert asked.relative_params is not None
            if trial.state != "running":
                study.tell(asked, values.get(trial.number), state=_state(trial))
        return study

    def _at_random(self, context: ProposalContext, config: Config) -> Sequence[str]:
        return [n for n in config if not self._moves(context, n)]

    def _moves(self, context: ProposalContext, name: str) -> bool:
        parameter = context.space.params[name]
        number = not isinstance(parameter, CategoricalParameter) or parameter.ordered
        return number and not parameter.when
