"""The command line of a trial."""

from __future__ import annotations

import sys
from pathlib import Path

from tcs_hpt.catalog import fill_placeholders, placeholders
from tcs_hpt.execution._base import Job
from tcs_hpt.spec import Scalar


def build_command(job: Job) -> list[str]:
    """The program and its arguments, ready to start.

    Placeholders are filled: true and false in lower case, numbers with all their digits. An argument that names a
    parameter which is not active is left out, together with the flag before it (`--momentum`, `{momentum}`). An
    argument that is a file of the task's folder becomes its absolute path.
    """
    values = {**job.task.fixed, **job.config}
    texts = {"python": job.python or sys.executable} | {n: _text(v) for n, v in values.items()}
    command: list[str] = []
    flag_before = False
    for item in job.task.command:
        names = placeholders(item)
        if all(name in texts for name in names):
            command.append(fill_placeholders(item, texts) if names else _located(item, job.task_folder))
        elif flag_before:
            command.pop()
        flag_before = not names and item.startswith("-") and "=" not in item
    return command


def _text(value: Scalar) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _located(item: str, folder: Path) -> str:
    """The argument, with a file of the task's folder made absolute, also behind `--flag=`."""
    flag, equals, name = item.partition("=") if item.startswith("-") else ("", "", item)
    if name and not name.startswith("-") and (folder / name).is_file():
        return f"{flag}{equals}{(folder / name).absolute()}"
    return item
