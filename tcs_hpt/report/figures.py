"""Figures of a study as SVG text: score history, learning curves, effect of each parameter.

The same trials give byte-identical SVG, in which every id carries the figure's name. Test metrics are never
drawn. What other figures are drawn with too, colours and texts and the SVG itself, lies in `_canvas`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tcs_hpt.records import Trial, by_number, first_rung, incumbent, ordered, origin
from tcs_hpt.report._canvas import (
    CARD,
    CURVE_COLOURS,
    GREEN,
    GRID,
    INK,
    LARGEST,
    RED,
    axes_of,
    label,
    place,
    png,
    say,
    svg,
    whole_numbers,
)
from tcs_hpt.report.words import one_line
from tcs_hpt.space import format_value
from tcs_hpt.spec import (
    CategoricalParameter,
    Objective,
    ParameterSpec,
    Scalar,
    StudySpec,
    same_scalar,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "CARD",
    "CURVE_COLOURS",
    "GREEN",
    "GRID",
    "INK",
    "LARGEST",
    "MAX_LABELS",
    "MAX_POINTS",
    "OTHER_COLOUR",
    "RED",
    "SOURCE_COLOURS",
    "axes_of",
    "history",
    "label",
    "learning_curves",
    "parameter_effects",
    "place",
    "png",
    "say",
    "source_colour",
    "svg",
    "trial_curves",
    "whole_numbers",
]

SOURCE_COLOURS = {
    "start": "#8a94a3",
    "agents": "#4c7df0",
    "expert": "#e59a2f",
    "coin": "#a06be0",
    "random": "#2aa5b3",
}
OTHER_COLOUR = "#c2649a"

MAX_POINTS = 300
"""Points drawn of one curve; longer ones are thinned evenly, first and last point kept."""
MAX_LABELS = 12
"""Choices of a parameter that are labelled; with more, every second, third, ... is."""


def source_colour(source: str) -> str:
    """The colour of a proposer, the same in every figure and table."""
    return SOURCE_COLOURS.get(source, OTHER_COLOUR)


def history(study: StudySpec, trials: Sequence[Trial], name: str = "history") -> str:
    """The score of every trial, the best so far as a step line, failures as crosses at the lower edge."""
    objective = study.task.objective
    shown = ordered(trials)

    def draw(figure: Figure) -> None:
        axes = axes_of(figure, "trial", objective.metric)
        best_x, best_y = _best_so_far(shown, objective)
        if best_x:
            axes.step(
                best_x,
                [place(y) for y in best_y],
                where="post",
                color=GREEN,
                linewidth=2,
                label="best so far",
                zorder=2,
            )
        scored = [t for t in shown if t.value is not None and not t.partial]
        early = [t for t in shown if t.value is not None and t.partial]
        if early:
            axes.scatter(
                [t.number for t in early],
                [place(t.value) for t in early],
                facecolors="none",
                edgecolors=OTHER_COLOUR,
                linewidths=1.2,
                s=40,
                label="fewer epochs",
                zorder=2.5,
            )
        for source in dict.fromkeys(t.proposal.source for t in scored):
            mine = [t for t in scored if t.proposal.source == source]
            axes.scatter(
                [t.number for t in mine],
                [place(t.value) for t in mine],
                color=source_colour(source),
                edgecolors=CARD,
                linewidths=1.2,
                s=62,
                label=label(source, 24),
                zorder=3,
            )
        failed = [t for t in shown if t.failure is not None]
        if failed:
            axes.scatter(
                [t.number for t in failed],
                [0.03] * len(failed),
                transform=axes.get_xaxis_transform(),
                marker="x",
                color=RED,
                linewidths=2,
                s=46,
                label="failed",
                zorder=3,
                clip_on=False,
            )
        if objective.target is not None and (scored or early):
            axes.axhline(
                place(objective.target), color=INK, linewidth=1.2, linestyle=(0, (4, 3)), label="target"
            )
        if not scored and not early:
            say(axes, "no trial has a score" if shown else "no trial yet")
        last = max([t.number for t in shown], default=1)
        axes.set_xlim(0.5, max(last, 1) + 0.5)
        whole_numbers(axes)
        axes.margins(y=0.14)
        if scored or early or failed:
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=7, fontsize=9, columnspacing=1.4)

    title = f"Score of each trial ({objective.metric}) and the best so far"
    return svg(draw, width=7.6, height=3.5, name=name, title=title)


def learning_curves(study: StudySpec, trials: Sequence[Trial], name: str = "curves") -> str:
    """The objective over the epochs of every trial; the best one highlighted."""
    objective = study.task.objective
    shown = ordered(trials)
    best = incumbent(shown, objective)

    def draw(figure: Figure) -> None:
        axes = axes_of(figure, "epoch", objective.metric)
        drawn = others = 0
        for trial in shown:
            curve = _curve(trial, objective.metric)
            if not curve[0]:
                continue
            drawn += 1
            if best is not None and trial.number == best.number:
                label = f"trial {trial.number}, the best"
                _line(axes, curve, GREEN, width=2.4, label=label, order=4)
            else:
                others += 1
                first = "other trials" if others == 1 else None
                _line(axes, curve, "#8fa1bd", width=1.1, label=first, order=3, alpha=0.75)
        if not drawn:
            say(axes, "no trial reported this metric per epoch")
        else:
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=9)

    title = f"{objective.metric} over the epochs of all trials"
    return svg(draw, width=7.6, height=3.3, name=name, title=title)


def trial_curves(study: StudySpec, trial: Trial, name: str = "") -> str:
    """Losses and objective of one trial over its epochs, side by side; empty without a curve to draw."""
    metric = study.task.objective.metric
    seen = list(dict.fromkeys(n for e in trial.epochs for n in e.metrics if not n.startswith("test_")))
    losses = [n for n in seen if "loss" in n.lower() and _curve(trial, n)[0]]
    panels = [names for names in (losses, [metric] if metric not in losses else []) if names]
    panels = [names for names in panels if any(_curve(trial, n)[0] for n in names)]
    if not panels:
        return ""

    def draw(figure: Figure) -> None:
        for column, names in enumerate(panels, start=1):
            axes = figure.add_subplot(1, len(panels), column)
            axes.set_xlabel("epoch")
            for index, each in enumerate(names):
                colour = GREEN if each == metric else CURVE_COLOURS[index % len(CURVE_COLOURS)]
                _line(axes, _curve(trial, each), colour, width=1.8, label=label(each, 24), order=3)
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize=9)

    title = f"Learning curves of trial {trial.number}"
    width = 6.8 if len(panels) == 2 else 3.6
    return svg(draw, width=width, height=2.3, name=name or f"trial{trial.number}", title=title)


def parameter_effects(study: StudySpec, trials: Sequence[Trial]) -> dict[str, str]:
    """For each parameter that was tried: its values, on its own scale, against the score. The best is marked.

    Of a study that began with fewer epochs the lowest rung is drawn, where all configurations are.
    """
    objective = study.task.objective
    scored = [t for t in ordered(first_rung(trials)) if t.value is not None and math.isfinite(t.value)]
    best = incumbent(trials, objective)
    best = origin(best, by_number(trials)) if best is not None else None
    figures = {}
    for index, (name, parameter) in enumerate(study.task.params.items()):
        points = [(t.config[name], t) for t in scored if name in t.config]
        if points:
            figures[name] = _effect_figure(name, parameter, points, best, objective, f"effect{index}")
    return figures


def _effect_figure(
    name: str,
    parameter: ParameterSpec,
    points: Sequence[tuple[Scalar, Trial]],
    best: Trial | None,
    objective: Objective,
    key: str,
) -> str:
    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.set_title(label(name, 34), fontsize=10, loc="left", color=INK)
        axes.set_ylabel(label(objective.metric, 22), fontsize=9)
        places = _scale(axes, parameter, [v for v, _ in points])
        for x, (_, trial) in zip(places, points, strict=True):
            chosen = best is not None and trial.number == best.number
            axes.scatter(
                [x],
                [place(trial.value)],
                s=78 if chosen else 40,
                color=GREEN if chosen else "#6f8fd8",
                alpha=1.0 if chosen else 0.75,
                edgecolors=CARD,
                linewidths=1.0,
                zorder=4 if chosen else 3,
            )
        axes.margins(y=0.16)
        axes.tick_params(labelsize=8.5)

    title = f"Score against {one_line(name)}; the best trial is green"
    return svg(draw, width=3.5, height=2.3, name=key, title=title)


def _scale(axes: Axes, parameter: ParameterSpec, values: Sequence[Scalar]) -> list[float]:
    """Set up the horizontal axis of a parameter and return where each value lies on it."""
    if isinstance(parameter, CategoricalParameter):
        choices = parameter.choices
        every = max(1, math.ceil(len(choices) / MAX_LABELS))
        labels = [label(format_value(c), 12) for c in choices[::every]]
        crowded = sum(map(len, labels)) > 34
        axes.set_xticks(
            list(range(0, len(choices), every)),
            labels,
            rotation=30 if crowded else 0,
            ha="right" if crowded else "center",
        )
        axes.set_xlim(-0.5, len(choices) - 0.5)
        return [
            float(next((i for i, c in enumerate(choices) if same_scalar(c, v)), math.nan)) for v in values
        ]
    places = [float(v) for v in values]
    low, high = min(float(parameter.low), *places), max(float(parameter.high), *places)
    if parameter.log and low > 0:
        axes.set_xscale("log")
        ratio = (high / low) ** 0.05
        axes.set_xlim(low / ratio, high * ratio)
        first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
        decades = list(range(first, last + 1, max(1, (last - first) // 5 + 1)))
        ticks = [10.0**d for d in decades] if len(decades) > 1 else [low, high]
        axes.set_xticks(ticks, [format_value(float(f"{t:.3g}")) for t in ticks])
        axes.set_xticks([], minor=True)
    else:
        room = 0.05 * (high - low)
        axes.set_xlim(low - room, high + room)
        axes.locator_params(axis="x", nbins=5)
    return places


def _best_so_far(trials: Sequence[Trial], objective: Objective) -> tuple[list[float], list[float]]:
    xs: list[float] = []
    ys: list[float] = []
    for trial in trials:
        counts = trial.value is not None and trial.feasible and not trial.partial
        if trial.value is not None and counts and (not ys or objective.better(trial.value, ys[-1])):
            xs.append(trial.number)
            ys.append(trial.value)
    if xs:
        xs.append(trials[-1].number + 0.5)
        ys.append(ys[-1])
    return xs, ys


def _curve(trial: Trial, metric: str) -> tuple[list[int], list[float]]:
    """Epochs and values of one metric; not-finite values become gaps, an all-gap curve is empty."""
    found = [(e.epoch, e.metrics[metric]) for e in trial.epochs if metric in e.metrics]
    if not any(v is not None and math.isfinite(v) for _, v in found):
        return [], []
    step = max(1, math.ceil(len(found) / MAX_POINTS))
    kept = found[::step] + ([found[-1]] if (len(found) - 1) % step else [])
    return [e for e, _ in kept], [place(v) for _, v in kept]


def _line(
    axes: Axes,
    curve: tuple[list[int], list[float]],
    colour: str,
    *,
    width: float,
    label: str | None,
    order: int,
    alpha: float = 1.0,
) -> None:
    # A single epoch has no line to see, so it gets a dot.
    marker = "o" if len(curve[0]) == 1 else ""
    axes.plot(
        *curve,
        color=colour,
        linewidth=width,
        label=label,
        zorder=order,
        alpha=alpha,
        marker=marker,
        markersize=4,
    )
    whole_numbers(axes)
