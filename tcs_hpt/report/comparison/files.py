"""A comparison as files: tidy rows, all trials, the table as Markdown, a page, and what the store cannot know.

rows.csv, rows.jsonl   one row per study
trials.csv             one row per trial, those that tried winners again included
table.md, report.html  what the numbers say
comparison.json        how it was run, and which studies failed and why; read back when it is shown again
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

from pydantic import ValidationError

from tcs_hpt.compare import Recorded
from tcs_hpt.errors import UserError
from tcs_hpt.records import incumbent, ordered
from tcs_hpt.report import export
from tcs_hpt.report.comparison.confirmation import confirmation_sections, confirmations
from tcs_hpt.report.comparison.figure import CAPTION, best_so_far
from tcs_hpt.report.comparison.means import TaskResult
from tcs_hpt.report.comparison.rows import Row, row_of
from tcs_hpt.report.comparison.text import Run, sections
from tcs_hpt.report.export import Cell
from tcs_hpt.report.pages import page_template, replace_files
from tcs_hpt.report.sections import Section, to_markdown
from tcs_hpt.report.tables import exact
from tcs_hpt.spec import Frozen

Role: TypeAlias = Literal["search", "confirmation"]

HISTORY = "comparison.json"
TABLE = "table.md"
PAGE = "report.html"


class History(Frozen):
    """What the store cannot know of a comparison."""

    runs: tuple[Run, ...] = ()
    """Each time it was run or continued, earliest first."""
    failures: tuple[Row, ...] = ()
    """Studies that could not go on, or not even begin."""


def read_history(folder: Path) -> History:
    """The history of a comparison; an empty one when there is none.

    Raises:
        UserError: The file is there but cannot be read.
    """
    path = folder / HISTORY
    try:
        return History.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return History()
    except (OSError, ValidationError) as error:
        raise UserError(
            f"{path} cannot be read: {error}", hint="Delete it; only how the comparison was run is lost."
        ) from error


def rows_of(studies: Iterable[Recorded], failures: Iterable[Row]) -> list[Row]:
    """One row per study: those of the store, and those that never came so far."""
    failed = {each.study: each for each in failures}
    rows = []
    for study in studies:
        known = failed.pop(study.spec.name, None)
        rows.append(row_of(study, known.reason if known is not None else ""))
    return rows + list(failed.values())


def write_files(
    folder: Path,
    name: str,
    studies: Sequence[Recorded],
    rows: Sequence[Row],
    results: Sequence[TaskResult],
    history: History,
    *,
    repeats: Sequence[Recorded] = (),
    version: str,
    generated_at: str,
) -> None:
    """Write everything; a reader sees an old file or a new one, never half of one. Folders are created.

    Args:
        folder: Where to.
        name: Of the comparison.
        studies: Its studies.
        rows: One for each of them, and for those that never began.
        results: What they amount to.
        history: How it was run.
        repeats: The studies that tried winners again.
        version: Of this package.
        generated_at: When the files are made.

    Raises:
        UserError: The folder cannot be written.
    """
    text = sections(results, history.runs, confirmation_sections(confirmations(name, studies, repeats)))
    contents = {
        "rows.csv": to_csv([flat(r) for r in rows]),
        "rows.jsonl": "".join(f"{json_line(r)}\n" for r in rows),
        "trials.csv": to_csv(all_trials(studies, repeats)),
        TABLE: to_markdown(f"Comparison {name}", text),
        PAGE: render_page(name, results, text, version=version, generated_at=generated_at),
        HISTORY: history.model_dump_json(indent=1) + "\n",
    }
    replace_files(folder, contents, what="the comparison")


# -- rows for other programs --------------------------------------------------------------------------------


def json_line(row: Row) -> str:
    """A row as one line of ASCII JSON; `Row.model_validate_json` reads it back."""
    return json.dumps(row.model_dump(), allow_nan=False)


def flat(row: Row) -> dict[str, Cell]:
    """A row without the scores of its trials, each test metric, kind of failure and source a column of its own."""
    plain = row.model_dump(exclude={"test", "failures", "sources", "values", "seconds", "last_failure"})
    return {
        **plain,
        **row.test,
        "failed": sum(row.failures.values()),
        **{f"failed_{kind}": n for kind, n in row.failures.items()},
        **{f"source_{source}": n for source, n in row.sources.items()},
    }


def all_trials(studies: Iterable[Recorded], repeats: Iterable[Recorded]) -> list[dict[str, Cell]]:
    """One row per trial: of the studies, then of those that tried winners again."""
    return [
        *(row for study in studies for row in trial_rows(study)),
        *(row for study in repeats for row in trial_rows(study, "confirmation")),
    ]


def trial_rows(study: Recorded, role: Role = "search") -> list[dict[str, Cell]]:
    """One row per trial, with its study in front; `place` is its place in the budget, None for interrupted ones.

    Args:
        study: The study.
        role: What it was for: those that try a winner again are no search of the method `random`, which they bear.
    """
    spec = study.spec
    counted = ordered(study.trials)
    places = {t.number: i for i, t in enumerate(counted, start=1)}
    found = []
    for each in export.rows(spec, study.trials):
        place = places.get(int(str(each["number"])))
        best = incumbent(counted[:place], spec.task.objective) if place else None
        found.append(
            {
                "comparison": spec.comparison,
                "study": spec.name,
                "task": spec.task.name,
                "role": role,
                "start": spec.start,
                "method": spec.method,
                "analysis_model": spec.analysis_model,
                "optimizer_model": spec.optimizer_model,
                "study_seed": spec.seed,
                "place": place,
                "best_so_far": best.value if best else None,
                **each,
            }
        )
    return found


def to_csv(rows: Sequence[Mapping[str, Cell]]) -> str:
    """Rows with different columns as one table; floats read back exactly, None and missing cells are empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = list(dict.fromkeys(name for row in rows for name in row))
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if (cell := row.get(name)) is None else exact(cell) for name in columns])
    return text.getvalue()


# -- the page -----------------------------------------------------------------------------------------------


def render_page(
    name: str, results: Sequence[TaskResult], text: Sequence[Section], *, version: str, generated_at: str
) -> str:
    """The comparison as one HTML file that needs no network and no script."""
    from markupsafe import Markup

    figures = {r.task: Markup(best_so_far(r, f"progress{i}")) for i, r in enumerate(results)}
    return page_template("comparison.html.j2").render(
        name=name,
        kind="Comparison",
        captions=dict.fromkeys(figures, CAPTION),
        sections=text,
        figures=figures,
        version=version,
        generated_at=generated_at,
    )
