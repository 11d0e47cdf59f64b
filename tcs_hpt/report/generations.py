"""The best score of each generation of a genetic algorithm with a line through them, and the untuned model beside the tuned one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import linear_regression
from typing import TYPE_CHECKING

from tcs_hpt.compare import Recorded
from tcs_hpt.experiments.suites import Generations
from tcs_hpt.proposers.genetic import generation_of
from tcs_hpt.records import incumbent, ordered
from tcs_hpt.report import figures, words
from tcs_hpt.report.comparison.rows import row_of
from tcs_hpt.report.comparison.text import digits_of, fixed, plus_minus
from tcs_hpt.report.sections import Grid, Section
from tcs_hpt.spec import Objective
from tcs_hpt.statistics import MeanStd, mean_std

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CAPTION = "One dot for the best score of a generation in each run, and the line that fits all of them best (least squares)."


@dataclass(frozen=True)
class Lineage:
    """A method on a task, generation by generation."""

    task: str
    label: str
    objective: Objective
    runs: tuple[dict[int, float], ...]
    """Of each study: the best score of a generation, by its number; generations without a score are missing."""

    @property
    def numbers(self) -> list[int]:
        """The generations that some run has."""
        return sorted({number for run in self.runs for number in run})

    def best(self, number: int) -> list[float]:
        """The best scores of one generation, one of each run that has it."""
        return [run[number] for run in self.runs if number in run]

    @property
    def line(self) -> tuple[float, float] | None:
        """Slope per generation and height at generation 0 of the least-squares line; None with a single generation."""
        points = [(number, score) for run in self.runs for number, score in run.items()]
        if len({number for number, _ in points}) < 2:
            return None
        slope, height = linear_regression(*zip(*points, strict=True))
        return slope, height


def lineages(studies: Iterable[Recorded]) -> list[Lineage]:
    """The methods that breed, in the order in which they appear."""
    groups: dict[tuple[str, str], list[Recorded]] = {}
    for study in studies:
        if any(generation_of(t.proposal) and t.proposal.source == "ga" for t in study.trials):
            groups.setdefault((study.spec.task.name, row_of(study).label), []).append(study)
    return [
        Lineage(task, label, group[0].spec.task.objective, tuple(_best_by_generation(s) for s in group))
        for (task, label), group in groups.items()
    ]


def _best_by_generation(study: Recorded) -> dict[int, float]:
    objective = study.spec.task.objective
    best: dict[int, float] = {}
    for trial in ordered(study.trials):
        number = generation_of(trial.proposal)
        if number is None or trial.value is None:
            continue
        if number not in best or objective.better(trial.value, best[number]):
            best[number] = trial.value
    return best


def generation_sections(which: Generations, studies: Sequence[Recorded], start: str) -> list[Section]:
    """A section for each method that breeds; and one for the untuned model, when the trials know its score."""
    found = [_section(lineage, start) for lineage in lineages(studies)]
    return [*found, *_base_sections(which, studies, start)]


def _section(lineage: Lineage, start: str) -> Section:
    digits = digits_of([score for run in lineage.runs for score in run.values()])
    line = lineage.line
    fit = (
        "One generation only: nothing was bred, so this is random search."
        if line is None
        else f"Linear fit: {fixed(line[0], digits, sign=True)} a generation, over {words.count(len(lineage.runs), 'run')}."
    )
    return Section(
        title=f"{lineage.label} on {lineage.task}, start {start}: best {lineage.objective.metric} of each generation",
        grids=(
            Grid(
                "",
                ("generation", "best", "runs"),
                tuple(
                    (str(n), plus_minus(mean_std(lineage.best(n)), digits), str(len(lineage.best(n))))
                    for n in lineage.numbers
                ),
            ),
        ),
        notes=(
            fit,
            "A child that was tested before joins its generation with the recorded score and is not run again, so a generation may have fewer trials "
            "than members; the best is that of the new ones.",
        ),
    )


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
    return [Section(title=f"The untuned model beside the tuned one, start {start}", grids=(grid,))]


def _base_and_tuned(
    metric: str, studies: Iterable[Recorded]
) -> dict[tuple[str, str], tuple[list[float], list[float]]]:
    """Scores of the untuned and of the best tuned model of each study that knows both."""
    found: dict[tuple[str, str], tuple[list[float], list[float]]] = {}
    for study in studies:
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
        self._found = found

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
            figures.say(panels[0], "no study of a genetic algorithm yet")
        for axes, lineage in zip(panels, self._found, strict=False):
            axes.set_title(figures.label(f"{lineage.label}, {lineage.task}", 40), fontsize=9)
            axes.set_xlabel("generation")
            axes.set_ylabel(figures.label(f"best {lineage.objective.metric}", 30))
            for run in lineage.runs:
                axes.scatter(
                    list(run),
                    [figures.place(v) for v in run.values()],
                    s=22,
                    alpha=0.6,
                    color=figures.CURVE_COLOURS[0],
                    linewidths=0,
                )
            if lineage.line is not None:
                slope, height = lineage.line
                ends = [lineage.numbers[0], lineage.numbers[-1]]
                axes.plot(
                    ends, [figures.place(height + slope * x) for x in ends], color=figures.RED, linewidth=1.6
                )
            figures.whole_numbers(axes)
