"""A study whose trials somebody else trains: who asks is given a configuration, and tells what came of it.

The records are those of any study, so that reports, comparisons and memory know no difference. Between two calls nothing is
held but a lease on each running trial, which the next word of its trainer renews; whoever holds the study may be killed and
started again. A trial whose lease runs out is interrupted and tried again, as when an engine dies; the second time the same
configuration counts as crashed, so that one which ends every trainer does not hold up the study.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime

from tcs_hpt.events import EpochReported, StopAsked, StopReason, StudyEnded, StudyStarted, TrialStarted
from tcs_hpt.execution.metrics import read_numbers
from tcs_hpt.execution.outcome import Ending, judge
from tcs_hpt.loop import _recovery
from tcs_hpt.loop._ownership import Ownership
from tcs_hpt.loop._stopping import stop_reason
from tcs_hpt.loop._study import Study
from tcs_hpt.loop._trial_steps import begin_trial, end_trial
from tcs_hpt.pruning import make_pruner
from tcs_hpt.records import EpochRecord, Failure, FailureKind, Trial, Usage, ordered
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import TaskSpec
from tcs_hpt.store import Lease, LeaseLost, WrongState

MOST_EPOCHS = 10_000
"""Of a trial; what is reported after them renews the lease and is not kept."""


@dataclass(frozen=True)
class Told:
    """What a trainer says of its trial: metrics, or why there are none."""

    metrics: Mapping[str, float | None] | None = None
    """Final metrics; empty when the last epoch's count, None with a failure."""
    failure: FailureKind | None = None
    message: str = ""


