"""What single choices are worth: every method decides in the same situations, and all changes that it could have taken are scored.

    python -m benchmarks.dev.choices run --methods tcs,tcs-paper,raw --model ... --seeds 2 --positions 3,6,9 --out OUT
    python -m benchmarks.dev.choices report OUT

Whole studies show what a method is worth, but two of them part after a few trials, and from then on luck separates them as much as
skill does. Here a coin runs each study, and a method is asked what it would do next at some of its trials: the pairs are equal
up to the choice, and what a coin would get from the same list is not drawn but averaged. A third of the model's calls then
separates what whole studies do not. What a choice does to later ones is not seen.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import get_args

os.environ.setdefault("OMP_NUM_THREADS", "1")  # as in `__main__`

from pydantic import ValidationError
from rich.console import Console

from benchmarks.dev._base import INTERRUPTED, Problem
from benchmarks.dev._progress import tracked
from benchmarks.dev._workers import submit_all, worker_pool
from benchmarks.dev.problems import WORST, chosen, regret
from benchmarks.dev.report import table, with_interval
from benchmarks.dev.studies import Method, parse_methods, proposer_of, run_beside, run_trials, study_spec
from benchmarks.dev.variants import LongView
from tcs_hpt.cli import print_error
from tcs_hpt.compare import parse_seeds
from tcs_hpt.errors import TcsHptError, UserError
from tcs_hpt.execution import InProcessExecutor, Job
from tcs_hpt.proposers import CoinProposer, ProposalContext
from tcs_hpt.proposers.views import EvidenceView, RawView, TcsView, View
from tcs_hpt.records import Trial
from tcs_hpt.spec import AnswerStyle, Config, Frozen, Start, StudySpec
from tcs_hpt.statistics import paired_difference, sign_flip_test

FILE = "choices.jsonl"
COINS: dict[str, Callable[[], View]] = {
    "coin": EvidenceView,
    "coin of eight": LongView,
    "coin:tcs-paper": TcsView,
    "coin:raw": RawView,
}
"""Lists whose average stands for a coin; they need no drawing, and are part of every run."""
HINDSIGHT = "hindsight"
"""Who knows the scores and takes the best change on the list of `tcs`: what choosing could gain at most."""


class ChoiceRow(Frozen):
    """One method's answer in one situation."""

    problem: str
    seed: int
    position: int
    """Of the trial that was decided on, from 1."""
    method: str
    regret: float
    """Of the configuration that was chosen; for a coin the average over its list."""
    gain: float
    """By how much it is better than the best trial before, in regret; 0 when it is not."""
    place: int | None = None
    """Of the change in the order of its list."""
    options: int = 0
    fallback: bool = False
    read_tokens: int = 0
    written_tokens: int = 0


@dataclass(frozen=True)
class Unit:
    """The situations of one study, and who is asked in them. Goes to another process."""

    problem: str
    seed: int
    positions: tuple[int, ...]
    methods: tuple[Method, ...]
    start: Start
    answers: AnswerStyle


class _Scores:
    """Regrets of configurations of one study, each trained once."""

    def __init__(self, problem: Problem, spec: StudySpec, folder: Path) -> None:
        self._problem, self._spec, self._folder = problem, spec, folder
        self._executor = InProcessExecutor(problem.function)
        self._known: dict[tuple[tuple[str, object], ...], float] = {}

    def __call__(self, config: Config) -> float:
        key = tuple(sorted(config.items()))
        if key not in self._known:
            job = Job(1, self._spec.task, self._folder, self._folder, config, self._spec.seed)
            result = self._executor.run(job, lambda epoch: None)
            self._known[key] = regret(self._problem, self._spec.seed, result.value)
        return self._known[key]


