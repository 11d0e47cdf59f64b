"""What `tune()` returns: a study as it ended, with its best trial, its table and its report."""

from __future__ import annotations

import html
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tcs_hpt import __version__
from tcs_hpt.errors import UserError
from tcs_hpt.events import StopReason
from tcs_hpt.records import FAILURE_WORDS, Trial, incumbent, score
from tcs_hpt.report import words
from tcs_hpt.report.export import rows
from tcs_hpt.report.html import write_html
from tcs_hpt.report.live import STOPPED
from tcs_hpt.report.tables import summarize_study
from tcs_hpt.spec import Config, StudySpec
from tcs_hpt.tuning.notebook import trials_table
from tcs_hpt.tuning.places import utc_text

if TYPE_CHECKING:
    import pandas as pd  # type: ignore[import-untyped]


@dataclass(frozen=True)
class Report(os.PathLike[str]):
    """The HTML report of a study: a path wherever one is taken, and the report itself in a notebook."""

    path: Path

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        return str(self.path)

    def _repr_html_(self) -> str:
        page = html.escape(self.path.read_text(encoding="utf-8"), quote=True)
        return f'<iframe srcdoc="{page}" style="width: 100%; height: 800px; border: 0"></iframe>'


@dataclass(frozen=True, repr=False)
class StudyResult:
    """A study as it was when `tune()` returned; a value, which later runs of the same study do not change."""

    spec: StudySpec
    """How it was declared; `spec.name` continues it."""
    records: tuple[Trial, ...]
    """The complete record of every trial, by number: epochs, analysis, what models were told and said, failures."""
    stopped: StopReason
    """Why it ended: `trials`, `seconds`, `target`, `patience`, `converged`, `failures`, `exhausted`, `interrupted`."""
    folder: Path
    """Where the trials ran and the report is written."""
    function: str
    """The objective, as `module.name`."""
    store_url: str
    """The database as people may see it; empty for the usual one."""

    @property
    def best_trial(self) -> Trial:
        """The best finished trial; ties keep the earlier.

        Raises:
            UserError: No trial has a score; the hint says what became of the last one.
        """
        best = incumbent(self.records, self.spec.task.objective)
        if best is None:
            raise UserError(
                f"no trial of study {self.spec.name!r} has a score", hint=self._last_failure() or "None ran."
            )
        return best

    @property
    def best_params(self) -> Config:
        """What the function was given in the best trial: the tuned values and the fixed ones.

        Raises:
            UserError: No trial has a score.
        """
        return {**self.spec.task.fixed, **self.best_trial.config}

    @property
    def best_value(self) -> float:
        """The objective of the best trial.

        Raises:
            UserError: No trial has a score.
        """
        return score(self.best_trial)

    @property
    def trials(self) -> pd.DataFrame:
        """One row per trial, with the columns of `tcs-hpt export`: `number`, `state`, `value`, `params_lr`, ...

        Raises:
            UserError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise UserError(
                "the table of trials needs pandas, which is not installed",
                hint="Install it with `pip install pandas`, or read `records`, which needs nothing.",
            ) from error
        return pandas.DataFrame(rows(self.spec, self.records))

    def report(self, path: str | os.PathLike[str] | None = None) -> Report:
        """Write the HTML report, one file that needs no network; `report.html` in the study's folder if no path is given.

        Raises:
            UserError: The file cannot be written.
        """
        where = Path(path) if path is not None else self.folder / "report.html"
        write_html(
            where,
            self.spec,
            self.records,
            task_ref=self.function,
            generated_at=utc_text(),
            version=__version__,
            store_url=self.store_url,
        )
        return Report(where)

    @property
    def headline(self) -> str:
        """The result in a few sentences, with the reason for which the study ended."""
        summary = summarize_study(self.spec, self.records)
        ended = STOPPED[self.stopped].replace("--name", "name")
        parts = [words.headline(summary, self.spec.task.objective), ended]
        if self.stopped == "failures":
            parts.append(self._last_failure())
        return " ".join(parts)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{n}={v!r}' for n, v in self.__rich_repr__())})"

    def __rich_repr__(self) -> Iterator[tuple[str, Any]]:
        yield "name", self.spec.name
        if incumbent(self.records, self.spec.task.objective) is not None:
            yield "best_value", self.best_value
            yield "best_params", self.best_params
        else:
            yield "last_failure", self._last_failure()
        yield "trials", len(self.records)
        yield "stopped", self.stopped

    def _repr_html_(self) -> str:
        title = f"<p><b>{html.escape(self.spec.name)}</b>: {html.escape(self.headline)}</p>"
        return title + trials_table(self.spec.task.objective, self.records)

    def _last_failure(self) -> str:
        failed = [(t.number, t.failure) for t in self.records if t.failure is not None]
        if not failed:
            return ""
        number, failure = failed[-1]
        return f"Trial {number} {FAILURE_WORDS[failure.kind]}: {words.one_line(failure.message, 300)}"
