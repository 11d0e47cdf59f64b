"""The file of values that [config] describes, written into the trial's folder before the script starts."""

from __future__ import annotations

from pathlib import Path, PurePath

from tcs_hpt.catalog.rendering import render
from tcs_hpt.errors import TaskError
from tcs_hpt.execution._base import Job
from tcs_hpt.execution.folder import writing
from tcs_hpt.spec import Scalar

_NAME = "script_config"
"""Not `config`: `config.json` is what the engine writes for `tcs_hpt.current_trial()`."""


def config_path(job: Job) -> Path | None:
    """Where the file is, absolute, with the ending of the template; None for a task without one."""
    config = job.task.config
    if config is None:
        return None
    ending = PurePath(config.template or "").suffix or f".{config.written_format}"
    return job.folder.absolute() / f"{_NAME}{ending}"


def context(job: Job) -> dict[str, Scalar]:
    """What the trial has besides parameters, by the names in `spec.CONTEXT`; without a data folder that is absent."""
    found: dict[str, Scalar] = {"seed": job.seed, "trial_dir": str(job.folder.absolute())}
    if job.data_dir is not None:
        found["data_dir"] = str(job.data_dir.absolute())
    return found


def write_config(job: Job) -> None:
    """Write the file; nothing for a task without one. A parameter that is not active leaves the template's value.

    Raises:
        TaskError: The template cannot be read, or has no place for a value.
        StoreError: The file cannot be written.
    """
    path, config = config_path(job), job.task.config
    if path is None or config is None:
        return
    values = {**context(job), **job.task.fixed, **job.config}
    places = {place: values[name] for name, place in job.task.config_paths().items() if name in values}
    template = "" if config.template is None else _read(job.task_folder / config.template)
    try:
        text = render(template, config.written_format, places)
    except ValueError as error:
        raise TaskError(
            f"the configuration of task {job.task.name!r} cannot be written from {config.template}: {error}",
            hint=f"Correct [config] in the task.toml, and see what is wrong: tcs-hpt tasks check {job.task_folder}",
        ) from error
    with writing(path.parent):
        path.write_text(text, encoding="utf-8")


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise TaskError(
            f"the template {path} cannot be read: {reason}",
            hint="Put it back, or correct [config] in the task.toml.",
        ) from error
