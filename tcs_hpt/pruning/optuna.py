"""Rules `median` and `hyperband`: Optuna's pruners, fed with our records."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from tcs_hpt.pruning._base import planned_epochs
from tcs_hpt.records import EpochRecord, Trial, ordered
from tcs_hpt.spec import TaskSpec

if TYPE_CHECKING:
    import optuna

STARTUP_TRIALS = 3
"""Finished trials before the median rule judges; Optuna's 5 would be half of a usual study."""
_ALL = -1
REDUCTION = 3
"""Of Hyperband: one trial in three goes on at each rung."""


class OptunaPruner:
    """Ends a trial when one of Optuna's pruners would.

    `median` (`optuna.pruners.MedianPruner`): its best epoch so far is worse than the median of what finished trials had by then, judged from
    epoch 2 and the fourth trial on. `hyperband` (`HyperbandPruner`, reduction factor 3): successive halving over the epochs in
    several brackets. Both judge an objective that is reported every epoch; a trial without it is never ended.

    The pruner's study lives in memory and is built from the records when it is first needed, so that a resumed study goes on with what its
    earlier trials had. Trials that are trained at the same time are told to it in the order of their epochs.

    Args:
        rule: Which pruner.
        task: What is trained.
        seed: Of the study; Hyperband deals its brackets by the study's name, which holds it.
    """

    def __init__(self, rule: Literal["median", "hyperband"], task: TaskSpec, *, seed: int = 0) -> None:
        self._rule = rule
        self._task = task
        self._seed = seed
        self._study: optuna.Study | None = None
        self._trials: dict[int, optuna.Trial] = {}
        self._told: dict[int, int] = {}
        """Epochs of each trial that the study was told of; `_ALL` once it is over."""
        self._turn = threading.Lock()

    def look(self, trial: Trial, epochs: Sequence[EpochRecord], others: Sequence[Trial]) -> str:
        """See `Pruner.look`."""
        with self._turn:
            study = self._study or self._make(trial)
            for other in ordered(others):
                if other.number != trial.number and other.state != "running":
                    self._replay(study, other)
            if not self._tell(study, trial.number, epochs):
                return ""
            if not self._trials[trial.number].should_prune():
                return ""
        return _REASONS[self._rule].format(epoch=epochs[-1].epoch)

    def _make(self, trial: Trial) -> optuna.Study:
        import optuna

        logging.getLogger("optuna.storages").setLevel(logging.WARNING)  # "A new study created"
        pruner: optuna.pruners.BasePruner = (
            optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=2)
            if self._rule == "median"
            else optuna.pruners.HyperbandPruner(
                min_resource=1,
                max_resource=planned_epochs(trial.config, self._task.fixed) or "auto",
                reduction_factor=REDUCTION,
            )
        )
        self._study = optuna.create_study(
            study_name=f"{self._task.name}-{self._seed}",
            direction=self._task.objective.direction,
            pruner=pruner,
            sampler=optuna.samplers.RandomSampler(seed=self._seed),
        )
        return self._study

    def _replay(self, study: optuna.Study, trial: Trial) -> None:
        """Tell of a trial that is over, once."""
        import optuna

        if self._told.get(trial.number) == _ALL:
            return
        self._tell(study, trial.number, trial.epochs)
        known = self._known(study, trial.number)
        if trial.value is None:
            study.tell(known, state=optuna.trial.TrialState.FAIL)
        else:
            study.tell(known, trial.value)
        self._told[trial.number] = _ALL

    def _known(self, study: optuna.Study, number: int) -> optuna.Trial:
        if number not in self._trials:
            self._trials[number] = study.ask()
        return self._trials[number]

    def _tell(self, study: optuna.Study, number: int, epochs: Sequence[EpochRecord]) -> bool:
        """Report the epochs that are new; whether there were any. Rungs are climbed epoch by epoch, so each is judged."""
        metric = self._task.objective.metric
        new = [e for e in epochs[self._told.get(number, 0) :] if e.metrics.get(metric) is not None]
        self._told[number] = len(epochs)
        if not new:
            return False
        trial = self._known(study, number)
        for index, epoch in enumerate(new):
            value = epoch.metrics[metric]
            assert value is not None
            trial.report(value, epoch.epoch)
            if index < len(new) - 1:
                trial.should_prune()
        return True


_REASONS = {
    "median": "its best by epoch {epoch} is worse than the median of earlier trials at that epoch",
    "hyperband": "at epoch {epoch} it is not among the third of its bracket that goes on",
}
