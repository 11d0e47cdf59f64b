"""One study from its first trial to its last: the only place that knows the order.

    propose -> guard -> train -> record -> (again)

Everything that happens is written to the store before the next step begins, so that a study can be killed at any moment
and goes on from its records.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from tcs_hpt.catalog import LoadedTask
from tcs_hpt.errors import UserError
from tcs_hpt.events import (
    EpochReported,
    Event,
    Proposed,
    StopReason,
    StudyEnded,
    StudyStarted,
    TrialEnded,
    TrialStarted,
    Watcher,
)
from tcs_hpt.execution import Executor, Job
from tcs_hpt.guard import FREE_RULES, check
from tcs_hpt.proposers import ProposalContext, Proposer
from tcs_hpt.records import EpochRecord, Failure, Proposal, Trial, ordered
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import StudySpec
from tcs_hpt.store import Store


def utc_now() -> str:
    """The time as records write it: ISO 8601, UTC, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass
class Study:
    """A study that can be run, stopped and run again.

    Args:
        spec: What is studied, and how.
        task_folder: Where the task's manifest and script are.
        folder: The study's own folder; every trial gets one inside it.
        store: The authority on what happened.
        proposer: Who chooses configurations.
        executor: Who runs them.
        data_dir: Handed to the script.
        python: Interpreter for `{python}` in the task's command; empty for the running one.
        watchers: Told of every event, after it is stored.
        model: Name of the language model, for the record.
        model_reason: Why this one.
        task_reference: The task as a command line names it, for the record.
        now: The clock.
    """

    spec: StudySpec
    task_folder: Path
    folder: Path
    store: Store
    proposer: Proposer
    executor: Executor
    data_dir: Path | None = None
    python: str = ""
    watchers: Sequence[Watcher] = ()
    model: str = ""
    model_reason: str = ""
    task_reference: str = ""
    now: Callable[[], str] = utc_now
    _training: bool = field(default=False, init=False)
    _stopping: bool = field(default=False, init=False)

    @property
    def trials(self) -> list[Trial]:
        """All trials so far, from the store."""
        return self.store.load_trials(self.spec.name)

    def run(self) -> StopReason:
        """Run trials until the budget is used, the space is exhausted, or somebody interrupts.

        A first Ctrl-C ends the running trial, records it as interrupted and returns; a second one raises.

        Raises:
            ModelError: The language model fails at the first question.
            StoreError: The database cannot be written.
            UserError: The task's program does not exist.
        """
        with self._interruptible():
            trials = self._recover()
            self._tell(
                StudyStarted(
                    study=self.spec,
                    finished_trials=len(ordered(trials)),
                    model=self.model,
                    model_reason=self.model_reason,
                    store=self.store.label,
                    folder=str(self.folder),
                    task_reference=self.task_reference or self.spec.task.name,
                )
            )
            reason: StopReason = "interrupted"
            try:
                reason = self._trials()
            except KeyboardInterrupt:  # while a model was thinking: nothing was started, nothing is lost
                if not self._stopping:
                    raise
            self._tell(StudyEnded(reason=reason))
            return reason

    def _trials(self) -> StopReason:
        while True:
            trials = self.trials
            if len(ordered(trials)) >= self.spec.trials:
                return "trials"
            number = max((t.number for t in trials), default=0) + 1
            proposal = self._again(trials) or self.proposer.propose(
                ProposalContext(self.spec, trials, number, self._tell)
            )
            if proposal is None:
                return "exhausted"
            decision = check(proposal.config, SearchSpace(self.spec.task.params), trials, FREE_RULES)
            if not decision.accepted:  # every proposer passed the guard already; this is the last door
                raise AssertionError(f"an invalid configuration reached the loop: {decision.reasons}")
            self._tell(Proposed(number=number, proposal=proposal))
            trial = self._train(number, proposal)
            if self._stopping or trial.state == "interrupted":
                return "interrupted"

    def _train(self, number: int, proposal: Proposal) -> Trial:
        folder = self.folder / f"trial_{number:04d}"
        trial = Trial(
            number=number,
            config=proposal.config,
            state="running",
            proposal=proposal,
            seed=self.spec.seed,
            folder=str(folder),
            started_at=self.now(),
        )
        self.store.save_trial(self.spec.name, trial)
        self._tell(TrialStarted(number=number, config=proposal.config))
        job = Job(
            number=number,
            task=self.spec.task,
            task_folder=self.task_folder,
            folder=folder,
            config=proposal.config,
            seed=self.spec.seed,
            profile=self.spec.profile or "",
            data_dir=self.data_dir,
            python=self.python,
        )

        def on_epoch(epoch: EpochRecord) -> None:
            self.store.append_epoch(self.spec.name, number, epoch)
            self._tell(EpochReported(number=number, epoch=epoch))

        self._training = True
        try:
            result = self.executor.run(job, on_epoch)
        finally:
            self._training = False
        trial = trial.model_copy(
            update={
                "state": result.state,
                "value": result.value,
                "metrics": result.metrics,
                "epochs": result.epochs,
                "failure": result.failure,
                "usage": result.usage,
            }
        )
        self.store.save_trial(self.spec.name, trial)
        self._tell(TrialEnded(trial=trial))
        return trial

    def _recover(self) -> list[Trial]:
        """Trials that a dead engine left running become interrupted; they cost no budget."""
        for trial in self.trials:
            if trial.state == "running":
                failure = Failure(
                    kind="interrupted", message="The engine ended while this trial was running."
                )
                self.store.save_trial(
                    self.spec.name, trial.model_copy(update={"state": "interrupted", "failure": failure})
                )
        return self.trials

    def _again(self, trials: Sequence[Trial]) -> Proposal | None:
        """The proposal of the last trial if it was interrupted and its configuration was not run since."""
        newest = max(trials, key=lambda t: t.number, default=None)
        return newest.proposal if newest is not None and newest.state == "interrupted" else None

    def _tell(self, event: Event) -> None:
        self.store.append_event(self.spec.name, event, self.now())
        for watcher in self.watchers:
            watcher(event)

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Ctrl-C, while a study runs in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def on_signal(signum: int, frame: FrameType | None) -> None:
            again, self._stopping = self._stopping, True
            if again or not self._training:
                raise KeyboardInterrupt
            self.executor.interrupt()

        before = signal.signal(signal.SIGINT, on_signal)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


