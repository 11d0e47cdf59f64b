"""What a script is started with: its command line, its own environment variables, and where it runs."""

from __future__ import annotations

import sys
from pathlib import Path

from tcs_hpt.catalog import fill_placeholders, placeholders
from tcs_hpt.execution._base import Job
from tcs_hpt.execution.config_file import config_path, context
from tcs_hpt.spec import Scalar, switches


def working_folder(job: Job) -> Path:
    """Where the script runs; absolute."""
    return (job.task_folder if job.task.run_in == "task" else job.folder).absolute()


def build_command(job: Job) -> list[str]:
    """The program and its arguments, ready to start.

    Placeholders are filled: true and false in lower case, numbers with all their digits. An argument that names a
    parameter which is not active is left out, together with the flag before it (`--momentum`, `{momentum}`); a switch
    (`{nesterov?--nesterov}`) that is off or not active is left out alone. An argument that is a file of the task's folder becomes its absolute path, unless the script runs there.
    """
    texts = placeholder_texts(job)
    command: list[str] = []
    flag_before = False
    for item in job.task.command:
        names = placeholders(item)
        alone = bool(switches(item))
        if all(name in texts for name in names):
            # A program is looked for on the PATH, not where it is to run.
            located = not names and (job.task.run_in == "trial" or not command)
            filled = fill_placeholders(item, texts)
            if filled or not alone:
                command.append(_located(item, job.task_folder) if located else filled)
        elif flag_before and not alone:
            command.pop()
        flag_before = not names and item.startswith("-") and "=" not in item
    return command


def build_environment(job: Job) -> dict[str, str]:
    """The variables that the task sets for its script; one that names an inactive parameter is left out."""
    texts = placeholder_texts(job)
    return {
        name: fill_placeholders(value, texts)
        for name, value in job.task.env.items()
        if all(n in texts for n in placeholders(value))
    }


def placeholder_texts(job: Job) -> dict[str, str]:
    """What each placeholder stands for in this trial. What has no value, e.g. an inactive parameter, is absent."""
    values = {"python": job.python or sys.executable, **context(job), **job.task.fixed, **job.config}
    path = config_path(job)
    if path is not None:
        values["config"] = str(path)
    return {name: _text(value) for name, value in values.items()}


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _located(item: str, folder: Path) -> str:
    """The argument, with a file of the task's folder made absolute, also behind `--flag=`."""
    flag, equals, name = item.partition("=") if item.startswith("-") else ("", "", item)
    if name and not name.startswith("-") and (folder / name).is_file():
        return f"{flag}{equals}{(folder / name).absolute()}"
    return item
