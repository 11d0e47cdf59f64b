"""`tcs-hpt models check`: is this model good enough?"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tcs_hpt.cli._shared import open_model
from tcs_hpt.cli.options import PullOption
from tcs_hpt.errors import ModelError
from tcs_hpt.report.words import count, duration

if TYPE_CHECKING:
    from tcs_hpt.experiments.figures import Figures
    from tcs_hpt.experiments.model_check import CheckPlan, ModelCheck
    from tcs_hpt.experiments.questions import Answer
    from tcs_hpt.llm import ChatModel

DECISIONS = 9
"""Of a study of ten trials, whose first one is given."""


def check(
    name: Annotated[str, typer.Argument(help="As --model takes it, e.g. embedded:smollm2-135m.")],
    repeats: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=100,
            help="Times that the same prompt is asked. Default: 10, with --quick 3.",
            show_default=False,
        ),
    ] = None,
    states: Annotated[
        str, typer.Option(metavar="A,B", help="Only these example states. Default: all.", show_default=False)
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print every figure and every raw answer.")] = False,
    quick: Annotated[bool, typer.Option("--quick", help="About a dozen calls.")] = False,
    pull: PullOption = False,
) -> None:
    """Ask a model what a study would ask it, and say whether it is good enough.

    Exit status: 0 for good and usable, 1 for not usable, 130 when interrupted.
    """
    from tcs_hpt.experiments.model_check import conclude, make_plan

    chosen = [s.strip() for s in states.split(",") if s.strip()]
    plan = make_plan(chosen, repeats=repeats, quick=quick)
    notes = Console(stderr=True, highlight=False, markup=False)
    model, reason = open_model(name, notes, pull=pull)
    if name == "auto":
        notes.print(reason)
    try:
        answers, stopped = _ask(model, plan, notes)
        model.rest()
    finally:
        model.close()
    if not answers:
        notes.print("interrupted before the first answer")
        raise typer.Exit(130)
    done = conclude(model.name, plan, answers, partial=stopped is not None)
    if as_json:
        json.dump(done.to_json(), sys.stdout, ensure_ascii=True, allow_nan=False)
        print()
    else:
        _print(done, Console(highlight=False, markup=False))
    if isinstance(stopped, ModelError):
        raise stopped
    if stopped is not None:
        raise typer.Exit(130)
    raise typer.Exit(1 if done.judgement.verdict == "not usable" else 0)


def _ask(
    model: ChatModel, plan: CheckPlan, notes: Console
) -> tuple[list[Answer], KeyboardInterrupt | ModelError | None]:
    """The answers, and what ended the check early. A failure at the very first question is raised."""
    from tcs_hpt.experiments.questions import ask

    notes.print(
        f"{model.name}: {count(plan.calls, 'call')} on {count(len(plan.states), 'example state')} "
        f"({', '.join(plan.states)}); an answer that cannot be used is asked for once more"
    )
    answers: list[Answer] = []
    columns = (TextColumn("asking"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=notes, transient=True, disable=not notes.is_terminal) as progress:
        bar = progress.add_task("asking", total=plan.calls)
        try:
            for answer in ask(model, plan.questions):
                if not notes.is_terminal and (not answers or answers[-1].state != answer.state):
                    notes.print(f"asking about: {answer.state}")
                answers.append(answer)
                progress.advance(bar)
                if len(answers) == 1:
                    _expect(answer, plan, notes)
        except KeyboardInterrupt as interruption:
            return answers, interruption
        except ModelError as error:
            if len(answers) <= 1:
                raise
            return answers, error
    return answers, None


def _expect(first: Answer, plan: CheckPlan, notes: Console) -> None:
    took = sum(call.seconds for call in first.calls)
    rest = took / len(first.calls) * (plan.calls - 1)
    if rest >= 1:
        notes.print(
            f"first answer after {duration(took)}; the rest takes about {duration(rest)}, "
            "less if the first call loaded the model. Ctrl-C gives the figures so far"
        )


def _print(done: ModelCheck, console: Console) -> None:
    judgement, found = done.judgement, done.figures
    if done.partial:
        console.print(f"\nStopped early: {count(found.speed.calls, 'call')} of {done.planned_calls} planned.")
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column()
    for finding in judgement.findings:
        grid.add_row(finding.about, finding.text)
    grid.add_row("Speed", _speed(found))
    console.print()
    console.print(grid)
    console.print()
    console.print(_states(done))
    so_far = " so far" if done.partial else ""
    console.print(f"\nFor tuning{so_far}: {judgement.verdict.value}. {judgement.because}")


def _states(done: ModelCheck) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("state", "known problem", "answers", "most frequent recommendation"):
        table.add_column(heading, overflow="fold")
    for state in done.figures.consistency:
        top = next(iter(state.counts), "")
        times = f"{state.counts[top]} x {top}" if top else "none could be used"
        table.add_row(state.state, done.states[state.state], str(state.answers), times)
    return table


def _speed(found: Figures) -> str:
    speed = found.speed
    if speed.first_seconds is None:
        return "not measured."
    text = f"first call {duration(speed.first_seconds)}"
    if speed.seconds_per_decision is not None:
        text += (
            f", then {duration(speed.seconds_per_decision)} a decision "
            f"({speed.read_per_decision:,.0f} tokens read, {speed.written_per_decision:,.0f} written)"
        )
        thinking = DECISIONS * speed.seconds_per_decision
        if thinking >= 60:
            text += f", so {duration(thinking)} for the {DECISIONS} decisions of a study of ten trials"
    if speed.read_per_second is not None and speed.written_per_second is not None:
        text += (
            f"; reads {speed.read_per_second:,.0f} and writes {speed.written_per_second:,.0f} tokens a second"
        )
    return f"{text}."
