"""The methods of tcs_hpt as a sampler of Optuna: `optuna.create_study(sampler=TcsSampler())`.

    study = optuna.create_study(direction="maximize", sampler=TcsSampler("tcs", description="A ResNet sorts photos of birds."))
    study.optimize(objective, n_trials=10)
    proposal_of(study.best_trial).reason

The objective may define its space as it runs. A parameter that every trial so far has asked for, with the same range, is chosen by
the method, together with the others of this kind. The first time that a parameter is asked for, it gets the value that is known to
be sensible for its name, else the middle of its scale; one that only some trials have is drawn by the independent sampler from then on,
unless its condition was declared with `space`.

Optuna is the store here: model calls are not kept, the end of a study is Optuna's business, and there is no report. `tcs_hpt.tune`
has all of it.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.search_space import intersection_search_space
from optuna.storages._base import DEFAULT_STUDY_NAME_PREFIX
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from tcs_hpt.errors import UserError
from tcs_hpt.evidence.knowledge import knowledge
from tcs_hpt.guard import FREE_RULES, check
from tcs_hpt.integrations._optuna_records import (
    PROPOSAL,
    Translation,
    distribution_of,
    identifier,
    proposal_of,
)
from tcs_hpt.llm import ChatModel
from tcs_hpt.llm.opening import open_model
from tcs_hpt.proposers import ProposalContext, Proposer, RandomProposer, make_proposer, needs_model
from tcs_hpt.records import Proposal
from tcs_hpt.spec import AnswerStyle, ParameterSpec, Start, StudySpec, TaskSpec
from tcs_hpt.tuning.models import open_models
from tcs_hpt.tuning.space import ParameterLike, checked, read_space

if TYPE_CHECKING:
    from optuna.study import Study

__all__ = ["TcsSampler", "proposal_of"]

_LOG = logging.getLogger(__name__)
_BEGUN = (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
_ENQUEUED = "fixed_params"
"""The system attribute with the values that `study.enqueue_trial` gave."""
_NOT_KEPT = {"calls", "rejected", "report", "options", "decision"}
"""What a trial of Optuna's does not keep of a proposal: the long parts."""


