"""The consistency study: how far the learning rates lie apart that models propose for the same prompt. Pure but for the files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tcs_hpt.experiments.consistency import RateAnswer, Spread, spreads
from tcs_hpt.experiments.suites import AskingSuite
from tcs_hpt.report import figures, words
from tcs_hpt.report.comparison.text import Run, run_section
from tcs_hpt.report.folder import write_folder
from tcs_hpt.report.sections import Grid, Section
from tcs_hpt.space import format_value

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROWS, IMAGE = "answers.csv", "spread.png"
FIGURE = "spread"
SHOWN = {"log": "raw log", "report": "state report"}
CAPTION = "One dot for each usable answer to the same prompt, one line of dots for each model and for what it was told."


def consistency_sections(
    suite: AskingSuite, answers: Sequence[RateAnswer], runs: Sequence[Run] = ()
) -> list[Section]:
    """Everything there is to say, state by state, then how it was run."""
    found = spreads(answers)
    states = list(dict.fromkeys(s.state for s in found))
    about = Section("What was asked", tuple(filter(None, (suite.description,))), task=FIGURE)
    return [
        about,
        *(_state(state, [s for s in found if s.state == state], answers) for state in states),
        run_section(runs),
    ]


def write_consistency(
    folder: Path,
    suite: AskingSuite,
    answers: Sequence[RateAnswer],
    runs: Sequence[Run],
    *,
    version: str,
    generated_at: str,
) -> list[Section]:
    """Write the table, the page, the figure and the answers; what was written, as sections.

    Raises:
        UserError: The folder cannot be written.
    """
    from markupsafe import Markup

    text = consistency_sections(suite, answers, runs)
    figure = Dots(spreads(answers), answers)
    write_folder(
        folder,
        suite.title,
        "Consistency study",
        text,
        {ROWS: [answer.model_dump() for answer in answers]},
        version=version,
        generated_at=generated_at,
        figures={FIGURE: Markup(figure.svg())},
        captions={FIGURE: CAPTION},
        images={IMAGE: figure.png()},
    )
    return text


def _state(state: str, found: Sequence[Spread], answers: Sequence[RateAnswer]) -> Section:
    problems = [a for a in answers if a.state == state and a.problem]
    reasons = list(dict.fromkeys((a.model, a.shown, a.problem) for a in problems))
    return Section(
        title=f"State {state}",
        grids=(
            Grid(
                title="Learning rates proposed for the same prompt",
                columns=(
                    "model",
                    "told",
                    "asked",
                    "usable",
                    "distinct",
                    "lowest",
                    "median",
                    "highest",
                    "spread in decades",
                ),
                rows=tuple(_row(s) for s in found),
            ),
        ),
        notes=(
            "The spread is the standard deviation of the base-10 logarithm: 1 means that a typical answer is ten times too high or low.",
            *(
                f"{model}, {SHOWN[shown]}: {words.one_line(problem, 120)}"
                f" ({words.count(sum((a.model, a.shown, a.problem) == (model, shown, problem) for a in problems), 'answer')})"
                for model, shown, problem in reasons
            ),
        ),
    )


def _row(spread: Spread) -> tuple[str, ...]:
    def number(value: float | None) -> str:
        return words.MISSING if value is None else format_value(value)

    decades = words.MISSING if spread.decades is None else f"{spread.decades:.2f}"
    return (
        spread.model,
        SHOWN[spread.shown],
        str(spread.asked),
        str(spread.valid),
        str(spread.distinct),
        number(spread.low),
        number(spread.median),
        number(spread.high),
        decades,
    )


class Dots:
    """The figure: a panel for each state, a row for each model and what it was told."""

    def __init__(self, found: Sequence[Spread], answers: Sequence[RateAnswer]) -> None:
        self._answers = answers
        self._counts = {(s.model, s.state, s.shown): s.valid for s in found}
        self._states = list(dict.fromkeys(s.state for s in found)) or [""]
        self._rows = list(dict.fromkeys((s.model, s.shown) for s in found))
        self._width = 3.0 + 2.8 * len(self._states)
        self._height = 1.2 + 0.4 * max(1, len(self._rows))

    def svg(self) -> str:
        """For a page."""
        title = "Learning rates that were proposed for the same prompt, by model"
        return figures.svg(self._draw, width=self._width, height=self._height, name=FIGURE, title=title)

    def png(self) -> bytes:
        """For everything else."""
        return figures.png(self._draw, width=self._width, height=self._height)

    def _draw(self, figure: Figure) -> None:
        from matplotlib.ticker import FuncFormatter, NullFormatter

        panels = figure.subplots(1, len(self._states), sharey=True, squeeze=False)[0]
        for axes, state in zip(panels, self._states, strict=True):
            axes.set_title(figures.label(state, 28), fontsize=9)
            axes.set_xscale("log")
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.set_xlabel("learning rate")
            for at, (model, shown) in enumerate(self._rows):
                rates = [
                    a.rate
                    for a in self._answers
                    if (a.model, a.state, a.shown) == (model, state, shown) and a.rate is not None
                ]
                colour = figures.CURVE_COLOURS[0 if shown == "log" else 1]
                axes.scatter(rates, [at] * len(rates), color=colour, s=26, alpha=0.5, linewidths=0)
                count = f"n={self._counts.get((model, state, shown), 0)}"
                axes.annotate(
                    count, (1.0, at), xycoords=("axes fraction", "data"), fontsize=7, ha="right", va="bottom"
                )
        names = [figures.label(f"{model}, {SHOWN[shown]}", 44) for model, shown in self._rows]
        panels[0].set_yticks(range(len(names)), names, fontsize=8)
        panels[0].set_ylim(len(names) - 0.5, -0.5)