class ExternalStudy:
    """Ask and tell on one study. Safe to use from several threads and processes; one proposes at a time.

    Args:
        study: The study; its proposer is asked, its executor never. May be replaced by one whose models are open.
        clock: Seconds since 1970, UTC.
    """

    def __init__(self, study: Study, *, clock: Callable[[], float] = time.time) -> None:
        self.study = study
        self._clock = clock
        self._pruner = make_pruner(study.spec)
        self._asked: dict[int, str] = {}
        self._telling = threading.Lock()
        self._started = False

    @property
    def _name(self) -> str:
        return self.study.spec.name

    # -- ask ------------------------------------------------------------------------------------------------

    def ask(self, *, lease_seconds: float, keep_waiting: Callable[[], bool]) -> Trial | StopReason | None:
        """The next trial, recorded as running and leased to who asks.

        Args:
            lease_seconds: How long may pass without a word of its trainer.
            keep_waiting: Whether to go on waiting while another configuration is being worked out.

        Returns:
            The trial; or why the study is over; or None when there is nothing to give out now, since what is left of the budget is
            being trained, or another configuration is being worked out.

        Raises:
            ModelError: The proposer's model fails.
        """
        study = self.study
        with (
            Ownership(study.store, self._name, clock=self._clock) as owner,
            owner.turn(keep_waiting) as mine,
            ExitStack() as stack,
        ):
            if not mine:
                return None
            self._tell_of_beginning()
            trials = self._recovered(owner)
            running = any(t.state == "running" for t in trials)
            reason = stop_reason(study.spec, trials, self._spent())
            if reason is not None:
                return None if running else self._end(reason)
            stack.callback(self._give_back, owner)  # a number that was reserved for a thought that failed
            begun = begin_trial(study, owner, trials)
            if not isinstance(begun, Trial):
                return None if begun == "full" or running else self._end("exhausted")
            study.store.release(self._name, begun.number, owner.owner)
            self._acquire(begun.number, _new_holder(), lease_seconds)
        study._tell(TrialStarted(number=begun.number, config=begun.config))
        return begun

    def task_of(self, trial: Trial) -> TaskSpec:
        """The task of a trial, with the fixed values that belong to it."""
        return self.study.spec.task_at(trial.fidelity)

    def _recovered(self, owner: Ownership) -> list[Trial]:
        """All trials, after those that nobody was heard of were given up."""
        study = self.study
        trials = study.trials
        leases = self._leases()
        owner.sweep({t.number for t in trials if t.state == "running"})
        for trial in trials:
            lease = leases.get(trial.number)
            held = lease is not None and not lease.expired(owner.now())
            if trial.state == "running" and not held and owner.take(trial.number):
                silence = 0.0 if lease is None else lease.expires_at - lease.heartbeat
                end_trial(study, self._lost(trial, trials, silence), owner.owner)
        return study.trials

    def _lost(self, trial: Trial, trials: list[Trial], silence: float) -> Trial:
        message = f"Nobody was heard of for {silence:.0f} seconds while this trial was running."
        again = _recovery.ended_outside_before(trial, trials, SearchSpace(self.study.spec.task.params))
        failure = Failure(
            kind="crashed" if again else "interrupted",
            message=f"{message} It was the second time with this configuration." if again else message,
            origin="" if again else "outside",
        )
        return trial.model_copy(update={"state": "failed" if again else "interrupted", "failure": failure})

    def _give_back(self, owner: Ownership) -> None:
        for lease in self._leases().values():
            if lease.owner == owner.owner and lease.number:  # 0 is the turn, given up by itself
                self.study.store.release(self._name, lease.number, owner.owner)

    # -- while it trains ------------------------------------------------------------------------------------

    def report(self, number: int, epoch: int, metrics: Mapping[str, float | None]) -> str:
        """Add an epoch to a running trial and renew its lease. The same epoch twice is one.

        Returns:
            Why the trainer should stop now; empty to go on.

        Raises:
            UserError: There is no such trial.
            WrongState: It is not running, or was given away.
            LeaseLost: It is given away at this moment.
        """
        study = self.study
        trial = self._running(number)
        holder = self._renewed(number)
        numbers, non_finite = read_numbers(metrics, study.spec.task.objective)
        record = EpochRecord(epoch=epoch, metrics=numbers, non_finite=non_finite)
        if record not in trial.epochs[-1:] and len(trial.epochs) < MOST_EPOCHS:
            study.store.append_epoch(self._name, number, record, holder)
            study._tell(EpochReported(number=number, epoch=record))
            trial = trial.model_copy(update={"epochs": (*trial.epochs, record)})
            self._look(trial)
        return self._asked.get(number, "")

    def _look(self, trial: Trial) -> None:
        if self._pruner is None or trial.number in self._asked:
            return
        reason = self._pruner.look(trial, trial.epochs, self.study.trials)
        if reason:
            self._asked[trial.number] = reason
            epoch = trial.epochs[-1].epoch
            self.study._tell(StopAsked(number=trial.number, epoch=epoch, reason=reason))

    # -- tell -----------------------------------------------------------------------------------------------

    def tell(self, number: int, told: Told) -> Trial:
        """Record how a trial ended. The same words twice are one.

        Returns:
            The record.

        Raises:
            UserError: There is no such trial.
            WrongState: It has ended otherwise, or was given up meanwhile.
        """
        for pause in (*(0.05,) * _TRIES, 0.0):
            trial = self.study.store.load_trial(self._name, number)
            record = self._judged(trial, told)
            if trial.state != "running":
                if _result(trial) == _result(record):
                    return trial
                raise WrongState(
                    f"trial {number} of study {self._name!r} is over: {_ending(trial)}", hint=_AGAIN
                )
            with self._telling:
                holder = self._taken_over(number)
                if holder:
                    try:
                        record = end_trial(self.study, record, holder)
                    except LeaseLost:
                        pass  # another process tells the same trial at this moment
                    else:
                        self._asked.pop(number, None)
                        self._end_if_over()
                        return record
            time.sleep(pause)
        raise self._given_up(number)

    def _taken_over(self, number: int) -> str:
        """Take a running trial's lease from its trainer, so that one of several words at the same time is written; empty when another is."""
        store = self.study.store
        lease = self._leases().get(number)
        if lease is None or not lease.owner.startswith(_HOLDER):
            return ""
        holder = _new_holder()
        if not store.release(self._name, number, lease.owner):
            return ""
        if not self._acquire(number, holder, lease.expires_at - lease.heartbeat):
            return ""
        if store.load_trial(self._name, number).state != "running":  # written before the lease was given up
            store.release(self._name, number, holder)
            return ""
        return holder

    def _judged(self, trial: Trial, told: Told) -> Trial:
        """The record of a running trial of which this was told."""
        objective = self.study.spec.task.objective
        seconds = (
            datetime.fromisoformat(self.study.now()) - datetime.fromisoformat(trial.started_at)
        ).total_seconds()
        usage = Usage(wall_seconds=max(seconds, 0.0))
        changes: dict[str, object] = {"usage": usage, "stopped_early": self._asked.get(trial.number, "")}
        if told.failure is not None:
            interrupted = told.failure == "interrupted"
            failure = Failure(kind=told.failure, message=told.message, origin="person" if interrupted else "")
            state = "interrupted" if interrupted else "failed"
            return trial.model_copy(update={**changes, "state": state, "failure": failure})
        metrics = read_numbers(told.metrics or {}, objective)[0]
        deciding = next((e for e in reversed(trial.epochs) if objective.metric in e.metrics), None)
        ending = Ending(
            by="itself",
            exit_code=0,
            result=metrics or None,
            epochs=trial.epochs,
            stderr="",
            deciding=deciding,
        )
        result = judge(ending, objective, self.study.spec.task.limits, usage)
        return _recovery.ended(trial, result).model_copy(update=changes)

    # -- ends -----------------------------------------------------------------------------------------------

    def abandon(self) -> None:
        """Record all running trials as interrupted; what their trainers tell later is refused."""
        study = self.study
        for lease in self._leases().values():
            study.store.release(self._name, lease.number, lease.owner)
        for trial in study.trials:
            holder = _new_holder()
            if trial.state == "running" and self._acquire(trial.number, holder, 60.0):
                failure = Failure(
                    kind="interrupted", message="The study was given up while it ran.", origin="person"
                )
                gone = trial.model_copy(update={"state": "interrupted", "failure": failure})
                end_trial(study, gone, holder)

    def _end_if_over(self) -> None:
        """End the study when nothing is left to do, unless somebody asks at this moment, who will see it too."""
        with (
            Ownership(self.study.store, self._name, clock=self._clock) as owner,
            owner.turn(lambda: False) as mine,
        ):
            trials = self.study.trials
            if not mine or any(t.state == "running" for t in trials):
                return
            reason = stop_reason(self.study.spec, trials, self._spent())
            if reason is not None:
                self._end(reason)

    def _end(self, reason: StopReason) -> StopReason:
        if self.study.store.end_external(self._name, reason):
            self.study._tell(StudyEnded(reason=reason))
        return reason

    def _tell_of_beginning(self) -> None:
        study = self.study
        if not self._started and not study.store.events(self._name, kinds=("study_started",), limit=1):
            study._tell(
                StudyStarted(
                    study=study.spec,
                    finished_trials=len([t for t in ordered(study.trials) if t.state != "running"]),
                    model=study.model,
                    model_reason=study.model_reason,
                    store=study.store.label,
                    task_reference=study.task_reference or study.spec.task.name,
                )
            )
        self._started = True

    def _spent(self) -> float:
        """Wall-clock seconds since the first question; trainers come and go, so all of it counts."""
        if self.study.spec.stop.seconds is None:
            return 0.0
        first = self.study.store.events(self._name, kinds=("study_started",), limit=1)
        return self._clock() - datetime.fromisoformat(first[0].at).timestamp() if first else 0.0

    # -- leases ---------------------------------------------------------------------------------------------

    def _leases(self) -> dict[int, Lease]:
        return {lease.number: lease for lease in self.study.store.leases(self._name)}

    def _acquire(self, number: int, holder: str, seconds: float) -> bool:
        return self.study.store.acquire(self._name, number, holder, seconds=seconds, now=self._clock())

    def _renewed(self, number: int) -> str:
        """Who holds a running trial, heard of now; one that ran out and was not given away is the holder's still.

        Raises:
            WrongState: It was given away.
        """
        lease = self._leases().get(number)
        if lease is None or not lease.owner.startswith(_HOLDER):
            raise self._given_up(number)
        if not self._acquire(number, lease.owner, lease.expires_at - lease.heartbeat):
            raise self._given_up(number)
        return lease.owner

    def _given_up(self, number: int) -> WrongState:
        return WrongState(f"trial {number} of study {self._name!r} is its trainer's no more", hint=_AGAIN)

    def _running(self, number: int) -> Trial:
        trial = self.study.store.load_trial(self._name, number)
        if trial.state != "running":
            raise WrongState(f"trial {number} of study {self._name!r} is over: {_ending(trial)}", hint=_AGAIN)
        return trial


_HOLDER = "external:"
_AGAIN = "Ask for a new configuration."
_TRIES = 40
"""Looks at a trial that another process is telling of."""


def _new_holder() -> str:
    return f"{_HOLDER}{uuid.uuid4().hex}"


def _result(trial: Trial) -> tuple[object, ...]:
    failure = None if trial.failure is None else (trial.failure.kind, trial.failure.message)
    return trial.state, trial.value, trial.metrics, failure


def _ending(trial: Trial) -> str:
    if trial.failure is not None:
        return f"it {trial.state}: {trial.failure.message}" if trial.failure.message else f"it {trial.state}"
    return f"it finished with {trial.value!r}"
