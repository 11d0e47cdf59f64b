"""Whether fewer epochs would have told the same: the order of trials early in training against their order at the end. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tcs_hpt.records import Trial, finished, score
from tcs_hpt.report import words
from tcs_hpt.spec import Objective
from tcs_hpt.trajectory import curve

SHARES = (0.25, 0.5)
"""Of a trial's own epochs."""
FEWEST_TRIALS = 5
FEWEST_EPOCHS = 4


@dataclass(frozen=True)
class Agreement:
    """How well an early ranking agrees with the final one."""

    share: float
    """Of each trial's epochs that were seen."""
    tau: float
    """Kendall's tau-b: 1 is the same order, 0 what chance gives, -1 the opposite order."""
    trials: int


def rank_agreements(
    trials: Iterable[Trial], objective: Objective, shares: Sequence[float] = SHARES
) -> list[Agreement]:
    """The agreement after each share of the epochs; empty when it cannot be said.

    Counted are finished trials that were not stopped early and have at least `FEWEST_EPOCHS` epochs with the objective; it takes
    `FEWEST_TRIALS` of them, not all with the same score. What a trial has early is the best of its epochs so far, as that is what
    stopping there would have given.
    """
    from scipy.stats import kendalltau

    lines = [
        (curve(t.epochs, objective.metric, objective).costs(), objective.gain(0.0, score(t)))
        for t in finished(trials)
        if not t.stopped_early
    ]
    lines = [(costs, final) for costs, final in lines if len(costs) >= FEWEST_EPOCHS]
    if len(lines) < FEWEST_TRIALS:
        return []
    found = []
    for share in shares:
        early = [min(costs[: math.ceil(share * len(costs))]) for costs, _ in lines]
        tau = float(kendalltau(early, [final for _, final in lines]).statistic)
        if math.isfinite(tau):
            found.append(Agreement(share, tau, len(lines)))
    return found


def fidelity_sentence(trials: Iterable[Trial], objective: Objective) -> str:
    """What the agreements say; empty when there is nothing to say."""
    found = rank_agreements(trials, objective)
    if not found:
        return ""
    parts = " and ".join(f"{a.tau:.2f} after {_SHARES[a.share]} of the epochs" for a in found)
    return (
        f"The order of {words.count(found[0].trials, 'trial')} agreed with their order at the end by {parts} (Kendall's tau: 1 is the same "
        "order, 0 is chance): how much shorter trials would have told."
    )


_SHARES = {0.25: "a quarter", 0.5: "half"}
