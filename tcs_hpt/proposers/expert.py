"""Proposers without a language model that change one thing at a time: the expert, and the coin that controls for it."""

from __future__ import annotations

from tcs_hpt.evidence.candidates import Candidate, CandidateList
from tcs_hpt.evidence.knowledge import knowledge
from tcs_hpt.guard import AGENT_RULES, FREE_RULES, Rules, check
from tcs_hpt.proposers._base import ProposalContext
from tcs_hpt.proposers.views import EvidenceView, View
from tcs_hpt.records import Proposal, Source
from tcs_hpt.spec import Config

_PICK, _COLD = 2, 3  # purposes of random numbers


def given_start(context: ProposalContext) -> Proposal | None:
    """Trial 1 when it is the same for every method: the task's defaults, or what is known of the names.

    None in a cold start, where each method makes its own.
    """
    if context.study.start == "cold":
        return None
    if context.study.start == "knowledge":
        config, reasons = knowledge(context.task, context.study.description).start(context.space)
        reason = "; ".join(f"{name}: {why}" for name, why in reasons.items()) + "."
    else:
        config, reason = context.space.defaults(), "The task's defaults."
    return guarded(context, Proposal(config=config, source="start", reason=reason))


def guarded(
    context: ProposalContext, proposal: Proposal, rules: Rules = FREE_RULES, base: Config | None = None
) -> Proposal:
    """The proposal with the guard's decision on it.

    Raises:
        AssertionError: The guard refuses; a proposer of ours broke a rule.
    """
    decision = check(proposal.config, context.space, context.trials, rules, base)
    if not decision.accepted:
        raise AssertionError(f"{proposal.source} proposed {proposal.config}: {'; '.join(decision.reasons)}")
    return proposal.model_copy(update={"decision": decision})


def from_candidate(
    context: ProposalContext, listed: CandidateList, candidate: Candidate, source: Source, reason: str
) -> Proposal:
    """A listed change as a proposal."""
    return guarded(
        context,
        Proposal(
            config=candidate.config,
            source=source,
            reason=reason,
            base_trial=listed.base.number if listed.base else None,
            change=candidate.change.text,
            options=tuple(c.change.text for c in listed.candidates),
        ),
        AGENT_RULES,
        listed.base_config,
    )


class ExpertProposer:
    """Always takes the top-ranked candidate.

    Args:
        view: Whose candidates; those of `tcs` if not given.
    """

    def __init__(self, view: View | None = None) -> None:
        self._view = view if view is not None else EvidenceView()

    def propose(self, context: ProposalContext) -> Proposal | None:
        """The best single change by the evidence."""
        if context.is_start:
            cold = Proposal(
                config=context.space.middles(), source="expert", reason="The middle of every scale."
            )
            return given_start(context) or guarded(context, cold)
        listed = self._view.candidates(context)
        if listed is None:
            return None
        top = listed.candidates[0]
        proposal = from_candidate(context, listed, top, "expert", top.reason)
        return proposal.model_copy(update={"report": self._view.text(context, listed)})


class CoinProposer:
    """Picks one of the candidates at random: shows what a model's choice among them is worth.

    Args:
        view: Whose candidates; those of `tcs` if not given.
    """

    def __init__(self, view: View | None = None) -> None:
        self._view = view if view is not None else EvidenceView()

    def propose(self, context: ProposalContext) -> Proposal | None:
        """A random one of the listed changes."""
        if context.is_start:
            return given_start(context) or self._cold(context)
        listed = self._view.candidates(context)
        if listed is None:
            return None
        pick = int(context.random(_PICK).integers(len(listed.candidates)))
        reason = f"Drawn at random from {len(listed.candidates)} candidates."
        proposal = from_candidate(context, listed, listed.candidates[pick], "coin", reason)
        return proposal.model_copy(update={"report": self._view.text(context, listed)})

    def _cold(self, context: ProposalContext) -> Proposal:
        random = context.random(_COLD)
        choices = self._view.cold_values(context)
        config = context.space.completed(
            {name: values[int(random.integers(len(values)))] for name, values in choices.items()}
        )
        return guarded(
            context, Proposal(config=config, source="coin", reason="Drawn from the agents' values.")
        )
