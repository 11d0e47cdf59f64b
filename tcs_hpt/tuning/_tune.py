"""`tune()`: a study of a Python function, by the same engine as `tcs-hpt tune`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from tcs_hpt.catalog import LoadedTask
from tcs_hpt.errors import ModelUnavailable, UserError
from tcs_hpt.events import StopReason, Watcher
from tcs_hpt.execution import Executor, InProcessExecutor, TrialFunction
from tcs_hpt.execution.gpu import Gpus
from tcs_hpt.execution.isolated import FUNCTION, IsolatedExecutor, refuse_while_loading
from tcs_hpt.llm import ChatModel
from tcs_hpt.llm.opening import open_model
from tcs_hpt.loop import Study, fewer_first, prepare
from tcs_hpt.proposers import make_proposer, needs_model
from tcs_hpt.spec import AnswerStyle, Direction, Keep, PruneRule, Start, StudySpec, TaskSpec
from tcs_hpt.store import Store
from tcs_hpt.tuning.models import download_progress, model_names, open_models, wanted, with_models
from tcs_hpt.tuning.places import checked_name, explicit_url, free_name, study_folder
from tcs_hpt.tuning.progress import watching
from tcs_hpt.tuning.result import StudyResult
from tcs_hpt.tuning.space import ParameterLike, checked, read_space


def tune(
    objective: TrialFunction,
    space: Mapping[str, ParameterLike],
    *,
    direction: Direction,
    metric: str = "score",
    trials: int = 10,
    method: str = "tcs",
    model: str | ChatModel = "auto",
    analysis_model: str | ChatModel | None = None,
    optimizer_model: str | ChatModel | None = None,
    pull: bool = False,
    description: str = "",
    name: str = "",
    seed: int = 0,
    start: Start = "defaults",
    jobs: int = 1,
    isolate: bool = False,
    trial_seconds: float | None = None,
    memory_mb: int | None = None,
    max_seconds: float | None = None,
    target: float | None = None,
    bounds: Mapping[str, tuple[float | None, float | None]] | None = None,
    stop_at_target: bool = False,
    patience: int | None = None,
    stop_converged: bool = False,
    max_failures: int = 5,
    answers: AnswerStyle = "choice",
    prune: PruneRule = "none",
    fidelity: str | None = None,
    memory: bool = True,
    keep: Keep = "best",
    store: Store | str | os.PathLike[str] | None = None,
    folder: str | os.PathLike[str] | None = None,
    data_dir: str | os.PathLike[str] | None = None,
    progress: bool = True,
    watchers: Sequence[Watcher] = (),
) -> StudyResult:
    """Tune the hyperparameters of a function: propose, train, learn, about ten times.

        def objective(params, trial):
            for epoch in range(1, 11):
                ...
                trial.report(epoch=epoch, train_loss=loss, val_accuracy=accuracy)
            return accuracy

        result = tcs_hpt.tune(
            objective,
            {"lr": tcs_hpt.Float(1e-5, 1e-1, log=True, default=1e-3), "optimizer": ["adam", "sgd"], "batch_size": 64},
            direction="maximize",
            metric="val_accuracy",
        )
        result.best_params

    An exception of the function is a record like any other, and the study goes on; `max_failures` in a row end it. Ctrl-C
    returns what there is. A study of the same `name` in the same store goes on where it was, also after a crash.

    Args:
        objective: `objective(params, trial)` trains, and returns the score, or final metrics by name with the score among them,
            or None after `trial.finish(...)`. `trial` is what `current_trial()` is in a script: `report`, `should_stop`, `seed`,
            `folder`, `artifact`, `refuse`. It runs in another thread of this process, or with `isolate` in another process.
        space: What is tuned, by name: `Float`, `Int`, `Categorical`; or a tuple of two numbers for a range, a list for choices. A
            single value is handed to the function and not tuned.
        direction: `"maximize"` or `"minimize"`.
        metric: Name of the score. Its epochs are those that `trial.report` calls by this name.
        trials: The total of the study.
        method: Who proposes, as for `tcs-hpt tune --method`. `tcs`, the default, asks a language model; `expert` needs none.
        model: `auto` or a name as for `--model`, or a model that is open already, which stays open.
        analysis_model: For the Analysis Agent alone.
        optimizer_model: For the Optimizer Agent alone.
        pull: Whether an Ollama server may fetch a model that it lacks.
        description: Model, data and goal in your words; travels into every prompt.
        name: Name of the study; made from the function's name and the time if not given.
        seed: Drives search and models, and is `trial.seed`.
        start: What trial 1 is: the `defaults` of the space, sensible values by name (`knowledge`), or `cold`.
        jobs: Trials at the same time; in this process, as threads.
        isolate: Run each trial in a fresh process: a crash ends that trial only, `trial_seconds` ends it wherever it is, and
            `memory_mb` holds. The function must be importable: of a module, or of a script that calls `tune()` under
            `if __name__ == "__main__":`.
        trial_seconds: Limit of one trial. Without `isolate` it takes effect at the next `trial.report`.
        memory_mb: Limit of one trial [MiB]; needs `isolate`.
        max_seconds: No trial is started after so many seconds of the study, over all its runs.
        target: The score that would satisfy you; the agents are told.
        bounds: What other metrics of a trial must keep to, by name, as lowest and highest value: `{"latency_ms": (None, 20)}`; a trial that
            breaks one cannot be the best. (Several metrics that decide by weights are one score that the function returns.)
        stop_at_target: Whether the study ends there.
        patience: Stop after so many trials without a new best.
        stop_converged: Stop when the best scores lie on a plateau.
        max_failures: Stop after so many failures in a row; 0 for never.
        answers: `choice`, from a list of changes; `free`: a strong model writes numbers.
        prune: Who asks a trial that is not worth its time to stop (`trial.should_stop()`): `diagnosis`, `median`, `hyperband`.
        fidelity: Name of the whole number that counts the epochs (`"epochs"`): configurations are trained with a ninth of them first, the
            best third again with more, up to the full number, which alone decides. The full number is its fixed value or its default;
            `"epochs=27"` and `"epochs=3..27"` name it, and the least. `trials` counts configurations. See `docs/decisions/0012`.
        memory: Whether earlier studies in the same store offer their values.
        keep: Whose artifacts are kept: `best`, `all`, `none`.
        store: A database, its URL, or the path of a SQLite file; the one that `tcs-hpt studies` shows if not given.
        folder: Where the trials' folders and the report go; beside the database if not given.
        data_dir: Handed to the function as `trial.data_dir`.
        progress: Whether to show what happens: a table in a notebook, else lines on standard error, or a live view with `isolate`.
        watchers: Called with every event of the study; must return quickly.

    Raises:
        UserError: An argument cannot be used; a study of this name was made differently; the function cannot be isolated.
        ModelError: No language model is there, or it fails at the first question. Nothing else acts in its place.
        StoreError: The database cannot be opened or written.
    """
    refuse_while_loading()
    if memory_mb is not None and not isolate:
        raise UserError(
            f"a function in this process cannot be held to a limit of {memory_mb} MiB",
            hint="Add `isolate=True`, which runs each trial in a process of its own, or leave out `memory_mb`.",
        )
    if jobs < 1:
        raise UserError(f"`jobs` must be at least 1, got {jobs}", hint="1 runs one trial after the other.")
    reference = function_name(objective)
    task = _task(
        reference,
        space,
        objective={
            "metric": metric,
            "direction": direction,
            "target": target,
            "bounds": [
                {"metric": name, "low": low, "high": high} for name, (low, high) in (bounds or {}).items()
            ],
        },
        limits={"trial_seconds": trial_seconds, "memory_mb": memory_mb},
    )
    rungs = None
    if fidelity is not None:
        task, rungs = fewer_first(task, fidelity)
    executor: Executor = IsolatedExecutor(objective) if isolate else InProcessExecutor(objective)
    with ExitStack() as stack:
        database = store if isinstance(store, Store) else stack.enter_context(_opened_store(store))
        loaded = LoadedTask(task, Path.cwd())
        spec = checked(
            StudySpec,
            {
                "name": checked_name(name) if name else free_name(loaded, database),
                "task": task,
                "method": method,
                "trials": trials,
                "seed": seed,
                "start": start,
                "answers": answers,
                "description": description,
                "keep": keep,
                "prune": prune,
                "fidelity": rungs,
                "memory": memory,
                "stop": {
                    "seconds": max_seconds,
                    "target": stop_at_target,
                    "patience": patience,
                    "converged": stop_converged,
                    "failures": max_failures,
                },
            },
        )
        analyst, optimizer, reason = None, None, ""
        if needs_model(method):
            named = (analysis_model or model, optimizer_model or model)
            analyst, optimizer, reason = _models(stack, database, spec.name, *named, pull=pull, jobs=jobs)
            spec = with_models(spec, analyst, optimizer)
        proposer = make_proposer(method, analysis_model=analyst, optimizer_model=optimizer)
        spec = prepare(spec, database)
        study = Study(
            spec=spec,
            task_folder=loaded.folder,
            folder=Path(folder).absolute() if folder is not None else study_folder(database, spec.name),
            store=database,
            proposer=proposer,
            executor=executor,
            jobs=jobs,
            devices=None if isolate else (),
            data_dir=Path(data_dir).absolute() if data_dir is not None else None,
            model=model_names(spec),
            model_reason=reason,
            task_reference=reference,
            gpus=Gpus(),
        )
        stopped = _watched(study, watchers, shown=progress, apart=isolate)
        return StudyResult(
            spec=spec,
            records=tuple(study.trials),
            stopped=stopped,
            folder=study.folder,
            function=reference,
            store_url=explicit_url(database),
        )


def function_name(function: object) -> str:
    """A function as `module.name`; one of the script that is run by the script's name. What the task is called as well."""
    while isinstance(function, partial):
        function = function.func
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    module = getattr(function, "__module__", None) or ""
    if module == "__main__":
        module = Path(getattr(sys.modules["__main__"], "__file__", None) or "").stem
    full = ".".join(part for part in (module.rpartition(".")[2], name.rpartition(".")[2]) if part)
    return re.sub(r"[^A-Za-z0-9_.-]", "", full).strip(".")[:64] or "function"


