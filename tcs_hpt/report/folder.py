"""The folder of a finished measurement: a table, a page and tidy rows, written together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tcs_hpt.report.comparison.files import to_csv
from tcs_hpt.report.export import Cell
from tcs_hpt.report.pages import page_template, replace_files
from tcs_hpt.report.sections import Section, to_markdown

if TYPE_CHECKING:
    from markupsafe import Markup

TABLE, PAGE = "table.md", "report.html"


def write_folder(
    folder: Path,
    title: str,
    kind: str,
    sections: Sequence[Section],
    rows: Mapping[str, Sequence[Mapping[str, Cell]]],
    *,
    version: str,
    generated_at: str,
    figures: Mapping[str, Markup] | None = None,
    captions: Mapping[str, str] | None = None,
    images: Mapping[str, bytes] | None = None,
    table: Sequence[Section] | None = None,
) -> None:
    """Write everything, or nothing that a reader could see half of.

    Args:
        folder: Where to; created.
        title: Of the page and the table.
        kind: What it is, in a few words.
        sections: What is said.
        rows: For other programs, by the name of their file; empty where these are written elsewhere.
        version: Of this package.
        generated_at: When the files are made.
        figures: Drawn on the page, by the `task` of the section that they belong to.
        captions: Below them.
        images: Further files.
        table: What the table says, where that is less than the page.

    Raises:
        UserError: The folder cannot be written.
    """
    page = page_template("comparison.html.j2").render(
        name=title,
        kind=kind,
        sections=sections,
        figures=figures or {},
        captions=captions or {},
        version=version,
        generated_at=generated_at,
    )
    contents: dict[str, str | bytes] = {
        TABLE: to_markdown(title, sections if table is None else table),
        PAGE: page,
        **{name: to_csv(found) for name, found in rows.items()},
        **(images or {}),
    }
    replace_files(folder, contents, what="the results")
