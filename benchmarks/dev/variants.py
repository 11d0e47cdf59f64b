"""Other ways of putting the choice to a model, as experiments: `python -m benchmarks.dev run --methods long=benchmarks.dev.variants:long`.

All of them are `tcs` with one thing changed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from tcs_hpt.agents import Answered, OptimizerAgent
from tcs_hpt.agents.answers import Choice, cold_start_schema, read_cold_start
from tcs_hpt.agents.optimizer import COLD_START_TOKENS
from tcs_hpt.evidence.candidates import Candidate, CandidateList
from tcs_hpt.guard import FREE_RULES, check
from tcs_hpt.llm import ChatModel
from tcs_hpt.prompts import render
from tcs_hpt.proposers import AgentsProposer, CoinProposer, ExpertProposer, ProposalContext, Proposer
from tcs_hpt.proposers.views import EvidenceView
from tcs_hpt.records import Proposal

SAMPLES = 3
"""Answers that a majority is taken of."""
_WHOLE = 9  # purpose of random numbers


class LongView(EvidenceView):
    """Up to eight changes, or the best few of them, whatever their parameters."""

    def __init__(self, most: int | None = None) -> None:
        super().__init__()
        self._most = most

    def candidates(self, context: ProposalContext) -> CandidateList | None:
        """Best first."""
        found = context.evidence(self.blocks)
        if found is None:
            return None
        return replace(found.listed, candidates=found.listed.candidates[: self._most])


class _Ranked(EvidenceView):
    """The changes in the order of the evidence."""

    def shown(self, context: ProposalContext, listed: CandidateList) -> list[Candidate]:
        """Best first."""
        return list(listed.candidates)


class _Majority:
    """Asks several times with other seeds, which also show the list in other orders, and takes what was chosen most often."""

    def __init__(self, proposer: Proposer) -> None:
        self._proposer = proposer

    def propose(self, context: ProposalContext) -> Proposal | None:
        """The most frequent choice; of equally frequent ones that which the evidence ranks higher."""
        first = self._proposer.propose(context)
        if first is None or not first.options:
            return first
        others = [self._proposer.propose(_reseeded(context, i)) for i in range(1, SAMPLES)]
        found = [first, *(other for other in others if other is not None)]
        votes = Counter(p.change for p in found)
        won = min(found, key=lambda p: (-votes[p.change], first.options.index(p.change)))
        return won.model_copy(update={"calls": tuple(call for p in found for call in p.calls)})


class _WholeAgent(OptimizerAgent):
    """Chooses a value for every parameter, as in a cold start, with the report of the trials so far before it."""

    def configure(self, context: ProposalContext) -> Answered[Choice]:
        """The next configuration, whatever the others were."""
        order = context.random(_WHOLE)  # small models take the first or the last of a list
        choices = {
            name: tuple(values[int(i)] for i in order.permutation(len(values)))
            for name, values in EvidenceView().cold_values(context).items()
        }
        prompt = render("cold_start.v1", **self._shared(), choices=choices)
        return self._ask(
            "optimizer",
            replace(prompt, name="whole", user=f"{context.report_text}\n{prompt.user}"),
            lambda text: read_cold_start(text, self._space, choices),
            schema=cold_start_schema(choices),
            max_tokens=COLD_START_TOKENS,
            position=context.position,
            check=lambda choice: check(choice.config, context.space, context.trials, FREE_RULES).reasons,
        )


class _Whole:
    """One agent that sets all parameters anew in each trial; the expert when it fails."""

    def __init__(self, model: ChatModel) -> None:
        self._model = model

    def propose(self, context: ProposalContext) -> Proposal | None:
        """What the agent chose, or the expert's change with the reason why."""
        stand_in = ExpertProposer().propose(context)
        if context.is_start or stand_in is None:
            return stand_in
        study = context.study
        agent = _WholeAgent(self._model, study.task, description=study.description, seed=study.seed)
        answered = agent.configure(context)
        if answered.value is None:
            return stand_in.model_copy(update={"fallback": answered.failure, "calls": answered.calls})
        chosen = answered.value
        return Proposal(config=chosen.config, source="agents", reason=chosen.reasoning, calls=answered.calls)


def _reseeded(context: ProposalContext, sample: int) -> ProposalContext:
    seed = context.study.seed + 1000 * sample
    return replace(context, study=context.study.model_copy(update={"seed": seed}))


def long(model: ChatModel) -> Proposer:
    """Eight changes instead of three."""
    return AgentsProposer(model, model, LongView())


def ranked(model: ChatModel) -> Proposer:
    """The best change first instead of shuffled."""
    return AgentsProposer(model, model, _Ranked())


def majority(model: ChatModel) -> Proposer:
    """The majority of three answers."""
    return _Majority(AgentsProposer(model, model, EvidenceView()))


def whole(model: ChatModel) -> Proposer:
    """All parameters at once instead of one change."""
    return _Whole(model)


def coin_of_eight() -> Proposer:
    """A coin over up to eight changes."""
    return CoinProposer(LongView())


def coin_of_the_best() -> Proposer:
    """A coin over the best three changes, also when they are of one parameter."""
    return CoinProposer(LongView(3))