def prepare(spec: StudySpec, store: Store) -> StudySpec:
    """Create the study, or find the one of the same name and check that only its budget differs.

    Returns:
        The specification to go on with.

    Raises:
        UserError: A study of this name exists and differs in more than the number of trials.
    """
    if not store.has_study(spec.name):
        store.create_study(spec)
        return spec
    known = store.get_study(spec.name)
    before, now = known.model_dump(), spec.model_dump()
    changed = [key for key in before if key != "trials" and before[key] != now[key]]
    if changed:
        details = "; ".join(_difference(key, before[key], now[key]) for key in changed)
        raise UserError(
            f"study {spec.name!r} exists and was made differently: {details}",
            hint="Use the same settings to continue it (only --trials may change), or another --name.",
        )
    if known.trials != spec.trials:
        store.update_trials_budget(spec.name, spec.trials)
    return spec


def _difference(key: str, before: object, now: object) -> str:
    if isinstance(before, dict) and isinstance(now, dict):
        inner = [k for k in {**before, **now} if before.get(k) != now.get(k)]
        return "; ".join(_difference(f"{key}.{k}", before.get(k), now.get(k)) for k in inner)
    return f"{key} was {before!r}, now {now!r}"


def new_name(task: LoadedTask, now: datetime) -> str:
    """The name a study gets when the user gives none: task and time."""
    return f"{task.spec.name}-{now:%Y%m%d-%H%M%S}"
