"""A study and its trials as MLflow runs.

One run per study, and below it one per trial: its parameters, its metrics epoch by epoch, its final metrics, what was
diagnosed and why it was tried, and the HTML report with the study. Exported again, runs are brought up to date and
never doubled: they are found by their tags.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, TypeAlias, TypeVar
from urllib.parse import urlsplit

from tcs_hpt.errors import UserError
from tcs_hpt.integrations._mlflow_runs import (
    CREATED,
    DIGEST,
    EPOCHS,
    STUDY,
    TRIAL,
    Run,
    study_run,
    trial_run,
)
from tcs_hpt.records import Trial
from tcs_hpt.spec import StudySpec

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run as Stored

PARENT = "mlflow.parentRunId"
PAGE = 1000
"""Runs asked for at a time."""
METRICS, PARAMETERS = 1000, 100
"""What MLflow takes in one request."""

T = TypeVar("T")
Change: TypeAlias = Literal["new", "updated", "unchanged"]


@dataclass(frozen=True)
class Exported:
    """Where a study is now."""

    experiment: str
    run_id: str
    """Of the study's own run."""
    trials: Mapping[Change, int]
    """How many trials' runs were made, brought up to date, or as they should be."""


def export_study(
    study: StudySpec,
    trials: Sequence[Trial],
    *,
    uri: str,
    version: str,
    experiment: str = "",
    created: str = "",
    reported: Mapping[int, Mapping[int, str]] | None = None,
    report: str = "",
) -> Exported:
    """Write a study to an MLflow tracking server or database, or bring what is there up to date.

    A study is known by its name and the time it was created, so that two of the same name from different stores
    do not mix. Values of an epoch are written once; MLflow cannot change them. Broken off, it is completed by the next export.
    Two exports of the same study must not run at the same time.

    Args:
        study: The study.
        trials: Its trials, in any order; also running ones, which a later export completes.
        uri: Where, as `MLFLOW_TRACKING_URI` has it: `http://host:5000`, `sqlite:///mlflow.db`.
        version: Of tcs_hpt.
        experiment: Name of the MLflow experiment, made if it is not there; the task's name if not given.
        created: When the study was created, ISO 8601.
        reported: When epochs were reported, ISO 8601, by trial and epoch. Others are spread over the time of their trial.
        report: The HTML report, kept as `report.html`; empty for none.

    Raises:
        UserError: MLflow is missing or refuses, or the experiment was deleted.
    """
    now = datetime.now(UTC)
    ordered = sorted(trials, key=lambda t: t.number)
    times = {
        number: {epoch: datetime.fromisoformat(at) for epoch, at in by_epoch.items()}
        for number, by_epoch in (reported or {}).items()
    }
    connect = _library()
    with _translated(uri):
        runs = _Runs(connect(tracking_uri=uri), experiment or study.task.name)
        parent = study_run(study, ordered, created=created, version=version, now=now)
        above = runs.study(parent)
        if above is None:
            above = runs.create(parent, {STUDY: study.name, CREATED: created})
        run_id: str = above.info.run_id
        runs.write(above, parent)
        if report:
            runs.client.log_text(run_id, report, "report.html")
        counts: dict[Change, int] = {"new": 0, "updated": 0, "unchanged": 0}
        known = runs.trials(run_id)
        for trial in ordered:
            run = trial_run(study, trial, version=version, now=now, reported=times.get(trial.number, {}))
            counts[runs.bring_up(known.get(run.tags[TRIAL]), run, run_id)] += 1
        return Exported(runs.experiment, run_id, counts)


