"""The best score so far of every method on one task, over the budget, as SVG text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tcs_hpt.report import figures
from tcs_hpt.report.comparison.means import MethodResult, TaskResult
from tcs_hpt.statistics import mean_std

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CAPTION = (
    "Mean of the best so far over seeds, with a band from the worst to the best seed. A line begins where every seed of its method "
    "has a score."
)
COLOURS = (*figures.CURVE_COLOURS, figures.GREEN, figures.RED)


def best_so_far(result: TaskResult, name: str = "progress") -> str:
    """Mean over seeds, with a band from the worst to the best seed; each line begins where all its seeds have a score.

    Args:
        result: The task.
        name: Of the figure, unique in its page.
    """
    objective = result.objective

    def draw(figure: Figure) -> None:
        axes = figures.axes_of(figure, "trial", f"best {objective.metric} so far")
        drawn = 0
        for index, method in enumerate(result.methods):
            places, means, low, high = _line(method)
            if not places:
                continue
            drawn += 1
            colour = COLOURS[index % len(COLOURS)]
            axes.plot(
                places,
                means,
                color=colour,
                linewidth=2,
                linestyle="-" if index < len(COLOURS) else "--",
                marker="o",
                markersize=3.5,
                label=figures.label(method.label, 40),
            )
            axes.fill_between(places, low, high, color=colour, alpha=0.13, linewidth=0)
        if not drawn:
            figures.say(axes, "no study has a result")
            return
        figures.whole_numbers(axes)
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=9, columnspacing=1.4)

    title = f"Best {objective.metric} so far on {result.task}, by method"
    rows = -(-len(result.methods) // 2)
    return figures.svg(draw, width=7.6, height=3.2 + 0.22 * rows, name=name, title=title)


def _line(method: MethodResult) -> tuple[list[int], list[float], list[float], list[float]]:
    places, means, low, high = [], [], [], []
    for place, values in enumerate(method.best_so_far(), start=1):
        if values:
            shown = [figures.place(v) for v in values]
            places.append(place)
            means.append(mean_std(shown).mean)
            low.append(min(shown))
            high.append(max(shown))
    return places, means, low, high
