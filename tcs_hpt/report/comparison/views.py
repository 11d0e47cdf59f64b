"""A comparison while it runs: on a terminal, as plain lines, or as JSON lines."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from types import TracebackType
from typing import Literal, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tcs_hpt.compare import StudyBegan, StudyOver, TrialOver, Update
from tcs_hpt.records import Trial
from tcs_hpt.report import words
from tcs_hpt.report.comparison.rows import label
from tcs_hpt.spec import Objective, StudySpec

MARKS = {"left": ("·", "dim"), "running": ("◐", "yellow"), "done": ("●", "green"), "failed": ("✗", "red")}


@dataclass
class _Cell:
    """One study of the grid."""

    spec: StudySpec
    state: Literal["left", "running", "done", "failed"] = "left"
    trials: int = 0
    best: float | None = None

    @property
    def label(self) -> str:
        return label(self.spec.method, self.spec.analysis_model, self.spec.optimizer_model)

    @property
    def title(self) -> str:
        return f"{self.spec.task.name} {self.label} seed {self.spec.seed}"


class Timings:
    """How long trials took, over all that a command runs.

    Args:
        clock: Seconds that only go forward.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began = clock()
        self._seconds: dict[tuple[str, str], list[float]] = {}

    @property
    def elapsed(self) -> float:
        """Seconds since the command began."""
        return self._clock() - self._began

    @property
    def any(self) -> bool:
        """Whether any trial was timed."""
        return bool(self._seconds)

    def add(self, task: str, label: str, seconds: float) -> None:
        """Note a trial of a task and a method."""
        self._seconds.setdefault((task, label), []).append(seconds)

    def pace(self, task: str, label: str = "") -> float | None:
        """Seconds of a trial: the mean of its task and method, else of its task; None where neither was timed."""
        known = self._seconds.get((task, label)) or [
            s for (name, _), seconds in self._seconds.items() if name == task for s in seconds
        ]
        return fmean(known) if known else None


class Progress:
    """What is done, what is running, and how long the rest may take.

    Args:
        studies: The studies that run now.
        jobs: Studies at the same time.
        timings: Of the command so far; new ones if not given.
        later: How many trials the same command runs when these studies are over, by task.
    """

    def __init__(
        self,
        studies: Iterable[StudySpec],
        jobs: int,
        timings: Timings | None = None,
        later: Mapping[str, int] | None = None,
    ) -> None:
        self.cells = {spec.name: _Cell(spec) for spec in studies}
        self._jobs = jobs
        self._timings = Timings() if timings is None else timings
        self._later = {task: count for task, count in (later or {}).items() if count}
        self._said: set[str] = set()

    def take(self, update: Update) -> _Cell:
        """Take in what happened; the study it happened in."""
        cell = self.cells[update.spec.name]
        match update:
            case StudyBegan():
                cell.state, cell.trials = "running", update.trials
            case TrialOver():
                self._trial(cell, update.trial)
            case StudyOver():
                cell.trials = update.trials
                cell.state = "failed" if update.failure else "done"
                if update.reason == "interrupted":
                    cell.state = "left"
        return cell

    def _trial(self, cell: _Cell, trial: Trial) -> None:
        if not trial.consumes_budget:
            return
        cell.trials += 1
        seconds = trial.proposal.seconds + trial.usage.wall_seconds
        self._timings.add(cell.spec.task.name, cell.label, seconds)
        objective: Objective = cell.spec.task.objective
        if trial.value is not None and (cell.best is None or objective.better(trial.value, cell.best)):
            cell.best = trial.value

    def ending(self, update: StudyOver) -> str:
        """How a study ended, in a few words; the reason of a failure only once, as it is often the same for many."""
        if update.failure:
            new = update.failure not in self._said
            self._said.add(update.failure)
            return f"failed: {words.one_line(update.failure, 300)}" if new else "failed for the same reason"
        if update.skipped:
            return "was complete"
        if update.reason == "interrupted":
            return f"interrupted after {words.count(update.trials, 'trial')}"
        return f"done, {words.count(update.trials, 'trial')}"

    @property
    def elapsed(self) -> float:
        """Seconds since the command began."""
        return self._timings.elapsed

    @property
    def over(self) -> int:
        """Studies in which nothing more will happen."""
        return sum(c.state in ("done", "failed") for c in self.cells.values())

    @property
    def untimed(self) -> int:
        """Tasks with something left to do, now or later, no trial of which was timed by this command."""
        left = {cell.spec.task.name for cell in self._open()} | self._later.keys()
        return sum(self._timings.pace(task) is None for task in left)

    def seconds_left(self) -> float | None:
        """An estimate from the trials of this command, without the tasks that are `untimed`; None before the first trial.

        A study runs one trial after the other, so the rest of those that run takes no less than that of the longest.
        """
        if not self._timings.any:
            return None
        left = [
            pace * (cell.spec.trials - cell.trials)
            for cell in self._open()
            if (pace := self._timings.pace(cell.spec.task.name, cell.label)) is not None
        ]
        later = [
            pace * n for task, n in self._later.items() if (pace := self._timings.pace(task)) is not None
        ]
        return max(sum(left) / self._jobs, max(left, default=0.0)) + sum(later) / self._jobs

    def _open(self) -> list[_Cell]:
        """Studies with trials left to run."""
        return [c for c in self.cells.values() if c.state in ("left", "running") and c.trials < c.spec.trials]

    def time_text(self) -> str:
        """Elapsed time, and what is left."""
        parts = [f"{words.duration(self.elapsed)} so far"]
        left = self.seconds_left()
        if left:
            parts.append(f"about {words.duration(left)} left")
        if left is not None and self.untimed:
            parts.append(f"{'without ' if left else ''}{words.count(self.untimed, 'task')} not timed yet")
        return ", ".join(parts)


