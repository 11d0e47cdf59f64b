"""What a suite says over several tasks: ranks, wins, differences and costs. Pure.

Methods are only compared over tasks that all of them ran. Where some ran more, these are compared once more, over all tasks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from tcs_hpt.experiments.suites import Suite
from tcs_hpt.report import words
from tcs_hpt.report.comparison.means import ENOUGH_PAIRS, TaskResult, mean_ranks
from tcs_hpt.report.comparison.rows import Row
from tcs_hpt.report.cost import Cores, cost_grid
from tcs_hpt.report.sections import Grid
from tcs_hpt.statistics import paired_difference, sign_flip_test

TIE = 2.0
"""Differences of at most so many noise floors are no evidence of anything."""


@dataclass(frozen=True)
class Together:
    """Methods and the tasks that all of them ran."""

    results: tuple[TaskResult, ...]
    labels: tuple[str, ...]
    title: str


def labels_of(results: Sequence[TaskResult]) -> list[str]:
    """All methods, in the order of their first task."""
    return list(dict.fromkeys(m.label for r in results for m in r.methods))


def together(results: Sequence[TaskResult]) -> list[Together]:
    """The tasks that all methods ran, then all tasks with the methods that ran them all.

    Where nothing would be left, everything at once; `total_notes` says so.
    """
    labels = labels_of(results)
    by_task = [{m.label for m in r.methods} for r in results]
    shared = [r for r, there in zip(results, by_task, strict=True) if len(there) == len(labels)]
    tireless = [label for label in labels if all(label in there for there in by_task)]
    if len(shared) == len(results):
        return [_of(results, labels, "All tasks")]
    found = []
    if shared:
        found.append(_of(shared, labels, f"{', '.join(r.task for r in shared)}, which every method ran"))
    if len(tireless) > 1:
        found.append(_of(results, tireless, f"All {len(results)} tasks, of the methods that ran them all"))
    return found or [_of(results, labels, "Whatever tasks each ran")]


def _of(results: Sequence[TaskResult], labels: Sequence[str], title: str) -> Together:
    kept = [replace(r, methods=tuple(m for m in r.methods if m.label in labels)) for r in results]
    return Together(tuple(kept), tuple(labels), title)


def total_grids(
    suite: Suite, results: Sequence[TaskResult], floors: Mapping[str, float], cores: Cores
) -> list[Grid]:
    """Ranks, wins, differences and costs.

    Args:
        suite: For its unit.
        results: Of one start.
        floors: Noise floors by task, as far as they were measured.
        cores: Of the machine, for the energy.
    """
    groups = together(results)
    found = [_scores(suite, group, floors) for group in groups]
    for group in groups:
        grid = cost_grid({label: _ran(group, label) for label in group.labels}, cores)
        found.append(grid if len(groups) == 1 else replace(grid, title=f"{grid.title}. {group.title}"))
    return found


def total_notes(suite: Suite, results: Sequence[TaskResult], floors: Mapping[str, float]) -> list[str]:
    """How those tables are to be read, as far as it applies."""
    groups = together(results)
    notes = []
    if len(groups) == 1 and len({len(r.methods) for r in results}) > 1:
        notes.append("The methods ran different tasks, so that their means over tasks cannot be compared.")
    known = {r.task: floors[r.task] for r in results if r.task in floors}
    if known:
        notes.append(
            "Noise floor, the standard deviation of one configuration over training seeds: "
            + ", ".join(f"{task} {_in_unit(suite, floor)}" for task, floor in known.items())
            + f". Differences of at most {TIE:.0f} times that count as ties."
        )
    if len(known) < len(results):
        notes.append(
            f"No noise floor was measured for {', '.join(r.task for r in results if r.task not in known)}: every difference counts as a win or a loss there."
        )
    if suite.unit and min(len(group.results) for group in groups) < ENOUGH_PAIRS:
        notes.append(
            f"An interval over fewer than {ENOUGH_PAIRS} tasks is too narrow, and no p-value can be below 0.05: it is not evidence of a difference."
        )
    return notes


def _in_unit(suite: Suite, score: float) -> str:
    return f"{score * suite.times:{'.2f' if suite.unit else '.4g'}}"


def _scores(suite: Suite, group: Together, floors: Mapping[str, float]) -> Grid:
    ranks = mean_ranks(group.results)
    control = group.results[0].control
    averaged = (f"against {control}, {suite.unit}", "95 % interval by task", "p") if suite.unit else ()
    return Grid(
        title=f"{group.title}; seconds and tokens are the mean of a study",
        columns=(
            "method",
            *(("mean rank",) if ranks is not None else ()),
            f"wins, ties, losses against {control}",
            *averaged,
            "failed trials",
            "fallbacks",
            "choosing s",
            "tokens read",
            "written",
            "training s",
        ),
        rows=tuple(
            (
                label,
                *((_rank(ranks.mean, label),) if ranks is not None else ()),
                words.MISSING if label == control else _record(group, label, floors),
                *(_against(suite, group, label) if averaged else ()),
                *_ledger(_ran(group, label)),
            )
            for label in group.labels
        ),
    )


def _rank(ranks: Mapping[str, float], label: str) -> str:
    return f"{ranks[label]:.2f}" if label in ranks else words.MISSING


def _gains(result: TaskResult, label: str) -> list[float]:
    """Improvement over the control, for each seed that both have."""
    by_label = {m.label: m.scores() for m in result.methods}
    ours, theirs = by_label.get(label, {}), by_label.get(result.control, {})
    return [result.objective.gain(ours[s], theirs[s]) for s in sorted(set(ours) & set(theirs))]


def _record(group: Together, label: str, floors: Mapping[str, float]) -> str:
    """Wins, ties and losses over pairs of task and seed."""
    pairs = [(gain, TIE * floors.get(r.task, 0.0)) for r in group.results for gain in _gains(r, label)]
    if not pairs:
        return words.MISSING
    wins, losses = sum(gain > tie for gain, tie in pairs), sum(-gain > tie for gain, tie in pairs)
    return f"{wins}, {len(pairs) - wins - losses}, {losses}"


def _against(suite: Suite, group: Together, label: str) -> tuple[str, str, str]:
    """Mean over tasks of the mean over seeds; interval and test take tasks, which is what other tasks might show."""
    by_task = [fmean(gains) for r in group.results if (gains := _gains(r, label))]
    if label == group.results[0].control or not by_task:
        return (words.MISSING,) * 3
    zeros = [0.0] * len(by_task)
    found = paired_difference(by_task, zeros)
    mean, low, high = (number * suite.times for number in (found.mean, found.low, found.high))
    if found.n == 1:
        return f"{mean:+.2f}", "unknown", words.MISSING
    return f"{mean:+.2f}", f"{low:+.2f} to {high:+.2f}", f"{sign_flip_test(by_task, zeros):.2g}"


def _ran(group: Together, label: str) -> list[Row]:
    """The method's studies that ran at least one trial, over all tasks."""
    return [row for r in group.results for m in r.methods if m.label == label for row in m.rows if row.trials]


def _ledger(ran: Sequence[Row]) -> tuple[str, ...]:
    if not ran:
        return (words.MISSING,) * 6
    asked = any(r.calls for r in ran)
    return (
        f"{sum(sum(r.failures.values()) for r in ran)} of {sum(r.trials for r in ran)}",
        str(sum(r.fallbacks for r in ran)) if asked else words.MISSING,
        f"{fmean(r.thinking_seconds for r in ran):,.1f}",
        f"{fmean(r.prompt_tokens for r in ran):,.0f}" if asked else words.MISSING,
        f"{fmean(r.completion_tokens for r in ran):,.0f}" if asked else words.MISSING,
        f"{fmean(r.training_seconds for r in ran):,.1f}",
    )
