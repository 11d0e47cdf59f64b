"""How a trial begins and ends in the records, whoever trains it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from tcs_hpt.errors import StoreError
from tcs_hpt.events import Proposed, TrialEnded
from tcs_hpt.guard import FREE_RULES, check
from tcs_hpt.loop import _artifacts, _recovery
from tcs_hpt.loop._ownership import LEASE_SECONDS, Ownership
from tcs_hpt.loop._promotion import Promotion, next_promotion, rung_of
from tcs_hpt.loop._stopping import search_over
from tcs_hpt.records import Trial, incumbent
from tcs_hpt.space import SearchSpace

if TYPE_CHECKING:
    from tcs_hpt.loop._study import Study

Nothing: TypeAlias = Literal["full", "exhausted"]
"""Why no trial begins: the budget is used or spoken for, or the engine is stopping; or no untested configuration is left."""


def begin_trial(study: Study, owner: Ownership, trials: Sequence[Trial]) -> Trial | Nothing:
    """Decide on the next trial, check it, and record it as running, leased to the engine.

    Call it in the engine's turn to propose. Whoever trains it tells that it has started.

    Args:
        study: Its proposer is asked, unless something is to be tried again or goes on to more epochs.
        owner: The engine.
        trials: All trials of the study, after those of dead engines were recovered.

    Raises:
        ModelError: The proposer's model fails at the first question.
        StoreError: The database cannot be written, or another engine took the trial's number meanwhile.
    """
    spec, store = study.spec, study.store
    retry = _recovery.to_retry(trials)
    over = search_over(spec, trials) is not None
    due = next_promotion(spec, trials, closing=over) if retry is None else None
    fewer = spec.fidelity is not None
    if fewer and over and retry is None and not isinstance(due, Promotion):
        return "full"  # who goes on to more epochs hangs on trials that still run
    number = store.reserve_number(
        spec.name,
        owner.owner,
        seconds=LEASE_SECONDS,
        now=owner.now(),
        budget=None if fewer else spec.trials,
    )
    if number is None:
        return "full"
    proposal = retry.proposal if retry is not None else None
    if proposal is None and not isinstance(due, Promotion):
        proposal = study._propose(trials, number)
        if proposal is None:  # no untested configuration is left
            due = next_promotion(spec, trials, closing=True)
    if proposal is None and isinstance(due, Promotion):
        proposal = due.proposal
    if proposal is None or study._stopping:
        store.release(spec.name, number, owner.owner)
        return "full" if study._stopping or due == "wait" else "exhausted"
    decision = check(proposal.config, SearchSpace(spec.task.params), trials, FREE_RULES)
    if not decision.accepted:  # every proposer passed the guard already; this is the last door
        raise AssertionError(f"an invalid configuration reached the loop: {decision.reasons}")
    study._tell(Proposed(number=number, proposal=proposal))
    going_on = rung_of(spec, retry or due)
    trial = Trial(
        number=number,
        config=proposal.config,
        state="running",
        proposal=proposal,
        seed=spec.seed,
        folder=str(study.folder / f"trial_{number:04d}"),
        started_at=study.now(),
        retry_of=retry.number if retry is not None else None,
        fidelity=going_on.fidelity,
        promoted_from=going_on.promoted_from,
    )
    if not store.start_trial(spec.name, trial, owner.owner, seconds=LEASE_SECONDS, now=owner.now()):
        raise StoreError(
            f"another engine started trial {number} of {spec.name!r} meanwhile",
            hint="This engine was suspended for too long; run the same command again to go on.",
        )
    return trial


def end_trial(study: Study, trial: Trial, owner: str) -> Trial:
    """Write the record of a trial that ended, apply the policy on artifacts, and tell.

    Args:
        study: Its study.
        trial: The record, without violations and artifacts.
        owner: Who has the trial's lease; it is given up.

    Returns:
        The record as it was written.

    Raises:
        LeaseLost: The owner does not have the lease; nothing was written.
    """
    spec, store = study.spec, study.store
    violations = spec.task.objective.violations(trial.metrics) if trial.state == "finished" else ()
    trial = trial.model_copy(
        update={"artifacts": _artifacts.found(Path(trial.folder)), "violations": violations}
    )
    store.save_trial(spec.name, trial, owner)
    store.release(spec.name, trial.number, owner)
    over = [t for t in study.trials if t.state != "running"]
    best = incumbent(over, spec.task.objective)
    for changed in _artifacts.apply(spec.keep, over, best):
        store.save_trial(spec.name, changed)
        trial = changed if changed.number == trial.number else trial
    study._tell(TrialEnded(trial=trial))
    return trial
