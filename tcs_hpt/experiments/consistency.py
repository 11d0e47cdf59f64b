"""Does a model say the same thing twice? The consistency study of the TCS-HPT paper (section 4.1, figure 2).

A model is asked for a learning rate several times with the same prompt and other seeds. It may write what it likes: how many of the
answers hold a usable number is part of what is measured. The trainings that it is told of are example states, as raw log lines (the
paper's setting) or as the state report.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import Literal, TypeAlias

from tcs_hpt.agents._agent import shared_context
from tcs_hpt.agents.answers import read_object
from tcs_hpt.agents.conversation import TEMPERATURE, call_seed, clean
from tcs_hpt.experiments.example_state import ExampleState
from tcs_hpt.llm import ChatModel, ChatRequest
from tcs_hpt.prompts import Prompt, render
from tcs_hpt.proposers.raw_log import log_text
from tcs_hpt.records import Message
from tcs_hpt.spec import FloatParameter, Frozen
from tcs_hpt.statistics import mean_std

Shown: TypeAlias = Literal["log", "report"]
"""What a model is told of the trainings: raw log lines, or the state report."""
NAME = "lr"
"""The parameter that is asked for."""
ANSWER_TOKENS = 120
DIGITS = 3
"""Significant digits to which two learning rates count as the same."""

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_NAMED = re.compile(rf"(?:\blr\b|learning[ _-]?rate)[^\d\n]{{0,40}}?({_NUMBER})", re.IGNORECASE)


class RateAnswer(Frozen):
    """One answer."""

    model: str
    state: str
    shown: Shown
    repeat: int
    """From 0; the only thing, beside the model's seed, that the answers of one prompt differ in."""
    seed: int
    rate: float | None
    """The learning rate that was proposed; None when there is no usable one."""
    problem: str = ""
    """Why there is none."""
    text: str = ""
    prompt: str = ""
    """Digest of what was asked; empty in files that lack it."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What tells it apart."""
        return (self.model, self.state, self.shown, self.repeat)


class Spread(Frozen):
    """The answers of one model to one prompt."""

    model: str
    state: str
    shown: Shown
    asked: int
    valid: int
    """Answers with a usable learning rate."""
    distinct: int = 0
    low: float | None = None
    median: float | None = None
    high: float | None = None
    decades: float | None = None
    """Standard deviation of the base-10 logarithm: 1 means that a typical answer is ten times too high or low. None below two."""


def prompt_digest(messages: Sequence[Message]) -> str:
    """What tells a prompt apart: 12 hexadecimal digits of the SHA-256 over its messages."""
    content = json.dumps([(message.role, message.content) for message in messages])
    return hashlib.sha256(content.encode()).hexdigest()[:12]


def prompt_for(state: ExampleState, shown: Shown, *, max_tokens: int = 1500) -> Prompt:
    """The question; the same for every repetition.

    Raises:
        ValueError: The state has no learning rate to ask for.
    """
    parameter = state.task.params.get(NAME)
    if not isinstance(parameter, FloatParameter):
        raise ValueError(f"state {state.name!r} has no parameter {NAME!r}")
    told = log_text(state.trials, max_tokens=max_tokens) if shown == "log" else state.context.report_text
    return render(
        "learning_rate.v1",
        **shared_context(state.task, ""),
        rate=NAME,
        low=parameter.low,
        high=parameter.high,
        shown=f"{'LOG' if shown == 'log' else 'REPORT'}\n{told}",
    )


def read_rate(text: str, low: float, high: float) -> tuple[float | None, str]:
    """The learning rate that an answer names, or why there is none.

    Taken are the value of `lr` or `learning_rate` in a JSON object, else the first number behind one of these words, else the
    only number of the text.
    """
    found = _named_in_json(text)
    if found is None and (match := _NAMED.search(text)):
        found = float(match[1])
    if found is None:
        numbers = re.findall(_NUMBER, text)
        if len(numbers) != 1:
            return (
                None,
                "no number" if not numbers else "several numbers, none of them called a learning rate",
            )
        found = float(numbers[0])
    if not math.isfinite(found) or not low <= found <= high:
        return None, f"{found:g} is out of range"
    return found, ""


def _named_in_json(text: str) -> float | None:
    raw = read_object(text).value or {}
    for key, value in raw.items():
        if re.fullmatch(r"lr|learning[ _-]?rate", key.strip(), re.IGNORECASE) and not isinstance(value, bool):
            try:
                return float(value)
            except (TypeError, ValueError, OverflowError):
                continue
    return None


def ask_rates(
    model: ChatModel,
    states: Sequence[ExampleState],
    shown: Sequence[Shown],
    *,
    repeats: int,
    known: Iterable[RateAnswer] = (),
) -> Iterator[RateAnswer]:
    """Ask what `known` lacks, one prompt after the other; an answer to another prompt does not count as known.

    Raises:
        ModelError: The model gives no answer at all.
    """
    there = {answer.key: answer.prompt for answer in known}
    for state in states:
        parameter = state.task.params[NAME]
        assert isinstance(parameter, FloatParameter)
        for way in shown:
            prompt = prompt_for(state, way)
            fitting = ("", prompt_digest(prompt.messages))
            for repeat in range(repeats):
                if there.get((model.name, state.name, way, repeat)) not in fitting:
                    yield _asked(model, state.name, way, repeat, prompt, parameter)
    model.rest()


def _asked(
    model: ChatModel, state: str, shown: Shown, repeat: int, prompt: Prompt, parameter: FloatParameter
) -> RateAnswer:
    seed = call_seed(repeat, 1, "optimizer", 1)
    request = ChatRequest(
        messages=prompt.messages,
        max_tokens=ANSWER_TOKENS,
        temperature=TEMPERATURE,
        seed=seed,
        lane="optimizer",
    )
    reply = model.complete(request)
    rate, problem = read_rate(reply.text, parameter.low, parameter.high)
    return RateAnswer(
        model=model.name,
        state=state,
        shown=shown,
        repeat=repeat,
        seed=seed,
        rate=rate,
        problem=problem,
        text=clean(reply.text),
        prompt=prompt_digest(prompt.messages),
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
        seconds=reply.seconds,
    )


def spreads(answers: Iterable[RateAnswer]) -> list[Spread]:
    """How far the answers to each prompt lie apart, in the order in which the prompts appear."""
    groups: dict[tuple[str, str, Shown], list[RateAnswer]] = {}
    for answer in answers:
        groups.setdefault((answer.model, answer.state, answer.shown), []).append(answer)
    return [_spread(found) for found in groups.values()]


def _spread(found: Sequence[RateAnswer]) -> Spread:
    rates = [answer.rate for answer in found if answer.rate is not None]
    first = found[0]
    return Spread(
        model=first.model,
        state=first.state,
        shown=first.shown,
        asked=len(found),
        valid=len(rates),
        distinct=len({f"{rate:.{DIGITS}g}" for rate in rates}),
        low=min(rates, default=None),
        median=median(rates) if rates else None,
        high=max(rates, default=None),
        decades=mean_std([math.log10(rate) for rate in rates]).std if rates else None,
    )
