"""What the agents see of a study, and who stands in when they fail: with the Trajectory Context Summarizer, and without.

The rest of a method of the agents (the two questions, the one-change rule, the guard, the repair round, the record) is the
same whatever they see, and lives in `agents.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from tcs_hpt.agents.analysis import ANALYSIS_TOKENS, analysis_prompt
from tcs_hpt.evidence.blocks import ALL, Block
from tcs_hpt.evidence.candidates import SHOWN, Candidate, CandidateList, shortlist, single_changes
from tcs_hpt.evidence.knowledge import knowledge
from tcs_hpt.proposers._base import ProposalContext
from tcs_hpt.proposers.evidence_text import evidence_text
from tcs_hpt.proposers.raw_log import log_text
from tcs_hpt.records import Analysis, Source, Trial, bases
from tcs_hpt.spec import Config, Scalar
from tcs_hpt.summary import Situation, estimate_tokens

COLD_VALUES = 7
"""Values per parameter that a cold start is chosen from."""
_SHUFFLE, _DRAW = 1, 4  # purposes of random numbers; 2 and 3 are the coin's


def spread_values(context: ProposalContext) -> Mapping[str, Sequence[Scalar]]:
    """`COLD_VALUES` of each parameter, ends included."""
    return {name: context.space.values(name, COLD_VALUES) for name in context.space.names}


class View(Protocol):
    """What the agents are told when they decide on one trial. Every method is a function of the context."""

    analysis_template: str
    optimizer_template: str

    def cold_values(self, context: ProposalContext) -> Mapping[str, Sequence[Scalar]]:
        """What a first configuration is put together from when none is given: a few values of each parameter, in order."""
        ...

    def candidates(self, context: ProposalContext) -> CandidateList | None:
        """The changes on offer, in the order of the record; None when the space has none left."""
        ...

    def shown(self, context: ProposalContext, listed: CandidateList) -> list[Candidate]:
        """The same changes in the order in which the agents see them."""
        ...

    def text(self, context: ProposalContext, listed: CandidateList) -> str:
        """What is known of all experiments, for the Analysis Agent, who is also shown the changes."""
        ...

    def performance(self, context: ProposalContext) -> Situation | None:
        """The performance context of the Optimizer Agent; None if it has none."""
        ...

    def stand_in_analysis(self, context: ProposalContext, listed: CandidateList, failure: str) -> Analysis:
        """What takes the place of an analysis that failed."""
        ...

    def stand_in_choice(self, listed: CandidateList) -> tuple[Candidate, Source, str]:
        """What takes the place of a decision that failed: the change, who chose it, and why."""
        ...


class TcsView:
    """The state report, changes ranked by its diagnosis and past effects, and the expert as stand-in."""

    analysis_template = "analysis.v1"
    optimizer_template = "optimizer.v1"

    def cold_values(self, context: ProposalContext) -> Mapping[str, Sequence[Scalar]]:
        """Spread over the whole of each scale."""
        return spread_values(context)

    def candidates(self, context: ProposalContext) -> CandidateList | None:
        """Best first."""
        return context.candidates

    def shown(self, context: ProposalContext, listed: CandidateList) -> list[Candidate]:
        """Shuffled by the seed: small models favour places in a list."""
        order = context.random(_SHUFFLE).permutation(len(listed.candidates))
        return [listed.candidates[int(i)] for i in order]

    def text(self, context: ProposalContext, listed: CandidateList) -> str:
        """The state report, within the study's budget of tokens."""
        return context.report_text

    def performance(self, context: ProposalContext) -> Situation | None:
        """Best score, gap and trend."""
        return context.report.situation

    def stand_in_analysis(self, context: ProposalContext, listed: CandidateList, failure: str) -> Analysis:
        """The deterministic diagnosis, with the top-ranked change."""
        top = listed.candidates[0]
        return Analysis(
            problem_diagnosis=context.report.diagnosis.sentence(),
            impact_assessment={},
            primary_action=top.change.parameter,
            specific_recommendation=top.change.text,
            reasoning=top.reason,
            expected_outcome="improves",
            by="diagnosis",
            failure=failure,
        )

    def stand_in_choice(self, listed: CandidateList) -> tuple[Candidate, Source, str]:
        """The top-ranked change, by the expert."""
        top = listed.candidates[0]
        return top, "expert", top.reason


