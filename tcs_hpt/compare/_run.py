"""Running the studies of a comparison, several at a time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tcs_hpt.compare._models import ModelPool
from tcs_hpt.compare._plan import PlannedStudy, said
from tcs_hpt.compare._recorded import Recorded, recorded
from tcs_hpt.errors import StoreError, TcsHptError
from tcs_hpt.events import Event, StopReason, TrialEnded
from tcs_hpt.execution import Executor, LocalExecutor
from tcs_hpt.execution.gpu import Gpus
from tcs_hpt.loop import Study, interruptible
from tcs_hpt.proposers import make_proposer
from tcs_hpt.records import Trial, ordered
from tcs_hpt.spec import StudySpec
from tcs_hpt.store import Store

GIVE_UP_AFTER = 5
"""Failed trials, without a single score before, after which a study is given up: its script is broken."""

LAST_SECONDS = 5.0
"""How long a second Ctrl-C waits for the records of what it killed."""


@dataclass(frozen=True)
class StudyBegan:
    """A study begins or goes on."""

    spec: StudySpec
    trials: int
    """That count and are there already."""


@dataclass(frozen=True)
class TrialOver:
    """A trial finished, failed or was interrupted."""

    spec: StudySpec
    trial: Trial


@dataclass(frozen=True)
class StudyOver:
    """Nothing more will happen in a study in this run."""

    spec: StudySpec
    reason: StopReason | None
    """None when it failed, or never began."""
    failure: str = ""
    """Why it cannot go on, in a sentence; empty when nothing is wrong."""
    trials: int = 0
    """That count."""
    skipped: bool = False
    """It was complete before."""


Update: TypeAlias = StudyBegan | TrialOver | StudyOver


class ComparisonRun:
    """Runs what is left of a comparison. A study that cannot go on is reported, and the others go on.

    Args:
        planned: The studies, entered into the store, in the order in which they shall begin.
        open_store: Opens the database; every thread has its own.
        folder_of: The folder of a study, by its name.
        jobs: Studies that run at the same time; each runs one trial after the other.
        models: The pool of the planned studies' models.
        devices: CUDA devices; with several, each worker trains on one of them.
        data_dir: Handed to the scripts.
        python: Interpreter for `{python}`; empty for the running one.
        watch: Told what happens, one thing at a time, from any thread.
        on_stop: Told once, when `stop` begins to wait, how many studies are still running.
        make_executor: Who runs trials; one for each study.
    """

    def __init__(
        self,
        planned: Sequence[PlannedStudy],
        *,
        open_store: Callable[[], Store],
        folder_of: Callable[[str], Path],
        jobs: int = 1,
        models: ModelPool | None = None,
        devices: Sequence[str] = (),
        data_dir: Path | None = None,
        python: str = "",
        watch: Callable[[Update], None] = lambda update: None,
        on_stop: Callable[[int], None] = lambda running: None,
        make_executor: Callable[[], Executor] = LocalExecutor,
    ) -> None:
        self._planned = planned
        self._open_store = open_store
        self._folder_of = folder_of
        self._jobs = jobs
        self._models = models
        self._devices = devices if len(devices) > 1 else ()
        self._data_dir = data_dir
        self._python = python
        self._watch = watch
        self._on_stop = on_stop
        self._make_executor = make_executor
        self._telling = threading.Lock()
        self._stopping = False
        self._running: dict[str, Study] = {}
        self._given_up: dict[str, str] = {}
        self._over: list[StudyOver] = []

    @property
    def stopped(self) -> bool:
        """Whether somebody interrupted it."""
        return self._stopping

    def run(self) -> list[StudyOver]:
        """Run until every study is over, or somebody interrupts.

        A first Ctrl-C (or SIGTERM) in the main thread is `stop`; a second one is `kill` and raises.

        Returns:
            How each study ended, as far as it began; complete ones of earlier runs and impossible ones first.

        Raises:
            KeyboardInterrupt: A second Ctrl-C came.
        """
        with interruptible(stopping=lambda: self._stopping, stop=self.stop, kill=self.kill):
            waiting = self._sorted_out()
            workers = min(self._jobs, waiting.qsize())
            if not workers:
                return self._over
            pool = ThreadPoolExecutor(workers, thread_name_prefix="study")
            futures = [pool.submit(self._work, waiting, self._device(i)) for i in range(workers)]
            try:
                self._wait(futures)
            except KeyboardInterrupt:
                wait(futures, timeout=LAST_SECONDS)
                raise
            finally:
                pool.shutdown(wait=False)
            return self._over

    def stop(self) -> None:
        """End the running trials, begin nothing new, and let `run` return. From any thread or a signal handler."""
        self._stopping = True
        for study in list(self._running.values()):
            study.stop()
        if self._models is not None:  # last, so that every study knows why its model falls silent
            self._models.stop()

    def kill(self) -> None:
        """As `stop`, without asking the running scripts first."""
        self.stop()
        for study in list(self._running.values()):
            study.kill()

    def _wait(self, futures: Sequence[Future[None]]) -> None:
        """Wait for all workers; after a bug in one of them, stop the others and raise it."""
        said = False
        while True:
            done, left = wait(futures, timeout=0.2, return_when=FIRST_EXCEPTION)
            if self._stopping and left and not said:
                said = True
                self._on_stop(len(self._running))
            broken = [f for f in done if f.exception() is not None]
            if broken:
                self.stop()
                wait(left)
                broken[0].result()
            if not left:
                return

    def _sorted_out(self) -> queue.SimpleQueue[PlannedStudy]:
        """The studies with something left to run; those without are over at once."""
        waiting: queue.SimpleQueue[PlannedStudy] = queue.SimpleQueue()
        with self._open_store() as store:
            for planned in self._planned:
                if planned.failure:
                    self._end(StudyOver(planned.spec, None, planned.failure))
                    continue
                known = recorded(store, planned.spec.name)
                if known.complete:
                    count = len(ordered(known.trials))
                    self._end(StudyOver(planned.spec, known.ended, trials=count, skipped=True))
                else:
                    waiting.put(planned)
        return waiting

    def _device(self, worker: int) -> str:
        return self._devices[worker % len(self._devices)] if self._devices else ""

    def _work(self, waiting: queue.SimpleQueue[PlannedStudy], device: str) -> None:
        """One study after the other, in a thread of its own."""
        with self._open_store() as store:
            while not self._stopping:
                try:
                    planned = waiting.get_nowait()
                except queue.Empty:
                    return
                self._study(planned, store, device)

    def _study(self, planned: PlannedStudy, store: Store, device: str) -> None:
        spec = planned.spec
        reason: StopReason | None = None
        failure = ""
        try:
            study = self._made(planned, recorded(store, spec.name), store, device)
            self._running[spec.name] = study
            if self._stopping:  # `stop` may have looked before the study was there
                study.stop()
            reason = study.run()
        except TcsHptError as error:
            failure = said(error)
        finally:
            self._running.pop(spec.name, None)
        if reason == "interrupted" and spec.name in self._given_up:
            reason, failure = None, self._given_up[spec.name]
        try:
            done = len(ordered(store.load_trials(spec.name)))
        except StoreError as error:  # the database that ended the study is still out of reach
            done, failure = 0, failure or said(error)
        self._end(StudyOver(spec, reason, failure, trials=done))

    def _made(self, planned: PlannedStudy, known: Recorded, store: Store, device: str) -> Study:
        spec = planned.spec
        proposer = make_proposer(
            spec.method,
            analysis_model=planned.analysis,
            optimizer_model=planned.optimizer,
            stand_in=False,
        )
        study = Study(
            spec=spec,
            task_folder=planned.task.folder,
            folder=self._folder_of(spec.name),
            store=store,
            proposer=proposer,
            executor=self._make_executor(),
            devices=(device,) if device else (),
            data_dir=self._data_dir,
            python=self._python,
            model=" and ".join(dict.fromkeys(filter(None, (spec.analysis_model, spec.optimizer_model)))),
            model_reason=planned.model_reason,
            task_reference=planned.task.reference,
            gpus=Gpus() if self._jobs == 1 else None,  # else other studies train meanwhile
        )
        trials = {t.number: t for t in known.trials}

        def watch(event: Event) -> None:
            if isinstance(event, TrialEnded):
                trials[event.trial.number] = event.trial
                self._give_up(study, list(trials.values()))
                self._tell(TrialOver(spec, event.trial))

        study.watchers = [watch]
        self._tell(StudyBegan(spec, len(ordered(known.trials))))
        return study

    def _give_up(self, study: Study, trials: Sequence[Trial]) -> None:
        """Stop a study in which nothing works."""
        ended = [t for t in ordered(trials) if t.state != "running"]
        failures = [t.failure for t in ended if t.failure is not None]
        if len(failures) < max(GIVE_UP_AFTER, len(ended)):
            return
        self._given_up[study.spec.name] = (
            f"none of the first {len(failures)} trials has a score; the last one: {failures[-1].message}"
        )
        study.stop()

    def _end(self, over: StudyOver) -> None:
        self._over.append(over)
        self._tell(over)

    def _tell(self, update: Update) -> None:
        with self._telling:
            self._watch(update)
