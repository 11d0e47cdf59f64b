"""What the API says, as models: every answer and every body, with the words that OpenAPI shows for them.

Whatever goes in, what comes out is JSON that any reader takes: numbers that are not finite are null, and text that no file could
hold (a lone surrogate in what a script printed) is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict

from tcs_hpt.spec import Direction


def plain(value: object) -> Any:
    """`value` in JSON's own types; what is none of them becomes its `repr`."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, float):
        return finite(value)
    if value is None or isinstance(value, int):
        return value
    if isinstance(value, Mapping):
        return {plain(str(k)): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    return plain(repr(value))


def finite(value: float | None) -> float | None:
    """`value`; None where it is none that JSON can write."""
    return value if value is not None and math.isfinite(value) else None


Text: TypeAlias = Annotated[str, BeforeValidator(plain)]
Number: TypeAlias = Annotated[float | None, BeforeValidator(plain)]
"""A measured value; null where it was not finite."""
Anything: TypeAlias = Annotated[Any, BeforeValidator(plain)]
Value: TypeAlias = Annotated[bool | int | float | str | None, BeforeValidator(plain)]
"""The value of a parameter."""


class Shape(BaseModel):
    """Base of everything that goes over the wire."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


State: TypeAlias = Literal["queued", "running", "paused", "stopped", "finished", "failed", "external", "idle"]
Action: TypeAlias = Literal["pause", "resume", "stop", "delete"]


class ParameterShape(Shape):
    """A hyperparameter and what it may be."""

    name: Text
    type: Literal["float", "int", "categorical"]
    low: Value = None
    """The lowest value of a number."""
    high: Value = None
    log: bool = False
    """Searched on the logarithmic scale."""
    step: Value = None
    """Distance between allowed values, counted from `low`."""
    choices: list[Value] | None = None
    """The values of a categorical parameter."""
    default: Value = None
    when: dict[str, list[Value]] = {}
    """Active only while each named parameter has one of the listed values; empty means always."""
    description: Text = ""


# -- studies ------------------------------------------------------------------------------------------------


class StudySummary(Shape):
    """One study, as a line of a list."""

    name: Text
    task: Text
    title: Text
    """The task's title; its name where it has none."""
    method: Text
    model: Text
    """The language model; empty for methods without one, and until one was chosen."""
    state: State
    """`idle`: made in a terminal, and nobody runs it through the service. `external`: somebody else trains, by ask and tell."""
    metric: Text
    direction: Direction
    target: Number
    """The value that would satisfy whoever made the task."""
    best: Number
    """The best score so far; null before the first."""
    best_trial: int | None
    trend: list[Number]
    """The best score so far after each scored trial; of many trials some, evenly, the last among them."""
    trials_done: int
    """Trials that consumed budget and have ended."""
    trials_total: int
    """The budget."""
    failures: int
    """Trials that ended without a score; interrupted ones do not count."""
    created_at: datetime
    updated_at: datetime
    """When something last happened in it."""
    message: Text
    """Why it ended or failed, in a sentence; may be empty."""


class Prediction(Shape):
    """How often the analysis foresaw what a change did."""

    right: int
    judged: int


class Seconds(Shape):
    """Wall-clock time, over all trials."""

    thinking: float
    training: float


class StudyDetail(StudySummary):
    """One study with everything but its trials."""

    start: Literal["defaults", "knowledge", "cold"]
    """What trial 1 is."""
    seed: int
    profile: Text | None
    description: Text
    params: list[ParameterShape]
    fixed: dict[str, Value]
    """What the script is given and is not tuned."""
    best_config: dict[str, Value] | None
    best_test: dict[str, Number] | None
    """The best trial's `test_` metrics, which no proposer sees; only once the study is over."""
    start_value: Number
    """The score of the first trial."""
    prediction: Prediction | None
    """Null until an expected outcome could be compared with what happened."""
    seconds: Seconds
    actions: list[Action]
    """What makes sense now."""
    external: bool
    """Whether its trials run somewhere else, by ask and tell; also while it is paused or stopped."""
    last_event: int
    """Sequence number of the newest event; 0 for none."""
    worker: Text
    """Who runs it; empty for nobody."""
    device: Text
    model_reason: Text
    """Why this model; empty for methods without one, and until one was chosen."""


class StudyPage(Shape):
    """Some studies, newest first."""

    items: list[StudySummary]
    next: Text | None
    """Ask for `?after=` this to go on; null at the end."""


class Progress(Shape):
    """All trials as columns, for a chart."""

    numbers: list[int]
    values: list[Number]
    """The score of each trial; null for one without."""
    best: list[Number]
    """The best score up to each trial."""
    states: list[Literal["running", "finished", "failed", "interrupted"]]
    params: dict[str, list[Value]]
    """The configurations, one column for each tuned parameter; null where it was not active."""


# -- events -------------------------------------------------------------------------------------------------


class EventShape(Shape):
    """Something that happened in a study."""

    seq: int
    """1, 2, 3, ... without gaps."""
    at: datetime
    kind: Literal[
        "study_started",
        "thinking",
        "analysed",
        "proposed",
        "trial_started",
        "epoch_reported",
        "stop_asked",
        "trial_ended",
        "study_ended",
    ]
    event: dict[str, Anything]
    """The event itself; its fields depend on the kind."""


class EventPage(Shape):
    """Some events, in order."""

    items: list[EventShape]
    next: int | None
    """Ask for `?after=` this to go on; null when there is nothing newer now."""


class StudyChange(Shape):
    """A study that changed."""

    study: Text
    summary: StudySummary | None
    """Null when it was deleted."""


# -- side by side -------------------------------------------------------------------------------------------


class ComparedStudy(Shape):
    """One study of several."""

    name: Text
    method: Text
    model: Text
    state: State
    best: Number
    best_trial: int | None
    mean: Number
    """Of the scores of all finished trials; null without one."""
    trials_done: int
    failures: int
    seconds: Seconds
    progress: Progress


class Comparison(Shape):
    """Studies of one task, side by side."""

    task: Text
    title: Text
    metric: Text
    direction: Direction
    target: Number
    studies: list[ComparedStudy]


# -- questions ----------------------------------------------------------------------------------------------


class AnswerShape(Shape):
    """What the records say."""

    answer: Text
    trials: list[int]
    """The trials that it rests on."""
    kind: Text
    """Which kind of question it was; `unknown` when nobody could tell."""
    suggestions: list[Text]
    """What could be asked next."""
