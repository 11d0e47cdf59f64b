"""A study that began with fewer epochs: its rungs, what they cost, and whether few epochs told what all of them tell. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tcs_hpt.records import Trial, by_number, finished, ordered, origin, score
from tcs_hpt.report import words
from tcs_hpt.report.sections import Grid, Section
from tcs_hpt.spec import Fidelity, Objective, StudySpec

FEWEST_PAIRS = 3
"""Pairs of configurations that are needed for a warning."""
POOR = 1 / 3
"""Agreement below this, two pairs of three that kept their order, is warned of."""


@dataclass(frozen=True)
class Kept:
    """How many pairs of configurations stand in the same order with few epochs and with more."""

    pairs: int
    """With two different scores on both rungs."""
    kept: int

    @property
    def tau(self) -> float | None:
        """Kendall's tau over these pairs: 1 is the same order, 0 what chance gives, -1 the opposite; None without a pair."""
        return (2 * self.kept - self.pairs) / self.pairs if self.pairs else None

    @property
    def poor(self) -> bool:
        """Whether enough is known to say that few epochs told little."""
        return self.tau is not None and self.pairs >= FEWEST_PAIRS and self.tau < POOR


def scores_by_rung(
    fidelity: Fidelity, trials: Sequence[Trial], objective: Objective
) -> dict[int, dict[int, float]]:
    """By rung, the cost (lower is better) of each configuration with a score there, under the number of the trial that tried it first."""
    known = by_number(trials)
    found: dict[int, dict[int, float]] = {rung: {} for rung in fidelity.rungs}
    for trial in finished(trials):
        rung = fidelity.full if trial.fidelity is None else trial.fidelity
        if rung in found:
            found[rung][origin(trial, known).number] = objective.gain(0.0, score(trial))
    return found


def kept_between(low: dict[int, float], high: dict[int, float]) -> Kept:
    """The pairs of configurations with a score on both of two rungs."""
    both = sorted(set(low) & set(high))
    return _kept((low[a] - low[b], high[a] - high[b]) for a, b in itertools.combinations(both, 2))


def kept_overall(fidelity: Fidelity, rungs: dict[int, dict[int, float]]) -> Kept:
    """Each pair of configurations once: the lowest rung against the highest that both of them reached."""
    lowest = rungs[fidelity.lowest]
    differences = []
    for a, b in itertools.combinations(sorted(lowest), 2):
        shared = [r for r in fidelity.rungs[1:] if a in rungs[r] and b in rungs[r]]
        if shared:
            high = rungs[shared[-1]]
            differences.append((lowest[a] - lowest[b], high[a] - high[b]))
    return _kept(differences)


def _kept(differences: Iterable[tuple[float, float]]) -> Kept:
    told = [low * high > 0 for low, high in differences if low != 0 and high != 0]
    return Kept(len(told), sum(told))


def rungs_section(study: StudySpec, trials: Sequence[Trial]) -> Section | None:
    """The rungs of a study as a table, with what they saved and how far they can be trusted; None where all trials are full."""
    fidelity = study.fidelity
    if fidelity is None or not trials:
        return None
    objective = study.task.objective
    rungs = scores_by_rung(fidelity, trials, objective)
    overall = kept_overall(fidelity, rungs)
    rows = []
    for place, rung in enumerate(fidelity.rungs):
        mine = [t for t in ordered(trials) if (t.fidelity or fidelity.full) == rung and t.state != "running"]
        values = [score(t) for t in finished(mine)]
        best = max(values, key=lambda v: objective.gain(v, 0.0), default=None)
        before = kept_between(rungs[fidelity.rungs[place - 1]], rungs[rung]) if place else None
        rows.append(
            (
                str(rung),
                str(len(mine)),
                str(len(values)),
                words.number(best),
                words.MISSING if before is None else _told(before),
            )
        )
    grid = Grid(
        title="",
        columns=(fidelity.parameter, "trials", "with a score", f"best {objective.metric}", "order kept"),
        rows=tuple(rows),
    )
    notes = (_trust(fidelity, overall), _warning(fidelity, overall))
    return Section(
        title="Fewer epochs first",
        lead=(_cost(fidelity, trials),),
        grids=(grid,),
        notes=tuple(n for n in notes if n),
    )


def _told(kept: Kept) -> str:
    return f"{kept.kept} of {words.count(kept.pairs, 'pair')}" if kept.pairs else words.MISSING


def _cost(fidelity: Fidelity, trials: Sequence[Trial]) -> str:
    ended = [t for t in ordered(trials) if t.state != "running"]
    configurations = sum(t.promoted_from is None for t in ended)
    spent = sum(t.fidelity or fidelity.full for t in ended) / fidelity.full
    return (
        f"{words.count(configurations, 'configuration')} with {fidelity.parameter} {fidelity.lowest} first, the best third of each rung again "
        f"with more: as many {fidelity.parameter} as {spent:.1f} trials in full have, less where a script went on from its checkpoint."
    )


def _trust(fidelity: Fidelity, overall: Kept) -> str:
    few = f"{fidelity.parameter} {fidelity.lowest}"
    if overall.tau is None:
        return f"No two configurations were trained for longer, so nothing is known of what {few} tells about {fidelity.full}."
    return (
        f"Of {words.count(overall.pairs, 'pair')} of configurations that were trained for longer, {overall.kept} stood in the same order as with "
        f"{few} (Kendall's tau {overall.tau:.2f}: 1 is the same order, 0 is chance)."
    )


def _warning(fidelity: Fidelity, overall: Kept) -> str:
    if not overall.poor:
        return ""
    more = fidelity.rungs[1]
    again = (
        f"begin higher, with --fidelity {fidelity.parameter}={more}..{fidelity.full}, or train in full"
        if more < fidelity.full
        else "train in full"
    )
    return (
        f"Warning: {fidelity.parameter} {fidelity.lowest} told little here, so a configuration that was left behind may be better than the "
        f"best; {again}."
    )


def fewer_sentence(fidelity: Fidelity, configurations: int) -> str:
    """What will happen, for the beginning of a study."""
    rungs = ", ".join(map(str, fidelity.rungs[1:-1]))
    between = f", the best third again with {rungs}" if rungs else ""
    return (
        f"{words.count(configurations, 'configuration')} with {fidelity.parameter} {fidelity.lowest} first{between}, the best of these with "
        f"{fidelity.full}: {words.count(fidelity.runs(configurations), 'trial')} in all"
    )


def rung_text(trial: Trial, fidelity: Fidelity | None) -> str:
    """On which rung a trial ran, `epochs 3 of 27`; empty for one in full."""
    if fidelity is None or trial.fidelity is None:
        return ""
    return f"{fidelity.parameter} {trial.fidelity} of {fidelity.full}"
