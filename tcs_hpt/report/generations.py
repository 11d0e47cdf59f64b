"""The best score of each generation of a genetic algorithm with a line through them, and the untuned model beside the tuned one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import linear_regression
from typing import TYPE_CHECKING

from tcs_hpt.compare import Recorded
from tcs_hpt.experiments.suites import Generations
from tcs_hpt.loop import as_proposers_see
from tcs_hpt.proposers import GeneticProposer, ProposalContext, make_proposer
from tcs_hpt.proposers.genetic import Generation
from tcs_hpt.records import incumbent, ordered, score
from tcs_hpt.report import figures, words
from tcs_hpt.report.comparison.rows import row_of
from tcs_hpt.report.comparison.text import digits_of, fixed, plus_minus
from tcs_hpt.report.export import Cell
from tcs_hpt.report.sections import Grid, Section
from tcs_hpt.spec import Objective
from tcs_hpt.statistics import MeanStd, mean_std

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CAPTION = (
    "One dot for the best score of a generation in each run, hollow for a last one that is incomplete, and the line that fits the complete ones best "
    "(least squares)."
)
SELECTED = (
    "Both are measured on the same validation examples, but the tuned score is the best of a study's trials on them and so flatters; its test score, in "
    "the table of test scores, was not selected."
)


@dataclass(frozen=True)
class Run:
    """A complete study of a method that breeds, generation by generation."""

    scores: dict[int, float]
    """The best score of all members of a generation, by its number; generations without a score are missing."""
    last: int
    """Number of the last generation, with or without a score; 0 for none."""
    cut: bool = False
    """Whether the last one is incomplete: not every member of it was tried."""
    outside: int = 0
    """Trials that belong to no generation."""

    @property
    def fitted(self) -> dict[int, float]:
        """The scores of complete generations."""
        return {n: best for n, best in self.scores.items() if not (self.cut and n == self.last)}


@dataclass(frozen=True)
class Lineage:
    """A method on a task, generation by generation."""

    task: str
    label: str
    objective: Objective
    runs: tuple[Run, ...]
    left_out: int = 0
    """Studies that are not complete."""

    @property
    def numbers(self) -> list[int]:
        """The generations that some run has."""
        return sorted({number for run in self.runs for number in run.scores})

    def best(self, number: int) -> list[float]:
        """The best scores of one generation, one of each run that has it complete."""
        return [run.fitted[number] for run in self.runs if number in run.fitted]

    def best_so_far(self, number: int) -> list[float]:
        """The same of the runs in which it is the last one and incomplete."""
        return [run.scores[number] for run in self.runs if number in run.scores and number not in run.fitted]

    @property
    def line(self) -> tuple[float, float] | None:
        """Slope per generation and height at generation 0 of the least-squares line; None below two complete generations."""
        points = [point for run in self.runs for point in run.fitted.items()]
        if len({number for number, _ in points}) < 2:
            return None
        slope, height = linear_regression(*zip(*points, strict=True))
        return slope, height


def lineages(studies: Iterable[Recorded]) -> list[Lineage]:
    """The methods that breed, in the order in which they appear.

    Raises:
        UserError: The package `deap` is missing, with which generations are bred again.
    """
    groups: dict[tuple[str, str], list[Recorded]] = {}
    for study in studies:
        if study.spec.method.partition(":")[0] == "ga":
            groups.setdefault((study.spec.task.name, row_of(study).label), []).append(study)
    return [
        Lineage(
            task,
            label,
            group[0].spec.task.objective,
            tuple(_run(s) for s in group if s.complete),
            _incomplete(group),
        )
        for (task, label), group in groups.items()
    ]


def generation_rows(studies: Iterable[Recorded]) -> list[dict[str, Cell]]:
    """One row per generation of every complete study of a method that breeds; `best` is empty where no member has a score.

    `members` are the numbers of the trials that belong to it, one that rejoined as often as it did.

    Raises:
        UserError: The package `deap` is missing, with which generations are bred again.
    """
    return [
        {
            "study": study.spec.name,
            "task": study.spec.task.name,
            "start": study.spec.start,
            "method": study.spec.method,
            "study_seed": study.spec.seed,
            "generation": each.number,
            "complete": each.complete,
            "members": " ".join(str(t.number) for t in each.members),
            "best": score(best) if (best := incumbent(each.members, study.spec.task.objective)) else None,
        }
        for study in studies
        if study.complete and study.spec.method.partition(":")[0] == "ga"
        for each in _bred(study)
    ]


def _bred(study: Recorded) -> list[Generation]:
    spec, trials = as_proposers_see(study.spec, study.trials)
    proposer = make_proposer(spec.method)
    assert isinstance(proposer, GeneticProposer)
    return proposer.generations(ProposalContext(spec, trials, len(study.trials) + 1))


def _run(study: Recorded) -> Run:
    spec, trials = as_proposers_see(study.spec, study.trials)
    found = _bred(study)
    best = {g.number: incumbent(g.members, spec.task.objective) for g in found}
    inside = {t.number for g in found for t in g.members}
    return Run(
        scores={number: score(trial) for number, trial in best.items() if trial is not None},
        last=len(found),
        cut=any(not g.complete for g in found),
        outside=sum(t.number not in inside for t in ordered(trials)),
    )


def _incomplete(studies: Iterable[Recorded]) -> int:
    return sum(not study.complete for study in studies)


def generation_sections(which: Generations, studies: Sequence[Recorded], start: str) -> list[Section]:
    """A section for each method that breeds; and one for the untuned model, when the trials know its score."""
    found = [_section(lineage, start) for lineage in lineages(studies)]
    return [*found, *_base_sections(which, studies, start)]


def _section(lineage: Lineage, start: str) -> Section:
    digits = digits_of([best for run in lineage.runs for best in run.scores.values()])
    rows = [
        (name, scores)
        for n in lineage.numbers
        for name, scores in ((str(n), lineage.best(n)), (f"{n}, incomplete", lineage.best_so_far(n)))
        if scores
    ]
    return Section(
        title=f"{lineage.label} on {lineage.task}, start {start}: best {lineage.objective.metric} of each generation",
        grids=(
            Grid(
                "",
                ("generation", "best", "runs"),
                tuple(
                    (name, plus_minus(mean_std(scores), digits), str(len(scores))) for name, scores in rows
                ),
            ),
        )
        if rows
        else (),
        notes=(*(_reading(lineage, digits) if lineage.runs else ()), *_left_out(lineage.left_out)),
    )


def _reading(lineage: Lineage, digits: int | None) -> list[str]:
    """How the table is to be read, as far as it applies."""
    line = lineage.line
    if line is not None:
        runs = words.count(sum(bool(run.fitted) for run in lineage.runs), "run")
        fit = f"Linear fit: {fixed(line[0], digits, sign=True)} a generation, over {runs}."
    elif max(run.last for run in lineage.runs) < 2:
        fit = "One generation only: nothing was bred, so this is random search."
    else:
        fit = "No linear fit: that takes two complete generations with a score."
    notes = [fit]
    if cut := sum(run.cut and run.last in run.scores for run in lineage.runs):
        notes.append(
            f"The last generation is incomplete in {words.count(cut, 'run')}: it is shown with the members that were tried, and not fitted."
        )
    notes.append(
        "A child that was tested before joins its generation with the recorded score and is not run again, so a generation may have fewer trials "
        "than members; the best is that of all members."
    )
    if outside := sum(run.outside for run in lineage.runs):
        belong = words.count(outside, "trial belongs", "trials belong")
        notes.append(
            f"{belong} to no generation: drawn at random when breeding brought nothing new, or bred from parents that still ran."
        )
    return notes


def _left_out(studies: int) -> list[str]:
    return [f"{words.count(studies, 'incomplete study', 'incomplete studies')} left out."] if studies else []


def _base_sections(which: Generations, studies: Sequence[Recorded], start: str) -> list[Section]:
    if not which.base:
        return []
    rows: list[tuple[str, ...]] = []
    for (task, label), (base, tuned) in _base_and_tuned(which.base, studies).items():
        digits = digits_of([*base, *tuned])
        both: tuple[MeanStd, MeanStd] = (mean_std(base), mean_std(tuned))
        rows.append((label, task, *(plus_minus(value, digits) for value in both), str(len(base))))
    if not rows:
        return []
    grid = Grid("", ("method", "task", "untuned", "best tuned", "runs"), tuple(rows))
    notes = (SELECTED, *_left_out(_incomplete(studies)))
    return [
        Section(title=f"The untuned model beside the tuned one, start {start}", grids=(grid,), notes=notes)
    ]


def _base_and_tuned(
    metric: str, studies: Iterable[Recorded]
) -> dict[tuple[str, str], tuple[list[float], list[float]]]:
    """Scores of the untuned and of the best tuned model of each complete study that knows both."""
    found: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
    for study in studies:
        if not study.complete:
            continue
        best = incumbent(study.trials, study.spec.task.objective)
        base = best.metrics.get(metric) if best is not None else None
        if best is not None and best.value is not None and base is not None:
            untuned, tuned = found.setdefault((study.spec.task.name, row_of(study).label), ([], []))
            untuned.append(base)
            tuned.append(best.value)
    return found


class ByGeneration:
    """The figure, to be drawn in either format; a panel for each method that breeds."""

    def __init__(self, found: Sequence[Lineage]) -> None:
        self._found = [lineage for lineage in found if lineage.numbers]

    def svg(self, name: str) -> str:
        """For a page; the name is unique in it."""
        title = "Best score of each generation, with a linear fit"
        return figures.svg(self._draw, width=self._width, height=3.0, name=name, title=title)

    def png(self) -> bytes:
        """For everything else."""
        return figures.png(self._draw, width=self._width, height=3.0)

    @property
    def _width(self) -> float:
        return 4.2 * max(1, len(self._found))

    def _draw(self, figure: Figure) -> None:
        panels = figure.subplots(1, max(1, len(self._found)), squeeze=False)[0]
        if not self._found:
            figures.say(panels[0], "no complete study of a genetic algorithm yet")
        for axes, lineage in zip(panels, self._found, strict=False):
            axes.set_title(figures.label(f"{lineage.label}, {lineage.task}", 40), fontsize=9)
            axes.set_xlabel("generation")
            axes.set_ylabel(figures.label(f"best {lineage.objective.metric}", 30))
            for number in lineage.numbers:
                for scores, inside in (
                    (lineage.best(number), figures.CURVE_COLOURS[0]),
                    (lineage.best_so_far(number), "none"),
                ):
                    axes.scatter(
                        [number] * len(scores),
                        [figures.place(v) for v in scores],
                        s=22,
                        alpha=0.6,
                        facecolors=inside,
                        edgecolors=figures.CURVE_COLOURS[0],
                        linewidths=0.8,
                    )
            if lineage.line is not None:
                slope, height = lineage.line
                fitted = [n for n in lineage.numbers if lineage.best(n)]
                ends = [fitted[0], fitted[-1]]
                axes.plot(
                    ends, [figures.place(height + slope * x) for x in ends], color=figures.RED, linewidth=1.6
                )
            figures.whole_numbers(axes)