def decide(unit: Unit) -> list[ChoiceRow]:
    """What everybody chooses in each situation, coins first."""
    problem = chosen([unit.problem])[0]
    budget = max(unit.positions)
    spec = study_spec(
        problem, method="coin", seed=unit.seed, start=unit.start, trials=budget, answers=unit.answers
    )
    rows: list[ChoiceRow] = []
    with TemporaryDirectory() as folder:
        trials = [trial for trial, _ in run_trials(problem, CoinProposer(), spec, Path(folder))]
        scores = _Scores(problem, spec, Path(folder))
        regrets = [regret(problem, unit.seed, trial.value) for trial in trials]
        for position in unit.positions:
            if position <= len(trials):
                before = tuple(trials[: position - 1])
                best = min(regrets[: position - 1], default=WORST)
                rows += _in_one_situation(unit, spec, before, best, scores)
    return rows


def _in_one_situation(
    unit: Unit, spec: StudySpec, before: tuple[Trial, ...], best: float, scores: _Scores
) -> Iterator[ChoiceRow]:
    def row(method: str, found: Sequence[float], **more: object) -> ChoiceRow:
        return ChoiceRow(
            problem=unit.problem,
            seed=unit.seed,
            position=len(before) + 1,
            method=method,
            regret=fmean(found),
            gain=fmean(max(0.0, best - r) for r in found),
            **more,
        )

    context = ProposalContext(spec, before, len(before) + 1)
    for name, view in COINS.items():
        listed = view().candidates(context)
        assert listed is not None  # the coin that ran the study found something to change
        found = [scores(c.config) for c in listed.candidates]
        yield row(name, found, options=len(found))
        if name == "coin":
            yield row(HINDSIGHT, [min(found)], place=found.index(min(found)) + 1, options=len(found))
    for method in unit.methods:
        made = proposer_of(method).propose(context)
        assert made is not None
        yield row(
            method.label,
            [scores(made.config)],
            place=made.options.index(made.change) + 1 if made.change in made.options else None,
            options=len(made.options),
            fallback=bool(made.fallback),
            read_tokens=sum(c.prompt_tokens for c in made.calls),
            written_tokens=sum(c.completion_tokens for c in made.calls),
        )


def run(units: Sequence[Unit], folder: Path, *, jobs: int) -> int:
    """Decide what the folder lacks and write it, study by study; how many rows were added."""
    there = {(r.problem, r.seed, r.position, r.method) for r in read(folder)}
    wanted = [
        unit
        for unit in units
        if any(
            (unit.problem, unit.seed, p, m.label) not in there for p in unit.positions for m in unit.methods
        )
    ]
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    with worker_pool(jobs, run_beside) as pool:
        done = as_completed(submit_all(pool, decide, wanted))
        for future in tracked(done, len(wanted), Console(stderr=True)):
            rows = [r for r in future.result() if (r.problem, r.seed, r.position, r.method) not in there]
            with (folder / FILE).open("a", encoding="utf-8") as file:
                if file.tell() and not (folder / FILE).read_bytes().endswith(b"\n"):
                    file.write("\n")  # behind half a line that a killed run left
                file.write("".join(f"{row.model_dump_json()}\n" for row in rows))
            count += len(rows)
    return count


def read(folder: Path) -> list[ChoiceRow]:
    """The rows in a folder; half a line that a killed run left does not count."""
    path = folder / FILE
    found: list[ChoiceRow] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            found.append(ChoiceRow.model_validate_json(line))
        except ValidationError:
            continue
    return found


