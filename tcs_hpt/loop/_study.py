"""The loop itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias

from tcs_hpt.catalog import LoadedTask
from tcs_hpt.errors import UserError
from tcs_hpt.events import (
    EpochReported,
    Event,
    StopAsked,
    StopReason,
    StudyEnded,
    StudyStarted,
    TrialStarted,
    Watcher,
)
from tcs_hpt.evidence.memory import Memory, recall
from tcs_hpt.execution import Executor, Job, recover
from tcs_hpt.execution.folder import ask_to_stop, take_over_checkpoint
from tcs_hpt.execution.gpu import Gpus
from tcs_hpt.loop import _recovery
from tcs_hpt.loop._choosing import measured
from tcs_hpt.loop._devices import DevicePool, visible_devices
from tcs_hpt.loop._fidelity import require_fidelity
from tcs_hpt.loop._ownership import Ownership
from tcs_hpt.loop._promotion import as_proposers_see
from tcs_hpt.loop._signals import interruptible
from tcs_hpt.loop._stopping import stop_reason
from tcs_hpt.loop._trial_steps import Nothing, begin_trial, end_trial
from tcs_hpt.proposers import ProposalContext, Proposer
from tcs_hpt.pruning import Pruner, make_pruner, require_prunable
from tcs_hpt.records import EpochRecord, Proposal, Trial, ordered
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import BUDGETS, StudySpec
from tcs_hpt.store import Store

Next: TypeAlias = Literal["started"] | Nothing
_LOOK_SHARE = 0.02
"""The most of its time that a waiting engine spends on looks at the trials, which other engines may have changed."""
_LOOK_SECONDS = 5.0
"""The longest time between two of them."""


def utc_now() -> str:
    """The time as records write it: ISO 8601, UTC, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _states(trials: Sequence[Trial]) -> list[tuple[int, str]]:
    return [(t.number, t.state) for t in trials]


