"""Suites that compare methods, study by study.

    schema = 1
    name = "table1"
    title = "..."
    methods = ["random", "tcs"]        # of every part that does not name its own; so are tasks and starts

    [sizes.quick]
    profile = "quick"
    takes = "about an hour on two cores"
    confirm = 3                        # fresh training seeds on which the winners are tried again; none if not given
    [[sizes.quick.parts]]
    tasks = ["gcn_cora"]
    seeds = 3

    [published]                        # figures that stand beside ours
    source = "..."
    [published.rows.gcn_cora]
    "Random" = "78.80 +- 0.81"

Each start of a suite is one comparison of the store, so a suite that was cut short goes on where it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any, Literal

from pydantic import Field, model_validator

from tcs_hpt.experiments.suites._base import Described, Size, size_of
from tcs_hpt.spec import Frozen, Start

INHERITED = ("tasks", "methods", "starts")
"""Fields of a part that a suite may give for all of its parts."""


class Part(Frozen):
    """Every one of these tasks with every one of these methods, from each start."""

    tasks: tuple[str, ...] = Field(min_length=1)
    methods: tuple[str, ...] = Field(min_length=1)
    starts: tuple[Start, ...] = Field(min_length=1)
    seeds: int = Field(ge=1)
    trials: int = Field(default=10, ge=1)

    @property
    def studies(self) -> int:
        """How many it has, over all starts."""
        return len(self.tasks) * len(self.methods) * len(self.starts) * self.seeds


class SuiteSize(Frozen):
    """A suite as it is run: for CI, for a laptop, or as in the paper."""

    profile: str
    """Of every task."""
    takes: str
    """How long, and where; for a person."""
    model: str = "auto"
    """Who answers, unless the user names a model."""
    confirm: int = Field(default=0, ge=0)
    """Fresh training seeds on which each method's winner and the start are tried again."""
    parts: tuple[Part, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _no_study_twice(self) -> SuiteSize:
        seen: set[tuple[str, str, str]] = set()
        for part in self.parts:
            for study in product(part.tasks, part.methods, part.starts):
                if study in seen:
                    raise ValueError(f"{study[1]} on {study[0]} from start {study[2]} is in it twice")
                seen.add(study)
        return self

    @property
    def starts(self) -> tuple[Start, ...]:
        """All starts, in the order of their first part."""
        return tuple(dict.fromkeys(start for part in self.parts for start in part.starts))

    def has(self, start: str, seed: int) -> bool:
        """Whether a study of it has these; a store may hold others, of a version of the suite with more seeds."""
        return any(start in part.starts and seed < part.seeds for part in self.parts)

    @property
    def studies(self) -> int:
        """How many it has in all."""
        return sum(part.studies for part in self.parts)

    @property
    def amount(self) -> str:
        """How much it is."""
        return f"{self.studies} studies"


class Published(Frozen):
    """Figures that somebody else measured, to be shown beside ours and never mixed with them."""

    source: str
    rows: Mapping[str, Mapping[str, str]]
    """By task, and within it by method; in the unit of the suite."""

    @property
    def methods(self) -> tuple[str, ...]:
        """All methods, in the order of the first task."""
        return tuple(dict.fromkeys(name for row in self.rows.values() for name in row))


class Trajectories(Frozen):
    """Two parameters whose values are drawn as a way over circles around a known minimum."""

    x: str
    y: str
    minimum: tuple[float, float]


class Generations(Frozen):
    """The best score of each generation of a genetic algorithm, with a line through them."""

    base: str = ""
    """A metric of every trial that holds the untuned model's score, in the unit of the objective; empty for none."""


class Suite(Described):
    """A suite of comparisons."""

    kind: Literal["compare"] = "compare"
    control: str = ""
    """The method that the others are measured against; as `compare --against` takes it."""
    unit: str = ""
    """Of the scores in its summary, when those of all tasks have the same one; empty when they cannot be averaged."""
    times: float = 1.0
    """What scores are multiplied by to be in that unit."""
    sizes: Mapping[Size, SuiteSize]
    published: Published | None = None
    trajectories: Trajectories | None = None
    """Drawn for every start, when the tasks have these parameters."""
    generations: Generations | None = None
    """Told for every start, of the methods that breed."""

    @model_validator(mode="before")
    @classmethod
    def _inherit(cls, given: Any) -> Any:
        """Give every part what the suite says for all."""
        if not isinstance(given, dict) or not isinstance(given.get("sizes"), dict):
            return given
        common = {field: given[field] for field in INHERITED if field in given}
        sizes = {
            name: {
                **size,
                "parts": [{**common, **part} if isinstance(part, dict) else part for part in size["parts"]],
            }
            if isinstance(size, dict) and isinstance(size.get("parts"), list)
            else size
            for name, size in given["sizes"].items()
        }
        return {**{k: v for k, v in given.items() if k not in INHERITED}, "sizes": sizes}

    def size(self, name: str) -> SuiteSize:
        """One of its sizes.

        Raises:
            UserError: It has none of this name.
        """
        return size_of(self.name, self.sizes, name)

    def comparison(self, size: str, start: Start) -> str:
        """Name of the comparison in the store that holds one start of one size."""
        return f"{self.name}-{size}-{start}"
