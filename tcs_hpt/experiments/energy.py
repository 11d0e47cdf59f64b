"""How sure is a model of what it writes? The semantic energy of the TCS-HPT paper (section 4.4, table 2).

After Ma et al., "Semantic Energy: Detecting LLM Hallucination Beyond Entropy" (2025, arXiv 2508.14496): the energy of a token is its negative
logit, that of an answer the mean over its tokens, and that of a meaning the mean over the answers that share it,

    U(C) = 1/|C| * sum over answers i in C of 1/T_i * sum over tokens t of -z(t),

with the raw logit z before any softmax, temperature or grammar. Lower means surer. Logits have no common zero, so energies compare prompts
of one model, never two models. Here answers share a meaning when they name the same change; those that name none share one, too. An empty
answer has neither energy nor meaning.

Both agents are asked as a study asks them, but without a schema: a grammar would force tokens that the model finds unlikely.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import Literal, TypeAlias

from tcs_hpt.agents import AnalysisAgent, OptimizerAgent
from tcs_hpt.agents.conversation import clean
from tcs_hpt.errors import ModelError
from tcs_hpt.experiments.consistency import Shown, prompt_digest
from tcs_hpt.experiments.example_state import ExampleState
from tcs_hpt.guard import AGENT_RULES, check
from tcs_hpt.llm import ChatModel, ChatReply, ChatRequest, Token
from tcs_hpt.proposers.raw_log import log_text
from tcs_hpt.proposers.views import RawView, TcsView, View
from tcs_hpt.records import Analysis, last_tested
from tcs_hpt.spec import Frozen
from tcs_hpt.statistics import mean_std

AgentName: TypeAlias = Literal["analysis", "optimizer"]
_Key: TypeAlias = tuple[str, str, str, str, int]
_VIEWS: dict[Shown, type[View]] = {"log": RawView, "report": TcsView}
"""Whose prompts are used: those of `raw` and of `tcs-paper`."""


class EnergyAnswer(Frozen):
    """One answer of one agent."""

    model: str
    state: str
    shown: Shown
    agent: AgentName
    repeat: int
    """From 0; decides the model's seed."""
    energy: float | None
    """Mean negative logit of its tokens; None when it is empty."""
    tokens: int
    choice: str = ""
    """The change that it names; empty when it names none of the list."""
    text: str = ""
    prompt: str = ""
    """Digest of what was asked; empty in files that lack it."""

    @property
    def key(self) -> _Key:
        """What tells it apart."""
        return (self.model, self.state, self.shown, self.agent, self.repeat)


class Energy(Frozen):
    """The answers of one agent of one model, told one way, over all states."""

    model: str
    shown: Shown
    agent: AgentName
    answers: int
    empty: int
    """How many of them say nothing; the energies are those of the others, None when there are no others."""
    mean: float | None
    """Over all answers."""
    std: float | None
    """Of the answers."""
    largest: float | None
    """Energy of the most frequent meaning, averaged over the states."""
    meanings: float | None
    """Different meanings in a state, on average."""
    named: int
    """Answers that name a change of the list."""


def token_energy(tokens: Sequence[Token]) -> float:
    """Mean negative logit.

    Raises:
        ModelError: There is no token, or the backend does not know the logits.
    """
    logits = [token.logit for token in tokens]
    known = [logit for logit in logits if logit is not None]
    if not known or len(known) < len(logits):
        raise ModelError(
            "the model's backend does not tell the logits of what it writes",
            hint="Use a model of Transformers: --model transformers:PATH_OR_NAME.",
        )
    return -fmean(known)


class _Watched:
    """A model that is asked one question, once and without a schema, and whose reply is kept.

    Args:
        model: Whom to ask.
        known: Its answer, if there is one; given again in place of asking, unless it answers another prompt.
    """

    def __init__(self, model: ChatModel, known: EnergyAnswer | None) -> None:
        self._model = model
        self._known = known
        self.reply: ChatReply | None = None
        self.prompt = ""
        self.was_known = False

    @property
    def name(self) -> str:
        return self._model.name

    def complete(self, request: ChatRequest) -> ChatReply:
        if self.reply is not None:
            raise ModelError("one answer is enough", hint="")  # there is no repair round here
        self.prompt = prompt_digest(request.messages)
        if self._known is not None and self._known.prompt in ("", self.prompt):
            self.was_known = True
            self.reply = ChatReply(self._known.text)
        else:
            self.reply = self._model.complete(replace(request, schema=None, logprobs=True))
        return self.reply

    def rest(self) -> None:
        pass

    def close(self) -> None:
        pass