class PlainProgress:
    """A watcher that writes one line per study that begins or ends and per trial, and flushes it at once.

    Args:
        stream: Where to write; it stays open.
        progress: Keeps count.
    """

    def __init__(self, stream: TextIO, progress: Progress) -> None:
        self._stream = stream
        self._progress = progress

    def __call__(self, update: Update) -> None:
        """Take in one update."""
        cell = self._progress.take(update)
        match update:
            case StudyBegan():
                on = f", goes on after {words.count(update.trials, 'trial')}" if update.trials else ""
                self._write(f"{cell.title}: started{on}")
            case TrialOver():
                self._write(f"{cell.title}: {_trial_text(cell, update.trial)}")
            case StudyOver():
                self._write(f"{cell.title}: {self._progress.ending(update)}")
                if not update.skipped:
                    total = len(self._progress.cells)
                    self._write(f"  {self._progress.over} of {total} studies, {self._progress.time_text()}")

    def _write(self, line: str) -> None:
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        self._stream.write(line.encode(encoding, "replace").decode(encoding) + "\n")
        self._stream.flush()


def _trial_text(cell: _Cell, trial: Trial) -> str:
    place = f"trial {cell.trials}/{cell.spec.trials}"
    if trial.value is not None:
        metric = cell.spec.task.objective.metric
        return f"{place}  {metric} {words.number(trial.value)} (best {words.number(cell.best)})"
    if trial.failure is not None:
        return f"{place}  {trial.failure.kind}: {words.one_line(trial.failure.message, 200)}"
    return f"{place}  {trial.state}"


class JsonProgress:
    """A watcher that writes one JSON object per line: `study_began`, `trial_over`, `study_over`.

    Args:
        stream: Where to write; it stays open.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, update: Update) -> None:
        """Write one update."""
        spec = update.spec
        line: dict[str, object] = {
            "kind": "",
            "study": spec.name,
            "task": spec.task.name,
            "method": spec.method,
            "seed": spec.seed,
        }
        match update:
            case StudyBegan():
                line |= {"kind": "study_began", "trials": update.trials}
            case TrialOver():
                trial = update.trial
                line |= {
                    "kind": "trial_over",
                    "number": trial.number,
                    "state": trial.state,
                    "value": trial.value,
                    "source": trial.proposal.source,
                    "failure": trial.failure.message if trial.failure else "",
                }
            case StudyOver():
                line |= {
                    "kind": "study_over",
                    "reason": update.reason,
                    "failure": update.failure,
                    "trials": update.trials,
                    "skipped": update.skipped,
                }
        self.write(line)

    def write(self, line: object) -> None:
        """Write any object as one line of ASCII JSON."""
        self._stream.write(json.dumps(line, allow_nan=False) + "\n")
        self._stream.flush()


class LiveProgress:
    """A watcher that draws a grid of task x method x seed on a terminal. Use it as a context manager around the run.

    Args:
        console: Where to draw; it should be a terminal.
        progress: Keeps count.
    """

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console = console
        self._progress = progress
        self._lock = threading.Lock()
        self._live = Live(
            console=console,
            get_renderable=self.frame,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> LiveProgress:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, update: Update) -> None:
        """Take in one update. What is printed is printed outside the lock: drawing takes Rich's own lock first."""
        with self._lock:
            cell = self._progress.take(update)
        if isinstance(update, StudyOver) and update.failure:
            self._console.print(
                Text(f"{cell.title}: {self._progress.ending(update)}", "red"), highlight=False
            )

    def frame(self) -> RenderableType:
        """What is shown now."""
        with self._lock:
            parts: list[RenderableType] = []
            cells = list(self._progress.cells.values())
            for task in dict.fromkeys(c.spec.task.name for c in cells):
                parts.append(Text(task, "bold"))
                parts.append(_grid([c for c in cells if c.spec.task.name == task]))
            running = [c for c in cells if c.state == "running"]
            for cell in running:
                at = min(cell.trials + 1, cell.spec.trials)
                best = f", best {words.number(cell.best)}" if cell.best is not None else ""
                parts.append(Text(f"  {cell.title}: trial {at}/{cell.spec.trials}{best}", "yellow"))
            done = sum(c.trials for c in cells)
            total = sum(c.spec.trials for c in cells)
            parts.append(Text(f"{done} of {total} trials, {self._progress.time_text()}", "dim"))
            return Group(*parts)


def _grid(cells: list[_Cell]) -> Table:
    """One line per method, one mark per seed."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for name in dict.fromkeys(c.label for c in cells):
        mine = [c for c in cells if c.label == name]
        marks = Text()
        for cell in mine:
            marks.append(*MARKS[cell.state])
        trials = f"{sum(c.trials for c in mine)}/{sum(c.spec.trials for c in mine)} trials"
        table.add_row(Text(f"  {name}"), marks, Text(trials, "dim"))
    return table
