"""Report a training by LightGBM to the trial.

    from tcs_hpt.integrations.lightgbm import tcs_callback

    watch = tcs_callback(best="val_auc", direction="maximize")
    lightgbm.train(params, train, valid_sets=[train, val], valid_names=["train", "val"], callbacks=[watch])
    watch.finish()

The last line ends the trial, which LightGBM lets no callback do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tcs_hpt.client import CurrentTrial
from tcs_hpt.integrations._reporting import Direction, Reporter, Reporting, missing, role_of

try:
    from lightgbm.callback import CallbackEnv, EarlyStopException
except ImportError as error:
    raise missing("lightgbm", error) from error

UNNAMED = re.compile(r"valid_\d+")
"""What LightGBM calls a data set that nobody named."""


class TcsCallback(Reporting):
    """What `tcs_callback` makes. LightGBM calls it after each round."""

    def __init__(self, reporter: Reporter) -> None:
        # Of the object, not of the class: LightGBM looks into `__dict__` and would set its own order.
        self.order = 25
        """Before LightGBM's own early stopping (30), after whose end no other callback is called."""
        self.before_iteration = False
        self._reporter = reporter
        self._best_results: Sequence[Any] = ()

    def __call__(self, env: CallbackEnv) -> None:
        """Report the round, and end the training if asked to."""
        if env.iteration == env.begin_iteration:
            self._reporter.restart()
        results = [_unfolded(result) for result in env.evaluation_result_list or []]
        data_names = {result[0] for result in results}
        metrics: dict[str, Any] = {}
        for data, metric, value, _, *deviation in results:
            usual = f"{self._data_name(data, data_names, bool(deviation))}_{metric}"
            name = self._reporter.named(usual, f"{data}-{metric}")
            metrics[name] = value
            if deviation:
                metrics[f"{name}_std"] = deviation[0]
        before = self._reporter.best_epoch
        self._reporter.report(env.iteration + 1, metrics)
        best = self._reporter.best_epoch
        if best is None or best != before:
            self._best_results = results
        if self._reporter.should_stop():
            raise EarlyStopException((best or env.iteration + 1) - 1, list(self._best_results))

    def _data_name(self, data: str, data_names: set[str], folds: bool) -> str:
        if (mapped := self._reporter.mapped(data)) is not None:
            return mapped
        if (folds and data == "valid") or (UNNAMED.fullmatch(data) and data_names - {"training"} == {data}):
            return "val"
        return role_of(data) or data


def _unfolded(result: Sequence[Any]) -> tuple[Any, ...]:
    """A result as data set, metric, value, direction and perhaps deviation, also from LightGBM before 4.7.

    There the cross validation has one data set, `cv_agg`, and the real one in the name of the metric: `valid auc`.
    """
    data, metric, *rest = result
    if data == "cv_agg":
        data, _, metric = metric.partition(" ")
    return (data, metric, *rest)


def tcs_callback(
    trial: CurrentTrial | None = None,
    *,
    prefix: str = "",
    names: Mapping[str, str] | None = None,
    best: str | None = None,
    direction: Direction | None = None,
) -> TcsCallback:
    """A callback that reports each boosting round as an epoch, and ends the training when the engine asks for it.

    A metric is called after its data set: `auc` of `train` or `training` is `train_auc`, of `val`, `valid`, `validation` or
    `eval` it is `val_auc`, of `test` it is `test_auc`, which no proposer is shown. A data set with another name keeps it.
    Without `valid_names` LightGBM calls them `valid_0`, `valid_1`, ...: a single one beside `training` is `val`, of several
    only you know which is which: `names={"valid_0": "train", "valid_1": "val"}`. In `lightgbm.cv` the folds left out are `val`,
    and the deviation between folds is reported as `val_auc_std`.

    LightGBM does not tell callbacks that a training is over, so the script calls `finish()` on what this returns, which
    ends the trial with all metrics of the `best` round, without `best` of the last, perhaps with more: `finish(test_auc=...)`.
    When the engine ends a training, the booster's `best_iteration` is the round that was best by `best`, else the last.

    Args:
        trial: Where to report; `tcs_hpt.current_trial()` if not given.
        prefix: Put before every name, after `test_` where a name starts so.
        names: LightGBM's name of a data set -> `train`, `val`, ...; or of a metric, e.g. `valid_0-auc` -> the name to report.
        best: The reported name of the metric that says which round is the best.
        direction: Whether more of it is better.

    Raises:
        UserError: There is no trial; or, at the first round, no metric `best`.
        ValueError: Of `best` and `direction` only one is given.
    """
    return TcsCallback(Reporter(trial, prefix=prefix, names=names, best=best, direction=direction))
