"""Report a training by XGBoost to the trial.

    from tcs_hpt.integrations.xgboost import TcsCallback

    watch = TcsCallback(best="val_logloss", direction="minimize")
    xgboost.train(params, train, rounds, evals=[(train, "train"), (val, "val")], callbacks=[watch])

The example ends the trial by itself; the class says what else may.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tcs_hpt.client import CurrentTrial
from tcs_hpt.integrations._reporting import Direction, Reporter, Reporting, missing, role_of

try:
    from xgboost import collective
    from xgboost.callback import TrainingCallback
except ImportError as error:
    raise missing("xgboost", error) from error


class TcsCallback(TrainingCallback, Reporting):
    """Reports each boosting round as an epoch, and ends the training when the engine asks for it.

    A metric is called after its data set: `logloss` of `train` is `train_logloss`, of `val`, `valid`, `validation` or
    `eval` it is `val_logloss`, of `test` it is `test_logloss`, which no proposer is shown. A data set with another name keeps
    it. Those of the scikit-learn interface are `validation_0`, `validation_1`, ...: a single one is `val`, of several only
    you know which is which: `names={"validation_0": "train", "validation_1": "val"}`. In `xgboost.cv` the folds left out, which
    it calls `test`, are `val`, and the deviation between folds is reported as `val_logloss_std`.

    With `best`, the trial is finished at the end of the training with all metrics of the best round; for more metrics, say
    on a test set, call `finish(test_logloss=...)` after that. Without `best` the script calls `trial.finish`, or the last
    round counts. The model that XGBoost returns has all rounds, unless its `EarlyStopping` has `save_best`;
    `best_epoch` is the number of rounds to predict with: `predict(data, iteration_range=(0, watch.best_epoch))`.

    Only the first of several workers reports; they stop together.

    Args:
        trial: Where to report; `tcs_hpt.current_trial()` if not given.
        prefix: Put before every name, after `test_` where a name starts so.
        names: XGBoost's name of a data set -> `train`, `val`, ...; or of a metric, e.g. `validation_0-auc` -> the name to report.
        best: The reported name of the metric that says which round is the best.
        direction: Whether more of it is better.

    Raises:
        UserError: There is no trial; or, at the first round, no metric `best`.
        ValueError: Of `best` and `direction` only one is given.
    """

    def __init__(
        self,
        trial: CurrentTrial | None = None,
        *,
        prefix: str = "",
        names: Mapping[str, str] | None = None,
        best: str | None = None,
        direction: Direction | None = None,
    ) -> None:
        super().__init__()
        self._reporter = Reporter(trial, prefix=prefix, names=names, best=best, direction=direction)

    def before_training(self, model: Any) -> Any:
        """Start anew."""
        self._reporter.restart()
        return model

    def after_iteration(self, model: Any, epoch: int, evals_log: TrainingCallback.EvalsLog) -> bool:
        """Report the round; True when the training shall end."""
        metrics: dict[str, float] = {}
        for data, by_metric in evals_log.items():
            for metric, history in by_metric.items():
                own, value = f"{data}-{metric}", history[-1]
                folds = isinstance(value, tuple)
                name = self._reporter.named(f"{self._data_name(data, evals_log, folds)}_{metric}", own)
                if isinstance(value, tuple):
                    metrics[name], metrics[f"{name}_std"] = value
                else:
                    metrics[name] = value
        workers = collective.get_world_size()
        if workers == 1 or collective.get_rank() == 0:
            self._reporter.report(epoch + 1, metrics)
        stop = self._reporter.should_stop()
        if workers > 1:  # one that leaves alone would let the others wait for it
            stop = bool(collective.allreduce(np.array([int(stop)]), collective.Op.MAX)[0])
        return stop

    def _data_name(self, data: str, evals_log: Mapping[str, object], folds: bool) -> str:
        if (mapped := self._reporter.mapped(data)) is not None:
            return mapped
        if (folds and data == "test") or list(evals_log) == [data] == ["validation_0"]:
            return "val"
        return role_of(data) or data

    def after_training(self, model: Any) -> Any:
        """End the trial if `best` says with what."""
        if collective.get_rank() == 0:
            self._reporter.finish_with_best()
        return model
