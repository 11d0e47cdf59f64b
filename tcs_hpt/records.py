"""What happened: trials, their epochs, who proposed them, what the models said, and how they failed.

Records are values. They are written once, compared by value, and hold no clock and no handle to anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

from tcs_hpt.spec import Config, Frozen, Objective, Scalar

Metrics: TypeAlias = dict[str, float | None]
"""Metric values by name; None stands for a number that was not finite."""

TrialState: TypeAlias = Literal["running", "finished", "failed", "interrupted"]

FailureKind: TypeAlias = Literal[
    "invalid", "crashed", "out_of_memory", "timeout", "diverged", "no_metric", "interrupted"
]
"""`invalid`: the script refused its parameters. `diverged`: the objective is not finite.
`no_metric`: the script ended well but never reported the objective. `interrupted`: a person or the engine ended it."""

FAILURE_WORDS: dict[FailureKind, str] = {
    "invalid": "was refused by the script",
    "crashed": "crashed",
    "out_of_memory": "ran out of memory",
    "timeout": "timed out",
    "diverged": "diverged",
    "no_metric": "reported no metric",
    "interrupted": "was interrupted",
}
"""What a trial did, as the verb of a sentence."""

Source: TypeAlias = str
"""Who chose a configuration: `start`, `agents`, `expert`, `coin`, `random`, ..., `promotion`."""

PROMOTION: Source = "promotion"
"""Nobody: a configuration that was tried goes on with more epochs."""

Role: TypeAlias = Literal["bootstrap", "analysis", "optimizer", "cold_start"]

Outcome: TypeAlias = Literal["improves", "about the same", "worsens"]
OUTCOMES: tuple[Outcome, ...] = ("improves", "about the same", "worsens")

Size: TypeAlias = Literal["large", "small"]
SIZES: tuple[Size, ...] = ("large", "small")

Impact: TypeAlias = Literal["high", "medium", "low"]


class EpochRecord(Frozen):
    """One line of `metrics.jsonl`."""

    epoch: int
    metrics: Metrics
    non_finite: tuple[str, ...] = ()
    """Names whose value was NaN, infinite or null."""


class Failure(Frozen):
    """Why a trial has no score."""

    kind: FailureKind
    message: str
    """One sentence for people and models."""
    stderr: str = ""
    """The last lines of the script's standard error."""
    origin: Literal["", "engine", "person", "outside"] = ""
    """Who ended an interrupted trial: the engine died, a person pressed Ctrl-C, or something else killed the script."""


class Message(Frozen):
    """One message of a prompt."""

    role: Literal["system", "user", "assistant"]
    content: str


class ModelCall(Frozen):
    """One request to a language model and what came of it."""

    role: Role
    model: str
    template: str
    """Names of the templates, e.g. `analysis.v1`."""
    template_sha256: str
    messages: tuple[Message, ...]
    reply: str
    thoughts: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    memory_mb: float | None = None
    """That the model held when it answered, on its GPU and off it [MiB]; None where its backend cannot know."""
    seed: int = 0
    temperature: float = 0.0
    attempt: int = 1
    """1 for the first try, 2 for the repair round."""
    problems: tuple[str, ...] = ()
    """What was wrong with the reply; empty when it was used."""


class Analysis(Frozen):
    """The Analysis Agent's six-part answer."""

    problem_diagnosis: str
    impact_assessment: Mapping[str, Impact]
    """Theoretical influence on the metric, by parameter."""
    primary_action: str
    """The one parameter to modify."""
    specific_recommendation: str
    """The change itself, e.g. `lr: 0.01 -> 0.003`."""
    reasoning: str
    expected_outcome: Outcome | None
    """What the change will do against its base; None before the first trial."""
    expected_size: Size | None = None
    """How much it will move the metric: `large` from `LARGE` of its size on; None where nobody was asked."""
    by: Source = "agents"
    """`agents`; for a failed analysis `diagnosis` when the deterministic diagnosis stood in, else `nobody`."""
    failure: str = ""
    """Why the agent's own analysis could not be used; empty when it could."""
    note: str = ""
    """What did not fit together in the answer, e.g. an action on another parameter than the recommendation."""

    @classmethod
    def missing(cls, failure: str, reasoning: str = "") -> Analysis:
        """What stands where an agent's own analysis could not be used and nobody's takes its place."""
        return cls(
            problem_diagnosis="unknown",
            impact_assessment={},
            primary_action="",
            specific_recommendation="",
            reasoning=reasoning,
            expected_outcome=None,
            by="nobody",
            failure=failure,
        )


