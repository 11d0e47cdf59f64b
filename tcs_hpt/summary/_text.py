"""The state report in words, within a budget of tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tcs_hpt.records import FAILURE_WORDS
from tcs_hpt.space import format_value
from tcs_hpt.summary._report import Experiment, Situation, StateReport
from tcs_hpt.summary._tokens import estimate_tokens

SHOWN_CHOICES = 8
"""Most untested choices listed for a parameter."""
SHOWN_CHANGES = 6
"""Most differing parameters listed in a comparison."""


@dataclass(frozen=True)
class _Detail:
    tested: int
    regions: int
    failures: int
    previous: bool
    parameters: int | None
    """How many parameters are listed; None for all."""


_DETAILS = (
    _Detail(6, 2, 3, True, None),
    _Detail(3, 1, 2, True, None),
    _Detail(1, 1, 1, False, None),
    _Detail(0, 0, 1, False, None),
)


def _number(value: float) -> str:
    return f"{value:.4g}"


def _limited(text: str, letters: int = 90) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= letters else flat[: letters - 3] + "..."


def render(report: StateReport, *, max_tokens: int = 600) -> str:
    """The report in words, at most `max_tokens` estimated tokens, by the order of what is dropped (package docstring)."""
    for detail in _DETAILS:
        text = _render(report, detail)
        if estimate_tokens(text) <= max_tokens:
            return text
    for lines in range(len(report.parameters) - 1, -1, -1):
        text = _render(report, _Detail(0, 0, 1, False, lines))
        if estimate_tokens(text) <= max_tokens:
            return text
    return _cut(text, max_tokens)


def _render(report: StateReport, detail: _Detail) -> str:
    parts: list[Callable[[], list[str]]] = [
        lambda: _situation_lines(report.situation),
        lambda: _experiment_lines("INCUMBENT", report.incumbent, report.situation.metric),
        lambda: _experiment_lines("LATEST", report.latest, report.situation.metric),
        lambda: _comparison_lines(report, detail),
        lambda: _failure_lines(report, detail),
        lambda: _parameter_lines(report, detail),
    ]
    return "\n".join(line for part in parts for line in part()) + "\n"


def _situation_lines(s: Situation) -> list[str]:
    goal = f"Goal: {s.direction} {s.metric}"
    if s.target is not None:
        goal += f", target {_number(s.target)}"
    if s.formula:
        goal += f", which is {s.formula}"
    if s.bounds:
        goal += f"; allowed are only trials with {' and '.join(s.bounds)}"
    if s.best is None:
        state = "No trial has a score yet" if s.trials else "Nothing was tried yet"
        if s.bounds and s.trials:
            state = "No trial has a score that is allowed yet"
    else:
        state = f"Best {_number(s.best)} in trial {s.best_trial}"
        if s.gap is not None:
            state += ", target reached" if s.gap <= 0 else f", gap to target {_number(s.gap)}"
    progress = f"Trend: {s.trend}"
    if s.best is not None and s.since_best:
        progress += f", {s.since_best} trial{'s' if s.since_best > 1 else ''} without a new best"
    return ["CURRENT SITUATION", f"{goal}. {state}.", f"{progress}. {s.trials} of {s.total} trials done."]


def _experiment_lines(title: str, shown: Experiment | None, metric: str) -> list[str]:
    if shown is None:
        return []
    result = FAILURE_WORDS[shown.failure] if shown.failure else "no score"
    if shown.value is not None:
        result = f"{metric} {_number(shown.value)}"
    if shown.violations:
        result += f", not allowed ({'; '.join(shown.violations)})"
    line = f"{title} trial {shown.number}: {result}. Curve: {shown.diagnosis.sentence()}."
    lines = [line + (" It was stopped early, so more epochs were never seen." if shown.stopped_early else "")]
    if shown.curve:
        points = ", ".join(f"{_number(v)} at epoch {e}" for e, v in shown.curve)
        lines.append(f"Epochs: {points}.")
    if shown.diagnosis.gap is not None:
        side = "ahead of" if shown.diagnosis.gap >= 0 else "behind"
        lines.append(f"Training is {side} validation by {_number(abs(shown.diagnosis.gap))}.")
    return lines


def _comparison_lines(report: StateReport, detail: _Detail) -> list[str]:
    lines = []
    for c in report.comparisons:
        if c.relation == "previous" and not detail.previous:
            continue
        shown = ", ".join(change.text for change in c.changes[:SHOWN_CHANGES])
        if len(c.changes) > SHOWN_CHANGES:
            shown += f" and {len(c.changes) - SHOWN_CHANGES} more"
        name = "its base" if c.relation == "base" else "the previous"
        lines.append(
            f"Trial {c.number} against {name} trial {c.other}: {shown or 'no change'}: {_gain_text(c.gain)}."
        )
    return ["COMPARISON", *lines] if lines else []


def _gain_text(gain: float | None) -> str:
    if gain is None:
        return "no score to compare"
    if gain == 0:
        return "same score"
    return f"{'better' if gain > 0 else 'worse'} by {_number(abs(gain))}"


def _failure_lines(report: StateReport, detail: _Detail) -> list[str]:
    if not report.failures:
        return []
    lines = ["FAILURES"]
    for f in report.failures[: detail.failures]:
        changes = ", ".join(c.text for c in f.changes[:3])
        after = f" after {changes}" if changes else ""
        lines.append(f"Trial {f.number} {FAILURE_WORDS[f.kind]}{after}: {_limited(f.message)}")
    return lines


def _parameter_lines(report: StateReport, detail: _Detail) -> list[str]:
    active = tuple(p for p in report.parameters if p.current is not None)
    chosen = active = active or report.parameters
    if detail.parameters is not None:
        by_interest = sorted(
            report.parameters, key=lambda p: len(p.tested) < 2
        )  # stable: the manifest's order
        names = {p.name for p in by_interest[: detail.parameters]}
        chosen = tuple(p for p in active if p.name in names)
    lines = ["PARAMETERS"]
    for p in chosen:
        line = f"{p.name} ({p.scale})"
        line += f": now {format_value(p.current)}" if p.current is not None else ""
        if detail.tested and len(p.tested) > 1:
            tested = ", ".join(
                f"{format_value(t.value)} {'failed' if t.score is None else 'gave ' + _number(t.score)}"
                for t in p.tested[: detail.tested]
            )
            line += f"; {tested}"
        if detail.regions and p.unexplored:
            shown = p.unexplored if p.choices else p.unexplored[: detail.regions]
            line += f"; untested {', '.join(shown[:SHOWN_CHOICES])}"
            left = len(shown) - SHOWN_CHOICES
            line += f" and {left} more" if left > 0 else ""
        lines.append(line)
    left = len(active) - len(chosen)
    if left:
        lines.append(f"{left} more parameters not shown")
    return lines if len(lines) > 1 else []


def _cut(text: str, max_tokens: int) -> str:
    """Whole lines from the start that fit; the first line's beginning when not even that does."""
    kept = ""
    for line in text.splitlines(keepends=True):
        if estimate_tokens(kept + line) > max_tokens:
            break
        kept += line
    return kept or text[: max_tokens // 2]
