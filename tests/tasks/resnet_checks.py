"""What both ResNet tasks must do, as a test class to inherit; on made up images, so that no data is needed."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tcs_hpt import client
from tcs_hpt.catalog import LoadedTask, load_task
from tcs_hpt.execution import Job
from tcs_hpt.execution.folder import prepare
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import Scalar

Epochs = list[dict[str, Any]]
Train = Callable[..., tuple[Epochs, dict[str, Any]]]
LABELS = {"epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "lr", "seconds"}


def load_script(task: LoadedTask) -> Any:
    """The task's script as a module; the file with its data is `script.NAME`."""
    spec = importlib.util.spec_from_file_location(f"{task.spec.name}_train", task.folder / "train.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [str(task.folder), *sys.path])
        spec.loader.exec_module(module)
    return module


def without_seconds(epochs: Epochs) -> Epochs:
    return [{name: value for name, value in epoch.items() if name != "seconds"} for epoch in epochs]


class ResNetChecks:
    """Inherit it and set the attributes."""

    task: ClassVar[str]
    weights: ClassVar[int]
    """Trained numbers of the network at full width."""
    lr_of_epochs: ClassVar[list[float]]
    """Step sizes of a training of as many epochs that starts with 0.1."""
    further: ClassVar[set[str]]
    """Metrics of the result that tasks do not share."""

    @pytest.fixture(scope="class")
    @classmethod
    def script(cls) -> Iterator[Any]:
        """The training script."""
        module = load_script(load_task(cls.task))
        threads = module.torch.get_num_threads()
        module.torch.set_num_threads(1)
        yield module
        module.torch.set_num_threads(threads)
        module.torch.backends.cudnn.deterministic = False

    @pytest.fixture
    def train(self, script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
        """Trains in this process; what comes back is every epoch, and the result."""
        monkeypatch.setenv("TCS_HPT_CACHE_DIR", str(tmp_path / "cache"))
        loaded = load_task(self.task)
        smoke = loaded.spec.with_profile("smoke")

        def train(
            values: dict[str, Scalar], name: str = "trial", stop: bool = False, **fixed: Scalar
        ) -> tuple[Epochs, dict[str, Any]]:
            folder = tmp_path / name
            spec = smoke.model_copy(update={"fixed": {**smoke.fixed, **fixed}})
            config = SearchSpace(spec.params).completed(values)
            prepare(Job(1, spec, loaded.folder, folder, config, 0, "smoke", tmp_path / "no data"), folder)
            if stop:
                (folder / "stop").touch()
            monkeypatch.setenv("TCS_HPT_TRIAL_DIR", str(folder))
            client._made.clear()  # the same folder is another trial
            script.main()
            epochs = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
            return epochs, json.loads((folder / "result.json").read_text())

        return train

    @pytest.fixture
    def made(self, script: Any, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, Any]]:
        """Every model and optimizer made."""
        found: list[tuple[Any, Any]] = []
        original = script.make_optimizer

        def spy(model: Any, params: dict[str, Any]) -> Any:
            found.append((model, original(model, params)))
            return found[-1][1]

        monkeypatch.setattr(script, "make_optimizer", spy)
        return found

    def test_the_network_is_resnet_18(self, script: Any) -> None:
        torch = script.torch
        classes = 75 if self.task == "resnet_butterfly" else 10
        model = script.ResNet18(64, classes, 0.0, torch.zeros(3), torch.ones(3))
        convolutions = [m for m in model.modules() if isinstance(m, script.nn.Conv2d)]
        assert len([c for c in convolutions if c.kernel_size != (1, 1)]) + 1 == 18  # and the last layer
        assert sum(p.numel() for p in model.parameters()) == self.weights

    @pytest.mark.parametrize("profile", [None, "smoke", "quick", "paper"])
    def test_no_size_is_too_narrow_for_onednn(self, profile: str | None) -> None:
        """Below 8 channels its 1x1 convolution overwrites memory on processors without AVX-512: crashes, or no end."""
        width = load_task(self.task).spec.with_profile(profile).fixed["width"]
        assert isinstance(width, int)
        assert width >= 8

    def test_values_of_pixels_are_scaled_by_what_the_training_images_have(
        self, train: Train, made: list[tuple[Any, Any]], script: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        parts: list[Any] = []
        original = script.train

        def spy(trial: Any, *given: Any) -> Any:
            parts.extend(given)
            return original(trial, *given)

        monkeypatch.setattr(script, "train", spy)
        train({"epochs": 1})
        pixels = parts[0][0].double().reshape(-1, 3)
        model = made[0][0]
        assert model.mean.tolist() == pytest.approx(pixels.mean(dim=0).tolist(), rel=1e-4)
        assert model.std.tolist() == pytest.approx(pixels.std(dim=0).tolist(), rel=1e-4)
        assert len(parts) == 3

    def test_sgd_and_the_network_get_their_values(self, train: Train, made: list[tuple[Any, Any]]) -> None:
        values = {"optimizer": "sgd", "lr": 0.02, "weight_decay": 0.03, "momentum": 0.7, "dropout": 0.25}
        train({**values, "epochs": 1})
        model, optimizer = made[0]
        group = optimizer.param_groups[0]
        assert type(optimizer).__name__ == "SGD"
        assert (group["initial_lr"], group["weight_decay"], group["momentum"]) == (0.02, 0.03, 0.7)
        assert len(group["params"]) == len(list(model.parameters()))
        assert model.dropout.p == 0.25

    def test_adam_gets_its_values(self, train: Train, made: list[tuple[Any, Any]]) -> None:
        train({"optimizer": "adam", "lr": 0.003, "weight_decay": 0.04, "epochs": 1})
        optimizer = made[0][1]
        group = optimizer.param_groups[0]
        assert type(optimizer).__name__ == "Adam"
        assert (group["initial_lr"], group["weight_decay"]) == (0.003, 0.04)

    @pytest.mark.parametrize("batch_size", [32, 256])
    def test_batches_are_full_and_of_the_size_asked_for(
        self, script: Any, train: Train, monkeypatch: pytest.MonkeyPatch, batch_size: int
    ) -> None:
        sizes: list[int] = []
        original = script.augment

        def spy(images: Any) -> Any:
            sizes.append(len(images))
            return original(images)

        monkeypatch.setattr(script, "augment", spy)
        train({"batch_size": batch_size, "epochs": 1})
        assert set(sizes) == {batch_size}
        assert sum(sizes) > 200

    def test_every_epoch_is_reported_and_the_step_size_falls(self, train: Train) -> None:
        epochs, result = train({"lr": 0.1, "epochs": 3})
        assert [epoch["lr"] for epoch in epochs] == pytest.approx(self.lr_of_epochs)
        assert all(epoch.keys() == LABELS for epoch in epochs)
        best = max(epochs, key=lambda e: e["val_accuracy"])  # the first of equal ones
        assert (result["val_accuracy"], result["val_loss"]) == (best["val_accuracy"], best["val_loss"])
        assert result["best_epoch"] == best["epoch"]
        shared = {"val_accuracy", "val_loss", "best_epoch", "val_macro_f1", "test_accuracy"}
        assert result.keys() == shared | self.further

    def test_the_made_up_images_can_be_learned(self, train: Train) -> None:
        epochs, result = train({"optimizer": "adam", "lr": 0.01, "batch_size": 32, "epochs": 3}, width=8)
        assert epochs[-1]["train_loss"] < epochs[0]["train_loss"]
        assert result["val_accuracy"] > 0.4
        assert result["test_accuracy"] > 0.4

    def test_a_training_cut_off_goes_on_to_the_same_end(
        self, script: Any, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        values = {"epochs": 4, "dropout": 0.3}
        whole = train(values, "whole", checkpoint=True)
        original = script.Checkpoint.save

        def save_and_die(checkpoint: Any, epochs: Epochs) -> None:
            original(checkpoint, epochs)
            if len(epochs) == 2:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(script.Checkpoint, "save", save_and_die)
            with pytest.raises(KeyboardInterrupt):
                train(values, "cut", checkpoint=True)
        assert (tmp_path / "cut" / "checkpoint.pt").is_file()
        passes: list[int] = []
        one_pass = script.train_one_epoch

        def spy(*args: Any) -> Any:
            passes.append(1)
            return one_pass(*args)

        monkeypatch.setattr(script, "train_one_epoch", spy)
        epochs, result = train(values, "cut", checkpoint=True)
        assert len(passes) == 2
        assert without_seconds(epochs) == without_seconds(whole[0])
        assert result == whole[1]

    def test_nothing_but_the_result_is_left(self, train: Train, tmp_path: Path) -> None:
        train({"epochs": 1}, "kept", checkpoint=True)
        left = {path.name for path in (tmp_path / "kept").iterdir()}
        assert left == {"config.json", "metrics.jsonl", "result.json"}

    def test_the_checkpoint_of_another_configuration_is_not_used(
        self, script: Any, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        alone = train({"epochs": 1, "lr": 0.05}, "alone")

        def die(*_: Any, **__: Any) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(client.CurrentTrial, "should_stop", die)  # after the epoch was saved
            with pytest.raises(KeyboardInterrupt):
                train({"epochs": 1, "lr": 0.07}, "shared", checkpoint=True)
        assert (tmp_path / "shared" / "checkpoint.pt").is_file()
        assert train({"epochs": 1, "lr": 0.05}, "shared", checkpoint=True)[1] == alone[1]

    def test_a_request_to_stop_ends_it_with_a_result(self, train: Train) -> None:
        epochs, result = train({"epochs": 3}, stop=True)
        assert len(epochs) == 1
        assert result["best_epoch"] == 1

    def test_divergence_ends_it_with_its_epoch(self, script: Any, train: Train) -> None:
        epochs, result = train({"optimizer": "sgd", "lr": 1e30, "epochs": 3})
        assert len(epochs) == 1
        assert None in epochs[0].values()  # how a number that is not finite is written
        assert result == {"val_accuracy": None}

    def test_images_are_shifted_and_mirrored(self, script: Any) -> None:
        torch = script.torch
        torch.manual_seed(0)
        image = torch.arange(256).to(torch.uint8).reshape(16, 16, 1).repeat(1, 1, 3)
        seen = set()
        for view in script.augment(image.repeat(200, 1, 1, 1)):
            assert view[:, :, 0].equal(view[:, :, 2])
            # Where the middle pixel came from tells the shift; its neighbour tells whether it is mirrored.
            row, column = divmod(int((image[:, :, 0] == view[8, 8, 0]).flatten().int().argmax()), 16)
            mirrored = bool(view[8, 9, 0] == image[row, column - 1, 0])
            seen.add((row - 8, column - (7 if mirrored else 8), mirrored))
        assert {r for r, _, _ in seen} == {c for _, c, _ in seen} == {-2, -1, 0, 1, 2}
        assert {m for _, _, m in seen} == {True, False}

    def test_a_copy_runs_without_data(self, tmp_path: Path) -> None:
        copy = shutil.copytree(load_task(self.task).folder, tmp_path / "copy")
        done = self._run(copy, tmp_path, TCS_HPT_PROFILE="smoke", TCS_HPT_CACHE_DIR=str(tmp_path / "cache"))
        assert done.returncode == 0, done.stderr
        assert done.stdout.splitlines()[-1].startswith("finished   val_accuracy ")
        assert not (tmp_path / "cache").exists()

    @pytest.mark.parametrize("missing", ["torch", "PIL"])
    def test_a_missing_library_is_named_with_the_command(self, tmp_path: Path, missing: str) -> None:
        (tmp_path / missing).mkdir()
        message = f"No module named {missing!r}"
        (tmp_path / missing / "__init__.py").write_text(f'raise ModuleNotFoundError("{message}")')
        done = self._run(load_task(self.task).folder, tmp_path, PYTHONPATH=str(tmp_path))
        assert done.returncode == 1
        told = f"{self.task} needs torch and pillow ({message}): pip install 'tcs-hpt[vision]'\n"
        assert done.stderr == told

    @staticmethod
    def _run(folder: Path, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
        ours = {k: v for k, v in os.environ.items() if not k.startswith("TCS_HPT_")}
        return subprocess.run(
            [sys.executable, str(folder / "train.py")],
            cwd=cwd,
            env=ours | {"PYTHONDONTWRITEBYTECODE": "1"} | settings,
            capture_output=True,
            text=True,
            check=False,
        )
