"""The best scores of a suite from one start, a panel for each task, as SVG text or PNG."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tcs_hpt.experiments.suites import Suite
from tcs_hpt.report import figures
from tcs_hpt.report.comparison.means import MethodResult, TaskResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PUBLISHED = "published: "
"""Begins the name of a method whose figures are not ours."""
CAPTION = "Small dots are seeds, large ones their mean with the standard deviation; rings are published figures, which were not measured here."


class BestByTask:
    """The figure, to be drawn in either format.

    Args:
        suite: For unit and published figures.
        results: The tasks.
        labels: The methods, in the order to be shown.
    """

    def __init__(self, suite: Suite, results: Sequence[TaskResult], labels: Sequence[str]) -> None:
        self._suite = suite
        self._results = results
        published = suite.published.methods if suite.published is not None else ()
        self._rows = (*labels, *(PUBLISHED + name for name in published))
        self._width = 2.4 + 2.3 * len(results)
        self._height = 1.1 + 0.27 * len(self._rows)

    def svg(self, name: str) -> str:
        """For a page; the name is unique in it."""
        return figures.svg(self._draw, width=self._width, height=self._height, name=name, title=self.title)

    def png(self) -> bytes:
        """For everything else."""
        return figures.png(self._draw, width=self._width, height=self._height)

    @property
    def title(self) -> str:
        """In words, for those who do not see it."""
        return f"Best scores of {self._suite.title}, by task and method"

    def _draw(self, figure: Figure) -> None:
        panels = figure.subplots(1, len(self._results), sharey=True, squeeze=False)[0]
        for axes, result in zip(panels, self._results, strict=True):
            self._panel(axes, result)
        panels[0].set_yticks(range(len(self._rows)), [figures.label(row, 34) for row in self._rows])
        panels[0].set_ylim(len(self._rows) - 0.5, -0.5)

    def _panel(self, axes: Axes, result: TaskResult) -> None:
        for method in result.methods:
            self._method(axes, method, self._rows.index(method.label))
        published = self._suite.published
        for name, text in (published.rows.get(result.task, {}) if published is not None else {}).items():
            found = re.fullmatch(r"(-?[\d.]+)(?: \+- ([\d.]+))?", text)
            if found:
                mean, spread = float(found[1]), float(found[2] or 0)
                at = self._rows.index(PUBLISHED + name)
                axes.errorbar(
                    mean,
                    at,
                    xerr=spread,
                    fmt="o",
                    color=figures.INK,
                    markerfacecolor="none",
                    markersize=5,
                    linewidth=1,
                )
        axes.set_title(figures.label(result.task, 28), fontsize=9)
        unit = f", {self._suite.unit}" if self._suite.unit else ""
        axes.set_xlabel(figures.label(f"{result.objective.metric}{unit}", 28), fontsize=8)
        axes.margins(x=0.12)

    def _method(self, axes: Axes, method: MethodResult, at: int) -> None:
        best = method.best
        if best is None:
            return
        colour = figures.CURVE_COLOURS[0]
        seeds = [figures.place(score * self._suite.times) for score in method.scores().values()]
        axes.scatter(seeds, [at] * len(seeds), color=colour, s=9, alpha=0.45, linewidths=0)
        axes.errorbar(
            figures.place(best.mean * self._suite.times),
            at,
            xerr=figures.place((best.std or 0.0) * self._suite.times),
            fmt="o",
            color=colour,
            markersize=5,
            linewidth=1.4,
        )
