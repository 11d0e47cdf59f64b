"""What every figure is drawn on and with: colours, axes, texts, and the finished SVG or PNG.

Text stays text, and the colours of text, grid and background are CSS variables (`--ink`, `--grid`, `--card`)
with light fallbacks, so that inside a page a figure follows its theme. Every id carries the figure's name, so
that several figures fit in one page.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from typing import TYPE_CHECKING, Any

from tcs_hpt.report.words import MISSING, one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GRID, CARD = "#59636f", "#dde2e8", "#fefefe"
_THEME = {INK: "ink", GRID: "grid", CARD: "card"}
GREEN, RED = "#1f9d6b", "#e0564a"
CURVE_COLOURS = ("#4c7df0", "#e59a2f", "#a06be0", "#2aa5b3", "#c2649a", "#8a94a3")

LARGEST = 1e300
"""Drawn in place of anything larger; matplotlib's margins would overflow."""

_SETTINGS: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tcs-hpt",
    "text.parse_math": False,
    "font.family": ["DejaVu Sans"],
    "font.size": 10,
    "axes.edgecolor": GRID,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.unicode_minus": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "text.color": INK,
}


def place(value: float | None) -> float:
    """Where a number is drawn; NaN, a gap, for what is not one."""
    if value is None or not math.isfinite(value):
        return math.nan
    return min(max(value, -LARGEST), LARGEST)


def whole_numbers(axes: Axes) -> None:
    """Label the x axis with whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def axes_of(figure: Figure, x: str, y: str) -> Axes:
    """The only axes of a figure, with the names of both."""
    axes = figure.add_subplot()
    axes.set_xlabel(x)
    axes.set_ylabel(label(y, 34))
    return axes


def say(axes: Axes, text: str) -> None:
    """Write a sentence where there is nothing to draw."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=INK)
    axes.set_yticks([])


def label(text: str, limit: int) -> str:
    """Text for a figure. A leading underscore would hide a legend entry, so it gets a thin space in front."""
    flat = one_line(text, limit) or MISSING
    return f" {flat}" if flat.startswith("_") else flat


def svg(draw: Any, *, width: float, height: float, name: str, title: str) -> str:
    """Run `draw` on an empty figure, inches wide and high, and return it as themed SVG text."""
    plain = {"Date": None, "Creator": None, "Format": None, "Type": None}
    drawn = _saved(draw, width, height, format="svg", transparent=True, metadata=plain)
    return _themed(drawn.decode(), name, title)


def png(draw: Any, *, width: float, height: float, dots_per_inch: int = 144) -> bytes:
    """The same as a PNG image on a light ground."""
    return _saved(
        draw, width, height, format="png", dpi=dots_per_inch, facecolor=CARD, metadata={"Software": None}
    )


def _saved(draw: Any, width: float, height: float, **how: Any) -> bytes:
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    buffer = io.BytesIO()
    with warnings.catch_warnings(), rc_context(_SETTINGS):
        # The browser draws the text; that DejaVu lacks a glyph only makes the measured width a guess.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure)
        figure.savefig(buffer, **how)
    return buffer.getvalue()


def _themed(svg: str, name: str, title: str) -> str:
    """The figure's `<svg>` element: unique ids, theme colours, the page's font, a size that can shrink."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg, flags=re.DOTALL)
    # Its rule is for `*`, which inside a page would mean every element of the page.
    svg = re.sub(r"<style.*?</style>\s*", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{name}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", svg)
    for colour, variable in _THEME.items():
        svg = svg.replace(colour, f"var(--{variable}, {colour})")
    svg = re.sub(r"'DejaVu Sans'[^;\"]*", "var(--font, sans-serif)", svg)
    svg = re.sub(r'(<svg[^>]*?) width="([\d.]+)pt" height="[\d.]+pt"', r'\1 width="\2pt"', svg, count=1)
    escaped = title.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    attributes = f'role="img" aria-label="{escaped}" stroke-linejoin="round" stroke-linecap="butt"'
    return svg.replace("<svg ", f"<svg {attributes} ", 1)