class _Runs:
    """The runs of one experiment."""

    def __init__(self, client: MlflowClient, experiment: str) -> None:
        self.client = client
        self.experiment = experiment
        found = client.get_experiment_by_name(experiment)
        if found is not None and found.lifecycle_stage != "active":
            raise UserError(
                f"the MLflow experiment {experiment!r} was deleted",
                hint="Restore it, or choose another name with --experiment.",
            )
        self._id = client.create_experiment(experiment) if found is None else found.experiment_id

    def study(self, run: Run) -> Stored | None:
        """The study's run, if it is there."""
        wanted = {STUDY: run.tags[STUDY], "tcs_hpt.kind": "study"}
        found = (r for r in self._search(wanted) if r.data.tags.get(CREATED) == run.tags.get(CREATED))
        return next(found, None)

    def trials(self, parent: str) -> dict[str, Stored]:
        """The trials' runs below a study's, by the trial's number as text."""
        return {r.data.tags[TRIAL]: r for r in self._search({PARENT: parent}) if TRIAL in r.data.tags}

    def _search(self, tags: Mapping[str, str]) -> Iterator[Stored]:
        # Names of studies, the only values of other people, have no quotes.
        wanted = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
        token = None
        while True:
            page = self.client.search_runs(
                [self._id], filter_string=wanted, max_results=PAGE, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def create(self, run: Run, identity: Mapping[str, str]) -> Stored:
        """Make a run that a later export finds, whatever happens to this one."""
        kind = run.tags["tcs_hpt.kind"]
        tags = {**{n: v for n, v in identity.items() if v}, "tcs_hpt.kind": kind}
        return self.client.create_run(self._id, start_time=run.started, tags=tags, run_name=run.name)

    def bring_up(self, stored: Stored | None, run: Run, parent: str) -> Change:
        """Make a trial's run, or what is new of it."""
        change: Change = "new" if stored is None else "updated"
        if stored is not None and stored.data.tags.get(DIGEST) == run.tags[DIGEST]:
            return "unchanged"
        if stored is None:
            stored = self.create(run, {PARENT: parent, TRIAL: run.tags[TRIAL]})
        self.write(stored, run)
        return change

    def write(self, stored: Stored, run: Run) -> None:
        """Bring a run up to date. Tags come last: they say that everything else is there."""
        from mlflow.entities import Metric, Param, RunTag

        run_id: str = stored.info.run_id
        there = int(stored.data.tags.get(EPOCHS, 0))
        points = [point for epoch in run.epochs[there:] for point in epoch]
        points += [p for p in run.final if p.name not in stored.data.metrics]
        new = [Param(n, v) for n, v in run.parameters.items() if n not in stored.data.params]
        for params in _pieces(new, PARAMETERS):
            self.client.log_batch(run_id, params=params)
        for metrics in _pieces([Metric(*point) for point in points], METRICS):
            self.client.log_batch(run_id, metrics=metrics)
        for name in stored.data.tags:
            if name.startswith("tcs_hpt.") and name not in run.tags:
                self.client.delete_tag(run_id, name)
        tags = {**run.tags, EPOCHS: str(len(run.epochs))}
        self.client.log_batch(run_id, tags=[RunTag(n, v) for n, v in tags.items()])
        if run.status != "RUNNING":
            self.client.set_terminated(run_id, run.status, run.ended)
        elif stored.info.status != "RUNNING":
            self.client.update_run(run_id, status=run.status)


def _pieces(things: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(things), size):
        yield things[start : start + size]


def _library() -> type[MlflowClient]:
    # MLflow tells its makers about its use unless this says no; what runs here tells nobody anything unasked.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise UserError(
            f"the export to MLflow needs mlflow, which cannot be imported: {error}",
            hint="Run `pip install 'tcs-hpt[mlflow]'`.",
        ) from error
    return MlflowClient


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    """MLflow's errors as ours; it lets those of its database, of files and of connections through."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError, ImportError) as error:
        said = without_password(str(error).strip().partition("\n")[0], uri)
        raise UserError(
            f"MLflow at {without_password(uri, uri)} cannot be used: {said}",
            hint="Check --mlflow: http://host:5000 is a server, sqlite:///mlflow.db a file.",
        ) from error


def without_password(text: str, uri: str) -> str:
    """A text that may quote an address, without the password of that address."""
    password = urlsplit(uri).password if "://" in uri else None
    return text.replace(password, "***") if password else text
