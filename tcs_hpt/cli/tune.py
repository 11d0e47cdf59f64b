"""`tcs-hpt tune TASK`: one study."""

from __future__ import annotations

import re
import shlex
import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar, get_args

import typer
from rich.console import Console

from tcs_hpt.catalog import load_task
from tcs_hpt.cli._shared import explicit_url, open_model, write_report
from tcs_hpt.cli.options import (
    AnalysisModelOption,
    DataDirOption,
    ModelOption,
    OptimizerModelOption,
    ProfileOption,
    PullOption,
    PythonOption,
    StartOption,
    StoreOption,
    checked_start,
    existing_data_dir,
)
from tcs_hpt.errors import UserError
from tcs_hpt.events import StopReason, Watcher
from tcs_hpt.loop import Study, disk_use
from tcs_hpt.proposers import METHODS
from tcs_hpt.records import Trial, incumbent
from tcs_hpt.report.closing import print_summary
from tcs_hpt.report.json_lines import JsonView
from tcs_hpt.report.live import LiveView
from tcs_hpt.report.plain import PlainView
from tcs_hpt.spec import AnswerStyle, Keep, PruneRule
from tcs_hpt.store import Store
from tcs_hpt.tuning.launch import Launch, make_study, opened_models, study_spec

T = TypeVar("T")

_METHODS = "; ".join(f"{name}: {what}" for name, what in METHODS.items())


def tune(
    task: Annotated[str, typer.Argument(help="A built-in task, a folder, or a task.toml.")],
    method: Annotated[str, typer.Option(help=f"Who proposes. {_METHODS}.")] = "tcs",
    trials: Annotated[int, typer.Option(min=1, help="The study's total of trials.")] = 10,
    profile: ProfileOption = "",
    model: ModelOption = "auto",
    analysis_model: AnalysisModelOption = "",
    optimizer_model: OptimizerModelOption = "",
    pull: PullOption = False,
    start: StartOption = "defaults",
    seed: Annotated[int, typer.Option(min=0, help="Drives search, models and training.")] = 0,
    jobs: Annotated[
        int, typer.Option(min=1, help="Trials at the same time; one GPU each if there are several.")
    ] = 1,
    max_time: Annotated[
        str, typer.Option(metavar="TIME", help="Start no trial after 90s, 30m, 8h.", show_default=False)
    ] = "",
    stop_at_target: Annotated[
        bool, typer.Option("--stop-at-target", help="Stop when the target is reached.")
    ] = False,
    patience: Annotated[
        int | None,
        typer.Option(min=1, help="Stop after so many trials without a new best.", show_default=False),
    ] = None,
    stop_converged: Annotated[
        bool, typer.Option("--stop-converged", help="Stop when the best scores lie on a plateau.")
    ] = False,
    max_failures: Annotated[
        int, typer.Option(min=0, help="Stop after so many failures in a row; 0: never.")
    ] = 5,
    keep: Annotated[str, typer.Option(help="Whose artifacts are kept: best, all, none.")] = "best",
    name: Annotated[
        str, typer.Option(help="Name of the study; an existing one is continued.", show_default=False)
    ] = "",
    describe: Annotated[
        str, typer.Option(metavar="TEXT", help="Model, data and goal in your words.", show_default=False)
    ] = "",
    fix: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="Do not tune this one. May be repeated.", show_default=False),
    ] = None,
    only: Annotated[str, typer.Option(metavar="A,B", help="Tune these alone.", show_default=False)] = "",
    answers: Annotated[
        str, typer.Option(help="choice: from a list of changes; free: a strong model writes numbers.")
    ] = "choice",
    prune: Annotated[
        str,
        typer.Option(
            help="Ask trials that are not worth their time to stop: diagnosis (diverged, or hardly able to win), median, hyperband; none."
        ),
    ] = "none",
    fidelity: Annotated[
        str,
        typer.Option(
            metavar="EPOCHS",
            help="Fewer epochs first: the name of what counts them, epochs, epochs=27 or epochs=3..27. The best third of the configurations goes on with "
            "more, up to the full number, which alone decides.",
            show_default=False,
        ),
    ] = "",
    memory: Annotated[
        bool,
        typer.Option(
            "--memory/--no-memory", help="Let earlier studies in the same store offer their values."
        ),
    ] = True,
    data_dir: DataDirOption = None,
    python: PythonOption = "",
    store: StoreOption = "",
    as_json: Annotated[bool, typer.Option("--json", help="Every event as one line of JSON.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Nothing but the result, on one line.")] = False,
) -> None:
    """Tune a task: propose, train, learn, about ten times."""
    loaded = load_task(task)
    data = existing_data_dir(data_dir)
    launch = Launch(
        task=task,
        profile=profile,
        method=method,
        trials=trials,
        seed=seed,
        start=checked_start(start),
        model=model,
        analysis_model=analysis_model,
        optimizer_model=optimizer_model,
        jobs=jobs,
        max_seconds=_seconds(max_time),
        stop_at_target=stop_at_target,
        patience=patience,
        stop_converged=stop_converged,
        max_failures=max_failures,
        keep=_one_of("--keep", keep, get_args(Keep)),
        name=name,
        description=describe,
        fix=dict(_pair(item) for item in fix or ()),
        only=tuple(n.strip() for n in only.split(",") if n.strip()),
        answers=_one_of("--answers", answers, get_args(AnswerStyle)),
        prune=_one_of("--prune", prune, get_args(PruneRule)),
        fidelity=fidelity,
        memory=memory,
        data_dir="" if data is None else str(data),
        python=python,
        pull=pull,
    )
    with ExitStack() as stack:
        database = stack.enter_context(Store.open(store or None))
        spec = study_spec(launch, loaded, database)
        opening = partial(open_model, console=Console(stderr=True), pull=pull, jobs=jobs)
        models = opened_models(stack, launch, spec.name, database, opening)
        study = make_study(launch, spec, loaded, database, models)
        console = Console()
        stopped = _run(study, console, as_json=as_json, quiet=quiet)
        report = write_report(database, study.spec.name)
        _close(study, console, report, stopped, as_json=as_json, quiet=quiet)
        if stopped == "interrupted":
            raise typer.Exit(130)
        if incumbent(study.trials, spec.task.objective) is None:
            raise typer.Exit(1)


