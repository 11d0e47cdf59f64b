"""Successive halving: whose configuration is trained again with more epochs, and when. Pure, so that a resumed study goes on as an unbroken one.

Configurations are compared in brackets (`Fidelity.brackets`). When all of a bracket have ended on the lowest rung, the best third of them
goes to the next; when those have ended, the best third of these goes on; and so up to the full number. A configuration that fails on a
higher rung leaves its place to the next best of the rung below.

The start is trained in full as soon as it has ended on the lowest rung. It takes nobody's place: it is what the result is compared
with, and with it a study has a score from its second trial on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tcs_hpt.records import PROMOTION, Proposal, Trial, bases, first_rung, ordered, promoted
from tcs_hpt.spec import Fidelity, Objective, StudySpec


@dataclass(frozen=True)
class Promotion:
    """A configuration that is trained again with more epochs."""

    promoted_from: int
    """Number of the trial to go on from."""
    fidelity: int | None
    """The rung that it goes to; None for the full number."""
    proposal: Proposal
    """What the record says of it. It has no base: its effect would be that of the epochs."""

    @classmethod
    def of(cls, trial: Trial, rungs: Fidelity, to: int, reason: str) -> Promotion:
        """A trial's configuration on another rung."""
        now = rungs.full if trial.fidelity is None else trial.fidelity
        proposal = Proposal(
            config=trial.config,
            source=PROMOTION,
            reason=reason,
            change=f"{rungs.parameter}: {now} -> {to}",
        )
        return cls(trial.number, None if to == rungs.full else to, proposal)


@dataclass(frozen=True)
class Rung:
    """Where a trial runs."""

    fidelity: int | None = None
    promoted_from: int | None = None


Step: TypeAlias = "Promotion | Literal['wait'] | None"
"""What is owed: a promotion now; one that hangs on trials that still run; nothing."""


def next_promotion(study: StudySpec, trials: Sequence[Trial], *, closing: bool) -> Step:
    """The promotion that is due, the oldest bracket first; None in a study that trains in full.

    Args:
        study: Its rungs and its number of configurations.
        trials: All trials, running and interrupted ones too; those that were interrupted have to be tried again first.
        closing: Whether no new configuration will come, so that the last bracket is as large as it gets.
    """
    if study.fidelity is None:
        return None
    counted = ordered(trials)
    first = [t for t in counted if t.promoted_from is None]
    again = promoted(counted)
    if first and first[0].value is not None and first[0].number not in again:
        reason = "The start in full, which the result is compared with."
        return Promotion.of(first[0], study.fidelity, study.fidelity.full, reason)
    sizes = study.fidelity.brackets(study.trials)
    at, waiting = 0, False
    for place, size in enumerate(sizes):
        members = first[at : at + size] if place < len(sizes) - 1 else first[at:]
        at += size
        if not members or (len(members) < size and not closing):
            break
        step = _in_bracket(study.fidelity, study.task.objective, members, first[0], again)
        if isinstance(step, Promotion):
            return step
        waiting |= step == "wait"
    return "wait" if waiting else None


def _in_bracket(
    fidelity: Fidelity, objective: Objective, members: list[Trial], start: Trial, again: dict[int, Trial]
) -> Step:
    pool = members
    for places, rung in zip(fidelity.places(len(members)), fidelity.rungs[1:], strict=True):
        if any(t.state == "running" for t in pool):
            return "wait"
        rivals = [t for t in _ranked(pool, objective) if t is not start]
        gone = [again[t.number] for t in rivals if t.number in again]
        if sum(t.state != "failed" for t in gone) < places:
            following = next((t for t in rivals if t.number not in again), None)
            if following is not None:
                place, with_ = rivals.index(following) + 1, f"{fidelity.parameter} {following.fidelity}"
                reason = f"Number {place} of {len(rivals)} with {with_}."
                return Promotion.of(following, fidelity, rung, reason)
        pool = gone
    return None


def _ranked(trials: Sequence[Trial], objective: Objective) -> list[Trial]:
    """Those with a score, best first; ones that break bounds after those that keep them."""
    return [t for t in bases(trials, objective) if t.value is not None]


def rung_of(study: StudySpec, what: Trial | Promotion | object) -> Rung:
    """Where the next trial runs: an interrupted one that is tried again, a promotion, or else a new configuration."""
    if isinstance(what, Trial | Promotion):
        return Rung(what.fidelity, what.promoted_from)
    return Rung() if study.fidelity is None else Rung(study.fidelity.lowest)


def as_proposers_see(study: StudySpec, trials: Sequence[Trial]) -> tuple[StudySpec, Sequence[Trial]]:
    """The study of the lowest rung, an ordinary one in itself: its scores compare with each other.

    Its target is left out, since it was set for the full number of epochs.
    """
    if study.fidelity is None:
        return study, trials
    task = study.task_at(study.fidelity.lowest)
    task = task.model_copy(update={"objective": task.objective.model_copy(update={"target": None})})
    return study.model_copy(update={"task": task, "fidelity": None}), first_rung(trials)
