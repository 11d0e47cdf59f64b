"""The end of a run on a terminal: what was won, by which changes, by whom, at what cost, and how to get it again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tcs_hpt.records import Trial
from tcs_hpt.report import words
from tcs_hpt.report.fidelity import fidelity_sentence
from tcs_hpt.report.rungs import rungs_section
from tcs_hpt.report.sections import Section, print_sections
from tcs_hpt.report.tables import StudySummary, compare_configs, reproduce_command, summarize_study
from tcs_hpt.report.tradeoffs import front_grid, trade_offs
from tcs_hpt.space import format_value
from tcs_hpt.spec import Objective, Scalar, StudySpec


def print_summary(
    console: Console,
    study: StudySpec,
    trials: Sequence[Trial],
    *,
    task_ref: str,
    report_path: Path | None = None,
    store_url: str = "",
    disk_bytes: int | None = None,
) -> None:
    """Print the end of a study. Text of models and scripts is never read as markup; works at 80 columns.

    Args:
        console: Where to print.
        study: The study.
        trials: Its trials, in any order.
        task_ref: The task as the user would name it.
        report_path: The HTML report, if one was written.
        store_url: Database of the study; empty for the default one.
        disk_bytes: What the study's folder occupies.
    """
    summary = summarize_study(study, trials)
    objective = study.task.objective
    style = "bold green" if summary.improved else "bold"
    console.print()
    _say(console, words.headline(summary, objective), style)
    for text in (
        words.target_sentence(summary.best, objective),
        words.NOISE_NOTE if summary.improved else "",
    ):
        if text:
            _say(console, text)
    if summary.best is not None:
        _print_config(console, study, summary, summary.best)
        if summary.test_metrics:
            scores = ", ".join(f"{n} {words.number(v)}" for n, v in summary.test_metrics.items())
            _say(console, f"Not seen by the tuner: {scores} (trial {summary.best.number})")
    _print_front(console, trials, objective)
    _print_path(console, study, summary)
    rungs = rungs_section(study, trials)
    if rungs is not None:
        print_sections(console, [rungs])
    _print_ledger(console, summary, fidelity_sentence(trials, objective) if rungs is None else "")
    _print_failures(console, summary, trials)
    if summary.best is not None:
        _title(console, "Train the best again")
        _command(console, reproduce_command(study, summary.best, task_ref=task_ref, store_url=store_url))
        _print_files(console, summary.best)
    _title(console, "Look again")
    store = ["--store", store_url] if store_url else []
    _command(console, shlex.join(["tcs-hpt", "show", study.name, *store]))
    if report_path is not None:
        _command(console, f"report: {report_path}")
    else:
        _command(console, shlex.join(["tcs-hpt", "report", study.name, *store]))
    if disk_bytes is not None:
        folder = f" in {Path(trials[0].folder).parent}" if trials and trials[0].folder else ""
        _command(console, f"disk: {words.size(disk_bytes)}{folder}")


def _print_front(console: Console, trials: Sequence[Trial], objective: Objective) -> None:
    found = trade_offs(trials, objective)
    if found:
        print_sections(console, [Section("Trade-offs", grids=(front_grid(found, objective),))])


def _print_config(console: Console, study: StudySpec, summary: StudySummary, best: Trial) -> None:
    first = summary.first
    alone = first is None or first.number == best.number
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 3, 0, 0))
    table.add_column("parameter")
    if not alone and first is not None:
        table.add_column(f"start (trial {first.number})")
    table.add_column(f"best (trial {best.number})")
    for row in compare_configs(study, first, best):
        style = "bold green" if row.changed else ""
        cells = [
            Text(row.name),
            Text(_shown(row.start)),
            Text(_shown(row.best) + (" *" if row.changed else "")),
        ]
        if alone:
            del cells[1]
        cells[-1].stylize(style)
        table.add_row(*cells)
    if not alone and first is not None:
        table.add_row(
            Text(study.task.objective.metric, "bold"),
            Text(words.number(first.value), "bold"),
            Text(words.number(best.value), "bold"),
        )
    console.print()
    console.print(table)
    if not alone:
        _say(console, "* changed", "dim")


def _shown(value: Scalar | None) -> str:
    return "not used" if value is None else format_value(value)


def _print_path(console: Console, study: StudySpec, summary: StudySummary) -> None:
    if not summary.path:
        return
    _title(console, "What changed, and why")
    for step in summary.path:
        line = Text("  ")
        line.append(words.one_line(step.change) or "a new configuration", "bold")
        line.append(f"  trial {step.number} from {step.base_trial}, by {step.source}", "dim")
        if step.effect is not None:
            line.append(
                f"  {words.number(step.value)} ({words.signed(step.effect)})",
                "green" if step.effect > 0 else "",
            )
        if study.fidelity is not None:
            line.append(f"  with {study.fidelity.parameter} {study.fidelity.lowest}", "dim")
        console.print(line, highlight=False)
        if step.reason:
            _say(console, f"    {words.one_line(step.reason, 200)}")


def _print_ledger(console: Console, summary: StudySummary, fidelity: str) -> None:
    if not summary.trials and not summary.calls:
        return
    _title(console, "Who proposed, and what it cost")
    _say(console, f"  by: {words.sources_sentence(summary.sources)}")
    _groups(console, "fallback", summary.fallbacks)
    _groups(console, "no analysis by the agents", summary.analysis_fallbacks)
    if summary.rejected or summary.repairs:
        _say(
            console,
            f"  {words.count(summary.rejected, 'attempt')} rejected before training, "
            f"{words.count(summary.repairs, 'answer')} asked again",
        )
    lines = (
        words.deviation_sentence(summary),
        words.hit_sentence(summary),
        words.cost_sentence(summary),
        fidelity,
    )
    for text in lines:
        if text:
            _say(console, f"  {text}")


def _print_files(console: Console, best: Trial) -> None:
    kept = words.artifacts_sentence(best)
    if kept:
        _title(console, f"Files of trial {best.number}")
        _say(console, f"  {kept}")
        if best.folder:
            _command(console, str(Path(best.folder) / "artifacts"))


def _print_failures(console: Console, summary: StudySummary, trials: Sequence[Trial]) -> None:
    if summary.failures:
        _title(console, "Failures")
        for kind, numbers in summary.failures.items():
            _say(console, f"  {kind.replace('_', ' ')}: {words.numbers(numbers)}", "red")
            message = next((t.failure.message for t in trials if t.failure and t.number == numbers[-1]), "")
            if message:
                _say(console, f"    {words.one_line(message, 200)}")
            if hint := words.failure_hint(message):
                _say(console, f"    {hint}")
    if summary.interrupted:
        _say(console, f"  {words.count(summary.interrupted, 'interrupted trial')} did not count")


def _groups(console: Console, label: str, groups: Mapping[str, tuple[int, ...]]) -> None:
    for reason, numbers in groups.items():
        text = f"  {label}, {words.count(len(numbers), 'time')} ({words.numbers(numbers)}): {words.one_line(reason, 160)}"
        _say(console, text, "yellow")


def _title(console: Console, text: str) -> None:
    console.print()
    _say(console, text, "bold underline")


def _say(console: Console, text: str, style: str = "") -> None:
    """One paragraph; its leading spaces indent every line of it."""
    flat = text.lstrip()
    console.print(
        Padding(Text(flat, style=style), (0, 0, 0, len(text) - len(flat)), expand=False), highlight=False
    )


def _command(console: Console, text: str) -> None:
    """One line whatever its length: a wrapped command could not be copied."""
    console.print(Text(f"  {text}"), soft_wrap=True, highlight=False)
