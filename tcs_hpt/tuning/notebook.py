"""A study in a notebook: one table that grows while the study runs, and stays as its result."""

from __future__ import annotations

import html
import importlib
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tcs_hpt.events import (
    Analysed,
    EpochReported,
    Event,
    Proposed,
    StudyEnded,
    StudyStarted,
    Thinking,
    TrialEnded,
    TrialStarted,
)
from tcs_hpt.records import Trial, incumbent
from tcs_hpt.report import words
from tcs_hpt.report.live import STOPPED, sparkline
from tcs_hpt.report.rungs import fewer_sentence
from tcs_hpt.spec import Objective

_SECONDS = 0.5
"""Between two drawings for the sake of epochs alone."""


def trials_table(objective: Objective, trials: Iterable[Trial], *, state: str = "") -> str:
    """The trials as HTML, the best one marked; text of models and scripts is shown as it is.

    Args:
        objective: What decides.
        trials: In any order.
        state: A sentence below the table.
    """
    shown = sorted(trials, key=lambda t: t.number)
    best = incumbent(shown, objective)
    head = "".join(f"<th>{_text(h)}</th>" for h in ("trial", objective.metric, "change", "by", "training"))
    rows = "".join(_row(t, best is not None and t.number == best.number) for t in shown)
    below = f"<p>{_text(state)}</p>" if state else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>{below}"


class NotebookView:
    """A watcher that draws one table again and again in the same place.

    Args:
        draw: Shows HTML, in place of what it showed before. Called by one thread at a time.
        earlier: Trials of the study that were there before.
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        draw: Callable[[str], None],
        *,
        earlier: Iterable[Trial] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._draw = draw
        self._trials = {t.number: t for t in earlier}
        self._clock = clock
        self._drawn = float("-inf")
        self._objective: Objective | None = None
        self._title = ""
        self._state = ""
        self._curves: dict[int, list[float | None]] = {}

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        match event:
            case StudyStarted():
                self._objective = event.study.task.objective
                model = f", model {event.model}" if event.model else ""
                goal = words.goal(self._objective)
                rungs = event.study.fidelity
                fewer = "" if rungs is None else f". {fewer_sentence(rungs, event.study.trials)}"
                self._title = f"{event.study.name}: {goal}; method {event.study.method}{model}{fewer}"
            case Thinking():
                self._state = f"trial {event.number}: {event.role.replace('_', ' ')} model is thinking"
            case Analysed():
                self._state = f"trial {event.number}: {words.analysis_sentence(event.analysis)}"
            case Proposed():
                what = event.proposal.change or words.config_text(event.proposal.config)
                self._state = f"trial {event.number}: {what}. {words.one_line(event.proposal.reason, 200)}"
            case TrialStarted():
                self._curves[event.number] = []
            case EpochReported():
                if not self._took(event):
                    return
            case TrialEnded():
                self._curves.pop(event.trial.number, None)
                self._trials[event.trial.number] = event.trial
            case StudyEnded():
                self._state = STOPPED[event.reason]
        if self._objective is not None:
            self._drawn = self._clock()
            title = f"<p><b>{_text(self._title)}</b></p>"
            self._draw(
                title
                + trials_table(self._objective, self._trials.values(), state=self._state + self._running())
            )

    def _took(self, event: EpochReported) -> bool:
        """Whether an epoch is worth drawing now."""
        if self._objective is not None and self._objective.metric in event.epoch.metrics:
            value = event.epoch.metrics[self._objective.metric]
            self._curves.setdefault(event.number, []).append(value)
        return self._clock() - self._drawn >= _SECONDS

    def _running(self) -> str:
        return "".join(
            f" | trial {number}: epoch {len(curve)} {sparkline(curve)} {words.number(curve[-1])}"
            for number, curve in sorted(self._curves.items())
            if curve
        )


def cell_display() -> Callable[[str], None]:
    """Something that shows HTML in the running cell, each time in place of the last."""
    shown: Any = importlib.import_module("IPython.display")
    handle = shown.display(shown.HTML(""), display_id=True)

    def draw(text: str) -> None:
        handle.update(shown.HTML(text))

    return draw


def _row(trial: Trial, best: bool) -> str:
    score = words.number(trial.value)
    if trial.value is None:
        score = (trial.failure.kind if trial.failure else trial.state).replace("_", " ")
    cells: Sequence[str] = (
        str(trial.number),
        score,
        words.change_of(trial)
        + (f" (fidelity {trial.fidelity})" if trial.partial else "")
        + (f" ({words.one_line(trial.failure.message, 160)})" if trial.failure else ""),
        trial.proposal.source,
        words.duration(trial.usage.wall_seconds),
    )
    marks = ("<b>", "</b>") if best else ("", "")
    return "<tr>" + "".join(f"<td>{marks[0]}{_text(c)}{marks[1]}</td>" for c in cells) + "</tr>"


def _text(text: str) -> str:
    return html.escape(text)
