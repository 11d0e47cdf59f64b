"""What the API says of trials."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from tcs_hpt.service.shapes import Anything, Number, Shape, Text, Value


class FailureShape(Shape):
    """Why a trial has no score."""

    kind: Literal["invalid", "crashed", "out_of_memory", "timeout", "diverged", "no_metric", "interrupted"]
    message: Text


class TrialSummary(Shape):
    """One trial, as a line of a list."""

    number: int
    state: Literal["running", "finished", "failed", "interrupted"]
    value: Number
    config: dict[str, Value]
    source: Text
    """Who chose the configuration: `start`, `agents`, `expert`, `coin`, `random`, ..."""
    change: Text
    """The one change against the base, e.g. `lr: 0.01 -> 0.003`; empty for a start."""
    base_trial: int | None
    expected: Literal["improves", "about the same", "worsens"] | None
    """What the analysis expected of the change."""
    actual: Literal["improves", "about the same", "worsens"] | None
    """What the change did."""
    failure: FailureShape | None
    seconds: float
    """Wall-clock time of the training."""
    epochs: int
    """How many were reported."""
    stopped_early: Text
    """Why it was asked to stop before its last epoch; empty when it was not."""
    is_best: bool
    fidelity: int | None
    """How many epochs it was given, where that is fewer than the study's full number."""
    promoted_from: int | None
    """The trial whose configuration this one trains with more epochs."""


class TrialPage(Shape):
    """Some trials, by number."""

    items: list[TrialSummary]
    next: int | None
    """Ask for `?after=` this to go on; null at the end."""


class AnalysisShape(Shape):
    """The six-part answer of the Analysis Agent, or of who stood in."""

    problem_diagnosis: Text
    impact_assessment: dict[str, Text]
    """Influence on the metric, by parameter: high, medium, low."""
    primary_action: Text
    specific_recommendation: Text
    reasoning: Text
    expected_outcome: Literal["improves", "about the same", "worsens"] | None
    expected_size: Literal["large", "small"] | None
    by: Text
    failure: Text
    """Why the agent's own analysis could not be used; empty when it could."""
    note: Text


class GuardDecision(Shape):
    """What the guard said of the configuration."""

    accepted: bool
    reasons: list[Text]


class RejectedShape(Shape):
    """An attempt that did not become a trial."""

    attempt: int
    config: dict[str, Anything]
    reasons: list[Text]


class CurvePoint(Shape):
    """One epoch."""

    epoch: int
    metrics: dict[str, Number]


class UsageShape(Shape):
    """What the trial's processes used."""

    wall_seconds: float
    cpu_seconds: float
    peak_memory_mb: float
    gpu_seconds: float
    """Time in which its GPUs computed, added up over them; 0 where nobody counted."""
    gpu_memory_mb: float


class LogTail(Shape):
    """The end of what the script printed."""

    stdout: Text
    stderr: Text


class TrialStory(TrialSummary):
    """Everything about one trial, but the prompts."""

    report: Text
    """The state report that the proposer saw; empty when it saw none."""
    analysis: AnalysisShape | None
    options: list[Text]
    """The changes that were on offer, best first."""
    reason: Text
    deviation: Text
    """How the optimizer departed from the analysis; empty when it followed."""
    fallback: Text
    """Why somebody else acted in place of the method's own proposer; empty when nobody did."""
    decision: GuardDecision
    rejected: list[RejectedShape]
    metrics: dict[str, Number]
    """Final metrics. Those that begin with `test_` are there only for the best trial of a study that is over."""
    curve: list[CurvePoint]
    usage: UsageShape
    log_tail: LogTail | None
    """At most the last 4 kB of each; null when the trial's folder is not on this machine."""
    started_at: datetime | None
    thinking_seconds: float
    """Wall-clock time it took to choose the configuration."""
    calls: int
    """Requests to a language model."""


class CallMessage(Shape):
    """One message of a prompt."""

    role: Literal["system", "user", "assistant"]
    content: Text


class CallShape(Shape):
    """One request to a language model and what came of it."""

    role: Text
    model: Text
    template: Text
    messages: list[CallMessage]
    reply: Text
    thoughts: Text
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    seed: int
    temperature: float
    attempt: int
    problems: list[Text]
    """What was wrong with the reply; empty when it was used."""


class Calls(Shape):
    """All requests to a language model for one trial, in order."""

    items: list[CallShape]