class EvidenceView(TcsView):
    """The state report with the evidence blocks: the best few changes by all of them, and what they say beside the list.

    The list is short, since what a small model takes of a long one is worth hardly more than a random pick
    (`docs/decisions/0008-a-short-list.md`): what is on offer has to be good.

    Args:
        blocks: Which blocks take part; all if not given.
    """

    analysis_template = "analysis.v2"

    def __init__(self, blocks: frozenset[Block] = ALL) -> None:
        self.blocks = blocks

    def cold_values(self, context: ProposalContext) -> Mapping[str, Sequence[Scalar]]:
        """Spread over what is worth trying of each scale, where the name says it."""
        if "knowledge" not in self.blocks:
            return super().cold_values(context)
        known = knowledge(context.task, context.study.description)
        return {name: known.values(name, COLD_VALUES) for name in context.space.names}

    def candidates(self, context: ProposalContext) -> CandidateList | None:
        """Best first."""
        found = context.evidence(self.blocks)
        return shortlist(found.listed) if found is not None else None

    def text(self, context: ProposalContext, listed: CandidateList) -> str:
        """The state report, and below it the evidence; the report within the study's budget, the evidence within its own."""
        found = context.evidence(self.blocks)
        return context.report_text + (evidence_text(found, listed) if found is not None else "")


class RawView:
    """Log lines as they were written, and changes drawn at random: agents without the TCS.

    Nothing that is computed from the trials reaches a prompt but the base that a change starts from. A failed analysis
    is left out, and a failed decision is a coin's: the expert would bring the diagnosis in again.
    """

    analysis_template = "analysis_raw.v1"
    optimizer_template = "optimizer_raw.v1"

    def cold_values(self, context: ProposalContext) -> Mapping[str, Sequence[Scalar]]:
        """Spread over the whole of each scale."""
        return spread_values(context)

    def candidates(self, context: ProposalContext) -> CandidateList | None:
        """Untested single changes of the base, drawn by the seed from all of them."""
        found: list[tuple[Trial | None, Config]] = [
            (t, t.config) for t in bases(context.trials, context.task.objective)
        ]
        for base, config in found or [(None, context.start)]:
            changes = single_changes(context.space, config, context.trials)
            if changes:
                drawn = context.random(_DRAW).permutation(len(changes))[:SHOWN]
                listed = [Candidate(*changes[int(i)], score=0.0, reason="") for i in drawn]
                return CandidateList(base, dict(config), tuple(listed))
        return None

    def shown(self, context: ProposalContext, listed: CandidateList) -> list[Candidate]:
        """As drawn."""
        return list(listed.candidates)

    def text(self, context: ProposalContext, listed: CandidateList) -> str:
        """The newest log lines, within the state report's budget of tokens."""
        return log_text(context.trials, max_tokens=context.study.report_tokens)

    def performance(self, context: ProposalContext) -> Situation | None:
        """None."""
        return None

    def stand_in_analysis(self, context: ProposalContext, listed: CandidateList, failure: str) -> Analysis:
        """An empty one: the optimizer is told that there is none."""
        return Analysis.missing(failure)

    def stand_in_choice(self, listed: CandidateList) -> tuple[Candidate, Source, str]:
        """The first of the drawn changes, which is as good as any other draw."""
        return listed.candidates[0], "coin", f"Drawn at random from {len(listed.candidates)} changes."


class ScoresView(RawView):
    """Configurations and final metrics, without epochs: what most tuners have to go by."""

    def text(self, context: ProposalContext, listed: CandidateList) -> str:
        """The newest of these lines, within the state report's budget of tokens."""
        return log_text(context.trials, max_tokens=context.study.report_tokens, epochs=False)


class BlindView(RawView):
    """Nothing of the trials but the base that a change starts from: what a model knows of the task by itself."""

    def text(self, context: ProposalContext, listed: CandidateList) -> str:
        """That it is not shown."""
        return "The log is not shown.\n"


class RawLongView(RawView):
    """The same with as much of the log as the embedded engine's context holds.

    The log gets what the rest of the question, the answer and a repair round leave of it, at most `LOG_TOKENS`.
    """

    CONTEXT = 4096
    """Tokens that prompt and answer may have together."""
    LOG_TOKENS = 3000
    """Most that the log may have, in estimated tokens."""
    REPAIR_TOKENS = 300
    """Room for what was wrong with an answer, beside the answer itself."""

    def text(self, context: ProposalContext, listed: CandidateList) -> str:
        """The newest log lines that fit."""
        question = analysis_prompt(
            self.analysis_template,
            context.task,
            context.study.description,
            report="",
            options=[c.change.text for c in listed.candidates],
            base_number=listed.base.number if listed.base else None,
        )
        taken = estimate_tokens(question.text) + 2 * ANALYSIS_TOKENS + self.REPAIR_TOKENS
        budget = min(self.LOG_TOKENS, max(self.CONTEXT - taken, context.study.report_tokens))
        return log_text(context.trials, max_tokens=budget)
