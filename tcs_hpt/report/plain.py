"""A study as plain lines, for pipes, logs and CI: no colours, no redrawing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO

from tcs_hpt.events import (
    Analysed,
    Event,
    Proposed,
    StopAsked,
    StudyEnded,
    StudyStarted,
    TrialEnded,
    TrialStarted,
)
from tcs_hpt.records import PROMOTION, Trial, incumbent
from tcs_hpt.report import words
from tcs_hpt.report.live import STOPPED
from tcs_hpt.report.rungs import fewer_sentence, rung_text
from tcs_hpt.spec import StudySpec


class PlainView:
    """A watcher that writes one line per thing worth knowing and flushes it at once.

    Args:
        stream: Where to write; it stays open.
        earlier: Trials of the study that were there before, so that a resumed study knows its best.
    """

    def __init__(self, stream: TextIO, *, earlier: Iterable[Trial] = ()) -> None:
        self._stream = stream
        self._trials = list(earlier)
        self._study: StudySpec | None = None

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        match event:
            case StudyStarted():
                self._study = event.study
                self._start(event)
            case Analysed():
                self._write(_analysis_line(event))
            case Proposed():
                self._proposed(event)
            case TrialStarted():
                self._write(f"trial {event.number}{self._of(event.number)}  started")
            case StopAsked():
                self._write(f"  asked to stop at epoch {event.epoch}: {event.reason}")
            case TrialEnded():
                self._trials = [t for t in self._trials if t.number != event.trial.number] + [event.trial]
                self._ended(event.trial)
            case StudyEnded():
                self._write(STOPPED[event.reason])
            case _:
                pass

    def _start(self, event: StudyStarted) -> None:
        study = event.study
        title = study.task.title or study.task.name
        self._write(f"study {study.name}: {title}; {words.goal(study.task.objective)}; method {study.method}")
        if study.fidelity is not None:
            self._write(fewer_sentence(study.fidelity, study.trials))
        if event.model:
            self._write(f"model {event.model}" + (f" ({event.model_reason})" if event.model_reason else ""))
        if event.finished_trials:
            self._write(f"goes on after {words.count(event.finished_trials, 'trial')}")

    def _proposed(self, event: Proposed) -> None:
        proposal = event.proposal
        what = proposal.change or words.config_text(proposal.config)
        if proposal.fallback:
            self._write(f"  fallback to {proposal.source}: {proposal.fallback}")
        if proposal.deviation:
            self._write(f"  departs from the analysis: {proposal.deviation}")
        why = f": {proposal.reason}" if proposal.reason else ""
        chose = {"start": "start with", PROMOTION: "goes on with"}.get(
            proposal.source, f"{proposal.source} chose"
        )
        self._write(f"  {chose} {what}{why}")

    def _ended(self, trial: Trial) -> None:
        parts = [f"trial {trial.number}{self._of(trial.number)}"]
        if trial.value is not None and self._study is not None:
            objective = self._study.task.objective
            best = incumbent(self._trials, objective)
            top = words.number(best.value) if best is not None else words.MISSING
            rung = rung_text(trial, self._study.fidelity)
            with_ = f" with {rung}" if rung else ""
            parts.append(f"{objective.metric} {words.number(trial.value)}{with_} (best {top})")
            if trial.violations:
                parts.append(f"not allowed: {'; '.join(trial.violations)}")
        elif trial.failure is not None:
            parts.append(f"{trial.failure.kind}: {trial.failure.message}")
        else:
            parts.append(trial.state)
        parts += [words.change_of(trial), f"by {trial.proposal.source}"]
        parts.append(
            f"{words.duration(trial.proposal.seconds)} choosing, "
            f"{words.duration(trial.usage.wall_seconds)} training"
        )
        self._write("  ".join(parts))

    def _of(self, number: int) -> str:
        # Interrupted trials have numbers too but take no budget, so a number may exceed the budget.
        return f"/{self._study.runs}" if self._study is not None and number <= self._study.runs else ""

    def _write(self, line: str) -> None:
        indent = line[: len(line) - len(line.lstrip())]
        text = indent + "  ".join(words.one_line(part) for part in line.strip().split("  ") if part.strip())
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        self._stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
        self._stream.flush()


def _analysis_line(event: Analysed) -> str:
    analysis = event.analysis
    by = "" if analysis.by == "agents" else f" (by {analysis.by}: {analysis.failure})"
    line = f"  analysis{by}: {words.analysis_sentence(analysis)}"
    if analysis.expected_outcome is not None:
        line += f" Expects: {analysis.expected_outcome}."
    return line
