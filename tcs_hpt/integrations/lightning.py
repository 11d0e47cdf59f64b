"""Report a Lightning `Trainer` to the trial.

    from tcs_hpt.integrations.lightning import TcsCallback

    trainer = Trainer(..., callbacks=[TcsCallback(best="val_acc", direction="maximize")])
    trainer.fit(model, data)

The example ends the trial by itself; the class says what else may.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tcs_hpt.client import CurrentTrial
from tcs_hpt.integrations._reporting import Direction, Reporter, Reporting, missing

try:
    from lightning.pytorch import Callback, LightningModule, Trainer
    from lightning.pytorch.trainer.states import TrainerFn
except ImportError as error:
    raise missing("lightning", error) from error


class TcsCallback(Callback, Reporting):
    """Reports each validation of `fit`, or each epoch where there is none, and ends the training when the engine asks for it.

    An epoch holds everything that the module logged by then, training metrics of the same epoch too: names as logged, with
    what a metric's name may not have replaced (`val/acc` is reported as `val_acc`). Of a metric that is logged on step and
    epoch, the epoch's value. It is reported once the next epoch begins or the training ends. The sanity check before a training,
    `validate` and `test` are not reported. With several validations in an epoch (`val_check_interval`) epochs are the validations,
    numbered from 1; epochs without a validation (`check_val_every_n_epoch`) are left out.

    With `best`, the trial is finished at the end of `fit` with all metrics of the best epoch; for more metrics, say on a
    test set, call `finish(test_acc=...)` after that. Without `best` the script calls `trial.finish`, or the last
    epoch counts. Lightning's `ModelCheckpoint(monitor=..., mode=...)` keeps the model of that epoch. What was best is part of
    Lightning's checkpoints, so that a resumed training knows it.

    Only the process of rank zero reports. A training on one device stops after the batch; several stop together, after a
    validation or an epoch. `min_epochs` and `min_steps` are kept, as by Lightning's own early stopping.

    Args:
        trial: Where to report; `tcs_hpt.current_trial()` if not given.
        prefix: Put before every name, after `test_` where a name starts so.
        names: The name that was logged -> the name to report, e.g. `{"val/acc": "val_accuracy"}`.
        best: The reported name of the metric that says which epoch is the best.
        direction: Whether more of it is better.

    Raises:
        UserError: There is no trial; or, at the first validation, no metric `best`.
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
        self._reports = 0
        self._epoch = 0
        self._validated: dict[str, float] = {}
        """Metrics of a validation that is not reported yet."""
        self._epoch_over = False

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Start anew."""
        if stage == "fit":
            self._reporter.restart()
            self._reports, self._validated, self._epoch_over = 0, {}, False

    def state_dict(self) -> dict[str, Any]:
        """What was best, for a checkpoint, and what a checkpoint at the end of an epoch finds not yet reported."""
        return {
            "reports": self._reports,
            "reporter": self._reporter.state(),
            "epoch": self._epoch,
            "validated": dict(self._validated),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._reports = state_dict["reports"]
        self._reporter.restore(state_dict["reporter"])
        self._epoch, self._validated = state_dict["epoch"], dict(state_dict["validated"])

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the epoch before: what the module logs at its very end is there only now."""
        self._flush(trainer)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop if asked to."""
        if trainer.world_size == 1:
            self._stop(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the metrics; those of the training are added at the end of the epoch."""
        if trainer.sanity_checking or trainer.state.fn != TrainerFn.FITTING:
            return
        self._flush(trainer)  # an earlier validation in the same epoch
        self._validated, self._epoch = _metrics(trainer), trainer.current_epoch + 1
        self._stop(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember that the epoch is over; stop if asked to."""
        self._epoch_over, self._epoch = True, trainer.current_epoch + 1
        self._stop(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Report the last epoch, and end the trial if `best` says with what."""
        self._flush(trainer)
        if trainer.is_global_zero:
            self._reporter.finish_with_best()

    def _flush(self, trainer: Trainer) -> None:
        validates = trainer.enable_validation
        if self._validated or (self._epoch_over and not validates):
            logged = {**self._validated, **(_metrics(trainer) if self._epoch_over else {})}
            self._reports += 1
            often = trainer.val_check_interval != 1.0 or trainer.check_val_every_n_epoch is None
            if trainer.is_global_zero:
                metrics = {self._reporter.named(own, own): value for own, value in logged.items()}
                self._reporter.report(self._reports if validates and often else self._epoch, metrics)
        self._validated, self._epoch_over = {}, False

    def _stop(self, trainer: Trainer) -> None:
        # Every process, or none: one that leaves alone would let the others wait for it for ever.
        stop = trainer.strategy.reduce_boolean_decision(self._reporter.should_stop(), all=False)
        trainer.should_stop = trainer.should_stop or stop


def _metrics(trainer: Trainer) -> dict[str, float]:
    """What was logged, each metric once."""
    found = {name: value.item() for name, value in trainer.callback_metrics.items()}
    twice = {f"{name}_{when}" for name in found for when in ("step", "epoch")}
    return {name: value for name, value in found.items() if name not in twice}