@dataclass
class Study:
    """A study that can be run, stopped and run again.

    Args:
        spec: What is studied, and how.
        task_folder: Where the task's manifest and script are.
        folder: The study's own folder; every trial gets one inside it.
        store: The authority on what happened.
        proposer: Who chooses configurations; asked by one thread at a time.
        executor: Who runs them; asked by `jobs` threads at a time.
        jobs: Trials that run at the same time.
        devices: CUDA devices to hand out, one per trial; None to look which there are.
        data_dir: Handed to the script.
        python: Interpreter for `{python}` in the task's command; empty for the running one.
        watchers: Told of every event, after it is stored; one event at a time.
        model: Name of the language model, for the record.
        model_reason: Why this one.
        task_reference: The task as a command line names it, for the record.
        gpus: Whose use is counted while a configuration is chosen and nothing of this study is trained; None where others use them meanwhile.
        now: The clock of the records.
    """

    spec: StudySpec
    task_folder: Path
    folder: Path
    store: Store
    proposer: Proposer
    executor: Executor
    jobs: int = 1
    devices: tuple[str, ...] | None = None
    data_dir: Path | None = None
    python: str = ""
    watchers: Sequence[Watcher] = ()
    model: str = ""
    model_reason: str = ""
    task_reference: str = ""
    gpus: Gpus | None = None
    now: Callable[[], str] = utc_now
    _thinking: bool = field(default=False, init=False)
    _stopping: bool = field(default=False, init=False)
    _telling: threading.RLock = field(default_factory=threading.RLock, init=False)
    _running: dict[Future[None], int] = field(default_factory=dict, init=False)

    @cached_property
    def _pruner(self) -> Pruner | None:
        """Who looks at running trials; made once, since it may remember them."""
        return make_pruner(self.spec)

    @cached_property
    def memory(self) -> Memory | None:
        """What earlier studies in the same store have to say; None when they are not asked. Looked up once."""
        if not self.spec.memory or self.spec.comparison:
            return None
        return recall(self.spec, self.store.earlier_studies(self.spec.name))

    @property
    def trials(self) -> list[Trial]:
        """All trials so far, from the store."""
        return self.store.load_trials(self.spec.name)

    def run(self) -> StopReason:
        """Run trials until a stopping rule holds, the space is exhausted, or somebody interrupts.

        A first Ctrl-C (or SIGTERM) ends the running trials, records them as interrupted and returns; a second one
        kills them and raises.

        Raises:
            ModelError: The language model fails at the first question.
            StoreError: The database cannot be written, or another engine took over a trial of this one.
            UserError: The task's program does not exist.
        """
        began = time.monotonic()
        earlier = _recovery.earlier_seconds(self.store.events(self.spec.name))
        with ExitStack() as stack:
            stack.enter_context(
                interruptible(stopping=lambda: self._stopping, stop=self._on_signal, kill=self.kill)
            )
            owner = stack.enter_context(Ownership(self.store, self.spec.name))
            pool = stack.enter_context(ThreadPoolExecutor(self.jobs, thread_name_prefix="trial"))
            stack.callback(self._end_running)
            # Before anything else is told: the clock of this run starts here, not when the last one was killed.
            ended = [t for t in ordered(self.trials) if t.state != "running"]
            self._tell(
                StudyStarted(
                    study=self.spec,
                    finished_trials=len(ended),
                    model=self.model,
                    model_reason=self.model_reason,
                    store=self.store.label,
                    folder=str(self.folder),
                    task_reference=self.task_reference or self.spec.task.name,
                )
            )
            self._recovered(owner)
            reason = self._trials(owner, pool, lambda: earlier + time.monotonic() - began)
            self._tell(StudyEnded(reason=reason))
            return reason

    def settle(self) -> None:
        """Record how the trials of dead engines ended, and start none.

        Raises:
            StoreError: The database cannot be written, or another engine took over one of them.
        """
        with Ownership(self.store, self.spec.name) as owner:
            self._recovered(owner)

    def stop(self) -> None:
        """End the running trials, record them as interrupted and let `run` return `interrupted`, as a first Ctrl-C does.

        From any thread, or from a signal handler: it only sets flags. A thought that has begun is finished first.
        """
        self._stopping = True
        self.executor.interrupt()

    def kill(self) -> None:
        """As `stop`, without asking the running scripts first."""
        self._stopping = True
        self.executor.kill()

    # -- the order ------------------------------------------------------------------------------------------

    def _trials(self, owner: Ownership, pool: ThreadPoolExecutor, spent: Callable[[], float]) -> StopReason:
        devices = DevicePool(
            visible_devices() if self.devices is None and self.jobs > 1 else self.devices or ()
        )
        trials: Sequence[Trial] = ()
        following: Next = "started"
        due = 0.0
        while True:
            ended = self._collect()
            owner.check()
            if (
                ended or time.monotonic() >= due
            ):  # what this engine does is seen at once, what others do in time
                before = time.monotonic()
                earlier, trials = trials, self.trials
                if following == "full" or _states(earlier) != _states(
                    trials
                ):  # else nobody can think of more
                    following = "started"
                due = before + min(_LOOK_SECONDS, (time.monotonic() - before) / _LOOK_SHARE)
            reason = stop_reason(self.spec, trials, spent())
            if self._stopping and reason is None:
                reason = "interrupted"
            if reason is None and len(self._running) < self.jobs and following == "started":
                following = self._start(owner, pool, devices)
                if following == "started":
                    due = 0.0
                    continue
            if reason is None and following == "exhausted":
                reason = "exhausted"
            if reason is None and not self._running:  # another engine runs what is left of the budget
                time.sleep(0.2)
                continue
            if not self._running and reason is not None:
                return reason
            if self._running:
                wait(self._running, timeout=0.2, return_when=FIRST_COMPLETED)
                if self._stopping:
                    self.executor.interrupt()  # also the run that was about to start when the signal came

    def _collect(self) -> bool:
        """Forget the runs that ended, and raise what went wrong in them; whether there were any."""
        ended = [f for f in self._running if f.done()]
        for future in ended:
            del self._running[future]
            future.result()
        return bool(ended)

    def _start(self, owner: Ownership, pool: ThreadPoolExecutor, devices: DevicePool) -> Next:
        """Propose and start one trial, while no other engine of this study proposes."""
        with owner.turn(keep_waiting=lambda: not self._stopping) as mine:
            if not mine:
                return "full"
            begun = begin_trial(self, owner, self._recovered(owner))
        if not isinstance(begun, Trial):
            return begun
        self._tell(TrialStarted(number=begun.number, config=begun.config))
        self._running[pool.submit(self._train, begun, owner, devices)] = begun.number
        return "started"

    def _propose(self, trials: Sequence[Trial], number: int) -> Proposal | None:
        """Ask the proposer; Ctrl-C while it thinks loses nothing but the thought."""
        self._thinking = True

        def think() -> Proposal | None:
            spec, seen = as_proposers_see(self.spec, trials)
            return self.proposer.propose(ProposalContext(spec, seen, number, self._tell, self.memory))

        try:
            return measured(think, None if self._running else self.gpus, self.devices or ())
        except KeyboardInterrupt:
            if not self._stopping:
                raise
            return None
        finally:
            self._thinking = False

    def _train(self, trial: Trial, owner: Ownership, devices: DevicePool) -> None:
        """Run one trial and record how it ended; in a thread of its own."""
        epochs: list[EpochRecord] = []
        asked = ""

        def on_epoch(epoch: EpochRecord) -> None:
            nonlocal asked
            self.store.append_epoch(self.spec.name, trial.number, epoch, owner.owner)
            self._tell(EpochReported(number=trial.number, epoch=epoch))
            epochs.append(epoch)
            if self._pruner is not None and not asked:
                asked = self._pruner.look(trial, epochs, self.trials)
                if asked:
                    ask_to_stop(Path(trial.folder))
                    self._tell(StopAsked(number=trial.number, epoch=epoch.epoch, reason=asked))

        folders = {t.number: t.folder for t in self.trials}
        for number in (trial.retry_of, trial.promoted_from):  # what was interrupted had gone further
            if number is not None and folders.get(number):
                take_over_checkpoint(Path(folders[number]), Path(trial.folder))
        with devices.one() as device:
            result = self.executor.run(self._job(trial, device), on_epoch)
        with self._telling:  # the policy looks at all trials: one at a time
            trials = self.trials
            record = _recovery.judged(
                _recovery.ended(trial, result), trials, SearchSpace(self.spec.task.params)
            )
            if asked:
                record = record.model_copy(update={"stopped_early": asked})
            end_trial(self, record, owner.owner)

    # -- what others left -----------------------------------------------------------------------------------

    def _recovered(self, owner: Ownership) -> list[Trial]:
        """All trials, after those of dead engines were finished from their results or marked as interrupted."""
        elsewhere = owner.held_elsewhere()
        trials = self.trials
        owner.sweep({t.number for t in trials if t.state == "running"})
        for trial in trials:
            if (
                trial.state != "running"
                or trial.number in elsewhere
                or trial.number in self._running.values()
            ):
                continue
            if not owner.take(trial.number):
                continue  # another engine recovers it
            result = recover(self._job(trial, ""))
            record = _recovery.ended(trial, result) if result is not None else _recovery.interrupted(trial)
            end_trial(self, record, owner.owner)
        return self.trials

    def _job(self, trial: Trial, device: str) -> Job:
        return Job(
            number=trial.number,
            task=self.spec.task_at(trial.fidelity),
            task_folder=self.task_folder,
            folder=Path(trial.folder),
            config=trial.config,
            seed=trial.seed,
            profile=self.spec.profile or "",
            data_dir=self.data_dir,
            python=self.python,
            devices=device,
        )

    # -- ends -----------------------------------------------------------------------------------------------

    def _end_running(self) -> None:
        """End what still runs when `run` is left by an error, and wait for its records."""
        if any(not f.done() for f in self._running):
            self.executor.interrupt()
            wait(self._running)

    def _tell(self, event: Event) -> None:
        with self._telling:
            self.store.append_event(self.spec.name, event, self.now())
            for watcher in self.watchers:
                watcher(event)

    def _on_signal(self) -> None:
        self.stop()
        if self._thinking:
            raise KeyboardInterrupt


