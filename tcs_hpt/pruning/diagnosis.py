"""Rule `diagnosis`: a trial that diverged, or that has next to no chance left of becoming the best, is ended."""

from __future__ import annotations

from collections.abc import Sequence

from tcs_hpt.evidence.curves import dominated
from tcs_hpt.pruning._base import planned_epochs
from tcs_hpt.records import EpochRecord, Trial, finished
from tcs_hpt.spec import TaskSpec
from tcs_hpt.trajectory import diagnose


class DiagnosisPruner:
    """Ends a trial by what its own curves say, and by an extrapolation of its score.

    A trial is ended when its curves blew up (`trajectory.diagnose`), or when `evidence.curves.dominated` gives it less than a 5 % chance of
    ever beating the best finished trial. The second needs to know how many epochs the trial will have: from a tuned or fixed
    parameter named after epochs, steps, rounds or trees. Without one, only divergence is judged.

    Args:
        task: What is trained.
    """

    def __init__(self, task: TaskSpec) -> None:
        self._task = task

    def look(self, trial: Trial, epochs: Sequence[EpochRecord], others: Sequence[Trial]) -> str:
        """See `Pruner.look`."""
        objective = self._task.objective
        so_far = trial.model_copy(update={"epochs": tuple(epochs)})
        if "diverged" in diagnose(so_far, objective).labels:
            return "its curves diverged"
        total = planned_epochs(trial.config, self._task.fixed)
        if total is None:
            return ""
        rivals = finished(t for t in others if t.number != trial.number)
        verdict = dominated(epochs, rivals, objective, total_epochs=total)
        return f"it can hardly become the best: {verdict.reason}" if verdict.dominated else ""
