"""How a study is started, as a value that can be kept: what `tcs-hpt tune` takes, and what the service's queue holds.

    launch -> study_spec -> opened_models -> make_study -> run

The command line and the service's workers take the same way. The service enters a study first (`enter_study`) and runs it
later, perhaps on another machine; its models are opened only then.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from tcs_hpt.catalog import LoadedTask, list_tasks, load_task
from tcs_hpt.errors import StoreError
from tcs_hpt.execution import Executor, LocalExecutor
from tcs_hpt.execution.gpu import Gpus
from tcs_hpt.execution.interpreter import interpreter
from tcs_hpt.llm import ChatModel
from tcs_hpt.llm.opening import open_model
from tcs_hpt.llm.scripted import ScriptedModel
from tcs_hpt.loop import Study, fewer_first, prepare
from tcs_hpt.proposers import make_proposer, needs_model
from tcs_hpt.spec import AnswerStyle, Frozen, Keep, PruneRule, Scalar, Start, StopRules, StudySpec
from tcs_hpt.store import QueueState, Store, WrongState
from tcs_hpt.tuning.models import Opening, model_names, open_models, wanted, with_models
from tcs_hpt.tuning.places import checked_name, free_name, study_folder


class Launch(Frozen):
    """Everything that starts a study. The fields are the options of `tcs-hpt tune`, with the same defaults."""

    task: str
    """As a person names it: a built-in task, a folder, ...; in the service's queue always a name."""
    profile: str = ""
    """A size of the task; empty for `quick` where a built-in task has it, else the bare manifest."""
    method: str = "tcs"
    trials: int = Field(default=10, ge=1)
    seed: int = Field(default=0, ge=0)
    start: Start = "defaults"
    model: str = "auto"
    analysis_model: str = ""
    """Another model for the Analysis Agent."""
    optimizer_model: str = ""
    """Another model for the Optimizer Agent."""
    jobs: int = Field(default=1, ge=1)
    """Trials at the same time."""
    max_seconds: float | None = Field(default=None, gt=0)
    stop_at_target: bool = False
    patience: int | None = Field(default=None, ge=1)
    stop_converged: bool = False
    max_failures: int = Field(default=5, ge=0)
    keep: Keep = "best"
    name: str = ""
    """Of the study; empty for one made of the task's name and the time."""
    description: str = ""
    fix: dict[str, Scalar] = {}
    """Values of parameters that are not tuned; texts are read as the parameter's type."""
    only: tuple[str, ...] = ()
    """The parameters that are tuned; empty for all."""
    fidelity: str = ""
    """Fewer epochs first, as `loop.fewer_first` reads it; empty for all epochs at once."""
    answers: AnswerStyle = "choice"
    prune: PruneRule = "none"
    memory: bool = True
    data_dir: str = ""
    """Where the task's data is; empty for where the task looks itself."""
    python: str = ""
    """Interpreter for `{python}`, a path or `conda:NAME` of the machine that runs it; empty for the running one."""
    pull: bool = False
    """Whether an Ollama server may fetch a model that it lacks."""


class Models(NamedTuple):
    """The open models of a study; none for methods that ask none."""

    analyst: ChatModel | None = None
    optimizer: ChatModel | None = None
    reason: str = ""
    """Why these."""


def study_spec(launch: Launch, loaded: LoadedTask, store: Store) -> StudySpec:
    """The study that is meant, without its models. Writes nothing.

    Args:
        launch: How it is started.
        loaded: Its task.
        store: Where it will be; for a name that is free.

    Raises:
        UserError: A name, a profile or a parameter cannot be.
    """
    size = launch.profile or (
        "quick" if launch.task in list_tasks() and "quick" in loaded.spec.profiles else None
    )
    task = loaded.spec.with_profile(size).narrowed(fix=launch.fix, only=launch.only)
    rungs = None
    if launch.fidelity:
        task, rungs = fewer_first(task, launch.fidelity)
    return StudySpec(
        name=checked_name(launch.name) if launch.name else free_name(loaded, store),
        task=task,
        profile=size,
        method=launch.method,
        trials=launch.trials,
        seed=launch.seed,
        start=launch.start,
        answers=launch.answers,
        description=launch.description,
        keep=launch.keep,
        prune=launch.prune,
        memory=launch.memory,
        fidelity=rungs,
        stop=StopRules(
            seconds=launch.max_seconds,
            target=launch.stop_at_target,
            patience=launch.patience,
            converged=launch.stop_converged,
            failures=launch.max_failures,
        ),
    )


