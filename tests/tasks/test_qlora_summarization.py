from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tcs_hpt.client import REFUSED
from tcs_hpt.execution import Job
from tcs_hpt.execution.folder import prepare
from tcs_hpt.llm.models import CATALOGUE, DEFAULT_EMBEDDED, models_dir
from tcs_hpt.spec import Scalar
from tcs_hpt.testing.tasks import TaskContract
from tests.tasks.qlora import NO_LAYERS, SMOKE, SPACE, TASK, WARNINGS, loaded

pytestmark = WARNINGS

Trained = tuple[list[dict[str, Any]], dict[str, Any]]
Train = Callable[..., Trained]


class TestQloraSummarization(TaskContract):
    task = "qlora_summarization"
    test_score = "test_rouge1"
    needs = "cnn_dailymail"


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with loaded(tmp_path_factory.mktemp("copy")) as module:
        yield module


@pytest.fixture
def train(script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Trains in this process, without data; what comes back is every epoch, without seconds, and the result."""

    def train(values: dict[str, Scalar], stop: bool = False, again: bool = False, **fixed: Scalar) -> Trained:
        spec = SMOKE.model_copy(update={"fixed": {**SMOKE.fixed, **fixed}})
        folder = tmp_path / "trial"
        if not again:
            shutil.rmtree(folder, ignore_errors=True)
        prepare(Job(1, spec, TASK.folder, folder, SPACE.completed(values), 0, "smoke", None), folder)
        if stop:
            (folder / "stop").touch()
        monkeypatch.setenv("TCS_HPT_TRIAL_DIR", str(folder))
        script.tcs_hpt.client._made.clear()  # the same folder stands for another process here
        script.main()
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        epochs = [{k: v for k, v in line.items() if k != "seconds"} for line in lines]
        return epochs, json.loads((folder / "result.json").read_text())

    return train


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TCS_HPT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


# What is trained.


@pytest.mark.parametrize(
    ("strategy", "count", "where"),
    [
        ("full", 2 * (64 * (64 + 32 + 32 + 64) + 3 * 64 * 128 + 2 * 64) + 64, ""),  # and the tokens
        ("lora", 2 * 8 * (64 + 64 + 64 + 32), "lora_"),
        ("qlora", 2 * 8 * (64 + 64 + 64 + 32), "lora_"),
        ("prompt", 4 * 64, "prompt_encoder"),
        ("prefix", 4 * 2 * 2 * 32, "prompt_encoder"),
        ("ia3", 2 * (32 + 32 + 128), "ia3_"),
    ],
)
def test_every_strategy_trains_what_it_says(
    script: Any, train: Train, monkeypatch: pytest.MonkeyPatch, strategy: str, count: int, where: str
) -> None:
    groups: list[Any] = []
    quantized: list[bool] = []
    names: list[str] = []

    class Spy(script.torch.optim.AdamW):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            groups.extend(self.param_groups)

    def prepare(model: Any, values: dict[str, Any]) -> Any:
        quantized.append(getattr(model, "is_loaded_in_4bit", False))
        found = original(model, values)
        names.extend(n for n, p in found.named_parameters() if p.requires_grad)
        return found

    original = script.language_models.prepare
    monkeypatch.setattr(script.torch.optim, "AdamW", Spy)
    monkeypatch.setattr(script.language_models, "prepare", prepare)
    epochs, result = train({}, strategy=strategy, steps=1)
    embedding = 64 * 600 if strategy == "full" else 0
    assert result["trainable_parameters"] == pytest.approx(
        count + embedding, abs=64 * 600 if embedding else 0
    )
    assert all(where in name for name in names)
    assert quantized == [strategy == "qlora"]
    assert sum(p.numel() for group in groups for p in group["params"]) == result["trainable_parameters"]
    assert {group["lr"] for group in groups} == {script.language_models.LEARNING_RATES[strategy]}
    assert epochs[0]["lr"] == script.language_models.LEARNING_RATES[strategy]
    assert epochs[0]["val_loss"] != result["base_loss"]  # what was trained is what is evaluated


def test_less_memory_gives_the_same_result(
    script: Any, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = train({"gate_proj": True}, steps=1)
    again: list[int] = []
    utils = script.transformers.modeling_utils
    checkpoint = utils.checkpoint

    def spy(*args: Any, **options: Any) -> Any:
        again.append(1)
        return checkpoint(*args, **options)

    monkeypatch.setattr(utils, "checkpoint", spy)
    assert train({"gate_proj": True}, steps=1, gradient_checkpointing=True) == plain
    assert len(again) == 2  # layers, in one step; not where the model only writes


def test_a_strategy_that_does_not_exist_is_refused(train: Train, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        train({}, strategy="dreambooth")
    assert stopped.value.code == REFUSED
    assert "full, lora, qlora" in capsys.readouterr().err


# Training.


def test_the_result_is_the_best_step_and_lies_beside_the_base_models(train: Train) -> None:
    epochs, result = train({}, steps=4, lr=0.05)
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3, 4]
    best = max(epochs, key=lambda e: e["val_rouge1"])  # the first of equal ones
    assert result["best_epoch"] == best["epoch"]
    assert {n: result[n] for n in best if n not in ("epoch", "lr")} == {
        n: v for n, v in best.items() if n not in ("epoch", "lr")
    }
    names = {"rouge1", "rouge2", "rougeL", "rouge1_with_article", "bleu", "exact_match", "loss", "perplexity"}
    assert {n.removeprefix("val_") for n in best if n.startswith("val_")} - {"meteor"} == names
    assert best["val_perplexity"] == pytest.approx(math.exp(best["val_loss"]))
    assert epochs[-1]["train_loss"] < epochs[0]["train_loss"]
    assert {"base_rouge1", "base_rouge2", "base_rougeL", "base_loss", "test_rouge1"} <= result.keys()
    assert {epoch["lr"] for epoch in epochs} == {0.05}


def test_the_adapter_of_the_best_step_is_kept(train: Train, tmp_path: Path) -> None:
    train({"r": 12}, steps=1)
    folder = tmp_path / "trial" / "artifacts" / "adapter"
    assert json.loads((folder / "adapter_config.json").read_text())["r"] == 12
    assert (folder / "adapter_model.safetensors").stat().st_size > 1000


def test_without_adapters_the_result_is_the_base_model(train: Train) -> None:
    epochs, result = train(NO_LAYERS, steps=3)
    assert len(epochs) == 1
    assert (result["val_rouge1"], result["val_loss"]) == (result["base_rouge1"], result["base_loss"])
    assert result["trainable_parameters"] == 0


def test_a_request_to_stop_ends_it_with_a_result(train: Train) -> None:
    epochs, result = train({}, stop=True, steps=3)
    assert len(epochs) == 1
    assert result["best_epoch"] == 1


def test_divergence_is_a_result_and_not_a_crash(train: Train) -> None:
    epochs, result = train({}, steps=3, lr=1e37)
    assert epochs[-1]["val_loss"] is None
    assert result["val_rouge1"] is None
    assert result["best_epoch"] == epochs[-1]["epoch"]


def test_a_trial_goes_on_from_its_checkpoint(
    script: Any, train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values: dict[str, Scalar] = {"lora_dropout": 0.2}  # draws random numbers, which have to go on as well
    whole = train(values, steps=3, checkpoint=True)
    checkpoint = tmp_path / "trial" / "checkpoint.pt"
    assert not checkpoint.exists()
    original, steps = script.step, []

    def breaks_in_the_third(*args: Any) -> Any:
        steps.append(1)
        if len(steps) == 3:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(script, "step", breaks_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        train(values, steps=3, checkpoint=True)
    assert checkpoint.exists()
    assert train(values, again=True, steps=3, checkpoint=True) == whole
    assert len(steps) == 4  # two, the one that broke, and the one that was missing
    assert not checkpoint.exists()


def test_a_missing_library_is_named_with_the_command(tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\")")
    done = subprocess.run(
        [sys.executable, str(TASK.folder / "train.py")],
        env=os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("qlora_summarization needs torch, transformers, peft,")
    assert done.stderr.endswith("(No module named 'torch'): pip install 'tcs-hpt[qlora]'\n")


@pytest.mark.skipif(
    "TCS_HPT_MODELS_DIR" not in os.environ or not (models_dir() / CATALOGUE[DEFAULT_EMBEDDED].file).is_file(),
    reason="set TCS_HPT_MODELS_DIR to a folder with the embedded default model",
)
def test_the_embedded_model_is_converted_once_and_learns(script: Any, train: Train, cache: Path) -> None:
    name = TASK.spec.fixed["model"]
    assert isinstance(name, str)
    small = {
        "article_tokens": 40,
        "summary_tokens": 24,
        "new_tokens": 4,
        "val_examples": 2,
        "test_examples": 1,
    }
    _, result = train({}, model=name, steps=1, batch_size=2, **small)
    assert result["base_loss"] < 6  # of 49,152 tokens; one that knows nothing has 10.8
    assert result["trainable_parameters"] == 30 * 8 * (576 + 576 + 576 + 192)
    converted = list((cache / "qlora_summarization" / "models").iterdir())
    assert [p.name.partition("-")[0] for p in converted] == ["SmolLM2"]
    assert script.language_models.converted(models_dir() / CATALOGUE[DEFAULT_EMBEDDED].file) == converted[0]
