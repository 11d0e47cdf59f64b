"""Who can propose, and what a proposer is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from tcs_hpt.events import Event
from tcs_hpt.evidence.blocks import Block
from tcs_hpt.evidence.candidates import CandidateList, candidates
from tcs_hpt.evidence.gather import Evidence, gather
from tcs_hpt.evidence.memory import Memory
from tcs_hpt.records import Proposal, Trial, ordered
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import Config, StudySpec, TaskSpec
from tcs_hpt.summary import StateReport, render, summarize


@dataclass(frozen=True)
class ProposalContext:
    """Everything a proposer may know when it is asked for one configuration."""

    study: StudySpec
    trials: Sequence[Trial]
    """All trials so far, running ones included."""
    number: int
    """Of the coming trial."""
    watch: Callable[[Event], None] = field(default=lambda event: None, compare=False)
    """Told what happens while a proposer thinks."""
    memory: Memory | None = field(default=None, compare=False)
    """What earlier studies have to say; None when they are not asked."""

    @property
    def task(self) -> TaskSpec:
        """The task, with profile and overrides applied."""
        return self.study.task

    @cached_property
    def space(self) -> SearchSpace:
        """The search space of the task."""
        return SearchSpace(self.task.params)

    @property
    def is_start(self) -> bool:
        """Whether nothing was tried yet, so that the study's start rule decides."""
        return not ordered(self.trials)

    @property
    def position(self) -> int:
        """Place in the budget, from 1: trials that count, and this one. What random numbers depend on.

        Interrupted trials have numbers but no place, so a study that was interrupted goes on as an unbroken one.
        """
        return len(ordered(self.trials)) + 1

    @cached_property
    def report(self) -> StateReport:
        """The state report of the trials so far."""
        return summarize(self.task, self.trials, total_trials=self.study.trials)

    @cached_property
    def report_text(self) -> str:
        """The state report in words, within the study's budget of tokens."""
        return render(self.report, max_tokens=self.study.report_tokens)

    @property
    def start(self) -> Config:
        """What is changed before any trial has ended: the first configuration that was tried, else the defaults."""
        first = ordered(self.trials)[:1]
        return first[0].config if first else self.space.defaults()

    @cached_property
    def candidates(self) -> CandidateList | None:
        """Untested single changes, best first; None when the space has none left."""
        return candidates(
            self.space, self.trials, self.task.objective, self.report.diagnosis, start=self.start
        )

    def evidence(self, blocks: frozenset[Block]) -> Evidence | None:
        """What the evidence blocks say about this trial; None when the space has no untested change left.

        Computed once, however often it is asked.
        """
        if blocks not in self._gathered:
            self._gathered[blocks] = gather(
                self.task,
                self.trials,
                self.report.diagnosis,
                blocks=blocks,
                start=self.start,
                text=self.study.description,
                memory=self.memory,
            )
        return self._gathered[blocks]

    @cached_property
    def _gathered(self) -> dict[frozenset[Block], Evidence | None]:
        return {}

    def random(self, purpose: int = 0) -> np.random.Generator:
        """Random numbers for this trial: the same in every run of the study, different for each purpose."""
        return np.random.default_rng([self.study.seed, self.position, purpose])


class Proposer(Protocol):
    """Chooses the next configuration.

    A proposer is a function of its context: it keeps no memory between calls that changes what it proposes, so that a
    resumed study goes on as an unbroken one would.
    """

    def propose(self, context: ProposalContext) -> Proposal | None:
        """The next configuration, checked by the guard; None when the space has nothing left to try."""
        ...
