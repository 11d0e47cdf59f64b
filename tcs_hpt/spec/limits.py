"""When a trial is ended, and when a study."""

from __future__ import annotations

from pydantic import Field

from tcs_hpt.spec._base import Frozen


class Limits(Frozen):
    """What one trial may use."""

    trial_seconds: float | None = Field(default=None, gt=0)
    """Wall-clock seconds after which the trial is ended."""
    memory_mb: int | None = Field(default=None, gt=0)
    """Resident memory of the whole process tree, in MiB, above which the trial is ended."""


class StopRules(Frozen):
    """When a study ends before its trials are used up. Budgets: they may change when a study is continued."""

    seconds: float | None = Field(default=None, gt=0)
    """Time spent on thinking and training, over all runs of the study; no trial is started after it."""
    target: bool = False
    """Stop when the objective's target is reached."""
    patience: int | None = Field(default=None, ge=1)
    """Trials in a row without a new best."""
    converged: bool = False
    """Stop when the state report says that the study has converged."""
    failures: int = Field(default=5, ge=0)
    """Trials in a row that failed, so that a broken script does not burn the night; 0 for never."""