def prepare(spec: StudySpec, store: Store) -> StudySpec:
    """Create the study, or find the one of the same name and check that only its budgets differ.

    Returns:
        The specification to go on with.

    Raises:
        UserError: A study of this name exists and differs in more than `BUDGETS`, its trials cannot be pruned so, or fewer epochs
            first do not fit what else it was asked for.
    """
    require_prunable(spec)
    require_fidelity(spec)
    if not store.has_study(spec.name):
        store.create_study(spec)
        return spec
    known = store.get_study(spec.name)
    before, now = known.model_dump(), spec.model_dump()
    changed = [key for key in before if key not in BUDGETS and before[key] != now[key]]
    if changed:
        details = "; ".join(_difference(key, before[key], now[key]) for key in changed)
        raise UserError(
            f"study {spec.name!r} exists and was made differently: {details}",
            hint="Use the same settings to continue it (only budgets may change), or another --name.",
        )
    if any(before[key] != now[key] for key in BUDGETS):
        store.update_budgets(spec.name, spec)
    return spec


def _difference(key: str, before: object, now: object) -> str:
    if isinstance(before, dict) and isinstance(now, dict):
        inner = [k for k in {**before, **now} if before.get(k) != now.get(k)]
        return "; ".join(_difference(f"{key}.{k}", before.get(k), now.get(k)) for k in inner)
    return f"{key} was {before!r}, now {now!r}"


def new_name(task: LoadedTask, now: datetime) -> str:
    """The name a study gets when the user gives none: task and time."""
    return f"{task.spec.name}-{now:%Y%m%d-%H%M%S}"
