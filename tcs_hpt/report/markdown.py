"""What a program printed as Markdown, as the sections of a report."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markdown_it import MarkdownIt
from markdown_it.token import Token

from tcs_hpt.report.sections import Grid, Section


def sections_of(title: str, text: str) -> list[Section]:
    """Its paragraphs and tables in their order; emphasis and other markup of words is dropped.

    A heading begins a section, and so does a paragraph that ends with a colon, which announces a table. What stands
    below a section's last table are its notes.

    Args:
        title: Of what comes before the first of these.
        text: The Markdown.
    """
    tokens = iter(MarkdownIt("commonmark").enable("table").parse(text))
    found = [Section(title)]
    for token in tokens:
        last = found[-1]
        if token.type == "table_open":
            found[-1] = Section(last.title, last.lead, (*last.grids, _grid(tokens)), last.notes)
        elif token.type == "heading_open":
            found.append(Section(_words(next(tokens))))
        elif token.type == "inline":
            said = _words(token)
            if said.endswith(":"):
                found.append(Section(said.removesuffix(":")))
            elif last.grids:
                found[-1] = Section(last.title, last.lead, last.grids, (*last.notes, said))
            else:
                found[-1] = Section(last.title, (*last.lead, said))
    return [s for s in found if s.lead or s.grids]


def _grid(tokens: Iterator[Token]) -> Grid:
    """The table whose first token was just taken; all others are taken too."""
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "table_close":
            break
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(_words(token))
    head, *body = (tuple(row) for row in rows)
    return Grid("", head, tuple(body))


def _words(token: Token) -> str:
    """The words of a piece of text, on one line."""
    parts: Sequence[Token] = token.children or ()
    return "".join(" " if t.type in ("softbreak", "hardbreak") else t.content for t in parts).strip()