def _task(reference: str, space: Mapping[str, ParameterLike], **fields: Any) -> TaskSpec:
    params, fixed = read_space(space)
    own = {"schema": 1, "name": reference, "command": FUNCTION, "params": params, "fixed": fixed}
    return checked(TaskSpec, own | fields)


def _opened_store(store: str | os.PathLike[str] | None) -> Store:
    return Store.open(os.fspath(store) if store is not None else None)


def _models(
    stack: ExitStack,
    database: Store,
    study: str,
    analysis: str | ChatModel,
    optimizer: str | ChatModel,
    *,
    pull: bool,
    jobs: int,
) -> tuple[ChatModel, ChatModel, str]:
    """The models by name, opened and closed by the stack; those that were open stay so."""
    given = {model.name: model for model in (analysis, optimizer) if not isinstance(model, str)}
    names = [model if isinstance(model, str) else model.name for model in (analysis, optimizer)]

    def opening(name: str) -> tuple[ChatModel, str]:
        with download_progress(Console(stderr=True)) as update:
            return open_model(name, pull=pull, jobs=jobs, on_progress=update)

    try:
        return open_models(stack, opening, *wanted(database, study, names[0], names[1]), given=given)
    except ModelUnavailable as error:
        raise ModelUnavailable(
            error.message, hint=f'{error.hint} From Python, tune(..., method="expert") needs no model.'
        ) from error


def _watched(study: Study, watchers: Sequence[Watcher], *, shown: bool, apart: bool) -> StopReason:
    with watching(shown=shown, apart=apart, earlier=study.trials) as views:
        study.watchers = [*views, *watchers]
        try:
            return study.run()
        except KeyboardInterrupt:  # the second one: whatever still ran was killed, and its record is written
            return "interrupted"