def _one_of(option: str, given: str, choices: tuple[T, ...]) -> T:
    """The choice that was typed."""
    for choice in choices:
        if choice == given:
            return choice
    raise UserError(
        f"{option} must be {' or '.join(map(str, choices))}, got {given!r}", hint="See tcs-hpt tune --help."
    )


def _seconds(text: str) -> float | None:
    """`90s`, `30m`, `8h`, `2d` or plain seconds; None for nothing."""
    if not text.strip():
        return None
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*", text)
    units = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
    seconds = float(found.group(1)) * units[found.group(2)] if found else 0.0
    if seconds <= 0:
        raise UserError(
            f"--max-time takes a time such as 90s, 30m or 8h, got {text!r}",
            hint="For example: --max-time 8h.",
        )
    return seconds


def _pair(item: str) -> tuple[str, str]:
    name, equals, value = item.partition("=")
    if not equals or not name.strip():
        raise UserError(f"--fix takes NAME=VALUE, got {item!r}", hint="For example: --fix lr=0.01.")
    return name.strip(), value.strip()


def _run(study: Study, console: Console, *, as_json: bool, quiet: bool) -> StopReason:
    earlier = study.trials
    watchers: list[Watcher] = []
    if as_json:
        watchers.append(JsonView(sys.stdout))
    if quiet or as_json:
        study.watchers = watchers
        return study.run()
    if not console.is_terminal:
        study.watchers = [PlainView(sys.stdout, earlier=earlier)]
        return study.run()
    with LiveView(console, earlier=earlier) as view:
        study.watchers = [view]
        return study.run()


def _close(
    study: Study, console: Console, report: Path, stopped: StopReason, *, as_json: bool, quiet: bool
) -> None:
    trials: list[Trial] = study.trials
    url = explicit_url(study.store)
    if as_json:
        return
    if quiet:
        best = incumbent(trials, study.spec.task.objective)
        metric = study.spec.task.objective.metric
        print(
            f"{metric} {best.value:.6g} (trial {best.number})"
            if best
            else "no trial has a score that counts",
            report,
        )
        return
    print_summary(
        console,
        study.spec,
        trials,
        task_ref=study.task_reference,
        report_path=report,
        store_url=url,
        disk_bytes=disk_use(study.folder),
    )
    if stopped == "interrupted":
        console.print()
        console.print("Interrupted. Continue with the same command and", end=" ")
        console.print(f"--name {shlex.quote(study.spec.name)}", markup=False, highlight=False)
