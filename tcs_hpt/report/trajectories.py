"""The ways of several methods over a plane of two parameters, with circles around the known minimum; as SVG text or PNG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tcs_hpt.compare import Recorded
from tcs_hpt.experiments.suites import Trajectories
from tcs_hpt.records import ordered
from tcs_hpt.report import figures
from tcs_hpt.report.comparison.rows import row_of
from tcs_hpt.spec import FloatParameter, IntParameter

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CAPTION = (
    "Every configuration in the order in which it was tried, one line a seed, a ring around the first and a square around the last; the cross "
    "is the minimum, and the circles are contours around it."
)
ACROSS = 4
"""Panels side by side."""
CIRCLES = 9


class Ways:
    """The figure, to be drawn in either format; a panel for each method.

    Args:
        which: The two parameters and the minimum.
        studies: Of one task; those whose configurations lack one of the two are left out.
    """

    def __init__(self, which: Trajectories, studies: Sequence[Recorded]) -> None:
        self._which = which
        self._ways: dict[str, list[list[tuple[float, float]]]] = {}
        for study in studies:
            points = [
                (float(t.config[which.x]), float(t.config[which.y]))
                for t in ordered(study.trials)
                if which.x in t.config and which.y in t.config
            ]
            if points:
                self._ways.setdefault(row_of(study).label, []).append(points)
        self._limits = _limits(which, studies)
        rows = max(1, -(-len(self._ways) // ACROSS))
        self._shape = (rows, min(ACROSS, max(1, len(self._ways))))

    def svg(self, name: str) -> str:
        """For a page; the name is unique in it."""
        rows, columns = self._shape
        title = f"Configurations in the plane of {self._which.x} and {self._which.y}, by method"
        return figures.svg(self._draw, width=2.5 * columns, height=2.7 * rows, name=name, title=title)

    def png(self) -> bytes:
        """For everything else."""
        rows, columns = self._shape
        return figures.png(self._draw, width=2.5 * columns, height=2.7 * rows)

    def _draw(self, figure: Figure) -> None:
        panels = figure.subplots(*self._shape, sharex=True, sharey=True, squeeze=False).ravel()
        for axes, (label, ways) in zip(panels, self._ways.items(), strict=False):
            axes.set_title(figures.label(label, 32), fontsize=8)
            self._panel(axes, ways)
        for axes in panels[len(self._ways) :]:
            axes.set_visible(False)
        if not self._ways:
            panels[0].set_visible(True)
            figures.say(panels[0], "no study has these parameters")

    def _panel(self, axes: Axes, ways: Sequence[Sequence[tuple[float, float]]]) -> None:
        from matplotlib.patches import Circle

        (low_x, high_x), (low_y, high_y) = self._limits
        at = self._which.minimum
        farthest = max(abs(edge - at[0]) for edge in (low_x, high_x)) + max(
            abs(edge - at[1]) for edge in (low_y, high_y)
        )
        for index in range(1, CIRCLES + 1):
            circle = Circle(at, farthest * index / CIRCLES, fill=False, color=figures.GRID, linewidth=0.8)
            axes.add_patch(circle)
        axes.grid(visible=False)
        for index, way in enumerate(ways):
            colour = figures.CURVE_COLOURS[index % len(figures.CURVE_COLOURS)]
            xs, ys = zip(*way, strict=True)
            axes.plot(xs, ys, color=colour, linewidth=1, alpha=0.8, marker="o", markersize=2.6)
            for point, marker in ((way[0], "o"), (way[-1], "s")):
                axes.plot(
                    *point, marker=marker, markersize=7, markerfacecolor="none", color=colour, linewidth=0
                )
        axes.plot(
            *at, marker="x", color=figures.RED, markersize=7, markeredgewidth=1.6, linewidth=0, zorder=4
        )
        axes.set_xlim(low_x, high_x)
        axes.set_ylim(low_y, high_y)
        axes.set_aspect("equal")
        axes.set_xlabel(self._which.x)
        axes.set_ylabel(self._which.y)
        axes.label_outer(remove_inner_ticks=False)


def _limits(
    which: Trajectories, studies: Sequence[Recorded]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """The ranges of both parameters, with a margin; those of the first study that has them."""
    for study in studies:
        x, y = (study.spec.task.params.get(name) for name in (which.x, which.y))
        if isinstance(x, FloatParameter | IntParameter) and isinstance(y, FloatParameter | IntParameter):
            return _with_margin(x.low, x.high), _with_margin(y.low, y.high)
    return (0.0, 1.0), (0.0, 1.0)


def _with_margin(low: float, high: float) -> tuple[float, float]:
    margin = 0.05 * (high - low)
    return low - margin, high + margin
