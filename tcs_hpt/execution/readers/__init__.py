"""Reads the numbers of a script, as [metrics] of its task describes them, in limited pieces while it runs."""

from __future__ import annotations

import glob
import os

from tcs_hpt.catalog import fill_placeholders, placeholders
from tcs_hpt.execution._base import Job
from tcs_hpt.execution.command import placeholder_texts, working_folder
from tcs_hpt.execution.logs import Log
from tcs_hpt.execution.metrics import MetricsTail
from tcs_hpt.execution.readers._base import MetricsReader
from tcs_hpt.execution.readers.document import JsonReader
from tcs_hpt.execution.readers.lines import CsvReader, JsonLinesReader, PatternReader
from tcs_hpt.execution.sources import Printed, WrittenFile

__all__ = ["MetricsReader", "metrics_pattern", "open_reader"]


def open_reader(job: Job, out: Log | None, err: Log | None, *, left: bool = False) -> MetricsReader:
    """What reads the metrics of a trial. Call it before the script starts, so that earlier files are known.

    Args:
        job: The trial.
        out: Where its standard output goes; None if that is gone.
        err: Likewise its standard error.
        left: The script was left by an engine that died. Nobody knows any more what was in a file of its own before, so that
            is not read.
    """
    spec, objective = job.task.metrics, job.task.objective
    pattern = metrics_pattern(job)
    if spec is None or (left and pattern is not None):
        return MetricsTail(job.folder.absolute() / "metrics.jsonl", objective)
    if pattern is None:
        log = out if spec.source == "stdout" else err
        kind = PatternReader if spec.format == "pattern" else JsonLinesReader
        return kind(spec, objective, Printed(log, spec.source))
    file = WrittenFile(pattern, spec.source)
    if spec.format == "json":
        return JsonReader(spec, objective, file)
    if spec.format == "csv":
        return CsvReader(spec, objective, file)
    return (PatternReader if spec.format == "pattern" else JsonLinesReader)(spec, objective, file)


def metrics_pattern(job: Job) -> str | None:
    """Where the script's own file of metrics is: an absolute path, perhaps with wildcards; None for no such file."""
    spec = job.task.metrics
    if spec is None or not spec.is_file:
        return None
    # What has no value, e.g. an inactive parameter, stays as it is: there is no such file, and the trial will say so.
    texts = {name: f"{{{name}}}" for name in placeholders(spec.source)} | placeholder_texts(job)
    filled = fill_placeholders(spec.source, {name: glob.escape(text) for name, text in texts.items()})
    return os.path.join(glob.escape(str(working_folder(job))), filled)
