"""Questions of a few lines instead of an analysis and a decision, as experiments like those of `variants`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from benchmarks.dev.variants import LongView
from tcs_hpt.agents import Answered, OptimizerAgent
from tcs_hpt.agents.answers import Choice, read_choice
from tcs_hpt.evidence.candidates import SHORT, Candidate, CandidateList
from tcs_hpt.guard import AGENT_RULES, check
from tcs_hpt.llm import ChatModel
from tcs_hpt.prompts import Prompt
from tcs_hpt.proposers import ExpertProposer, ProposalContext, Proposer
from tcs_hpt.proposers.expert import from_candidate
from tcs_hpt.proposers.views import EvidenceView
from tcs_hpt.records import Proposal
from tcs_hpt.space import format_value
from tcs_hpt.spec import Config

ANSWER_TOKENS = 80
"""Bound of an answer, which is the change alone."""
_SYSTEM = """You tune hyperparameters, one change at a time.
Task: {title}. Goal: {goal}.
Choose the one change that most likely improves it. Answer with a JSON object: {{"hyperparameters": "the chosen change"}}"""


class _ShortAgent(OptimizerAgent):
    """Chooses a change from a few lines, without an analysis and without saying why."""

    def choose(
        self,
        context: ProposalContext,
        listed: CandidateList,
        options: Mapping[str, Config],
        *,
        notes: Sequence[Candidate],
        question: int = 0,
    ) -> Answered[Choice]:
        """One of `options`, shown in their order below the reasons of `notes`; the model's seed depends on the question's number."""
        situation = context.report.situation
        prompt = Prompt(
            name="short",
            sha256=hashlib.sha256(_SYSTEM.encode()).hexdigest(),
            system=_SYSTEM.format(
                title=self._task.title or self._task.name,
                goal=f"{self._task.objective.direction} {self._task.objective.metric}",
            ),
            user="\n".join(
                (
                    f"Best {situation.metric} so far: {situation.best}. {context.report.diagnosis.sentence()}",
                    f"Best setting: {', '.join(f'{k}={format_value(v)}' for k, v in listed.base_config.items())}",
                    "Notes:",
                    *(f"{c.change.text}. {c.reason}" for c in notes),
                    "Possible changes:",
                    *(f"- {option}" for option in options),
                )
            ),
        )
        schema = {
            "type": "object",
            "properties": {"hyperparameters": {"enum": list(options)}},
            "required": ["hyperparameters"],
            "additionalProperties": False,
        }
        return self._ask(
            "optimizer",
            prompt,
            lambda text: read_choice(text, options),
            schema=schema,
            max_tokens=ANSWER_TOKENS,
            position=context.position + 1000 * question,
            check=lambda choice: (
                check(choice.config, context.space, context.trials, AGENT_RULES, listed.base_config).reasons
            ),
        )


class _Short:
    """One short question for each order in which the list can be turned, and the majority of the answers.

    Args:
        model: Whom to ask.
        turns: How often; 1 asks once.
    """

    def __init__(self, model: ChatModel, turns: int) -> None:
        self._model = model
        self._turns = turns

    def propose(self, context: ProposalContext) -> Proposal | None:
        """The change that was chosen most often; of equally frequent ones that which the evidence ranks higher."""
        view = EvidenceView()
        if context.is_start:
            return ExpertProposer(view).propose(context)
        listed = view.candidates(context)
        if listed is None:
            return None
        shown = view.shown(context, listed)
        study = context.study
        agent = _ShortAgent(self._model, study.task, seed=study.seed)
        answers = [
            agent.choose(context, listed, _texts([*shown[turn:], *shown[:turn]]), notes=shown, question=turn)
            for turn in range(min(self._turns, len(shown)))
        ]
        votes = [
            sum(a.value is not None and a.value.config == c.config for a in answers)
            for c in listed.candidates
        ]
        won = listed.candidates[votes.index(max(votes))]
        found = from_candidate(context, listed, won, "agents", f"{max(votes)} of {len(answers)} answers.")
        return _with_calls(found, answers)


class _TwoSteps:
    """First which parameter, then which of its changes on the long list; two short questions."""

    def __init__(self, model: ChatModel) -> None:
        self._model = model

    def propose(self, context: ProposalContext) -> Proposal | None:
        """The chosen change; the best one by the evidence where an answer cannot be used."""
        view = LongView()
        if context.is_start:
            return ExpertProposer(view).propose(context)
        listed = view.candidates(context)
        if listed is None:
            return None
        shown = view.shown(context, listed)
        agent = _ShortAgent(self._model, context.study.task, seed=context.study.seed)
        by_parameter: dict[str, list[Candidate]] = {}
        for candidate in shown:
            by_parameter.setdefault(candidate.change.parameter, []).append(candidate)
        best = {
            name: next(c for c in listed.candidates if c.change.parameter == name) for name in by_parameter
        }
        first = agent.choose(
            context, listed, {n: c.config for n, c in best.items()}, notes=list(best.values())
        )
        answers = [first]
        won = next(
            (c for c in best.values() if first.value and c.config == first.value.config), listed.candidates[0]
        )
        changes = by_parameter[won.change.parameter]
        if len(changes) > 1:
            second = agent.choose(context, listed, _texts(changes), notes=changes, question=1)
            answers.append(second)
            won = next((c for c in changes if second.value and c.config == second.value.config), won)
        return _with_calls(from_candidate(context, listed, won, "agents", ""), answers)


def _texts(shown: Sequence[Candidate]) -> dict[str, Config]:
    return {c.change.text: c.config for c in shown}


def _with_calls(proposal: Proposal, answers: Sequence[Answered[Choice]]) -> Proposal:
    return proposal.model_copy(update={"calls": tuple(call for a in answers for call in a.calls)})


def short(model: ChatModel) -> Proposer:
    """One question of a few lines instead of an analysis and a decision."""
    return _Short(model, 1)


def turned(model: ChatModel) -> Proposer:
    """The short question once for each change that can come first, and the majority."""
    return _Short(model, SHORT)


def two_steps(model: ChatModel) -> Proposer:
    """The parameter first, then its value, out of the long list."""
    return _TwoSteps(model)
