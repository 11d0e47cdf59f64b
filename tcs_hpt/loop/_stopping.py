"""When a study ends before its trials are used up. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tcs_hpt.events import StopReason
from tcs_hpt.loop._promotion import next_promotion
from tcs_hpt.records import Trial, first_rung, incumbent, ordered, score
from tcs_hpt.spec import StudySpec
from tcs_hpt.summary import converged


def stop_reason(study: StudySpec, trials: Sequence[Trial], spent_seconds: float) -> StopReason | None:
    """The first rule that ends the study now; None to go on.

    Args:
        study: Budget and rules.
        trials: All trials in any order; running ones count for the budget and for nothing else.
        spent_seconds: Wall-clock seconds over all runs of the study.

    Where a study begins with fewer epochs, the end of its search is not its own end while a configuration has yet to go on to more.
    """
    ended = [t for t in ordered(trials) if t.state != "running"]
    objective, rules = study.task.objective, study.stop
    best = incumbent(ended, objective)
    if rules.target and best is not None and objective.target is not None:
        reached = objective.gain(score(best), objective.target) >= 0
        if reached:
            return "target"
    if rules.failures and len(ended) >= rules.failures and all(t.failure for t in ended[-rules.failures :]):
        return "failures"
    over = search_over(study, trials)
    if over is not None and next_promotion(study, trials, closing=True) is None:
        return over
    if rules.seconds is not None and spent_seconds >= rules.seconds:
        return "seconds"
    return None


def search_over(study: StudySpec, trials: Sequence[Trial]) -> StopReason | None:
    """The first rule that says that no new configuration shall be tried; None to go on.

    Where a study begins with fewer epochs, its lowest rung is looked at: all configurations are there.
    """
    counted = ordered(first_rung(trials))
    ended = [t for t in counted if t.state != "running"]
    objective, rules = study.task.objective, study.stop
    best = incumbent(ended, objective)
    if rules.patience and best is not None and sum(t.number > best.number for t in ended) >= rules.patience:
        return "patience"
    if rules.converged and converged(ended, objective):
        return "converged"
    return "trials" if len(counted) >= study.trials else None