def opened_models(
    stack: ExitStack, launch: Launch, study: str, store: Store, opening: Opening | None = None
) -> Models:
    """The models of a study, opened; a study that is continued goes on with its own where none is named.

    Args:
        stack: Closes them.
        launch: How it is started.
        study: Its name.
        store: Where it is, if it exists.
        opening: How to open one; None for without a word to anybody.

    Raises:
        ModelError: A model is not there.
    """
    if not needs_model(launch.method):
        return Models()
    if opening is None:
        opening = _quietly(launch)
    named = launch.analysis_model or launch.model, launch.optimizer_model or launch.model
    return Models(*open_models(stack, opening, *wanted(store, study, *named)))


def make_study(
    launch: Launch,
    spec: StudySpec,
    loaded: LoadedTask,
    store: Store,
    models: Models,
    *,
    executor: Executor | None = None,
) -> Study:
    """The study, ready to run; entered into the store if it is not there yet.

    Args:
        launch: How it is started.
        spec: What `study_spec` made of it.
        loaded: Its task.
        store: Where it is.
        models: What `opened_models` gave; they must stay open while it runs.
        executor: Who runs its trials; None for processes of this machine.

    Raises:
        UserError: There is no such method, or a study of this name was made differently.
    """
    if models.analyst is not None and models.optimizer is not None:
        spec = with_models(spec, models.analyst, models.optimizer)
    proposer = make_proposer(launch.method, analysis_model=models.analyst, optimizer_model=models.optimizer)
    spec = _prepared(spec, store)
    return Study(
        spec=spec,
        task_folder=loaded.folder,
        folder=study_folder(store, spec.name),
        store=store,
        proposer=proposer,
        executor=LocalExecutor() if executor is None else executor,
        jobs=launch.jobs,
        data_dir=Path(launch.data_dir) if launch.data_dir else None,
        python=interpreter(launch.python),
        model=model_names(spec),
        model_reason=models.reason,
        task_reference=task_reference(loaded, launch.task),
        gpus=Gpus() if executor is None else None,
    )


def enter_study(
    launch: Launch, loaded: LoadedTask, store: Store, *, now: float, state: QueueState = "queued"
) -> StudySpec:
    """Enter a study into the store and at the end of the queue; whoever claims it opens its models.

    A study that was entered and did not get into the queue, or that was made in a terminal with the same settings, gets there.

    Args:
        launch: How it is started; the queue keeps it with the study's final name.
        loaded: Its task.
        store: Where.
        now: Seconds since 1970, UTC.
        state: `queued`, or `external` for one whose trials are asked for and told over HTTP.

    Raises:
        WrongState: A study of this name is in the queue already.
        UserError: Something in it cannot be, or a study of this name was made differently.
    """
    nobody = ScriptedModel([])
    make_proposer(
        launch.method, analysis_model=nobody, optimizer_model=nobody
    )  # whether there is such a method
    spec = study_spec(launch, loaded, store)
    if store.has_study(spec.name):
        if store.queue_entry(spec.name) is not None:
            raise WrongState(
                f"there is already a study {spec.name!r} in the queue",
                hint="Choose another name, or resume that study.",
            )
        known = store.get_study(spec.name)
        models = {"analysis_model": known.analysis_model, "optimizer_model": known.optimizer_model}
        spec = spec.model_copy(update=models)
    spec = prepare(spec, store)
    final = launch.model_copy(update={"name": spec.name})
    store.enqueue(spec.name, final.model_dump_json(), now=now, state=state)
    return spec


def remove_study(store: Store, name: str) -> None:
    """Delete a study with its records and its folder.

    Raises:
        WrongState: Somebody runs it; nothing was deleted.
        StoreError: The records are gone, and the folder cannot be deleted.
    """
    folder = study_folder(store, name)
    store.delete_study(name)
    if not folder.exists():
        return
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise StoreError(
            f"study {name!r} was deleted, its folder {folder} was not: {error.strerror or error}",
            hint="Delete the folder by hand, so that a new study of this name finds an empty place.",
        ) from error


def task_reference(task: LoadedTask, given: str) -> str:
    """A task as a command line names it from anywhere: built-in ones by name, others by absolute path."""
    if given in list_tasks() and load_task(given).folder == task.folder:
        return given
    return str(task.folder)


def _prepared(spec: StudySpec, store: Store) -> StudySpec:
    """As `prepare`; a study that was entered before its models were opened is given them now."""
    if not spec.analysis_model or not store.has_study(spec.name):
        return prepare(spec, store)
    known = store.get_study(spec.name)
    if known.analysis_model or known.optimizer_model:
        return prepare(spec, store)
    prepare(spec.model_copy(update={"analysis_model": "", "optimizer_model": ""}), store)
    store.name_models(spec.name, spec.analysis_model, spec.optimizer_model)
    return spec


def _quietly(launch: Launch) -> Callable[[str], tuple[ChatModel, str]]:
    return lambda name: open_model(name, pull=launch.pull, jobs=launch.jobs)
