from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset

from tcs_hpt.client import CurrentTrial
from tcs_hpt.errors import UserError
from tcs_hpt.integrations.lightning import TcsCallback

Lines = Callable[[], list[dict[str, Any]]]
Result = Callable[[], dict[str, Any] | None]

pytestmark = [
    # Lightning 2.6 asks torch 2.13 in a way that goes away.
    pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning"),
    # Lightning's own advice on more worker processes, and on what tiny data lets it log.
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*logging interval"),
]

torch.manual_seed(0)
X = torch.randn(24, 2)
Y = (X.sum(1) > 0).long()


def data(rows: slice) -> DataLoader[Any]:
    return DataLoader(TensorDataset(X[rows], Y[rows]), batch_size=4)


class Net(LightningModule):
    """Logs in every way there is: on step and epoch, in a validation, at the very end of an epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)

    def _loss(self, batch: Any) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(self.layer(batch[0]), batch[1])

    def training_step(self, batch: Any) -> torch.Tensor:
        loss = self._loss(batch)
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        return loss

    def on_train_epoch_end(self) -> None:
        self.log("at_end", float(self.current_epoch))

    def validation_step(self, batch: Any) -> None:
        self.log("val/loss", self._loss(batch))
        self.log("epoch_start", float(self.current_epoch))

    def test_step(self, batch: Any) -> None:
        self.log("test_loss", self._loss(batch))

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class TrainsOnly(Net):
    validation_step = LightningModule.validation_step  # type: ignore[assignment]  # as if it had none


def trainer(tmp_path: Path, *callbacks: Callback, **options: Any) -> Trainer:
    settings: dict[str, Any] = {
        "max_epochs": 3,
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "default_root_dir": tmp_path,
    }
    return Trainer(callbacks=list(callbacks), **(settings | options))


def fit(tmp_path: Path, *callbacks: Callback, ckpt_path: Path | None = None, **options: Any) -> Trainer:
    """16 rows in batches of 4: four steps an epoch."""
    training = trainer(tmp_path, *callbacks, **options)
    training.fit(Net(), data(slice(16)), data(slice(16, 24)), ckpt_path=ckpt_path)
    return training


def test_validations_are_epochs_and_the_best_ends_the_trial(
    trial: CurrentTrial, tmp_path: Path, lines: Lines, result: Result
) -> None:
    watch = TcsCallback(best="val_loss", direction="minimize")
    training = fit(tmp_path, watch)
    # The sanity check is not among them.
    assert [line["epoch"] for line in lines()] == [1, 2, 3]
    assert [set(line) for line in lines()] == [
        {"epoch", "train_loss", "val_loss", "at_end", "epoch_start"}
    ] * 3
    assert [line["at_end"] for line in lines()] == [0.0, 1.0, 2.0]  # that of the same epoch
    best = min(lines(), key=lambda line: line["val_loss"])
    assert watch.best_epoch == best.pop("epoch")
    assert result() == best
    training.test(training.lightning_module, data(slice(8)), verbose=False)
    training.validate(training.lightning_module, data(slice(8)), verbose=False)
    assert len(lines()) == 3
    watch.finish(test_loss=0.5)
    assert result() == {**best, "test_loss": 0.5}


def test_the_training_loss_is_that_of_the_epoch(trial: CurrentTrial, tmp_path: Path, lines: Lines) -> None:
    losses: list[float] = []

    class Watched(Callback):
        def on_train_batch_end(
            self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
        ) -> None:
            losses.append(outputs["loss"].item())

    fit(tmp_path, TcsCallback(), Watched())
    means = [sum(losses[i : i + 4]) / 4 for i in (0, 4, 8)]
    assert [line["train_loss"] for line in lines()] == pytest.approx(means)


class Engine(Callback):
    def __init__(self, trial: CurrentTrial, step: int) -> None:
        self.trial, self.step = trial, step

    def on_train_batch_start(self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.step:
            (self.trial.folder / "stop").touch()


def test_a_stop_file_ends_the_training(
    trial: CurrentTrial, tmp_path: Path, lines: Lines, result: Result
) -> None:
    training = fit(
        tmp_path, Engine(trial, 5), TcsCallback(best="val_loss", direction="minimize"), max_epochs=9
    )
    assert training.global_step == 6
    assert [line["epoch"] for line in lines()] == [1, 2]  # the second one was cut short
    assert result() is not None


def test_several_validations_in_an_epoch_are_counted(
    trial: CurrentTrial, tmp_path: Path, lines: Lines
) -> None:
    fit(tmp_path, TcsCallback(), val_check_interval=0.5, max_epochs=2)
    assert [line["epoch"] for line in lines()] == [1, 2, 3, 4]
    losses = [line["val_loss"] for line in lines()]
    assert len(set(losses)) == 4
    assert [line.get("at_end") for line in lines()] == [None, 0.0, 0.0, 1.0]


def test_epochs_without_a_validation_are_left_out(trial: CurrentTrial, tmp_path: Path, lines: Lines) -> None:
    fit(tmp_path, TcsCallback(), check_val_every_n_epoch=2, max_epochs=4)
    assert [line["epoch"] for line in lines()] == [2, 4]


@pytest.mark.filterwarnings("ignore:.*validation_step")
def test_without_validation_epochs_have_what_the_training_logs(
    trial: CurrentTrial, tmp_path: Path, lines: Lines, result: Result
) -> None:
    watch = TcsCallback(best="p_train_loss", direction="minimize", names={"at_end": "where"}, prefix="p_")
    trainer(tmp_path, watch).fit(TrainsOnly(), data(slice(16)))
    assert [set(line) for line in lines()] == [{"epoch", "p_train_loss", "p_where"}] * 3
    assert result() is not None


def test_a_checkpoint_remembers_the_best_epoch(
    trial: CurrentTrial, tmp_path: Path, lines: Lines, result: Result
) -> None:
    class Killed(Exception):
        pass

    class Kill(Callback):
        def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            if trainer.current_epoch == 1:
                trainer.save_checkpoint(tmp_path / "two.ckpt")
                raise Killed

    with pytest.raises(Killed):
        fit(tmp_path, TcsCallback(best="epoch_start", direction="minimize"), Kill())
    assert [line["epoch"] for line in lines()] == [1]
    resumed = TcsCallback(best="epoch_start", direction="minimize")
    fit(tmp_path, resumed, ckpt_path=tmp_path / "two.ckpt")
    # The second epoch was over, and in the checkpoint.
    assert [(line["epoch"], line["epoch_start"]) for line in lines()] == [(1, 0.0), (2, 1.0), (3, 2.0)]
    assert resumed.best_epoch == 1
    assert (result() or {})["epoch_start"] == 0.0


def test_no_such_metric(trial: CurrentTrial, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'val_acc', which epoch 1 does not have"):
        fit(tmp_path, TcsCallback(best="val_acc", direction="maximize"))


def test_by_hand_it_prints(by_hand: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit(tmp_path, TcsCallback(best="val_loss", direction="minimize"), max_epochs=1)
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("epoch   1  ")
    assert said[-1].startswith("finished   ")
