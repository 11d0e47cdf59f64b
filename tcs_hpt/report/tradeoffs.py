"""What one metric costs in another: the trials that no other trial beats in everything. Pure.

For studies with several objectives, weighted or bounded. The proposers follow the weights and the bounds; the front is for a person, who may
find that another trade is the better one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tcs_hpt.records import Trial, finished
from tcs_hpt.report import words
from tcs_hpt.report.figures import GREEN, axes_of, svg
from tcs_hpt.report.sections import Grid
from tcs_hpt.spec import Objective
from tcs_hpt.statistics import pareto_front

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class TradeOff:
    """A trial with a value for every metric that is traded off."""

    trial: Trial
    values: tuple[float, ...]
    """In the order of `Objective.directions`."""
    on_front: bool
    """Whether no trial is as good in everything and better in something. Trials that break bounds compete too: bounds may be moved."""


def trade_offs(trials: Sequence[Trial], objective: Objective) -> list[TradeOff]:
    """All trials with all metrics, by number; empty where a single metric decides."""
    directions = objective.directions
    if len(directions) < 2:
        return []
    found: list[tuple[Trial, tuple[float, ...]]] = []
    for trial in finished(trials):
        values = [trial.metrics.get(name) for name in directions]
        known = tuple(v for v in values if v is not None)
        if len(known) == len(values):
            found.append((trial, known))
    front = pareto_front([values for _, values in found], tuple(directions.values()))
    return [TradeOff(trial, values, place in front) for place, (trial, values) in enumerate(found)]


def front_grid(found: Sequence[TradeOff], objective: Objective) -> Grid:
    """The front as a table, best first in the first metric."""
    names = list(objective.directions)
    turn = -1.0 if objective.directions[names[0]] == "maximize" else 1.0
    rows = sorted((t for t in found if t.on_front), key=lambda t: (turn * t.values[0], t.trial.number))
    return Grid(
        title="Trials that no other beats in everything",
        columns=(
            "trial",
            *(
                f"{n} ({'higher' if d == 'maximize' else 'lower'} is better)"
                for n, d in objective.directions.items()
            ),
            *((objective.metric,) if objective.terms else ()),
            "allowed",
            "configuration",
        ),
        rows=tuple(
            (
                str(t.trial.number),
                *(words.number(v) for v in t.values),
                *((words.number(t.trial.value),) if objective.terms else ()),
                "yes" if t.trial.feasible else f"no: {'; '.join(t.trial.violations)}",
                words.config_text(t.trial.config),
            )
            for t in rows
        ),
    )


def front_figure(found: Sequence[TradeOff], objective: Objective, best: Trial | None) -> str:
    """The first two metrics of every trial, the front as steps, the best marked; an SVG, empty without trials."""
    if not found:
        return ""
    names = list(objective.directions)[:2]

    def draw(figure: Figure) -> None:
        axes = axes_of(figure, names[0], names[1])
        for label, colour, chosen in (
            ("not allowed", "#c9b3b3", [t for t in found if not t.trial.feasible]),
            ("other trials", "#8fa1bd", [t for t in found if t.trial.feasible and not t.on_front]),
            ("not beaten in everything", "#3d5a99", [t for t in found if t.trial.feasible and t.on_front]),
        ):
            if chosen:
                axes.scatter(
                    [t.values[0] for t in chosen],
                    [t.values[1] for t in chosen],
                    s=42,
                    color=colour,
                    label=label,
                    zorder=3,
                )
        for t in found:
            axes.annotate(
                str(t.trial.number),
                (t.values[0], t.values[1]),
                textcoords="offset points",
                xytext=(5, 4),
                fontsize=8,
            )
            if best is not None and t.trial.number == best.number:
                axes.scatter(
                    [t.values[0]],
                    [t.values[1]],
                    s=120,
                    facecolors="none",
                    edgecolors=GREEN,
                    linewidths=2,
                    label="the best",
                    zorder=4,
                )
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=4, fontsize=9)

    return svg(
        draw, width=7.6, height=3.5, name="tradeoffs", title=f"{names[1]} against {names[0]} of each trial"
    )
