"""Runs a Python function as a trial in a process of its own, as a training script runs: limits hold, and a crash is a record.

The process is a fresh interpreter, so the function travels as a reference: the module that defines it is imported there. What is
defined in a notebook or inside another function cannot be found that way, and is refused before anything runs.
"""

from __future__ import annotations

import json
import os
import pickle
import pickletools
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from tcs_hpt.errors import UserError
from tcs_hpt.execution import _isolated_child as child
from tcs_hpt.execution._base import Job, RunResult
from tcs_hpt.execution.folder import writing
from tcs_hpt.execution.in_process import TrialFunction
from tcs_hpt.execution.local import LocalExecutor
from tcs_hpt.records import EpochRecord

FUNCTION = ("python-function",)
"""The command of a task that is a Python function: nothing that a shell could run."""

_MOVE = "Move it to the top level of a module and import it from there, or leave out `isolate=True`."


class IsolatedExecutor:
    """The executor for a Python function that runs apart. Several threads may call `run` at the same time.

    Everything is as for a script: the limits of time and memory, the end of all it has started, the logs, live epochs, and the
    failures; see `LocalExecutor`. As in this process, the function returns its score, and works in the folder in which
    this process was when the executor was made.

    Args:
        function: What a trial runs: `function(params, trial)`. Anything that pickle can send: a function of a module or of
            the script that is run, a `functools.partial` of one, an instance of a class of a module.
        local: Who runs the process.

    Raises:
        UserError: The function cannot be sent to another process.
    """

    def __init__(self, function: TrialFunction, *, local: LocalExecutor | None = None) -> None:
        self._pickled = _pickled(function)
        self._prepare = _prepare(main=_refers_to_main(self._pickled))
        self._local = local if local is not None else LocalExecutor()

    def run(self, job: Job, on_epoch: Callable[[EpochRecord], None]) -> RunResult:
        """Run one job to its end; see `Executor.run`. The task's command is not looked at.

        Raises:
            StoreError: The trial's folder cannot be made or written.
        """
        header = json.dumps({"metric": job.task.objective.metric, "prepare": self._prepare})
        call = job.folder.absolute() / child.CALL
        with writing(call.parent):
            call.parent.mkdir(parents=True, exist_ok=True)
            call.write_bytes(header.encode() + b"\n" + self._pickled)
        here = Path(child.__file__)
        # -P: the folder of the child's file holds modules of ours whose names are anybody's, such as `memory`.
        task = job.task.model_copy(update={"command": ("{python}", "-P", here.name)})
        try:
            return self._local.run(replace(job, task=task, task_folder=here.parent), on_epoch)
        finally:
            call.unlink(missing_ok=True)

    def interrupt(self) -> None:
        """End whatever is running. Only sets flags, so a signal handler may call it."""
        self._local.interrupt()

    def kill(self) -> None:
        """End whatever is running without asking it first. Only sets flags, so a signal handler may call it."""
        self._local.kill()


def refuse_while_loading() -> None:
    """Refuse to tune while a trial's process imports the script that holds its function.

    Raises:
        UserError: It does.
    """
    if os.environ.get(child.LOADING):
        raise UserError(
            "the script tunes at its top level, and a trial's process has to import it to find its function",
            hint='Put the call of tune() under `if __name__ == "__main__":`.',
        )


def _pickled(function: TrialFunction) -> bytes:
    name = getattr(function, "__qualname__", None) or repr(function)
    try:
        pickled = pickle.dumps(function)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise UserError(f"{name} cannot run in a process of its own: {error}", hint=_MOVE) from error
    if _refers_to_main(pickled) and _main_file() is None and _main_name() is None:
        raise UserError(
            f"{name} is defined in a notebook or an interactive session, where another process cannot find it",
            hint=_MOVE,
        )
    return pickled


def _refers_to_main(pickled: bytes) -> bool:
    """Whether something in it has to be looked up in the script that is run."""
    names = (argument for _, argument, _ in pickletools.genops(pickled) if isinstance(argument, str))
    return any(name.split(" ")[0] == "__main__" for name in names)


def _prepare(*, main: bool) -> dict[str, Any]:
    """What the child needs to import what this process can, as `multiprocessing.spawn.prepare` takes it."""
    folder = str(Path.cwd())
    found: dict[str, Any] = {
        "sys_path": [folder if p == "" else p for p in sys.path],
        "sys_argv": sys.argv,
        "dir": folder,
    }
    if main and (name := _main_name()) is not None:
        found["init_main_from_name"] = name
    elif main and (file := _main_file()) is not None:
        found["init_main_from_path"] = file
    return found


def _main_name() -> str | None:
    """The name of the main module when it was started with `python -m`."""
    return getattr(getattr(sys.modules["__main__"], "__spec__", None), "name", None)


def _main_file() -> str | None:
    file = getattr(sys.modules["__main__"], "__file__", None)
    return str(Path(file).absolute()) if file and Path(file).is_file() else None
