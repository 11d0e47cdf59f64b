"""An answer, and the facts that answers are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from tcs_hpt.loop import as_proposers_see
from tcs_hpt.proposers import ProposalContext
from tcs_hpt.records import Trial, by_number, effect, finished, ordered
from tcs_hpt.report import words
from tcs_hpt.report.questions._understand import Kind
from tcs_hpt.report.tables import StudySummary, summarize_study
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import Objective, StudySpec


@dataclass(frozen=True)
class Answer:
    """What the records say."""

    kind: Kind
    """How the question was understood."""
    text: str
    """Sentences; `trial N` in them is a trial of the study."""
    trials: tuple[int, ...]
    """The trials that the answer rests on, by number."""
    suggestions: tuple[str, ...] = ()
    """Questions that could be asked next."""


class Facts:
    """A study's records, and what is computed of them at most once."""

    def __init__(self, study: StudySpec, trials: Sequence[Trial]) -> None:
        self.study = study
        self.trials = sorted(trials, key=lambda t: t.number)
        self.numbered = by_number(self.trials)
        self.counted = ordered(self.trials)
        self.finished = finished(self.trials)

    @property
    def objective(self) -> Objective:
        """What decides."""
        return self.study.task.objective

    @cached_property
    def space(self) -> SearchSpace:
        """The search space."""
        return SearchSpace(self.study.task.params)

    @cached_property
    def summary(self) -> StudySummary:
        """What the study amounts to."""
        return summarize_study(self.study, self.trials)

    @cached_property
    def context(self) -> ProposalContext:
        """What a proposer would be told now."""
        study, trials = as_proposers_see(self.study, self.trials)
        return ProposalContext(study, trials, len(self.trials) + 1)

    def effect(self, trial: Trial) -> float | None:
        """Improvement over its base; None when there is nothing to compare."""
        return effect(trial, self.numbered, self.objective)

    def scored(self, trial: Trial) -> str:
        """What became of a trial, as the end of a sentence: `reached val_accuracy 0.93`, `timed out after 3 epochs`."""
        if trial.failure is not None:
            return f"{trial.state}: {words.one_line(trial.failure.message, 200)}"
        if trial.value is None:
            return f"is {trial.state}"
        broken = f", which is not allowed ({'; '.join(trial.violations)})" if trial.violations else ""
        fewer = self.study.fidelity
        rung = f" with {fewer.parameter} {trial.fidelity}" if fewer is not None and trial.partial else ""
        return f"reached {self.objective.metric} {words.number(trial.value)}{rung}{broken}"

    def no_such_trials(self, numbers: Sequence[int]) -> str:
        """A sentence for trials that do not exist."""
        have = f"trials 1 to {self.trials[-1].number}" if len(self.trials) > 1 else "trial 1 alone"
        return f"There is no {words.numbers(numbers)} in this study, which has {have}."


def cited(*groups: Iterable[int]) -> tuple[int, ...]:
    """Trial numbers, each once, in order."""
    return tuple(sorted({number for group in groups for number in group}))


def sentences(*parts: str) -> str:
    """Parts that say something, as one text."""
    return " ".join(p for p in parts if p)


def closed(text: str) -> str:
    """A text that ends as a sentence does."""
    return text if text.endswith((".", "!", "?", "…")) else f"{text}."
