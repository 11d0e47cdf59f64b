"""Comparisons in a store of their own, with scripted models and trials that take no time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tcs_hpt.compare import (
    ComparisonRun,
    ModelPool,
    PlannedStudy,
    StudyOver,
    TaskEntry,
    Update,
    enter,
    parse_contenders,
    parse_seeds,
    plan,
)
from tcs_hpt.errors import ModelUnavailable
from tcs_hpt.execution import Job, RunResult
from tcs_hpt.llm import ChatModel
from tcs_hpt.llm.scripted import ScriptedModel, first_choice
from tcs_hpt.records import EpochRecord, Failure, Usage
from tcs_hpt.store import Store
from tests.build import task

TRIALS = 3


class Executor:
    """Scores a configuration at once, or does what it is told; counts what runs at the same time."""

    def __init__(self, act: Callable[[Job], None] = lambda job: None) -> None:
        self.act = act
        self.jobs: list[Job] = []
        self.ended = threading.Event()
        self.now = self.most = 0
        self.lock = threading.Lock()

    def run(self, job: Job, on_epoch: Callable[[EpochRecord], None]) -> RunResult:
        with self.lock:
            self.jobs.append(job)
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            self.act(job)
        except ValueError as error:
            return RunResult("failed", None, {}, (), Failure(kind="crashed", message=str(error)), Usage())
        finally:
            with self.lock:
                self.now -= 1
        if self.ended.is_set():
            failure = Failure(kind="interrupted", message="ended", origin="person")
            return RunResult("interrupted", None, {}, (), failure, Usage())
        value = 1.0 - abs(float(job.config["lr"]) - 0.1)
        return RunResult(
            "finished", value, {"val_accuracy": value}, (), None, Usage(wall_seconds=0.1, exit_code=0)
        )

    def interrupt(self) -> None:
        self.ended.set()

    def kill(self) -> None:
        self.ended.set()


def scripted(name: str) -> tuple[ChatModel, str]:
    if name == "gone":
        raise ModelUnavailable("it is gone", hint="Fetch it.")
    return ScriptedModel(name=name, then=first_choice), f"{name} was asked for."


class World:
    """A store, a pool of scripted models, and comparisons in them."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder = folder
        self.store = store
        self.models = ModelPool(scripted)
        self.updates: list[Update] = []
        self.entry = TaskEntry(task(), folder, None, "digits")

    def plan(self, methods: str = "coin,expert", seeds: str = "2", **changes: Any) -> list[PlannedStudy]:
        options: dict[str, Any] = {"trials": TRIALS, "start": "defaults", "models": self.models}
        options |= {"analysis_model": "one", "optimizer_model": "one"}
        tasks = changes.pop("tasks", [self.entry])
        name = changes.pop("name", "c")
        return plan(name, tasks, parse_contenders(methods), parse_seeds(seeds), **(options | changes))

    def make(self, planned: list[PlannedStudy], executor: Executor, **changes: Any) -> ComparisonRun:
        enter(planned, self.store)
        options: dict[str, Any] = {"make_executor": lambda: executor, "watch": self.updates.append}
        return ComparisonRun(
            planned,
            open_store=lambda: Store.open(self.store.url),
            folder_of=lambda name: self.folder / name,
            models=self.models,
            **(options | changes),
        )

    def over(self, kind: str) -> list[str]:
        ended = [u for u in self.updates if isinstance(u, StudyOver)]
        if kind == "failed":
            return [u.spec.name for u in ended if u.failure]
        return [u.spec.name for u in ended if u.skipped == (kind == "skipped") and not u.failure]