class TcsSampler(BaseSampler):
    """Asks a method of tcs_hpt for every trial, and shows it all trials: failed, pruned and running ones too.

    Nothing is proposed twice; where the method has nothing left to propose, an untested configuration is drawn, and
    `proposal_of(trial).fallback` says so. Once every configuration was tried, the independent sampler draws, a warning says so, and
    `proposal_of(trial)` is None. The same seed gives the same trials, also when a study is continued from its storage, unless trials
    run side by side. With `n_jobs` above 1 one trial is decided at a time. A pickled sampler opens its model again when it is used.

    Args:
        method: As for `tcs-hpt tune --method`: `tcs` asks a language model, `expert` and `coin` need none, ...
        model: `auto` or a name as for `--model`, or a model that is open already, which stays open.
        analysis_model: For the Analysis Agent alone.
        optimizer_model: For the Optimizer Agent alone.
        seed: Drives search and models; drawn at random if not given.
        description: Model, data and goal in your words; travels into every prompt.
        trials: How many trials the study is meant to have, which the agents are told; it may go on after them.
        metric: What the objective is called, which tells much; the study's metric name, else `value`, if not given.
        space: The parameters as for `tcs_hpt.tune`, names and ranges as the objective asks for them. With it, the method
            chooses from the first trial on, and knows conditions: `Float(0.5, 0.99, when={"optimizer": "sgd"})`.
        start: What the first trial is with `space`: sensible values by name (`knowledge`), the `defaults` of the space, or `cold`.
        answers: `choice`, from a list of changes; `free`: a strong model writes numbers.
        independent_sampler: Draws what the method does not choose; a `RandomSampler` if not given.

    Raises:
        UserError: The method or the model does not exist, or the space cannot be read.
        ModelError: No language model is there. Nothing else acts in its place.
    """

    _lock: threading.RLock
    _opened: Proposer | None
    _stack: ExitStack

    def __init__(
        self,
        method: str = "tcs",
        *,
        model: str | ChatModel = "auto",
        analysis_model: str | ChatModel | None = None,
        optimizer_model: str | ChatModel | None = None,
        seed: int | None = None,
        description: str = "",
        trials: int = 10,
        metric: str = "",
        space: Mapping[str, ParameterLike] | None = None,
        start: Start = "knowledge",
        answers: AnswerStyle = "choice",
        independent_sampler: BaseSampler | None = None,
    ) -> None:
        self.method = method
        self._models = (analysis_model or model, optimizer_model or model)
        self._seed = _fresh_seed() if seed is None else seed
        self._description = description
        self._trials = trials
        self._metric = metric
        self._declared = None if space is None else _declared(space)
        self._start = start
        self._answers = answers
        self._independent = independent_sampler or RandomSampler(seed=self._seed)
        self._warned = False
        self._reset()
        self._proposer  # noqa: B018 - a wrong method or a missing model is said here, not in the first trial

    # -- what Optuna asks -----------------------------------------------------------------------------------

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The declared space, else what all scored trials have in common, else what all failed ones have."""
        self._refuse_several(study)
        if self._declared is not None:
            return {name: distribution_of(p) for name, p in self._declared.items()}
        trials = study.get_trials(deepcopy=False, states=_BEGUN)
        common = intersection_search_space(trials, include_pruned=True) or _common(trials)
        return {name: d for name, d in common.items() if not d.single()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The method's configuration; nothing as long as the trials have no space in common."""
        self._refuse_several(study)
        asked = {name: d for name, d in search_space.items() if not d.single()}
        if not asked:
            return {}
        with self._lock:  # the next one shall see this one among the running trials
            enqueued = trial.system_attrs.get(_ENQUEUED, {})
            translation = self._translation(study, asked, declared=self._declared, fixed=enqueued)
            if not translation.space.names:
                return {}
            others = [t for t in study.get_trials(deepcopy=False, states=_BEGUN) if t.number != trial.number]
            proposal = self._propose(study, translation, others, trial.number + 1)
            if proposal is None:
                self._warn_of_end(trial, asked)
                draw = self._independent.sample_independent
                return {name: draw(study, trial, name, d) for name, d in asked.items()}
            kept = proposal.model_dump(mode="json", exclude=_NOT_KEPT, exclude_defaults=True)
            study._storage.set_trial_system_attr(trial._trial_id, PROPOSAL, kept)
        return translation.params(proposal.config)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A sensible value by name, else the middle of the scale, the first time; afterwards the independent sampler's."""
        self._refuse_several(study)
        others = [t for t in study.get_trials(deepcopy=False, states=_BEGUN) if t.number != trial.number]
        seen = any(param_name in t.params for t in others)
        waiting = any(t.state == TrialState.RUNNING and t.number < trial.number for t in others)
        if seen or waiting or param_distribution.single():
            return self._independent.sample_independent(study, trial, param_name, param_distribution)
        return self._first_value(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Refuse a study with several objectives, before anything runs."""
        self._refuse_several(study)
        self._independent.before_trial(study, trial)

    def after_trial(
        self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Tell the independent sampler."""
        self._independent.after_trial(study, trial, state, values)

    def reseed_rng(self) -> None:
        """Draw a new seed; Optuna asks for it where trials run side by side."""
        with self._lock:
            self._seed = _fresh_seed()
        self._independent.reseed_rng()

    # -- models ---------------------------------------------------------------------------------------------

    @property
    def _proposer(self) -> Proposer:
        if self._opened is None:
            analyst, optimizer = None, None
            if needs_model(self.method):
                given = {m.name: m for m in self._models if not isinstance(m, str)}
                names = [m if isinstance(m, str) else m.name for m in self._models]
                analyst, optimizer, reason = open_models(
                    self._stack, open_model, names[0], names[1], given=given
                )
                _LOG.info("%s", reason)
            self._opened = make_proposer(self.method, analysis_model=analyst, optimizer_model=optimizer)
        return self._opened

    def close(self) -> None:
        """Release the model that was opened; calling it twice is fine, and using the sampler opens it again."""
        with self._lock:
            self._opened = None
            self._stack.close()

    def __enter__(self) -> TcsSampler:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return {n: v for n, v in self.__dict__.items() if n not in ("_lock", "_opened", "_stack")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._opened = None
        self._stack = ExitStack()

    # -- decisions ------------------------------------------------------------------------------------------

    def _propose(
        self, study: Study, translation: Translation, others: Sequence[FrozenTrial], number: int
    ) -> Proposal | None:
        records = translation.records(others)
        context = ProposalContext(self._spec(study, translation.task, number), records, number)
        proposal = self._proposer.propose(context)
        if proposal is None and (drawn := RandomProposer().propose(context)) is not None:
            why = f"{self.method} had no change left to propose"  # single changes of few bases end before the space does
            proposal = drawn.model_copy(update={"fallback": why})
        if proposal is None:
            return None
        decision = check(proposal.config, translation.space, records, FREE_RULES)
        if not decision.accepted:  # every proposer passed the guard already; this is the last door
            raise AssertionError(f"an invalid configuration reached the sampler: {decision.reasons}")
        return proposal

    def _first_value(
        self, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution
    ) -> Any:
        """The knowledge block's value beside what this trial was told so far."""
        told = {n: d for n, d in trial.distributions.items() if not d.single()}
        translation = self._translation(study, {**told, name: distribution}, fixed=trial.params)
        config, reasons = knowledge(translation.task, self._description).start(translation.space)
        ours = translation.ours(name)
        _LOG.debug("trial %d: %s = %r (%s)", trial.number, name, config[ours], reasons[ours])
        return translation.params({ours: config[ours]})[name]

    def _translation(
        self,
        study: Study,
        distributions: Mapping[str, BaseDistribution],
        *,
        declared: Mapping[str, ParameterSpec] | None = None,
        fixed: Mapping[str, Any],
    ) -> Translation:
        unnamed = study.study_name.startswith(
            DEFAULT_STUDY_NAME_PREFIX
        )  # a random name is no news to a model
        names = getattr(study, "metric_names", None)  # the studies that pruners make have none
        return Translation(
            distributions,
            study_name="study" if unnamed else study.study_name,
            metric=self._metric or identifier(names[0] if names else "value", 64),
            direction="maximize" if study.direction == StudyDirection.MAXIMIZE else "minimize",
            declared=declared,
            fixed=fixed,
        )

    def _spec(self, study: Study, task: TaskSpec, number: int) -> StudySpec:
        return checked(
            StudySpec,
            {
                "name": identifier(study.study_name, 120),
                "task": task,
                "method": self.method,
                "trials": max(self._trials, number),
                "seed": self._seed,
                "start": self._start,
                "answers": self._answers,
                "description": self._description,
                "memory": False,
            },
        )

    def _warn_of_end(self, trial: FrozenTrial, names: Iterable[str]) -> None:
        level = logging.DEBUG if self._warned else logging.WARNING
        self._warned = True
        _LOG.log(
            level,
            "trial %d: every configuration of %s was tried, so the %s draws from here on",
            trial.number,
            ", ".join(sorted(names)),
            type(self._independent).__name__,
        )

    def _refuse_several(self, study: Study) -> None:
        if len(study.directions) > 1:
            raise ValueError(
                f"TcsSampler tunes for one objective, and study {study.study_name!r} has {len(study.directions)}; "
                "combine them into one value, or use another sampler."
            )


def _common(trials: Sequence[FrozenTrial]) -> dict[str, BaseDistribution]:
    """What all ended trials that got as far as their first parameter have asked for alike."""
    ended = [t.distributions for t in trials if t.state.is_finished() and t.distributions]
    first, *others = ended or [{}]
    return {n: d for n, d in sorted(first.items()) if all(o.get(n) == d for o in others)}


def _declared(space: Mapping[str, ParameterLike]) -> dict[str, ParameterSpec]:
    params, fixed = read_space(space)
    if fixed:
        raise UserError(
            f"`space` holds a single value for {', '.join(sorted(fixed))}, which is nothing to sample",
            hint="Leave it out, and write the value in the objective.",
        )
    return params


def _fresh_seed() -> int:
    return int(np.random.SeedSequence().generate_state(1)[0])
