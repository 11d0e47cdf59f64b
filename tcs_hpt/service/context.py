"""What every endpoint works with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, TypeAlias

from fastapi import Depends, Path, Request

from tcs_hpt.service.desks import Desks
from tcs_hpt.service.pulse import Pulse
from tcs_hpt.service.settings import ServiceSettings
from tcs_hpt.service.shelf import Shelf
from tcs_hpt.service.task_folders import TaskFolders
from tcs_hpt.store import Store

MOST = 2**31 - 1
"""The largest number that every database stores."""


@dataclass(frozen=True)
class Service:
    """The parts of one web process."""

    settings: ServiceSettings
    store: Store
    shelf: Shelf
    folders: TaskFolders
    pulse: Pulse
    desks: Desks

    def now(self) -> float:
        """Seconds since 1970, UTC."""
        return self.settings.clock()


async def _service(request: Request) -> Service:  # not in a thread: it only looks
    service: Service = request.app.state.service
    return service


Here: TypeAlias = Annotated[Service, Depends(_service)]

StudyName: TypeAlias = Annotated[
    str,
    Path(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$",
        max_length=120,
        description="Name of the study.",
        examples=["gcn_cora-20261126-213000"],
    ),
]
TrialNumber: TypeAlias = Annotated[
    int, Path(ge=1, le=MOST, description="Number of the trial, from 1.", examples=[3])
]

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


def printable(text: str) -> str:
    """Text for a database, which refuses some control characters, each in its own way."""
    return _UNPRINTABLE.sub(" ", text)
