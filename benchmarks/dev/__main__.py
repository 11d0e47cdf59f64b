"""The bench's command line: run, report, figures, list."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

os.environ.setdefault(
    "OMP_NUM_THREADS", "1"
)  # read when numpy and torch are imported; several studies share the cores

from rich.console import Console

from benchmarks.dev import figures, report, results, runner
from benchmarks.dev._base import INTERRUPTED
from benchmarks.dev.decisions import HEAD, decisions
from benchmarks.dev.problems import FIGURES, chosen, problems, scales
from benchmarks.dev.studies import parse_methods
from tcs_hpt.cli import print_error
from tcs_hpt.compare import parse_seeds
from tcs_hpt.errors import TcsHptError
from tcs_hpt.evidence.blocks import BLOCKS
from tcs_hpt.spec import AnswerStyle, Start

VARIANTS, SHORT_QUESTIONS = "benchmarks.dev.variants", "benchmarks.dev.short_questions"
ABLATION = (
    *("gp", "coin", f"coin of eight={VARIANTS}:coin_of_eight", "expert", "tcs"),
    *(f"tcs:no-{block}" for block in BLOCKS if block != "memory"),  # a study of the bench has no earlier ones
    *("tcs-paper", "raw", "scores", "blind"),
    *(f"{name}={VARIANTS}:{name}" for name in ("long", "ranked", "majority", "whole")),
    *(f"{name}={SHORT_QUESTIONS}:{name}" for name in ("short", "turned", "two_steps")),
)
"""What `--methods ablation` stands for: what each part of `tcs` is worth, and other ways of asking a model."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dev", description="Many studies in minutes.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="run the studies that a folder of results lacks")
    run.add_argument(
        "--methods", default="random,tpe,gp,expert,coin", help="names, LABEL=MODULE:FACTORY, or ablation"
    )
    run.add_argument("--problems", default="", help="names, with commas; all if not given")
    run.add_argument("--seeds", default="10", help="how many, or a list of them")
    run.add_argument("--trials", type=int, default=10)
    run.add_argument("--start", choices=get_args(Start), default="defaults")
    run.add_argument("--model", default="", help="for methods that ask one")
    run.add_argument("--answers", choices=get_args(AnswerStyle), default="choice", help="of the agents")
    run.add_argument("--jobs", type=int, default=2, help="studies at the same time")
    run.add_argument("--out", type=Path, required=True, help="folder of results")
    told = commands.add_parser("report", help="tables of one or several folders of results")
    told.add_argument("folders", type=Path, nargs="+")
    told.add_argument("--control", default="coin")
    told.add_argument("--trials", type=int, help="the budget, if the folders hold several")
    measured = commands.add_parser("figures", help="measure best known and median random scores")
    measured.add_argument("--problems", default="")
    measured.add_argument(
        "--draws", type=int, default=300, help="of each trained problem; 0 to keep the medians"
    )
    measured.add_argument("--results", type=Path, nargs="*", default=[], help="folders with earlier scores")
    commands.add_parser("list", help="the problems")
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 1 and a sentence when it cannot be done."""
    options = _parser().parse_args(arguments)
    try:
        {"run": _run, "report": _report, "figures": _figures, "list": _list}[options.command](options)
    except TcsHptError as error:
        print_error(error)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _run(options: argparse.Namespace) -> None:
    units = runner.planned(
        [p.name for p in chosen(_names(options.problems))],
        parse_methods(
            ",".join(ABLATION) if options.methods == "ablation" else options.methods,
            options.model,
            options.answers,
        ),
        parse_seeds(options.seeds),
        start=options.start,
        trials=options.trials,
        answers=options.answers,
    )
    count = runner.run(units, options.out, jobs=options.jobs, console=Console(stderr=True))
    print(f"{count} studies run, {len(units) - count} were there; results in {options.out}")


def _report(options: argparse.Namespace) -> None:
    studies = [study for folder in options.folders for study in results.read(folder)]
    print(report.markdown(report.outcomes(studies, trials=options.trials), options.control), end="")
    chosen_from_lists = decisions(rows for rows in studies if options.trials in (None, rows[0].budget))
    if chosen_from_lists:
        print("\nChoices from the list, over all studies that are there:\n")
        print(report.table(HEAD, chosen_from_lists))


def _figures(options: argparse.Namespace) -> None:
    found = {
        p.name: figures.measure(p, options.draws, options.results) for p in chosen(_names(options.problems))
    }
    command = shlex.join(["python", "-m", "benchmarks.dev", *sys.argv[1:]])
    when = f"{datetime.now(UTC):%Y-%m-%d}"
    figures.write(FIGURES, found, measured=f"{when}: {command}", add=options.draws == 0)
    print(f"{len(found)} problems measured; figures in {FIGURES.name}")


def _list(options: argparse.Namespace) -> None:
    for name, problem in problems().items():
        scale = scales()[name][0]
        print(
            f"{name:<20} {len(problem.task.params):>2} parameters, {problem.task.objective.metric}: best known "
            f"{scale.best_known:.4g}, median random {scale.median_random:.4g}; {problem.task.title}"
        )


def _names(text: str) -> list[str]:
    return [name for name in (part.strip() for part in text.split(",")) if name]


if __name__ == "__main__":
    sys.exit(main())
