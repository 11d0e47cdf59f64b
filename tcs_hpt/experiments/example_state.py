"""A little study whose problem is known, and the parts that it is put together from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias

from tcs_hpt.proposers import ProposalContext
from tcs_hpt.records import EpochRecord, Failure, Proposal, Trial, bases, last_tested
from tcs_hpt.space import Change
from tcs_hpt.spec import Config, Scalar, StudySpec, TaskSpec
from tcs_hpt.trajectory import Label

Way: TypeAlias = Literal["right", "wrong", "open"]
"""Where a change goes: as the textbook says, the opposite of it, or somewhere that it says nothing about."""


@dataclass(frozen=True)
class ExampleState:
    """A study in the middle, with what a textbook says about it."""

    name: str
    title: str
    """What is wrong, in a few words."""
    task: TaskSpec
    trials: tuple[Trial, ...]
    problems: frozenset[Label]
    """Diagnoses that are right."""
    offers: tuple[tuple[str, Scalar], ...]
    """The changes on offer: parameter and new value."""
    moves: Mapping[str, int] = field(default_factory=dict)
    """Parameter -> +1 where raising it is the usual remedy, -1 where lowering it is; empty when there is none."""

    @cached_property
    def context(self) -> ProposalContext:
        """What a proposer is told in this state."""
        study = StudySpec(name=f"check-{self.name}", task=self.task)
        return ProposalContext(study, self.trials, len(self.trials) + 1)

    @cached_property
    def base(self) -> Trial:
        """The trial that the changes start from."""
        return bases(self.trials, self.task.objective)[0]

    @cached_property
    def changes(self) -> Mapping[str, Change]:
        """The changes on offer by their text, in the order of `offers`."""
        found = [Change(name, self.base.config[name], value) for name, value in self.offers]
        return {change.text: change for change in found}

    @cached_property
    def configs(self) -> Mapping[str, Config]:
        """The configuration that each change gives, by its text, in the order of `offers`."""
        newest = last_tested(self.trials, self.context.space.names)
        return {
            text: self.context.space.changed(self.base.config, c.parameter, c.new, newest)
            for text, c in self.changes.items()
        }

    def way(self, text: str) -> Way:
        """Where a change on offer goes."""
        change = self.changes[text]
        wanted = self.moves.get(change.parameter)
        if wanted is None or change.old is None:
            return "open"
        place = self.context.space.to_unit
        raised = place(change.parameter, change.new) > place(change.parameter, change.old)
        return "right" if raised == (wanted > 0) else "wrong"

    def coin(self, way: Way) -> float:
        """Share of the changes on offer that go this way: how often a coin would take one of them."""
        return sum(self.way(text) == way for text in self.changes) / len(self.changes)


# -- parts ---------------------------------------------------------------------------------------------


def make_task(
    name: str, title: str, description: str, metric: str, target: float, params: dict[str, Any]
) -> TaskSpec:
    """A task that maximizes one metric."""
    return TaskSpec.model_validate(
        {
            "schema": 1,
            "name": name,
            "title": title,
            "description": description,
            "command": ["{python}", "train.py"],
            "objective": {"metric": metric, "direction": "maximize", "target": target},
            "params": params,
        }
    )


def curves_of(every: int = 1, /, **metrics: Sequence[float | None]) -> tuple[EpochRecord, ...]:
    """One list per metric, reported every so many epochs; None is a number that was not finite."""
    rows = zip(*metrics.values(), strict=True)
    return tuple(
        EpochRecord(
            epoch=number * every,
            metrics=dict(zip(metrics, row, strict=True)),
            non_finite=tuple(n for n, v in zip(metrics, row, strict=True) if v is None),
        )
        for number, row in enumerate(rows, 1)
    )


def finished(
    number: int, config: Config, metric: str, value: float, curves: tuple[EpochRecord, ...], base: int | None
) -> Trial:
    """A trial with a score; `base` is the trial that it changed, None for the first one."""
    return Trial(
        number=number,
        config=config,
        state="finished",
        value=value,
        metrics={metric: value},
        epochs=curves,
        proposal=Proposal(config=config, source="agents" if base else "start", base_trial=base),
    )


def diverged(number: int, config: Config, curves: tuple[EpochRecord, ...], base: int | None) -> Trial:
    """A trial whose training loss blew up."""
    return Trial(
        number=number,
        config=config,
        state="failed",
        failure=Failure(kind="diverged", message="train_loss was not finite in epoch 3"),
        epochs=curves,
        proposal=Proposal(config=config, source="agents" if base else "start", base_trial=base),
    )


def float_(low: float, high: float, default: float, *, log: bool = False) -> dict[str, Any]:
    """A real parameter, as a manifest has it."""
    return {"type": "float", "low": low, "high": high, "log": log, "default": default}


def int_(low: int, high: int, default: int, *, log: bool = False) -> dict[str, Any]:
    """A whole parameter, as a manifest has it."""
    return {"type": "int", "low": low, "high": high, "log": log, "default": default}


def choice(default: Scalar, *choices: Scalar) -> dict[str, Any]:
    """A parameter with a few values, as a manifest has it."""
    return {"type": "categorical", "choices": list(choices), "default": default}
