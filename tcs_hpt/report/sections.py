"""Sections of sentences and tables, as Markdown or on a terminal. Pure but for printing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tcs_hpt.report import words


@dataclass(frozen=True)
class Grid:
    """A table; its first column names the rows."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def right(self) -> tuple[bool, ...]:
        """For each column, whether it holds numbers, which stand at the right."""
        cells = zip(*self.rows, strict=True) if self.rows else ((),) * len(self.columns)
        return tuple(
            bool(index) and all(c[:1].isdigit() or c[:1] in "+-" for c in column)
            for index, column in enumerate(cells)
        )


@dataclass(frozen=True)
class Section:
    """A heading with what stands below it, in this order."""

    title: str
    lead: tuple[str, ...] = ()
    grids: tuple[Grid, ...] = ()
    notes: tuple[str, ...] = ()
    task: str = ""
    """The task it is about, for a figure; empty for none."""


def to_markdown(title: str, sections: Sequence[Section]) -> str:
    """The sections as one Markdown page. Text that came from scripts and models is never read as markup."""
    lines = [f"# {_plain(title)}", ""]
    for section in sections:
        lines += [f"## {_plain(section.title)}", ""]
        for text in section.lead:
            lines += [_plain(text), ""]
        for grid in section.grids:
            if grid.title:
                lines += [f"{_plain(grid.title)}:", ""]
            rules = ["---:" if right else "---" for right in grid.right]
            lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in (grid.columns,)]
            lines += ["| " + " | ".join(rules) + " |"]
            lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in grid.rows]
            lines.append("")
        if section.notes:
            lines += [*(f"- {_plain(note)}" for note in section.notes), ""]
    return "\n".join(lines).rstrip() + "\n"


def _plain(text: str) -> str:
    return words.one_line(text).replace("<", "&lt;")


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")


def print_sections(console: Console, sections: Sequence[Section]) -> None:
    """Print the sections; tables too wide for the terminal fold their cells."""
    for section in sections:
        console.print()
        console.print(Text(section.title, "bold underline"), highlight=False)
        for text in section.lead:
            console.print(Text(text), highlight=False)
        for grid in section.grids:
            table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
            for column, right in zip(grid.columns, grid.right, strict=True):
                table.add_column(Text(column), justify="right" if right else "left", overflow="fold")
            for row in grid.rows:
                table.add_row(*(Text(words.one_line(cell)) for cell in row))
            console.print()
            if grid.title:
                console.print(Text(grid.title, "dim"), highlight=False)
            console.print(table)
        if section.notes:
            console.print()
        for note in section.notes:
            console.print(
                Padding(Text(f"- {words.one_line(note)}"), (0, 0, 0, 1), expand=False), highlight=False
            )