def markdown(rows: Sequence[ChoiceRow], control: str) -> str:
    """The methods side by side in the situations that all of them were in, lowest regret first.

    Differences are averaged over the situations of a study and paired over studies.

    Raises:
        UserError: There are no rows, or none of the control.
    """
    by_method: dict[str, dict[tuple[str, int, int], ChoiceRow]] = {}
    for row in rows:
        by_method.setdefault(row.method, {})[row.problem, row.seed, row.position] = row
    if control not in by_method:
        raise UserError(
            f"there are no choices of {control!r}", hint=f"Methods: {', '.join(by_method) or 'none'}."
        )
    common = sorted(set.intersection(*(set(found) for found in by_method.values())))
    if not common:
        raise UserError("there is no situation that every method was in", hint="Run the same seeds.")
    studies = sorted({(problem, seed) for problem, seed, _ in common})

    def per_study(method: str, figure: Callable[[ChoiceRow], float]) -> list[float]:
        return [
            fmean(figure(by_method[method][key]) for key in common if key[:2] == study) for study in studies
        ]

    lines = []
    for method in sorted(by_method, key=lambda m: fmean(by_method[m][k].regret for k in common)):
        found = [by_method[method][key] for key in common]
        placed = [r.place for r in found if r.place is not None]
        asked = any(r.read_tokens for r in found)
        cells = [f"`{method}`", f"{fmean(r.regret for r in found):.3f}"]
        for figure in (_regret, _gain):
            mine, theirs = per_study(method, figure), per_study(control, figure)
            gap = "" if method == control else with_interval(paired_difference(mine, theirs), sign="+")
            cells += [gap, "" if method == control else f"{sign_flip_test(mine, theirs):.3f}"]
        cells += [
            f"{100 * fmean(place == 1 for place in placed):.0f} %" if placed else "",
            f"{sum(r.fallback for r in found)}" if asked else "",
            f"{fmean(r.read_tokens for r in found):.0f} / {fmean(r.written_tokens for r in found):.0f}"
            if asked
            else "",
        ]
        lines.append(cells)
    head = (
        "method",
        "regret of the choice",
        f"against `{control}`",
        "p",
        f"gain, against `{control}`",
        "p",
        "took the first",
        "fell back",
        "tokens read / written",
    )
    return (
        f"{len(common)} situations of {len(studies)} studies on {len({p for p, _ in studies})} problems. Regret of the "
        f"configuration that was chosen (0 best known, 1 median random, at most {WORST:g}; lower is better), and how much better than "
        f"the best trial before it is (0 if it is not; higher is better). A coin's is the average over its list; `{HINDSIGHT}` takes the best change on the list of `tcs`.\n\n{table(head, lines)}\n"
    )


def _regret(row: ChoiceRow) -> float:
    return row.regret


def _gain(row: ChoiceRow) -> float:
    return row.gain


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 1 and a sentence when it cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.dev.choices")
    commands = parser.add_subparsers(dest="command", required=True)
    asked = commands.add_parser("run", help="ask in the situations that a folder of results lacks")
    asked.add_argument("--methods", default="expert", help="names, or LABEL=MODULE:FACTORY")
    asked.add_argument("--problems", default="", help="names, with commas; all if not given")
    asked.add_argument("--seeds", default="2", help="how many, or a list of them")
    asked.add_argument("--positions", default="3,6,9", help="which trials are decided on, the first being 1")
    asked.add_argument("--start", choices=get_args(Start), default="knowledge")
    asked.add_argument("--model", default="", help="for methods that ask one")
    asked.add_argument("--answers", choices=get_args(AnswerStyle), default="choice", help="of the agents")
    asked.add_argument("--jobs", type=int, default=2, help="studies at the same time")
    asked.add_argument("--out", type=Path, required=True, help="folder of results")
    told = commands.add_parser("report", help="a table of one or several folders")
    told.add_argument("folders", type=Path, nargs="+")
    told.add_argument("--control", default="coin")
    options = parser.parse_args(arguments)
    try:
        if options.command == "report":
            print(
                markdown([row for folder in options.folders for row in read(folder)], options.control), end=""
            )
        else:
            print(f"{run(_units(options), options.out, jobs=options.jobs)} choices added to {options.out}")
    except TcsHptError as error:
        print_error(error)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _units(options: argparse.Namespace) -> list[Unit]:
    positions = sorted({int(p) for p in options.positions.split(",") if p.strip().isdigit()})
    if not positions or positions[0] < 2 or options.positions.count(",") + 1 != len(positions):
        raise UserError(
            f"--positions needs different whole numbers from 2 on, got {options.positions!r}",
            hint="For example: --positions 3,6,9. The first trial is the same for all.",
        )
    methods = tuple(parse_methods(options.methods, options.model, options.answers))
    names = [name for name in (part.strip() for part in options.problems.split(",")) if name]
    return [
        Unit(problem.name, seed, tuple(positions), methods, options.start, options.answers)
        for seed in parse_seeds(options.seeds)
        for problem in chosen(names)
    ]


if __name__ == "__main__":
    sys.exit(main())