class Decision(Frozen):
    """What the guard said of a proposed configuration."""

    accepted: bool
    reasons: tuple[str, ...] = ()
    """Every rule that was broken; empty when accepted."""


class Rejected(Frozen):
    """An attempt that did not become a trial."""

    attempt: int
    config: Mapping[str, object]
    """What was proposed, as far as it could be read; it may hold anything."""
    reasons: tuple[str, ...]


class Proposal(Frozen):
    """A configuration to try, and how it came about."""

    config: Config
    source: Source
    reason: str = ""
    """Why, in the proposer's own words."""
    base_trial: int | None = None
    """Number of the trial that the change is measured against; None for a start."""
    change: str = ""
    """The one change against the base, e.g. `lr: 0.01 -> 0.003`; empty for a start."""
    options: tuple[str, ...] = ()
    """The changes that were on offer, in the order of their rank."""
    analysis: Analysis | None = None
    deviation: str = ""
    """How the optimizer departed from the analysis; empty when it followed."""
    fallback: str = ""
    """Why somebody else acted in place of the method's own proposer; empty when nobody did."""
    calls: tuple[ModelCall, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    decision: Decision = Decision(accepted=True)
    report: str = ""
    """The text of the state report that the proposer saw; empty when it saw none."""
    seconds: float = 0.0
    """Wall-clock time it took to propose."""
    cpu_seconds: float | None = None
    """Processor time of the engine's process meanwhile, with all that its other threads did; None in records before it was counted."""
    gpu_seconds: float = 0.0
    """Time in which GPUs computed meanwhile, added up over them; 0 where nobody counted."""
    gpu_joules: float | None = None
    """By their own energy counters."""


class Usage(Frozen):
    """What a trial's process tree used."""

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_memory_mb: float = 0.0
    gpu_seconds: float = 0.0
    """Time in which the trial's GPUs computed, added up over them; 0 where nobody counted."""
    gpu_memory_mb: float = 0.0
    """Largest rise of their used memory [MiB]."""
    gpu_joules: float | None = None
    """By their own energy counters."""
    exit_code: int | None = None


class Artifact(Frozen):
    """A file that a training script kept, e.g. a checkpoint."""

    path: str
    """Relative to the trial's `artifacts` folder."""
    bytes: int
    kept: bool = True
    """False once it was deleted by the study's policy."""


class Trial(Frozen):
    """One run of the training script."""

    number: int
    """1, 2, 3, ... in the order in which the trials were started."""
    config: Config
    state: TrialState
    proposal: Proposal
    value: float | None = None
    """The objective; None unless finished."""
    metrics: Metrics = {}
    """Final metrics, the objective among them."""
    epochs: tuple[EpochRecord, ...] = ()
    failure: Failure | None = None
    usage: Usage = Usage()
    seed: int = 0
    """The training seed."""
    folder: str = ""
    started_at: str = ""
    """ISO 8601, UTC."""
    retry_of: int | None = None
    """Number of the interrupted trial whose configuration this one runs again."""
    artifacts: tuple[Artifact, ...] = ()
    """Files that the script left in its artifact folder."""
    replicate_of: int | None = None
    """Number of the trial that this one repeats on purpose."""
    stopped_early: str = ""
    """Why it was asked to stop before its last epoch; empty when it was not."""
    violations: tuple[str, ...] = ()
    """The objective's bounds that it breaks, in words with the value; empty when it keeps all."""
    fidelity: int | None = None
    """How many epochs it was given, where that is fewer than the study's full number; None for all of them."""
    promoted_from: int | None = None
    """Number of the trial whose configuration this one trains with more epochs."""

    @property
    def partial(self) -> bool:
        """Whether it was given fewer epochs than the full number. Its score compares only with others of the same fidelity."""
        return self.fidelity is not None

    @property
    def feasible(self) -> bool:
        """Whether it keeps the objective's bounds; one that broke them cannot be the best."""
        return not self.violations

    @property
    def consumes_budget(self) -> bool:
        """Interrupted trials are tried again and do not count."""
        return self.state != "interrupted"

    @property
    def shown_metrics(self) -> Metrics:
        """Final metrics without those that proposers may not see."""
        return {n: v for n, v in self.metrics.items() if not n.startswith("test_")}


def ordered(trials: Iterable[Trial]) -> list[Trial]:
    """Trials by number, interrupted ones left out."""
    return sorted((t for t in trials if t.consumes_budget), key=lambda t: t.number)


def finished(trials: Iterable[Trial]) -> list[Trial]:
    """Trials with a score, by number."""
    return [t for t in ordered(trials) if t.state == "finished" and t.value is not None]


def score(trial: Trial) -> float:
    """The objective of a finished trial.

    Raises:
        ValueError: The trial has none.
    """
    if trial.value is None:
        raise ValueError(f"trial {trial.number} has no score")
    return trial.value


def incumbent(trials: Iterable[Trial], objective: Objective) -> Trial | None:
    """The best finished trial that keeps the objective's bounds; ties keep the earlier.

    Trials that were given fewer epochs than the full number have no part in it.
    """
    best: Trial | None = None
    for trial in finished(trials):
        if not trial.feasible or trial.partial:
            continue
        if best is None or objective.better(score(trial), score(best)):
            best = trial
    return best


def bases(trials: Sequence[Trial], objective: Objective) -> list[Trial]:
    """Trials that a change may start from, best first.

    Finished trials by score (ties keep the earlier), those that break bounds after those that keep them, then failed ones from the first:
    without a score the start is the base, and the others are there so that no corner of a small space is out of reach.
    """
    sign = -1.0 if objective.direction == "maximize" else 1.0
    done = sorted(finished(trials), key=lambda t: (len(t.violations), sign * score(t), t.number))
    return done + [t for t in ordered(trials) if t.state == "failed"]


def promoted(trials: Iterable[Trial]) -> dict[int, Trial]:
    """By number of a trial, the one that went on from it with more epochs; the latest, if it was tried again."""
    return {t.promoted_from: t for t in ordered(trials) if t.promoted_from is not None}


def origin(trial: Trial, trials: Mapping[int, Trial]) -> Trial:
    """The trial in which a configuration was trained first, before it was given more epochs; mostly the trial itself."""
    while trial.promoted_from is not None and trial.promoted_from in trials:
        trial = trials[trial.promoted_from]
    return trial


def first_rung(trials: Iterable[Trial]) -> list[Trial]:
    """Each configuration as it was trained first: comparable with each other, since all had the same number of epochs.

    All trials of a study that knows no fewer epochs. Of one that does, those of the lowest rung, as if there were no other: this is
    what proposers and their evidence see.
    """
    return [
        t.model_copy(update={"fidelity": None}) if t.partial else t for t in trials if t.promoted_from is None
    ]


def last_tested(trials: Iterable[Trial], names: Iterable[str]) -> dict[str, Scalar]:
    """The newest value each parameter had in any trial."""
    newest: dict[str, Scalar] = {}
    wanted = set(names)
    for trial in ordered(trials):
        newest.update({n: v for n, v in trial.config.items() if n in wanted})
    return newest


def by_number(trials: Iterable[Trial]) -> dict[int, Trial]:
    """Trials under their numbers."""
    return {t.number: t for t in trials}


def effect(trial: Trial, trials: Mapping[int, Trial], objective: Objective) -> float | None:
    """Improvement of a finished trial over its base, in the metric's unit; None when there is nothing to compare."""
    base = trials.get(trial.proposal.base_trial) if trial.proposal.base_trial is not None else None
    if base is None or base.value is None or trial.value is None:
        return None
    return objective.gain(trial.value, base.value)


NEGLIGIBLE = 0.001
"""Differences below this share of the larger score count as none."""


def outcome(gain: float, *scores: float) -> Outcome:
    """An improvement in words: `gain` is measured against the size of the scores it came from."""
    if abs(gain) <= NEGLIGIBLE * max((abs(s) for s in scores), default=0.0):
        return "about the same"
    return "improves" if gain > 0 else "worsens"


LARGE = 0.02
"""Differences from this share of the larger score on are large."""


def measured_size(trial: Trial, trials: Mapping[int, Trial], objective: Objective) -> Size | None:
    """How much the trial's change moved the metric; None when one of the two has no score."""
    gain = effect(trial, trials, objective)
    if gain is None or trial.proposal.base_trial is None:
        return None
    scores = (score(trial), score(trials[trial.proposal.base_trial]))
    return "large" if abs(gain) >= LARGE * max(abs(s) for s in scores) else "small"


def measured_outcome(trial: Trial, trials: Mapping[int, Trial], objective: Objective) -> Outcome | None:
    """What the trial's change did against its base; None when one of the two has no score."""
    gain = effect(trial, trials, objective)
    if gain is None or trial.proposal.base_trial is None:
        return None
    return outcome(gain, score(trial), score(trials[trial.proposal.base_trial]))
