from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Trainer, TrainerCallback, TrainingArguments

from tcs_hpt.client import CurrentTrial
from tcs_hpt.errors import UserError
from tcs_hpt.integrations.transformers import TcsCallback

Lines = Callable[[], list[dict[str, Any]]]
Result = Callable[[], dict[str, Any] | None]

torch.manual_seed(0)
POINTS = torch.randn(32, 2)
ROWS: Any = [{"x": x, "labels": (x.sum() > 0).long()} for x in POINTS]


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 2)

    def forward(self, x: torch.Tensor, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        logits = self.layer(x)
        return {"loss": torch.nn.functional.cross_entropy(logits, labels), "logits": logits}


def trainer(tmp_path: Path, *callbacks: Any, evaluated: Any = ROWS[24:], **options: Any) -> Trainer:
    """24 rows in batches of 8: three steps an epoch."""
    settings: dict[str, Any] = {
        "num_train_epochs": 3,
        "per_device_train_batch_size": 8,
        "learning_rate": 0.1,
        "eval_strategy": "epoch",
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
        "dataloader_pin_memory": False,
        "log_level": "error",
    }
    return Trainer(
        model=Net(),
        args=TrainingArguments(output_dir=str(tmp_path / "out"), **(settings | options)),
        train_dataset=ROWS[:24],
        eval_dataset=evaluated,
        compute_metrics=lambda p: {"accuracy": np.mean(np.argmax(p.predictions, -1) == p.label_ids)},
        callbacks=list(callbacks),
    )


def test_evaluations_are_epochs_and_the_best_ends_the_trial(
    trial: CurrentTrial, tmp_path: Path, lines: Lines, result: Result
) -> None:
    watch = TcsCallback(best="val_loss", direction="minimize")
    training = trainer(tmp_path, watch)
    training.train()
    assert [line["epoch"] for line in lines()] == [1, 2, 3]
    assert [set(line) for line in lines()] == [
        {"epoch", "train_loss", "val_loss", "val_accuracy", "learning_rate"}
    ] * 3
    rates = [line["learning_rate"] for line in lines()]
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > rates[-1] > 0  # the schedule falls
    best = min(lines(), key=lambda line: line["val_loss"])
    assert watch.best_epoch == best.pop("epoch")
    assert result() == best
    training.evaluate(ROWS[:8], metric_key_prefix="test")
    assert len(lines()) == 3  # the training was over
    watch.finish(test_accuracy=0.5)
    assert result() == {**best, "test_accuracy": 0.5}


def test_the_training_loss_is_the_mean_of_the_epoch(
    trial: CurrentTrial, tmp_path: Path, lines: Lines
) -> None:
    losses: list[float] = []

    class Watched(Trainer):
        def training_step(self, *arguments: Any, **named: Any) -> torch.Tensor:
            loss = super().training_step(*arguments, **named)
            losses.append(loss.item())
            return loss

    plain = trainer(tmp_path, logging_steps=2)  # in the middle of an epoch, and across its end
    training = Watched(
        model=plain.model,
        args=plain.args,
        train_dataset=ROWS[:24],
        eval_dataset=ROWS[24:],
        callbacks=[TcsCallback()],
    )
    training.train()
    means = [sum(losses[i : i + 3]) / 3 for i in (0, 3, 6)]
    assert [line["train_loss"] for line in lines()] == pytest.approx(means, rel=1e-4)


def test_a_stop_file_ends_the_training(
    trial: CurrentTrial, tmp_path: Path, lines: Lines, result: Result
) -> None:
    class Engine(TrainerCallback):
        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == 3:
                (trial.folder / "stop").touch()

    training = trainer(
        tmp_path, TcsCallback(best="val_accuracy", direction="maximize"), Engine(), num_train_epochs=9
    )
    training.train()
    assert training.state.global_step == 4
    assert [line["epoch"] for line in lines()] == [1, 2]  # the second one was cut short, and evaluated
    assert result() is not None


def test_evaluating_by_steps_counts_evaluations(trial: CurrentTrial, tmp_path: Path, lines: Lines) -> None:
    trainer(tmp_path, TcsCallback(), eval_strategy="steps", eval_steps=2).train()
    # After steps 2, 4, 6, 8, and at the end of the training.
    assert [line["epoch"] for line in lines()] == [1, 2, 3, 4, 5]
    assert all({"train_loss", "val_loss"} <= set(line) for line in lines())


def test_without_evaluation_epochs_have_the_training_loss(
    trial: CurrentTrial, tmp_path: Path, lines: Lines, result: Result
) -> None:
    watch = TcsCallback(best="train_loss", direction="minimize")
    trainer(tmp_path, watch, eval_strategy="no", evaluated=None, max_steps=7).train()
    assert [line["epoch"] for line in lines()] == [1, 2, 3]
    assert all(set(line) == {"epoch", "train_loss", "learning_rate"} for line in lines())
    assert (result() or {})["train_loss"] == min(line["train_loss"] for line in lines())


def test_several_evaluation_data_sets_make_one_epoch(
    trial: CurrentTrial, tmp_path: Path, lines: Lines
) -> None:
    watch = TcsCallback(names={"eval_b_loss": "val_loss"}, prefix="p_")
    trainer(tmp_path, watch, evaluated={"a": ROWS[24:28], "b": ROWS[28:]}, num_train_epochs=2).train()
    assert [line["epoch"] for line in lines()] == [1, 2]
    assert set(lines()[0]) == {
        "epoch",
        "p_train_loss",
        "p_learning_rate",
        "p_val_a_loss",
        "p_val_a_accuracy",
        "p_val_loss",
        "p_val_b_accuracy",
    }


def test_going_on_from_a_checkpoint(trial: CurrentTrial, tmp_path: Path, lines: Lines) -> None:
    trainer(tmp_path, save_strategy="epoch", num_train_epochs=2).train()
    trainer(tmp_path, TcsCallback(), num_train_epochs=3).train(
        resume_from_checkpoint=str(tmp_path / "out/checkpoint-6")
    )
    assert [line["epoch"] for line in lines()] == [3]
    assert "train_loss" in lines()[0]


def test_no_such_metric(trial: CurrentTrial, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'val_f1', which epoch 1 does not have"):
        trainer(tmp_path, TcsCallback(best="val_f1", direction="maximize")).train()


def test_by_hand_it_prints(by_hand: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trainer(tmp_path, TcsCallback(best="val_loss", direction="minimize"), num_train_epochs=1).train()
    said = capsys.readouterr().out.splitlines()
    assert any(line.startswith("epoch   1  train_loss ") for line in said)
    assert said[-1].startswith("finished   train_loss ")


TWO = """
import os, sys, torch
from types import SimpleNamespace
from tcs_hpt.integrations.transformers import _any_process
rank = 0 if os.fork() else 1
torch.distributed.init_process_group("gloo", init_method="file://" + sys.argv[1], rank=rank, world_size=2)
args = SimpleNamespace(world_size=2, device=torch.device("cpu"))
answers = [_any_process(wish, args) for wish in (False, rank == 1)]
torch.distributed.destroy_process_group()
os.write(1, f"{rank} {answers}\\n".encode())  # in one piece
rank == 0 and os.wait()
os._exit(0)
"""


def test_several_processes_stop_together(tmp_path: Path) -> None:
    # Newer Pythons warn of a fork with threads.
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TWO, str(tmp_path / "meet")],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert sorted(done.stdout.splitlines()) == ["0 [False, True]", "1 [False, True]"]
