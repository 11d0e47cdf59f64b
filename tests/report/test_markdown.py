from __future__ import annotations

from tcs_hpt.report.markdown import sections_of
from tcs_hpt.report.sections import Grid, Section

PRINTED = """
Two problems, *three* seeds,
and a line that goes on.

| method | best |
| --- | --: |
| `tpe` | 0.2 |
| a \\| b | <b>1</b> |

- Said of the table.

Against `coin`, by problem:

| problem | `tpe` |
| --- | --: |

## What it took

Seconds alone.

## Nothing here
"""


def test_paragraphs_and_tables_become_sections_in_their_order() -> None:
    assert sections_of("Results", PRINTED) == [
        Section(
            "Results",
            ("Two problems, three seeds, and a line that goes on.",),
            (Grid("", ("method", "best"), (("tpe", "0.2"), ("a | b", "<b>1</b>"))),),
            ("Said of the table.",),
        ),
        Section("Against coin, by problem", grids=(Grid("", ("problem", "tpe"), ()),)),
        Section("What it took", ("Seconds alone.",)),
    ]


def test_a_program_that_printed_nothing_has_no_sections() -> None:
    assert sections_of("Results", "\n") == []
