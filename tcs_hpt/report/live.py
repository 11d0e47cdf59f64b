"""A study on a terminal while it runs: one line per finished trial scrolls by, the running one stays below."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from rich.box import ROUNDED
from rich.cells import cell_len, set_cell_size
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.text import Text

from tcs_hpt.events import (
    Analysed,
    EpochReported,
    Event,
    Proposed,
    StopAsked,
    StudyEnded,
    StudyStarted,
    Thinking,
    TrialEnded,
    TrialStarted,
)
from tcs_hpt.records import Trial, incumbent
from tcs_hpt.report import words
from tcs_hpt.report.rungs import fewer_sentence, rung_text
from tcs_hpt.spec import StudySpec

BARS = "▁▂▃▄▅▆▇█"
SPARK_WIDTH = 24
PANEL_LINES = 7
"""Lines inside the frame of the running trial, always; the screen does not jump."""

STOPPED = {
    "trials": "All trials are done.",
    "seconds": "Stopped early: the time is used up.",
    "target": "Stopped early: the target is reached.",
    "patience": "Stopped early: too many trials without a new best.",
    "converged": "Stopped early: the best scores lie on a plateau.",
    "failures": "Stopped early: too many trials in a row failed; see the last one's message.",
    "exhausted": "Stopped early: no untested configuration is left.",
    "interrupted": "Interrupted. The same --name continues this study.",
}


def sparkline(values: Sequence[float | None], width: int = SPARK_WIDTH) -> str:
    """A curve in at most `width` characters; numbers that are not finite show as a dot."""
    if len(values) > width:
        values = [values[i * (len(values) - 1) // (width - 1)] for i in range(width)]
    numbers = [v for v in values if v is not None and math.isfinite(v)]
    if not numbers:
        return "·" * len(values)
    low, high = min(numbers), max(numbers)
    span = high / 2 - low / 2  # halves, because the span of the largest floats is not a float
    top = len(BARS) - 1

    def bar(value: float | None) -> str:
        if value is None or not math.isfinite(value):
            return "·"
        return BARS[round(top * ((value / 2 - low / 2) / span)) if span > 0 else top // 2]

    return "".join(map(bar, values))


@dataclass
class _Running:
    """What is known of a trial before it ends."""

    number: int
    phase: str = "preparing"
    since: float = 0.0
    change: str = ""
    reason: str = ""
    source: str = ""
    diagnosis: str = ""
    expected: str = ""
    fallback: str = ""
    epoch: int | None = None
    shown: list[tuple[str, float | None]] = field(default_factory=list)
    curve: list[float | None] = field(default_factory=list)


class LiveView:
    """A watcher that draws on a terminal. Use it as a context manager around the run.

    Finished trials stay in the terminal's history; only the frame of the running trial is redrawn. Text that came
    from a model is never read as markup. Events may come from one thread, drawing happens in another.

    Args:
        console: Where to draw; it should be a terminal.
        earlier: Trials of the study that were there before, so that a resumed study knows its best.
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        console: Console,
        *,
        earlier: Iterable[Trial] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._console = console
        self._clock = clock
        self._lock = threading.Lock()
        self._study: StudySpec | None = None
        self._trials = list(earlier)
        self._running: dict[int, _Running] = {}
        self._thinking = sum(t.proposal.seconds for t in self._trials)
        self._training = sum(t.usage.wall_seconds for t in self._trials)
        self._tokens = sum(
            c.prompt_tokens + c.completion_tokens for t in self._trials for c in t.proposal.calls
        )
        self._live = Live(
            console=console,
            get_renderable=self._frame,
            refresh_per_second=4,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )

    def __enter__(self) -> LiveView:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def __call__(self, event: Event) -> None:
        """Take in one event. What is printed is printed outside the lock: drawing takes Rich's own lock first."""
        with self._lock:
            lines = self._take(event)
        for line in lines:
            self._live.console.print(line, highlight=False)

    # -- what happened --------------------------------------------------------------------------------------

    def _take(self, event: Event) -> list[RenderableType]:
        match event:
            case StudyStarted():
                self._study = event.study
                return [*_heading(event), self._columns()]
            case Thinking():
                again = ", again after an unusable answer" if event.attempt > 1 else ""
                role = event.role.replace("_", " ")
                self._phase(event.number, f"{role} model is thinking{again}")
            case Analysed():
                running = self._phase(event.number, "analysis is there")
                running.diagnosis = words.analysis_sentence(event.analysis)
                running.expected = event.analysis.expected_outcome or ""
            case Proposed():
                proposal = event.proposal
                running = self._phase(event.number, "about to start")
                running.change = proposal.change or words.config_text(proposal.config)
                running.reason, running.source = proposal.reason, proposal.source
                running.fallback = proposal.fallback
                self._thinking += proposal.seconds
                self._tokens += sum(c.prompt_tokens + c.completion_tokens for c in proposal.calls)
            case TrialStarted():
                running = self._phase(event.number, "training")
                running.change = running.change or words.config_text(event.config)
            case EpochReported():
                self._epoch(event)
            case StopAsked():
                self._phase(event.number, "asked to stop")
            case TrialEnded():
                self._running.pop(event.trial.number, None)
                self._training += event.trial.usage.wall_seconds
                self._trials = [t for t in self._trials if t.number != event.trial.number] + [event.trial]
                return self._row(event.trial)
            case StudyEnded():
                self._running.clear()
                return [Text(STOPPED[event.reason], style="bold")]
        return []

    def _phase(self, number: int, phase: str) -> _Running:
        running = self._running.setdefault(number, _Running(number))
        running.phase, running.since = phase, self._clock()
        return running

    def _epoch(self, event: EpochReported) -> None:
        running = self._running.setdefault(event.number, _Running(event.number, "training", self._clock()))
        metrics = event.epoch.metrics
        running.epoch = event.epoch.epoch
        metric = self._study.task.objective.metric if self._study is not None else ""
        names = [n for n in (metric, *metrics) if n in metrics and not n.startswith("test_")]
        running.shown = [(n, metrics[n]) for n in dict.fromkeys(names)][:4]
        if metric in metrics:
            running.curve.append(metrics[metric])

    # -- what is printed ------------------------------------------------------------------------------------

    def _columns(self) -> Text:
        metric = self._study.task.objective.metric if self._study is not None else "score"
        return Text(f"\n{'trial':>5}  {_cut(metric, 12):>12}  {'effect':>9}  change", style="bold")

    def _row(self, trial: Trial) -> list[RenderableType]:
        objective = self._study.task.objective if self._study is not None else None
        best = incumbent(self._trials, objective) if objective is not None else None
        is_best = best is not None and best.number == trial.number
        first = is_best and sum(t.value is not None and not t.partial for t in self._trials) == 1
        base = next((t for t in self._trials if t.number == trial.proposal.base_trial), None)
        effect = ""
        if objective is not None and base is not None and base.value is not None and trial.value is not None:
            effect = words.signed(objective.gain(trial.value, base.value))
        style = "bold green" if is_best else ""
        row = Text(f"{trial.number:>5}  ")
        if trial.value is not None:
            row.append(f"{words.number(trial.value):>12}", style)
        else:
            row.append(
                f"{(trial.failure.kind if trial.failure else trial.state).replace('_', ' '):>12}", "red"
            )
        row.append(f"  {effect:>9}  ")
        rung = rung_text(trial, self._study.fidelity if self._study is not None else None)
        tail = f"  by {trial.proposal.source}{', new best' if is_best and not first else ''}"
        tail = f"  {rung}{tail}" if rung else tail
        room = max(self._console.width - row.cell_len - cell_len(tail) - 1, 8)
        row.append(_cut(words.change_of(trial), room), style)
        row.append(tail, "green" if is_best else "dim")
        lines: list[RenderableType] = [row]
        if trial.failure is not None:
            lines.append(_indented(words.one_line(trial.failure.message, 240), "red"))
        if trial.violations:
            lines.append(_indented(f"not allowed: {'; '.join(trial.violations)}", "red"))
        if trial.stopped_early:
            lines.append(_indented(f"stopped early: {words.one_line(trial.stopped_early, 240)}", "yellow"))
        if trial.proposal.fallback:
            lines.append(_indented(f"fallback: {words.one_line(trial.proposal.fallback, 240)}", "yellow"))
        return lines

    def _frame(self) -> RenderableType:
        with self._lock:
            if self._study is None or not self._running:
                return Group()
            running = self._running[min(self._running)]
            objective = self._study.task.objective
            best = incumbent(self._trials, objective)
            others = len(self._running) - 1
            body = Text(no_wrap=True, overflow="ellipsis")
            seconds = words.duration(max(self._clock() - running.since, 0.0))
            body.append(words.one_line(running.phase), "bold cyan")
            body.append(f" for {seconds}")
            body.append(f"   (and {words.count(others, 'more trial')} running)" if others else "", "dim")
            body.append("\n" + self._progress(running))
            body.append("\nanalysis  ", "dim").append(_or_dash(running.diagnosis))
            body.append("\nexpects   ", "dim").append(_or_dash(running.expected))
            body.append("\nchange    ", "dim").append(_or_dash(running.change), "bold")
            body.append(f"  by {running.source}" if running.source else "", "dim")
            body.append("\nreason    ", "dim").append(_or_dash(running.fallback or running.reason))
            body.append("\nso far    ", "dim").append(self._so_far(best))
            title = Text(f" trial {running.number} of {max(self._study.runs, running.number)} ", style="bold")
        return Panel(
            body, title=title, title_align="left", box=ROUNDED, border_style="cyan", height=PANEL_LINES + 2
        )

    def _progress(self, running: _Running) -> str:
        if running.epoch is None:
            return "no epoch reported yet"
        values = "  ".join(f"{name} {words.number(value)}" for name, value in running.shown)
        return f"epoch {running.epoch}  {sparkline(running.curve)}  {values}"

    def _so_far(self, best: Trial | None) -> str:
        score = f"best {words.number(best.value)} (trial {best.number})" if best else "no score yet"
        spent = f"{words.duration(self._thinking)} choosing, {words.duration(self._training)} training"
        return f"{score}  |  {spent}" + (f"  |  {self._tokens:,} tokens" if self._tokens else "")


def _heading(event: StudyStarted) -> list[RenderableType]:
    study = event.study
    lines: list[RenderableType] = [
        Text(study.task.title or study.task.name, style="bold"),
        Text(
            f"{words.goal(study.task.objective)}; method {study.method}, {words.count(study.trials, 'trial')}"
        ),
    ]
    if study.fidelity is not None:
        lines.append(Text(fewer_sentence(study.fidelity, study.trials)))
    if event.model:
        why = f" ({event.model_reason})" if event.model_reason else ""
        lines.append(Text(words.one_line(f"model {event.model}{why}"), style="dim"))
    if event.finished_trials:
        lines.append(Text(f"study {study.name} goes on after {words.count(event.finished_trials, 'trial')}"))
    else:
        lines.append(Text(f"study {study.name}", style="dim"))
    return lines


def _indented(text: str, style: str) -> RenderableType:
    return Padding(Text(text, style=style), (0, 0, 0, 7))


def _cut(text: str, width: int) -> str:
    """`text` in at most `width` terminal cells."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(width - 1, 0)).rstrip() + "…"


def _or_dash(text: str) -> str:
    return words.one_line(text) or words.MISSING
