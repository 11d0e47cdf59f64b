"""Who stands where a study has its proposer and its executor, in a process that needs neither."""

from __future__ import annotations

from collections.abc import Callable
from typing import Never

from tcs_hpt.execution import Job, RunResult
from tcs_hpt.proposers import ProposalContext
from tcs_hpt.records import EpochRecord


class Nobody:
    """Neither proposes nor trains."""

    def propose(self, context: ProposalContext) -> Never:
        """Not asked: the proposer is made first."""
        raise AssertionError("a study was asked before it was opened")

    def run(self, job: Job, on_epoch: Callable[[EpochRecord], None]) -> RunResult:
        """Not called: somebody else trains."""
        raise AssertionError("the trials of this study are trained elsewhere")

    def interrupt(self) -> None:
        """Nothing runs here."""

    def kill(self) -> None:
        """Nothing runs here."""
