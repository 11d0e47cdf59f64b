"""Numbers and sentences as people read them; shared by every view of a study. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tcs_hpt.records import Analysis, Trial
from tcs_hpt.space import format_value
from tcs_hpt.spec import Config, Objective

if TYPE_CHECKING:
    from tcs_hpt.report.tables import StudySummary

MISSING = "-"
"""Stands for a number that is not there."""

_NO_MODULE = re.compile(r"^(?:ModuleNotFoundError|ImportError): .*?'([\w.]+)'")

NOISE_NOTE = (
    "Every configuration was measured once, so a part of a small gain may be chance; "
    "repeat the best and the start with other seeds before relying on it."
)


def number(value: float | None) -> str:
    """A metric value with five significant digits; `-` for none."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:.5g}"


def signed(value: float | None) -> str:
    """A difference with its sign, three significant digits; `-` for none."""
    return MISSING if value is None else f"{value:+.3g}"


def duration(seconds: float) -> str:
    """A span of time: `0.4 s`, `12 s`, `3 min 20 s`, `1 h 05 min`."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(amount: int) -> str:
    """Bytes in decimal units: `812 B`, `12.3 kB`, `4.5 MB`, `1.2 GB`."""
    value = float(amount)
    for unit in ("B", "kB", "MB"):
        if value < 999.5:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def mib(amount: float) -> str:
    """MiB in decimal units, as `size` writes them."""
    return size(round(amount * 2**20))


def artifacts_sentence(trial: Trial) -> str:
    """The files that a trial kept or lost: `2 files kept (1.2 MB): model.pt, tree.json`; empty when it had none."""
    kept = [a for a in trial.artifacts if a.kept]
    gone = [a for a in trial.artifacts if not a.kept]
    parts = []
    if kept:
        names = ", ".join(one_line(a.path, 60) for a in kept[:5]) + (", ..." if len(kept) > 5 else "")
        parts.append(f"{count(len(kept), 'file')} kept ({size(sum(a.bytes for a in kept))}): {names}")
    if gone:
        parts.append(f"{count(len(gone), 'file')} deleted by --keep ({size(sum(a.bytes for a in gone))})")
    return "; ".join(parts)


def count(amount: int, noun: str, plural: str = "") -> str:
    """An amount with its noun: `1 trial`, `2 trials`."""
    return f"{amount:,} {noun if amount == 1 else plural or noun + 's'}"


def numbers(values: Sequence[int]) -> str:
    """Trial numbers as a list: `trial 3`, `trials 3, 5 and 9`."""
    names = [str(v) for v in values]
    if len(names) == 1:
        return f"trial {names[0]}"
    return f"trials {', '.join(names[:-1])} and {names[-1]}"


def one_line(text: str, limit: int = 0) -> str:
    """`text` on one line without control characters; longer than `limit` characters is cut with an ellipsis."""
    flat = "".join(c if c.isprintable() else " " for c in text)
    flat = " ".join(flat.split())
    return flat if not limit or len(flat) <= limit else flat[: max(limit - 1, 0)].rstrip() + "…"


def failure_hint(message: str) -> str:
    """What to do about a trial that failed with this message; empty where nothing general can be said."""
    module = _NO_MODULE.match(message)
    if module is None:
        return ""
    return f"Install {module[1]} for the interpreter that runs the script, or name another one with --python."


def first_sentence(text: str) -> str:
    """The first sentence of `text`, on one line."""
    flat = one_line(text)
    ends = [i for mark in (". ", "! ", "? ") if (i := flat.find(mark)) >= 0]
    return flat[: min(ends) + 1] if ends else flat


def analysis_sentence(analysis: Analysis) -> str:
    """What an analysis said, in one or two sentences."""
    diagnosis = first_sentence(analysis.problem_diagnosis)
    diagnosis += "" if diagnosis.endswith((".", "!", "?")) else "."
    if analysis.specific_recommendation:
        return f"{diagnosis} Recommends {one_line(analysis.specific_recommendation)}."
    if analysis.primary_action:  # before the first trial there is nothing to change yet
        return f"Fears {diagnosis} Would change {one_line(analysis.primary_action)} first."
    return diagnosis


def config_text(config: Config) -> str:
    """A configuration on one line: `lr=0.01, optimizer=adam`."""
    return ", ".join(f"{name}={format_value(value)}" for name, value in config.items())


def goal(objective: Objective) -> str:
    """What is wanted: `maximize val_accuracy (higher is better), target 0.98`."""
    better = "higher" if objective.direction == "maximize" else "lower"
    target = "" if objective.target is None else f", target {number(objective.target)}"
    bounds = "".join(f", {bound}" for bound in objective.bounds)
    if objective.terms:
        return f"maximize {objective.formula}{target}{bounds}"
    return f"{objective.direction} {objective.metric} ({better} is better){target}{bounds}"


def change_of(trial: Trial) -> str:
    """What is new in a trial, in a few words: its one change, `start`, or the whole configuration."""
    if trial.replicate_of is not None:
        return f"repeats trial {trial.replicate_of}"
    if trial.promoted_from is not None:
        return f"trial {trial.promoted_from} again, {one_line(trial.proposal.change)}"
    if trial.proposal.change:
        return one_line(trial.proposal.change)
    return "start" if trial.proposal.source == "start" else config_text(trial.config)


def headline(summary: StudySummary, objective: Objective) -> str:
    """The result of a study in one honest sentence."""
    first, best = summary.first, summary.best
    if best is None:
        if summary.infeasible:
            bounds = " and ".join(map(str, objective.bounds))
            return f"No trial keeps {bounds}: {count(len(summary.infeasible), 'trial')} with a score, none of them allowed."
        if summary.early:
            return (
                f"No trial with all its epochs has a score yet; {count(summary.early, 'trial')} with fewer."
            )
        if summary.trials:
            return f"No trial finished: {count(summary.trials, 'trial')} without a score."
        return "No trial has run yet."
    if first is None or first.value is None:
        failed = "The first trial has no score" if first is None else f"Trial {first.number} has no score"
        return f"{failed}, so there is no start to compare with; the best is trial {best.number}."
    if best.number == first.number:
        others = summary.configurations - 1
        if others == 0:
            return "Only the start was tried."
        return f"No trial beat the start: {count(others, 'other configuration')} did no better."
    verb = "rose" if objective.direction == "maximize" else "fell"
    gain = f"{abs(summary.gain or 0.0):.3g}"
    return (
        f"{objective.metric} {verb} from {number(first.value)} (trial {first.number}) "
        f"to {number(best.value)} (trial {best.number}), better by {gain}."
    )


def target_sentence(best: Trial | None, objective: Objective) -> str:
    """Whether the target was reached; empty without a target or a score."""
    if objective.target is None or best is None or best.value is None:
        return ""
    gap = objective.gain(objective.target, best.value)
    if gap <= 0:
        return f"The target of {number(objective.target)} was reached."
    return f"The target of {number(objective.target)} was missed by {gap:.3g}."


def hit_sentence(summary: StudySummary) -> str:
    """How often the analysis foresaw what a change did; empty when nothing could be checked."""
    checked = summary.predictions
    if not checked:
        return ""
    improved = sum(p.measured == "improves" for p in checked)
    sized = [p.size_hit for p in checked if p.size_hit is not None]
    sizes = f" Of {count(len(sized), 'size')} it foresaw {sum(sized)}." if sized else ""
    return (
        f"The analysis foresaw {summary.hits} of {count(len(checked), 'outcome')} "
        f'({100 * summary.hits / len(checked):.0f} %); always saying "improves" would have got {improved}.{sizes}'
    )


def deviation_sentence(summary: StudySummary) -> str:
    """How often the optimizer did something else than the analysis said; empty without analyses."""
    if not summary.analyses:
        return ""
    if not summary.deviations:
        return f"The optimizer followed the analysis all {count(summary.analyses, 'time')}."
    return (
        f"The optimizer departed from the analysis {len(summary.deviations)} of "
        f"{count(summary.analyses, 'time')} ({numbers(summary.deviations)})."
    )


def cost_sentence(summary: StudySummary) -> str:
    """Tokens, time spent thinking against training, and what the model held."""
    text = f"{duration(summary.thinking_seconds)} choosing, {duration(summary.training_seconds)} training"
    if not summary.calls:
        return f"{text}; no model was asked."
    held = f"; the model held {mib(summary.model_memory_mb)} of memory" if summary.model_memory_mb else ""
    return (
        f"{text}; {count(summary.calls, 'model call')}, {summary.prompt_tokens:,} tokens read "
        f"and {summary.completion_tokens:,} written{held}."
    )


def sources_sentence(sources: Mapping[str, int]) -> str:
    """Who chose the configurations: `agents 7, expert 2, start 1`."""
    ranked = sorted(sources.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {amount}" for name, amount in ranked)
