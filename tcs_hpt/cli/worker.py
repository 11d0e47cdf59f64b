"""`tcs-hpt worker`: run what is in the queue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tcs_hpt.cli.options import StoreOption
from tcs_hpt.errors import UserError


def worker(
    store: StoreOption = "",
    slots: Annotated[int, typer.Option(min=1, help="Studies at the same time on each device.")] = 1,
    devices: Annotated[
        str,
        typer.Option(
            metavar="0,1|cpu",
            help="CUDA devices, or cpu. Default: the CUDA devices of this machine, else cpu.",
            show_default=False,
        ),
    ] = "",
    tasks_dir: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR", help="A folder whose subfolders are tasks. May be repeated.", show_default=False
        ),
    ] = None,
) -> None:
    """Run studies that were entered through the service, until Ctrl-C; `tcs-hpt serve` starts workers by itself."""
    from tcs_hpt.service.worker import WorkerSettings, run_worker, usual_devices

    run_worker(
        WorkerSettings(
            store=store,
            slots=slots,
            devices=_devices(devices) or usual_devices(),
            task_folders=tuple(folder.absolute() for folder in tasks_dir or ()),
        )
    )


def _devices(text: str) -> tuple[str, ...]:
    """What was typed, each once; empty when nothing was."""
    if not text.strip():
        return ()
    named = [part.strip() for part in text.split(",")]
    if not all(named) or len(set(named)) < len(named):
        raise UserError(
            f"--devices takes different devices with commas between them, got {text!r}",
            hint="For example: --devices 0,1, or --devices cpu.",
        )
    return tuple(named)
