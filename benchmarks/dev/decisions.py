"""What the choices of a method were like: how often it took what the evidence ranks first, and how often it foresaw the outcome."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

from benchmarks.dev.studies import Row


def decisions(studies: Iterable[Sequence[Row]]) -> list[tuple[str, ...]]:
    """A line of figures for each method that takes its changes from a list, in the order in which the methods appear.

    The columns are those of `HEAD`. `foreseen` counts the predictions that can be checked (the analysis is the agents' own, and
    the optimizer followed it); `always "improves"` is what saying so every time would have scored on the same trials.
    """
    by_method: dict[str, list[Row]] = {}
    for rows in studies:
        by_method.setdefault(rows[0].method, []).extend(row for row in rows if row.options)
    return [(f"`{method}`", *_figures(rows)) for method, rows in by_method.items() if rows]


HEAD = (
    "method",
    "decisions",
    "took the first",
    "one of the first three",
    "departed",
    "fell back",
    "foreseen",
    'always "improves"',
    "size foreseen",
    "tokens read",
    "written",
)


def _figures(rows: Sequence[Row]) -> tuple[str, ...]:
    placed = [row.place for row in rows if row.place is not None]
    analysed = [row for row in rows if row.deviation is not None]
    checked = [row for row in rows if row.expected is not None]
    sized = [row for row in checked if row.expected_size is not None]
    return (
        str(len(rows)),
        _share(place == 1 for place in placed),
        _share(place <= 3 for place in placed),
        _share(bool(row.deviation) for row in analysed),
        _share(row.fallback for row in analysed),
        _part(row.expected == row.measured for row in checked),
        _part(row.measured == "improves" for row in checked),
        _part(row.expected_size == row.measured_size for row in sized),
        f"{fmean(row.read_tokens for row in rows):.0f}" if analysed else "",
        f"{fmean(row.written_tokens for row in rows):.0f}" if analysed else "",
    )


def _share(hits: Iterable[bool]) -> str:
    found = list(hits)
    return f"{100 * fmean(found):.0f} %" if found else ""


def _part(hits: Iterable[bool]) -> str:
    found = list(hits)
    return f"{sum(found)} of {len(found)}" if found else ""
