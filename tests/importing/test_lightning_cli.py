"""Scripts that are built on LightningCLI."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tcs_hpt.cli.app import app
from tcs_hpt.importing import draft, manifest, measured
from tcs_hpt.store import Store
from tests.importing.scripts import found, script, sorted_of

MODEL = """\
import lightning as L
import torch


class Net(L.LightningModule):
    def __init__(self, lr: float = 0.1, hidden_size: int = 8, batch_norm: bool = False, name: str = "net"):
        super().__init__()
        self.save_hyperparameters()
        self.layer = torch.nn.Sequential(torch.nn.Linear(4, hidden_size), torch.nn.ReLU(), torch.nn.Linear(hidden_size, 1))

    def training_step(self, batch, index):
        x, y = batch
        return torch.nn.functional.mse_loss(self.layer(x), y)

    def validation_step(self, batch, index):
        x, y = batch
        self.log("val_loss", torch.nn.functional.mse_loss(self.layer(x), y))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)
"""
DATA = """\
class Data(L.LightningDataModule):
    def __init__(self, batch_size: int = 16):
        super().__init__()
        self.batch_size = batch_size
        torch.manual_seed(0)
        x = torch.randn(64, 4)
        self.set = torch.utils.data.TensorDataset(x, x.sum(1, keepdim=True))

    def train_dataloader(self):
        return torch.utils.data.DataLoader(self.set, batch_size=self.batch_size)

    val_dataloader = train_dataloader
"""
MAIN = """\
from lightning.pytorch.cli import LightningCLI

if __name__ == "__main__":
    LightningCLI(
        Net, Data, trainer_defaults={"max_epochs": 2, "enable_progress_bar": False, "accelerator": "cpu", "enable_checkpointing": False}
    )
"""
SCRIPT = MODEL + "\n\n" + DATA + "\n\n" + MAIN


def test_the_constructors_arguments_are_flags(tmp_path: Path) -> None:
    made = script(tmp_path, SCRIPT)
    items = found(made)
    assert {n: (f.default, f.route.key) for n, f in items.items()} == {
        "lr": (0.1, "--model.lr"),
        "hidden_size": (8, "--model.hidden_size"),
        "batch_norm": (False, "--model.batch_norm"),
        "batch_size": (16, "--data.batch_size"),
        "max_epochs": (2, "--trainer.max_epochs"),
    }
    seed = sorted_of(made).seed
    assert seed is not None
    assert seed.route.key == "--seed_everything"


def test_the_manifest_asks_for_a_file_with_the_numbers(tmp_path: Path) -> None:
    made = script(tmp_path, SCRIPT)
    raw = tomllib.loads(manifest.text(draft.read(made, measured.gather(made))))
    assert raw["command"][:5] == [
        "{python}",
        "train.py",
        "fit",
        "--trainer.logger=lightning.pytorch.loggers.CSVLogger",
        "--trainer.logger.save_dir={trial_dir}",
    ]
    assert raw["command"][-2:] == ["--seed_everything", "{seed}"]
    assert raw["metrics"] == {
        "source": "{trial_dir}/lightning_logs/version_*/metrics.csv",
        "format": "csv",
    }
    assert raw["objective"] == {"metric": "val_loss", "direction": "minimize"}


def test_classes_of_a_module_beside_the_script_and_a_subclass_without_subcommands(tmp_path: Path) -> None:
    code = (
        "from net import Net\nfrom lightning.pytorch.cli import LightningCLI\nclass CLI(LightningCLI): pass\n"
        "cli = CLI(model_class=Net, run=False, trainer_defaults=dict(max_epochs=3))\ncli.trainer.fit(cli.model)\n"
    )
    made = script(tmp_path, code, net_py=MODEL)
    assert found(made).keys() == {"lr", "hidden_size", "batch_norm", "max_epochs"}
    assert sorted_of(made).prefix[0].startswith("--trainer.logger=")
    assert [m.name for m in measured.gather(made)] == ["val_loss"]


def test_a_config_file_among_the_arguments_is_where_values_are_set(tmp_path: Path) -> None:
    made = script(tmp_path, SCRIPT, config_yaml="model:\n  lr: 0.2\ntrainer:\n  max_epochs: 4\n")
    arguments = ["fit", "--config", "config.yaml"]
    read = draft.read(made, measured.gather(made), arguments=arguments)
    raw = tomllib.loads(manifest.text(read))
    assert {n: p["default"] for n, p in raw["params"].items()} == {"lr": 0.2, "max_epochs": 4}
    assert raw["config"]["keys"] == {"lr": "model.lr", "max_epochs": "trainer.max_epochs"}
    command = raw["command"]
    assert command[2:5] == ["fit", "--config", "{config}"]
    assert command[5].startswith("--trainer.logger=")  # behind the file, so that it counts


def test_a_logger_of_the_script_stays(tmp_path: Path) -> None:
    code = SCRIPT.replace('"max_epochs": 2', '"max_epochs": 2, "logger": CSVLogger("logs")')
    code = "from lightning.pytorch.loggers import CSVLogger\n" + code
    made = script(tmp_path, code)
    assert sorted_of(made).prefix == ("fit",)
    assert measured.gather(made)[0].place.source == "logs/lightning_logs/version_*/metrics.csv"


def test_from_init_to_a_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path, SCRIPT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    run = CliRunner()
    made = run.invoke(app, ["init", "train.py", "--yes"])
    assert made.exit_code == 0, made.output + str(made.exception)
    store = tmp_path / "store.db"
    arguments = ["--method", "random", "--trials", "1", "--name", "s", "--store", str(store), "--quiet"]
    tuned = run.invoke(app, ["tune", ".", *arguments, "--python", sys.executable])
    assert tuned.exit_code == 0, tuned.output + str(tuned.exception)
    with Store.open(str(store)) as opened:
        (trial,) = opened.load_trials("s")
    assert trial.state == "finished", trial.failure
    assert len(trial.epochs) == 2