def ask_energies(
    model: ChatModel,
    states: Sequence[ExampleState],
    shown: Sequence[Shown],
    *,
    repeats: int,
    known: Iterable[EnergyAnswer] = (),
) -> Iterator[EnergyAnswer]:
    """Ask both agents what `known` lacks, one prompt after the other; an answer to another prompt does not count as known.

    An optimizer whose analysis is known is told that analysis.

    Raises:
        ModelError: The model gives no answer, or its backend knows no logits.
    """
    there = {answer.key: answer for answer in known}
    for state in states:
        for way in shown:
            for repeat in range(repeats):
                yield from _both(model, state, way, repeat, there)
    model.rest()


def _both(
    model: ChatModel, state: ExampleState, shown: Shown, repeat: int, there: Mapping[_Key, EnergyAnswer]
) -> Iterator[EnergyAnswer]:
    """The answers of both agents, without those that were known."""
    view = _VIEWS[shown]
    told = log_text(state.trials, max_tokens=600) if shown == "log" else state.context.report_text
    options = list(state.changes)

    def watch(agent: AgentName) -> _Watched:
        return _Watched(model, there.get((model.name, state.name, shown, agent, repeat)))

    def answers(agent: AgentName, watched: _Watched, choice: str) -> Iterator[EnergyAnswer]:
        reply = watched.reply
        if reply is None:
            raise ModelError("the model gave no answer", hint="Check it with `tcs-hpt models list`.")
        if watched.was_known:
            return
        yield EnergyAnswer(
            model=model.name,
            state=state.name,
            shown=shown,
            agent=agent,
            repeat=repeat,
            energy=token_energy(reply.tokens) if reply.text else None,
            tokens=len(reply.tokens),
            choice=choice,
            text=clean(reply.text),
            prompt=watched.prompt,
        )

    watched = watch("analysis")
    analysed = AnalysisAgent(watched, state.task, seed=repeat).analyze(
        told,
        options,
        base_number=state.base.number,
        position=state.context.position,
        template=view.analysis_template,
    )
    analysis = analysed.value or Analysis.missing(analysed.failure)
    yield from answers("analysis", watched, analysis.specific_recommendation)

    watched = watch("optimizer")
    space = state.context.space
    decided = OptimizerAgent(watched, state.task, seed=repeat).propose(
        analysis,
        state.configs,
        situation=state.context.report.situation if shown == "report" else None,
        base=state.base.config,
        newest=last_tested(state.trials, space.names),
        position=state.context.position,
        check=lambda choice: (
            check(choice.config, space, state.trials, AGENT_RULES, state.base.config).reasons
        ),
        template=view.optimizer_template,
    )
    chosen = decided.value.config if decided.value is not None else None
    yield from answers(
        "optimizer", watched, next((t for t, config in state.configs.items() if config == chosen), "")
    )


def energies(answers: Iterable[EnergyAnswer]) -> list[Energy]:
    """Energies by model, what was told, and agent, in the order in which they appear."""
    groups: dict[tuple[str, Shown, AgentName], list[EnergyAnswer]] = {}
    for answer in answers:
        groups.setdefault((answer.model, answer.shown, answer.agent), []).append(answer)
    return [_energy(found) for found in groups.values()]


def _energy(found: Sequence[EnergyAnswer]) -> Energy:
    states: dict[str, dict[str, list[float]]] = {}
    known: list[float] = []
    for answer in found:
        if answer.energy is not None:
            states.setdefault(answer.state, {}).setdefault(answer.choice, []).append(answer.energy)
            known.append(answer.energy)
    overall = mean_std(known) if known else None
    first = found[0]
    return Energy(
        model=first.model,
        shown=first.shown,
        agent=first.agent,
        answers=len(found),
        empty=len(found) - len(known),
        mean=overall.mean if overall else None,
        std=overall.std if overall else None,
        largest=fmean(fmean(_most_frequent(m)) for m in states.values()) if states else None,
        meanings=fmean(len(m) for m in states.values()) if states else None,
        named=sum(bool(answer.choice) for answer in found),
    )


def _most_frequent(meanings: Mapping[str, Sequence[float]]) -> Sequence[float]:
    """The energies of the meaning with the most answers; of equally frequent ones, of that which came first."""
    most = max(len(found) for found in meanings.values())
    return next(found for found in meanings.values() if len(found) == most)
