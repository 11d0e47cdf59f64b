"""Report a `transformers.Trainer` to the trial.

    from tcs_hpt.integrations.transformers import TcsCallback

    trainer = Trainer(..., callbacks=[TcsCallback(best="val_accuracy", direction="maximize")])
    trainer.train()

The example ends the trial by itself; the class says what else may.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tcs_hpt.client import CurrentTrial
from tcs_hpt.integrations._reporting import Direction, Reporter, Reporting, missing

try:
    import torch
    from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
except ImportError as error:
    raise missing("transformers", error) from error

SPEEDS = ("_runtime", "_samples_per_second", "_steps_per_second", "_model_preparation_time")
"""Ends of names that the Trainer adds to the metrics; how fast it was is no matter of the trial."""


class TcsCallback(TrainerCallback, Reporting):
    """Reports each evaluation, or each epoch where there is none, and ends the training when the engine asks for it.

    An epoch holds the metrics of the evaluation (`eval_loss` is reported as `val_loss`; several evaluation data sets at
    the same step make one epoch), `train_loss`, the mean since the last report, and `learning_rate`. The Trainer is made
    to log before each report so that the training loss is there. With `eval_strategy="steps"` epochs are the evaluations,
    numbered from 1. What is evaluated outside of `train()`, before it or for a test set, is not reported.

    With `best`, the trial is finished at the end of `train()` with all metrics of the best epoch; for more metrics, say
    on a test set, call `finish(test_accuracy=...)` after that. Without `best` the script calls `trial.finish`, or the
    last epoch counts. Set `load_best_model_at_end` and `metric_for_best_model` alike, so that the Trainer ends with the
    model that was reported.

    After a restart from a checkpoint the best epoch is sought among those since. Only the main process reports. Where
    several train, they stop together, at the end of an evaluation or epoch.

    Args:
        trial: Where to report; `tcs_hpt.current_trial()` if not given.
        prefix: Put before every name, after `test_` where a name starts so.
        names: The Trainer's name of a metric -> the name to report, e.g. `{"eval_f1": "val_f1"}`.
        best: The reported name of the metric that says which epoch is the best.
        direction: Whether more of it is better.

    Raises:
        UserError: There is no trial; or, at the first evaluation, no metric `best`.
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
        self._reporter = Reporter(trial, prefix=prefix, names=names, best=best, direction=direction)
        self._begin()

    def _begin(self) -> None:
        self._pending: dict[str, Any] = {}  # evaluated at `_step`, and not reported yet
        self._step = 0
        self._loss_sum, self._loss_steps, self._logged_at = 0.0, 0, 0
        self._learning_rate: float | None = None
        self._reports = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Start anew, or where a checkpoint ended."""
        self._begin()
        self._reporter.restart()
        self._logged_at = state.global_step
        if args.eval_strategy == "steps" and state.eval_steps:
            self._reports = int(state.global_step // state.eval_steps)

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Report the epoch before; by now all of it is there."""
        self._flush(args, state, epoch_over=True)

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Report what was evaluated; by now it is all there."""
        self._flush(args, state)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """Have the training loss logged before an evaluation; stop if asked to."""
        control.should_log = control.should_log or control.should_evaluate
        if args.world_size == 1:
            self._stop(args, control)
        return control

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> TrainerControl:
        """Have the training loss of the epoch logged; stop if asked to."""
        self._flush(args, state)  # evaluated at the epoch's last step
        control.should_log = True
        self._stop(args, control)
        return control

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Take the training loss, which is a mean since the last log, and the learning rate."""
        if not logs or "loss" not in logs:
            return
        steps = state.global_step - self._logged_at
        self._loss_sum += float(logs["loss"]) * steps
        self._loss_steps += steps
        self._logged_at = state.global_step
        self._learning_rate = logs.get("learning_rate", self._learning_rate)

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: Mapping[str, Any] | None = None,
        **_: Any,
    ) -> TrainerControl:
        """Take the metrics; with those of other data sets they become one epoch."""
        if state.global_step:  # not before the training
            if state.global_step != self._step:
                self._flush(args, state)
            self._pending.update(metrics or {})
            self._step = state.global_step
            self._stop(args, control)
        return control

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        """Report the last epoch, and end the trial if `best` says with what."""
        self._flush(args, state, epoch_over=True)
        if state.is_world_process_zero:
            self._reporter.finish_with_best()

    def _flush(self, args: TrainingArguments, state: TrainerState, *, epoch_over: bool = False) -> None:
        """Report what was evaluated; without evaluations, what an epoch that is over was trained with."""
        if not self._pending and not (epoch_over and self._loss_steps and args.eval_strategy == "no"):
            return
        name = self._reporter.named
        metrics: dict[str, Any] = {}
        if self._loss_steps:
            metrics[name("train_loss", "loss")] = self._loss_sum / self._loss_steps
        for own, value in self._pending.items():
            if own != "epoch" and not own.endswith(SPEEDS):
                metrics[name(_usual(own), own)] = value
        if self._learning_rate is not None:
            metrics[name("learning_rate", "learning_rate")] = self._learning_rate
        self._reports += 1
        by_steps = args.eval_strategy == "steps"
        epoch = self._reports if by_steps else math.ceil(round(state.epoch or 0, 6))  # a part counts as whole
        self._pending, self._loss_sum, self._loss_steps = {}, 0.0, 0
        if state.is_world_process_zero:
            self._reporter.report(epoch, metrics)

    def _stop(self, args: TrainingArguments, control: TrainerControl) -> None:
        if _any_process(self._reporter.should_stop(), args):
            control.should_training_stop = True


def _usual(own: str) -> str:
    return f"val_{own.removeprefix('eval_')}" if own.startswith("eval_") else own


def _any_process(wish: bool, args: TrainingArguments) -> bool:
    """Whether any process wishes it: one that leaves alone would let the others wait for it for ever."""
    if args.world_size == 1 or not torch.distributed.is_initialized():
        return wish
    wishes = torch.tensor([float(wish)], device=args.device)
    torch.distributed.all_reduce(wishes, op=torch.distributed.ReduceOp.MAX)
    return bool(wishes.item())
