"""What the API says of the service itself: what can be tuned, by whom, and with which models."""

from __future__ import annotations

from typing import Literal

from tcs_hpt.service.shapes import Number, ParameterShape, Shape, Text
from tcs_hpt.spec import Direction


class MethodShape(Shape):
    """Who can propose."""

    name: Text
    what: Text
    needs_model: bool


class Info(Shape):
    """What this service is."""

    version: Text
    store: Text
    """The database, without any password."""
    methods: list[MethodShape]
    """In the order to be shown; `tcs:no-surrogate` and other variants are known as well."""
    profiles: list[Text]
    """Sizes that some task has; each task names its own."""
    starts: list[Text]
    tasks_dirs: list[Text]
    """Names of the folders that further tasks come from."""
    auth: bool
    """Whether a token is needed."""


class Alive(Shape):
    """The process answers."""

    status: Literal["ok"]


class Ready(Shape):
    """The database answers."""

    status: Literal["ok"]
    workers: int
    """Heard of lately."""
    queued: int
    """Studies that wait for one."""
    running: int


class TaskShape(Shape):
    """What can be tuned."""

    name: Text
    title: Text
    description: Text
    metric: Text
    direction: Direction
    target: Number
    params: list[ParameterShape]
    profiles: list[Text]
    """Its sizes; built-in tasks run at `quick` unless told otherwise."""
    source: Literal["built-in", "folder"]
    missing_extra: Text
    """The extra of tcs-hpt that the task needs and that is not installed where the service runs; empty when none is."""
    install: Text
    """The command that installs it."""
    problem: Text
    """Why the task cannot be used; empty when it can."""


class TaskDetail(TaskShape):
    """What can be tuned, with its README."""

    readme: Text
    """Markdown; empty without one."""


class Tasks(Shape):
    """All tasks, by name."""

    items: list[TaskShape]


class ModelShape(Shape):
    """A language model."""

    name: Text
    """What `model` of a new study takes."""
    size_mb: int
    memory_mb: int | None
    """What it takes to answer, estimated; null where it is not known."""
    licence: Text
    where: Literal["embedded", "ollama"]
    present: bool | None
    """Whether it is here; null when no server could be asked."""
    parameters: Text
    description: Text


class AutoModel(Shape):
    """What `auto` stands for now."""

    name: Text | None
    """Null when there is none that could be used."""
    reason: Text


class Models(Shape):
    """The models that are known, and those of the Ollama server."""

    items: list[ModelShape]
    auto: AutoModel
