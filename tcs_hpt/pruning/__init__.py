"""Ending trials early: who looks at a trial's epochs while it trains and says that the rest is not worth its time.

The engine asks the script to stop (`trial.should_stop()`); a script that does not ask runs to its end. What a stopped trial had by
then is its score.
"""

from tcs_hpt.errors import UserError
from tcs_hpt.pruning._base import Pruner
from tcs_hpt.pruning.diagnosis import DiagnosisPruner
from tcs_hpt.pruning.optuna import OptunaPruner
from tcs_hpt.spec import PruneRule, StudySpec

__all__ = ["DiagnosisPruner", "OptunaPruner", "Pruner", "make_pruner", "require_prunable"]


def make_pruner(study: StudySpec) -> Pruner | None:
    """Who looks at the trials of a study; None when nobody shall."""
    rule: PruneRule = study.prune
    if rule == "none":
        return None
    if rule == "diagnosis":
        return DiagnosisPruner(study.task)
    return OptunaPruner(rule, study.task, seed=study.seed)


def require_prunable(study: StudySpec) -> None:
    """Check that the study's rule can judge its objective.

    Raises:
        UserError: Several metrics decide, and the rule is Optuna's, which knows one.
    """
    if study.task.objective.terms and study.prune in ("median", "hyperband"):
        raise UserError(
            f"the rule {study.prune!r} judges trials by one metric, and {', '.join(study.task.objective.deciding)} decide together here",
            hint="Use --prune diagnosis or none, or let one metric decide and make the others bounds.",
        )
