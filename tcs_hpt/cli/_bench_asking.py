"""Suites that ask models the same thing again and again, on the command line."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.progress import Progress

from tcs_hpt import __version__
from tcs_hpt.cli._compare_results import note_run, this_run, told, usual_folder
from tcs_hpt.cli._shared import open_model, termination_interrupts
from tcs_hpt.experiments.consistency import RateAnswer, ask_rates
from tcs_hpt.experiments.energy import EnergyAnswer, ask_energies
from tcs_hpt.experiments.example_state import ExampleState
from tcs_hpt.experiments.states import find_states
from tcs_hpt.experiments.suites import AskingSuite
from tcs_hpt.loop import utc_now
from tcs_hpt.report.comparison.files import read_history
from tcs_hpt.report.consistency import write_consistency
from tcs_hpt.report.energy import write_energy
from tcs_hpt.report.sections import Section
from tcs_hpt.store import Store

ANSWERS = "answers.jsonl"
"""Every answer as it was given; what is in it is not asked again."""


@dataclass(frozen=True)
class _Study:
    """How one kind of them is asked and written."""

    answer: type[Any]
    ask: Callable[..., Iterator[Any]]
    write: Callable[..., list[Section]]
    per_question: int = 1
    """Answers to each question."""


_STUDIES = {
    "consistency": _Study(RateAnswer, ask_rates, write_consistency),
    "energy": _Study(EnergyAnswer, ask_energies, write_energy, per_question=2),
}


def run_asking(
    suite: AskingSuite,
    size: str,
    database: Store,
    *,
    model: str,
    pull: bool,
    store: str,
    output: Path | None,
    quiet: bool,
) -> None:
    """Ask what is left, one model after the other, and write and print the whole.

    Raises:
        ModelError: A model cannot be opened or gives no answer; what the others answered is kept.
        typer.Exit: Somebody interrupted (130).
    """
    wanted = suite.size(size)
    name = f"{suite.name}-{size}"
    states = find_states(wanted.states)
    path = usual_folder(database, name) / ANSWERS
    note_run(database, name, this_run(database, store, name, name, 1))
    interrupted = False
    try:
        with termination_interrupts():  # what was answered is told
            for each in dict.fromkeys(
                part.strip() for part in (model or wanted.model).split(",") if part.strip()
            ):
                _ask(each, states, suite, size, database, path, pull=pull, quiet=quiet)
    except KeyboardInterrupt:
        interrupted = True
    if answers_of(suite, size, database):
        tell_asking(suite, size, database, output=output, quiet=quiet)
    if interrupted:
        if not quiet:
            print("\nInterrupted. Continue with the same command.")
        raise typer.Exit(130)


def _ask(
    model: str,
    states: Sequence[ExampleState],
    suite: AskingSuite,
    size: str,
    database: Store,
    path: Path,
    *,
    pull: bool,
    quiet: bool,
) -> None:
    wanted = suite.size(size)
    errors = Console(stderr=True)
    opened, reason = open_model(model, console=errors, pull=pull)
    if reason and not quiet:
        errors.print(reason, highlight=False)
    study = _STUDIES[suite.kind]
    total = wanted.questions * study.per_question
    known = [a for a in answers_of(suite, size, database) if a.model == opened.name]
    with (
        Progress(console=errors, transient=True, disable=quiet) as progress,
        path.open("a", encoding="utf-8") as file,
    ):
        if file.tell() and not path.read_bytes().endswith(b"\n"):
            file.write("\n")  # behind half a line that a killed run left
        bar = progress.add_task(opened.name, total=total, completed=min(len(known), total))
        try:
            for answer in study.ask(opened, states, wanted.shown, repeats=wanted.repeats, known=known):
                file.write(f"{answer.model_dump_json()}\n")
                file.flush()
                progress.advance(bar)
        finally:
            opened.close()


def answers_of(suite: AskingSuite, size: str, database: Store) -> list[Any]:
    """What was answered so far; half a line that a killed run left does not count.

    Of several answers to one question the first counts, or, where the prompt has changed since, the first to the newest.
    """
    path = usual_folder(database, f"{suite.name}-{size}") / ANSWERS
    found: dict[Any, Any] = {}
    for line in path.read_bytes().split(b"\n") if path.exists() else []:
        try:
            answer = _STUDIES[suite.kind].answer.model_validate_json(line)
        except ValidationError:
            continue
        there = found.setdefault(answer.key, answer)
        if there.prompt and answer.prompt not in ("", there.prompt):
            found[answer.key] = answer
    return list(found.values())


def tell_asking(
    suite: AskingSuite, size: str, database: Store, *, output: Path | None, quiet: bool = False
) -> None:
    """Write the study's files, and print them."""
    name = f"{suite.name}-{size}"
    folder = output or usual_folder(database, name)
    text = _STUDIES[suite.kind].write(
        folder,
        suite,
        answers_of(suite, size, database),
        read_history(usual_folder(database, name)).runs,
        version=__version__,
        generated_at=utc_now(),
    )
    told(database, suite.title, text, folder, suite.report_words(size), quiet=quiet)
