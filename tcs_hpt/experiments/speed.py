"""What answering costs, in seconds and tokens. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import numpy as np

from tcs_hpt.experiments.questions import Answer
from tcs_hpt.records import ModelCall
from tcs_hpt.spec import Frozen

FIT_CALLS = 5
"""Calls from which reading and writing are told apart."""
FIT_VARIETY = 1.2
"""The longest answer must be this many times the shortest one."""
FIT_SHARE = 0.8
"""Part of the variance in seconds that the length of the answer must explain; below it other things set the pace."""


class Speed(Frozen):
    """What answering costs. The first call is left out where there are others, since it may load the model."""

    calls: int
    first_seconds: float | None
    seconds_per_decision: float | None
    """Median over decisions: analysis and optimizer with their repair rounds."""
    read_per_decision: float | None
    """Prompt tokens, median."""
    written_per_decision: float | None
    """Tokens of the answers, median."""
    read_per_second: float | None
    """Prompt tokens per second; a prefix that the model keeps counts as read."""
    written_per_second: float | None


def speed(answers: Sequence[Answer]) -> Speed:
    """Seconds and tokens of a decision, and the rates of reading and writing."""
    calls = [call for a in answers for call in a.calls]
    costs = _decision_costs(answers)
    # The first question of all may have loaded the model.
    shown = costs[1:] or costs
    read, written = rates([c for c in calls[1:] if c.role == "analysis" and c.attempt == 1])
    return Speed(
        calls=len(calls),
        first_seconds=calls[0].seconds if calls else None,
        seconds_per_decision=median(c[0] for c in shown) if shown else None,
        read_per_decision=median(c[1] for c in shown) if shown else None,
        written_per_decision=median(c[2] for c in shown) if shown else None,
        read_per_second=read,
        written_per_second=written,
    )


def _decision_costs(answers: Sequence[Answer]) -> list[tuple[float, int, int]]:
    """Seconds, tokens read and tokens written of every analysis with its decision, in order."""
    asked: dict[tuple[str, int], list[ModelCall]] = {}
    for answer in answers:
        if answer.purpose == "order":
            asked.setdefault((answer.state, answer.seed), []).extend(answer.calls)
    return [
        (
            sum(c.seconds for c in calls),
            sum(c.prompt_tokens for c in calls),
            sum(c.completion_tokens for c in calls),
        )
        for calls in asked.values()
        if any(c.role == "optimizer" for c in calls)
    ]


def rates(calls: Sequence[ModelCall]) -> tuple[float | None, float | None]:
    """Tokens read and written per second, as far as the calls can tell them apart.

    A straight line `seconds = reading + written / rate` through the calls of one agent, whose prompts are about
    equally long: its slope is the time of a written token, its start the time of reading the median prompt. None where
    the answers are too few, too alike in length, or do not lie near a line.
    """
    written = np.array([c.completion_tokens for c in calls], dtype=np.float64)
    seconds = np.array([c.seconds for c in calls], dtype=np.float64)
    if len(calls) < FIT_CALLS or written.min() <= 0 or written.max() < FIT_VARIETY * written.min():
        return None, None
    if np.ptp(seconds) == 0:
        return None, None
    slope, start = (float(v) for v in np.polyfit(written, seconds, 1))
    if np.corrcoef(written, seconds)[0, 1] ** 2 < FIT_SHARE or slope <= 0 or start <= 0:
        return None, None
    return median(c.prompt_tokens for c in calls) / start, 1 / slope
