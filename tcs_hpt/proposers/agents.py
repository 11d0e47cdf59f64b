"""The two agents as a proposer: analysis, decision, one repair round each, and a stand-in when they fail.

What they see, and who stands in, is a `View`. Nothing here is silent: a failed analysis and a failed decision are replaced, and
the proposal says so and keeps every call.
"""

from __future__ import annotations

from typing import Any, TypeVar

from tcs_hpt.agents import Agent, AnalysisAgent, Answered, OptimizerAgent
from tcs_hpt.agents.answers import Choice
from tcs_hpt.agents.conversation import ATTEMPTS, gave_nothing
from tcs_hpt.errors import ModelError
from tcs_hpt.events import Analysed, Thinking
from tcs_hpt.evidence.candidates import CandidateList
from tcs_hpt.guard import AGENT_RULES, FREE_RULES, check
from tcs_hpt.llm import ChatModel
from tcs_hpt.proposers._base import ProposalContext
from tcs_hpt.proposers.expert import ExpertProposer, from_candidate, given_start, guarded
from tcs_hpt.proposers.views import TcsView, View
from tcs_hpt.records import Analysis, Proposal, Role, last_tested
from tcs_hpt.space import Change

AnAgent = TypeVar("AnAgent", bound=Agent)


class AgentsProposer:
    """Analysis Agent and Optimizer Agent: `tcs-paper` over the state report, `raw` over the log.

    Args:
        analysis_model: For the Analysis Agent.
        optimizer_model: For the Optimizer Agent; may be the same.
        view: What they see; the state report, without evidence blocks, if not given.
        stand_in: Whether somebody else acts when a model gives nothing at all. An answer that cannot be used is always
            replaced; a server that is gone says nothing about a method, so a comparison does not go on without it.
    """

    def __init__(
        self,
        analysis_model: ChatModel,
        optimizer_model: ChatModel,
        view: View | None = None,
        *,
        stand_in: bool = True,
    ) -> None:
        self._analysis_model = analysis_model
        self._optimizer_model = optimizer_model
        self._view = view if view is not None else TcsView()
        self._stand_in = stand_in

    def propose(self, context: ProposalContext) -> Proposal | None:
        """Analyse, decide, check.

        Raises:
            ModelError: The model fails at the very first question of a study; later failures are recorded instead, unless
                nobody may stand in.
        """
        if context.is_start:
            proposal: Proposal | None = self._start(context)
            if proposal is not None and proposal.calls and all(gave_nothing(c) for c in proposal.calls):
                raise ModelError(
                    proposal.calls[-1].problems[0],
                    hint="Check the model with `tcs-hpt models list`, or use --method expert, which needs none.",
                )
        else:
            proposal = self._next(context)
        for model in {id(m): m for m in (self._analysis_model, self._optimizer_model)}.values():
            model.rest()
        return proposal

    # -- first trial ----------------------------------------------------------------------------------------

    def _start(self, context: ProposalContext) -> Proposal:
        proposal = given_start(context)
        if proposal is None:
            return self._cold_start(context)
        if not proposal.config:
            return proposal
        answered = self._analyst(context).bootstrap(proposal.config)
        analysis = answered.value or Analysis.missing(answered.failure, "No trial ran yet.")
        context.watch(Analysed(number=context.number, analysis=analysis))
        return proposal.model_copy(
            update={"analysis": analysis, "calls": answered.calls, "rejected": answered.rejected}
        )

    def _cold_start(self, context: ProposalContext) -> Proposal:
        answered = self._optimizer(context).cold_start(
            self._view.cold_values(context),
            lambda choice: check(choice.config, context.space, context.trials, FREE_RULES).reasons,
        )
        if answered.value is not None:
            proposal = Proposal(
                config=answered.value.config, source="agents", reason=answered.value.reasoning
            )
        else:
            stand_in = ExpertProposer().propose(context)
            assert stand_in is not None  # a cold start always exists
            proposal = stand_in.model_copy(update={"fallback": _fallback(answered)})
        return guarded(
            context, proposal.model_copy(update={"calls": answered.calls, "rejected": answered.rejected})
        )

    # -- every later trial ----------------------------------------------------------------------------------

    def _next(self, context: ProposalContext) -> Proposal | None:
        listed = self._view.candidates(context)
        if listed is None:
            return None
        shown = {c.change.text: c.config for c in self._view.shown(context, listed)}
        text = self._view.text(context, listed)
        analysed = self._analyst(context).analyze(
            text,
            list(shown),
            base_number=listed.base.number if listed.base else None,
            position=context.position,
            template=self._view.analysis_template,
        )
        self._require(analysed)
        analysis = analysed.value or self._view.stand_in_analysis(context, listed, analysed.failure)
        context.watch(Analysed(number=context.number, analysis=analysis))
        decided = self._optimizer(context).propose(
            analysis,
            shown,
            situation=self._view.performance(context),
            base=listed.base_config,
            newest=last_tested(context.trials, context.space.names),
            position=context.position,
            check=lambda choice: (
                check(choice.config, context.space, context.trials, AGENT_RULES, listed.base_config).reasons
            ),
            answers=context.study.answers,
            template=self._view.optimizer_template,
        )
        self._require(decided)
        proposal = self._decided(context, listed, analysis, decided)
        return proposal.model_copy(
            update={
                "analysis": analysis,
                "options": tuple(c.change.text for c in listed.candidates),
                "calls": (*analysed.calls, *decided.calls),
                "rejected": (*analysed.rejected, *decided.rejected),
                "report": text,
            }
        )

    def _require(self, answered: Answered[Any]) -> None:
        """That the model said something, where nobody may stand in for it."""
        if not self._stand_in and answered.value is None and all(gave_nothing(c) for c in answered.calls):
            raise ModelError(
                answered.failure, hint="The same command goes on here when the model answers again."
            )

    def _decided(
        self,
        context: ProposalContext,
        listed: CandidateList,
        analysis: Analysis,
        decided: Answered[Choice],
    ) -> Proposal:
        if decided.value is None:
            stand_in = from_candidate(context, listed, *self._view.stand_in_choice(listed))
            return stand_in.model_copy(update={"fallback": _fallback(decided)})
        choice = decided.value
        (name,) = context.space.changed_parameters(listed.base_config, choice.config)
        change = Change(name, listed.base_config.get(name), choice.config[name])
        deviation = ""
        if analysis.specific_recommendation and change.text != analysis.specific_recommendation:
            deviation = f"the analysis recommended {analysis.specific_recommendation}"
        proposal = Proposal(
            config=choice.config,
            source="agents",
            reason=choice.reasoning,
            base_trial=listed.base.number if listed.base else None,
            change=change.text,
            deviation=deviation,
        )
        return guarded(context, proposal, AGENT_RULES, listed.base_config)

    def _analyst(self, context: ProposalContext) -> AnalysisAgent:
        return _agent(AnalysisAgent, self._analysis_model, context)

    def _optimizer(self, context: ProposalContext) -> OptimizerAgent:
        return _agent(OptimizerAgent, self._optimizer_model, context)


def _agent(kind: type[AnAgent], model: ChatModel, context: ProposalContext) -> AnAgent:
    study = context.study
    return kind(
        model, study.task, description=study.description, seed=study.seed, on_attempt=_announce(context)
    )


class _announce:
    """Tells the watchers that a model is about to be asked."""

    def __init__(self, context: ProposalContext) -> None:
        self._context = context

    def __call__(self, role: Role, attempt: int) -> None:
        self._context.watch(Thinking(number=self._context.number, role=role, attempt=attempt))


def _fallback(answered: Answered[Choice]) -> str:
    return f"no usable answer in {ATTEMPTS} attempts: {answered.failure}"
