"""Options that several commands take, in one wording."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, cast, get_args

import typer

from tcs_hpt.errors import UserError
from tcs_hpt.spec import Start

StoreOption = Annotated[
    str,
    typer.Option(
        "--store",
        metavar="URL",
        help="Database: a URL or the path of a SQLite file. Default: a file in your data folder.",
        show_default=False,
    ),
]
ProfileOption = Annotated[
    str, typer.Option(help="A size of the task. Default: quick for built-in tasks.", show_default=False)
]
ModelOption = Annotated[
    str,
    typer.Option(help="The language model, e.g. ollama:qwen3:8b, openai:URL#NAME, embedded:smollm2-135m."),
]
AnalysisModelOption = Annotated[
    str, typer.Option(help="Another model for the Analysis Agent.", show_default=False)
]
OptimizerModelOption = Annotated[
    str, typer.Option(help="Another model for the Optimizer Agent.", show_default=False)
]
StartOption = Annotated[
    str,
    typer.Option(
        help="Trial 1: the task's defaults; knowledge: sensible values by name; cold: the method's own choice."
    ),
]
PullOption = Annotated[
    bool, typer.Option("--pull", help="Let the Ollama server fetch a model that it does not have.")
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(envvar="TCS_HPT_DATA_DIR", help="Where the task's data is.", show_default=False),
]


def _interpreter(given: str) -> str:
    from tcs_hpt.execution.interpreter import interpreter

    return interpreter(given)


PythonOption = Annotated[
    str,
    typer.Option(
        help="Interpreter of your environment, for {python}: a path, or conda:NAME.",
        show_default=False,
        callback=_interpreter,
    ),
]


def existing_data_dir(given: Path | None) -> Path | None:
    """The data folder as an absolute path.

    Raises:
        UserError: It is named and not there.
    """
    if given is not None and not given.is_dir():
        raise UserError(f"there is no data folder {given}", hint="Check --data-dir or TCS_HPT_DATA_DIR.")
    return given.resolve() if given else None


def checked_start(given: str) -> Start:
    """How a study starts, as typed.

    Raises:
        UserError: It is none of the ways.
    """
    if given not in get_args(Start):
        near = difflib.get_close_matches(given, get_args(Start), n=1)
        meant = f"Did you mean `{near[0]}`?" if near else "See --help."
        raise UserError(f"--start must be {', '.join(get_args(Start))}, got {given!r}", hint=meant)
    return cast(Start, given)


SlotsOption = Annotated[int, typer.Option(min=1, help="Studies at the same time on each device.")]
DevicesOption = Annotated[
    str,
    typer.Option(
        metavar="0,1|cpu",
        help="CUDA devices, or cpu. Default: the CUDA devices of this machine, else cpu.",
        show_default=False,
    ),
]
TasksDirOption = Annotated[
    list[Path] | None,
    typer.Option(
        metavar="DIR",
        help="A folder whose subfolders are tasks that may be run. May be repeated.",
        show_default=False,
    ),
]


def checked_devices(text: str) -> tuple[str, ...]:
    """What `--devices` names, each once; empty when it was left out.

    Raises:
        UserError: A name is empty, or stands there twice.
    """
    if not text.strip():
        return ()
    named = [part.strip() for part in text.split(",")]
    if not all(named) or len(set(named)) < len(named):
        raise UserError(
            f"--devices takes different devices with commas between them, got {text!r}",
            hint="For example: --devices 0,1, or --devices cpu.",
        )
    return tuple(named)
