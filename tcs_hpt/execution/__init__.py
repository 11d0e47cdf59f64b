"""Runs one trial and says how it ended. Knows nothing of models, agents or proposers."""

from __future__ import annotations

from tcs_hpt.execution._base import Executor, Job, RunResult
from tcs_hpt.execution.in_process import InProcessExecutor, TrialFunction
from tcs_hpt.execution.local import LocalExecutor, recover

__all__ = ["Executor", "InProcessExecutor", "Job", "LocalExecutor", "RunResult", "TrialFunction", "recover"]
