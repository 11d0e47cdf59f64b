"""The process that runs one study of the queue: `python -m tcs_hpt.service.run_study STUDY`, started by a worker.

It reads an `Assignment` from standard input, so that the database's password is in no list of processes, and says how it
ended through the queue alone. It ends itself when its worker is gone.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from pydantic import ValidationError

from tcs_hpt.errors import ModelError, StoreError, TaskError, TcsHptError, UserError
from tcs_hpt.events import StopReason
from tcs_hpt.service.task_folders import TaskFolders
from tcs_hpt.spec import Frozen
from tcs_hpt.store import Store
from tcs_hpt.tuning.launch import Launch, make_study, opened_models, study_spec
from tcs_hpt.tuning.places import write_report

DATA_VARIABLE = "TCS_HPT_DATA_DIR"
_POLL_SECONDS = 0.5
_END_SECONDS = 20.0
"""Time from asking this process to end until it is hurried, when its worker is gone."""
_HURRY_SECONDS = 5.0


class Assignment(Frozen):
    """What a worker hands to the process of a study."""

    store: str
    """The database's complete URL."""
    study: str
    claim: str
    """The name under which the study was claimed."""
    parent: int
    """Number of the worker's process."""
    task_folders: tuple[Path, ...] = ()


def run_study(assignment: Assignment, store: Store) -> None:
    """Run a claimed study until it ends or is interrupted, and give the claim back.

    Does nothing when the claim is somebody else's by now. Ctrl-C gives it back as it is wanted; what keeps a study from being
    run at all (its task, its model, its settings) makes it `failed`, with a sentence for people.

    Raises:
        StoreError: The database cannot be used, or another engine took over a trial; the claim was not given back.
    """
    name, claim = assignment.study, assignment.claim
    try:
        entry = store.queue_entry(name)
        if entry is None or entry.worker != claim:
            return
        reason = _run(_launch(entry.launch), assignment, store)
    except KeyboardInterrupt:
        store.end_claim(name, claim, "queued")
    except (UserError, TaskError, ModelError) as error:
        print(f"error: {error}", file=sys.stderr)
        store.end_claim(name, claim, "failed", sentence(error))
    else:
        if reason == "interrupted":
            store.end_claim(name, claim, "queued")
        else:
            store.end_claim(name, claim, "ended", reason)
            write_report(store, name)


def sentence(error: TcsHptError) -> str:
    """An error for people who see no terminal: what is wrong, and what to do."""
    return f"{error.message.rstrip('.')}. {error.hint}".rstrip() if error.hint else error.message


def _launch(text: str) -> Launch:
    try:
        launch = Launch.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(
            f"how this study is started cannot be read: {'.'.join(map(str, first['loc']))}: {first['msg']}",
            hint="Another version of tcs-hpt entered it; let workers and web process have the same version.",
        ) from error
    data = launch.data_dir or os.environ.get(DATA_VARIABLE, "")
    return launch.model_copy(update={"data_dir": str(Path(data).absolute()) if data else ""})


def _run(launch: Launch, assignment: Assignment, store: Store) -> StopReason:
    loaded = TaskFolders(assignment.task_folders).load(launch.task)
    with ExitStack() as stack:
        spec = study_spec(launch, loaded, store)
        models = opened_models(stack, launch, spec.name, store)
        study = make_study(launch, spec, loaded, store, models)
        return study.run()


# -- the process --------------------------------------------------------------------------------------------


def end_with(parent: int, *, end: Callable[[], None], give_up: Callable[[], None]) -> None:
    """End this process when its parent is gone; in the background.

    Args:
        parent: Number of the process that started this one.
        end: Asks this process to end; called again when it takes too long.
        give_up: Ends it at once.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_POLL_SECONDS)
        print("the worker is gone; this process ends", file=sys.stderr, flush=True)
        end()
        time.sleep(_END_SECONDS)
        end()
        time.sleep(_HURRY_SECONDS)
        give_up()

    threading.Thread(target=watch, name="parent", daemon=True).start()


def main() -> int:
    """Entry point; the exit status is 0 when the claim was given back."""
    # Explicitly: whoever starts a worker in the background may have it ignore Ctrl-C, and this process would inherit that.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    assignment = Assignment.model_validate_json(sys.stdin.read())
    end_with(
        assignment.parent,
        end=lambda: os.kill(os.getpid(), signal.SIGINT),
        give_up=lambda: os._exit(1),
    )
    try:
        with Store.open(assignment.store) as store:
            run_study(assignment, store)
    except StoreError as error:  # the worker reads it, and starts this process once more
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
