"""`tcs-hpt export`: a study's records, or its best configuration, for other programs."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from tcs_hpt import __version__
from tcs_hpt.cli._shared import write_report
from tcs_hpt.cli.options import StoreOption
from tcs_hpt.errors import UserError
from tcs_hpt.records import Trial
from tcs_hpt.report.export import (
    best_config,
    config_flags,
    config_json,
    config_yaml,
    to_csv,
    to_json,
    write_parquet,
)
from tcs_hpt.spec import StudySpec
from tcs_hpt.store import Store


class Format(StrEnum):
    """What is written."""

    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"
    YAML = "yaml"
    FLAGS = "flags"


ABOUT_BEST = (Format.YAML, Format.FLAGS)
"""Formats that have a place for one configuration only."""
TABLES = (Format.CSV, Format.PARQUET)


def export(
    study: Annotated[str, typer.Argument(help="Name of a study, as `tcs-hpt studies` lists it.")],
    format: Annotated[
        Format,
        typer.Option(
            "--format",
            "-f",
            help="json: complete records; csv, parquet: one row per trial; "
            "yaml, flags: the best configuration, for a file or a command line.",
        ),
    ] = Format.JSON,
    best: Annotated[
        bool, typer.Option("--best", help="Only the best configuration, with the fixed values.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Where to write it. Default: standard output.", show_default=False
        ),
    ] = None,
    mlflow: Annotated[
        str,
        typer.Option(
            "--mlflow",
            metavar="URI",
            help="Write it to MLflow instead, e.g. http://host:5000 or sqlite:///mlflow.db. Again, it is brought up to date.",
            show_default=False,
        ),
    ] = "",
    experiment: Annotated[
        str,
        typer.Option(help="The experiment in MLflow. Default: the name of the task.", show_default=False),
    ] = "",
    store: StoreOption = "",
) -> None:
    """Write a study's trials, or its best configuration, for other programs."""
    if mlflow:
        if best or output is not None or format != Format.JSON:
            raise UserError(
                "--mlflow is an export of its own", hint="Leave --format, --best and --output out."
            )
        with Store.open(store or None) as database:
            print(_to_mlflow(database, study, mlflow, experiment))
        return
    if experiment:
        raise UserError("--experiment is a name in MLflow", hint="Say where with --mlflow URI.")
    if best and format in TABLES:
        raise UserError(
            f"--format {format.value} holds all trials, not one configuration",
            hint="Leave --best out, or choose --format json, yaml or flags.",
        )
    if format == Format.PARQUET and output is None:
        raise UserError("a Parquet file is not text", hint="Say where to write it with --output FILE.")
    with Store.open(store or None) as database:
        spec, trials = database.get_study(study), database.load_trials(study)
    if output is not None:
        _write(output, format, best, spec, trials)
        print(output)
        return
    sys.stdout.write(_text(format, best, spec, trials))


def _to_mlflow(store: Store, study: str, uri: str, experiment: str) -> str:
    """Export, and say in a sentence what was done."""
    from tcs_hpt.integrations.mlflow import export_study, without_password

    if uri in (store.url, store.label):
        raise UserError(
            "the database of the studies cannot be MLflow's too: both keep their version in the same table",
            hint="Name another one, e.g. --mlflow sqlite:///mlflow.db.",
        )
    spec = store.get_study(study)
    reported: dict[int, dict[int, str]] = {}
    for stored in store.events(study, kinds=("epoch_reported",)):
        if stored.event.kind == "epoch_reported":
            reported.setdefault(stored.event.number, {})[stored.event.epoch.epoch] = stored.at
    with TemporaryDirectory() as folder:
        report = write_report(store, study, Path(folder) / "report.html").read_text(encoding="utf-8")
    done = export_study(
        spec,
        store.load_trials(study),
        uri=uri,
        version=__version__,
        experiment=experiment,
        created=next(row.created_at for row in store.list_studies() if row.name == study),
        reported=reported,
        report=report,
    )
    trials = ", ".join(f"{number} {change}" for change, number in done.trials.items())
    return (
        f"run {done.run_id} in experiment {done.experiment} at {without_password(uri, uri)}; trials: {trials}"
    )


def _text(format: Format, best: bool, spec: StudySpec, trials: list[Trial]) -> str:
    if best or format in ABOUT_BEST:
        forms = {Format.JSON: config_json, Format.YAML: config_yaml, Format.FLAGS: config_flags}
        return forms[format](best_config(spec, trials))
    return to_csv(spec, trials) if format == Format.CSV else to_json(spec, trials)


def _write(path: Path, format: Format, best: bool, spec: StudySpec, trials: list[Trial]) -> None:
    """A reader sees the old file or the new one, never half of one. Folders are created."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
            new = Path(folder) / path.name
            if format == Format.PARQUET:
                write_parquet(new, spec, trials)
            else:
                new.write_text(_text(format, best, spec, trials), encoding="utf-8", newline="")
            os.replace(new, path)
    except OSError as error:
        raise UserError(
            f"the export cannot be written to {path}: {error}", hint="Choose another place with --output."
        ) from error
