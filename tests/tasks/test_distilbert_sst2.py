from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tcs_hpt.data import DataUnavailable
from tcs_hpt.execution import Job
from tcs_hpt.execution.folder import prepare
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import Scalar
from tcs_hpt.testing.tasks import TaskContract
from tests.tasks.distilbert import TASK, loaded, offline

SMOKE = TASK.spec.with_profile("smoke")
SPACE = SearchSpace(SMOKE.params)

Trial = Callable[..., Path]


class TestDistilbertSst2(TaskContract):
    task = "distilbert_sst2"
    test_score = "test_accuracy"
    needs = "sst2"


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with offline(tmp_path_factory.mktemp("cache")) as data:
        yield data


@pytest.fixture(scope="module")
def script(cache: Path) -> Iterator[Any]:
    with loaded() as module:
        yield module


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: Any) -> Trial:
    """Prepares a trial at `smoke` with invented sentences, and makes it the current one; comes back with its folder."""

    def trial(values: dict[str, Scalar] | None = None, name: str = "", **fixed: Scalar) -> Path:
        fixed = {**SMOKE.fixed, "max_train": 64, "vocab_size": 150, **fixed}
        spec = SMOKE.model_copy(update={"fixed": fixed})
        folder = tmp_path / (name or f"trial {len(list(tmp_path.iterdir()))}")
        config = SPACE.completed({"batch_size": 8, **(values or {})})
        prepare(Job(1, spec, TASK.folder, folder, config, 0, "smoke", tmp_path / "no data"), folder)
        monkeypatch.setenv("TCS_HPT_TRIAL_DIR", str(folder))
        # The trial of an earlier try of the same folder is still known to the client.
        monkeypatch.setattr("tcs_hpt.client._made", {})
        return folder

    return trial


def params(**values: Scalar) -> dict[str, Any]:
    """Tuned and fixed parameters at `smoke`."""
    return {**SMOKE.fixed, **SPACE.defaults(), "vocab_size": 150, **values}


def outcome(folder: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Every epoch but for its seconds, and the result."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    epochs = [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]
    return epochs, json.loads((folder / "result.json").read_text())


# -- model and optimizer ------------------------------------------------------------------------------------


@pytest.fixture
def pretrained(script: Any, tmp_path: Path) -> tuple[Path, Any]:
    """A data folder with a tiny DistilBERT in it, and that model."""
    texts = [text for text, _ in script.sst2.make_up()["train"]]
    tokenizer, model = script.make_model(params(), texts, None)
    for weights in model.parameters():
        script.torch.nn.init.normal_(weights, std=0.3)
    folder = tmp_path / "data" / "distilbert-base-uncased"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return tmp_path / "data", model.eval()


def logits(script: Any, tokenizer: Any, model: Any, *texts: str) -> Any:
    with script.torch.no_grad():
        batch = tokenizer(list(texts), padding=True, return_tensors="pt")
        return model.eval()(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits


@pytest.mark.parametrize("by_name", [True, False])
def test_pretrained_weights_are_really_loaded(
    script: Any, pretrained: tuple[Path, Any], by_name: bool
) -> None:
    data_dir, original = pretrained
    hub_name = TASK.spec.fixed["model"]
    assert hub_name == "distilbert/distilbert-base-uncased"
    name = hub_name if by_name else str(data_dir / "distilbert-base-uncased")
    tokenizer, model = script.make_model(
        params(init="pretrained", model=name, dropout=0.4), [], data_dir if by_name else None
    )
    texts = ("good1 word2 word3", "bad4 word5")
    assert logits(script, tokenizer, model, *texts).allclose(
        logits(script, tokenizer, original, *texts), atol=1e-6
    )
    assert model.config.dropout == 0.4


def test_the_files_named_in_the_sentence_are_enough(script: Any, pretrained: tuple[Path, Any]) -> None:
    data_dir, original = pretrained
    folder = data_dir / "distilbert-base-uncased"
    tokenizer = script.AutoTokenizer.from_pretrained(folder)
    vocabulary = tokenizer.get_vocab()
    (folder / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)) + "\n")
    for path in folder.iterdir():
        if path.name not in ("config.json", "model.safetensors", "vocab.txt"):
            path.unlink()
    again, model = script.make_model(params(init="pretrained"), [], data_dir)
    text = "Good1 word2 unheard-of"
    assert again(text)["input_ids"] == tokenizer(text)["input_ids"]
    # Not `equal`: where the weights lie in memory decides how some processors add, so the last bit may differ.
    assert logits(script, again, model, text).allclose(logits(script, tokenizer, original, text), atol=1e-6)


def test_without_weights_and_network_one_sentence_says_what_goes_where(script: Any, tmp_path: Path) -> None:
    with pytest.raises(DataUnavailable) as raised:
        script.make_model(params(init="pretrained"), [], tmp_path)
    message = str(raised.value)
    assert message.startswith("distilbert/distilbert-base-uncased is not here (it cannot be loaded: ")
    assert message.endswith(
        f"): put config.json, model.safetensors, vocab.txt into {tmp_path / 'distilbert-base-uncased'}"
    )
    assert "\n" not in message


@pytest.mark.parametrize(
    ("init", "activation"),
    [("scratch", "gelu"), ("scratch", "relu"), ("scratch", "silu"), ("pretrained", "silu")],
)
def test_the_tuned_values_reach_the_network(
    script: Any, pretrained: tuple[Path, Any], init: str, activation: str
) -> None:
    tuned: dict[str, Scalar] = {"dropout": 0.11, "attention_dropout": 0.22, "classifier_dropout": 0.33}
    tuned |= {"activation": activation}
    numbers = script.torch.linspace(-3, 3, 7)
    _, model = script.make_model(params(init=init, **tuned), ["good film"], pretrained[0])
    encoder = model.distilbert
    assert encoder.embeddings.dropout.p == 0.11
    for block in encoder.transformer.layer:
        assert block.attention.dropout.p == 0.22
        assert block.ffn.dropout.p == 0.11
        assert block.ffn.activation(numbers).equal(getattr(script.F, activation)(numbers))
    assert model.dropout.p == 0.33


def test_the_sizes_of_a_network_from_scratch_are_fixed_values(script: Any) -> None:
    sizes: dict[str, Scalar] = {"layers": 3, "dim": 24, "heads": 4, "max_length": 50}
    tokenizer, model = script.make_model(params(**sizes), ["good film"], None)
    assert len(model.distilbert.transformer.layer) == 3
    assert model.distilbert.transformer.layer[0].attention.n_heads == 4
    assert model.distilbert.transformer.layer[0].ffn.lin1.weight.shape == (96, 24)
    assert model.distilbert.embeddings.position_embeddings.weight.shape == (50, 24)
    assert model.distilbert.embeddings.word_embeddings.weight.shape == (len(tokenizer), 24)


def test_the_optimizer_gets_its_values_and_the_step_size_rises_and_falls(script: Any) -> None:
    _, model = script.make_model(params(), ["good film"], None)
    optimizer, schedule = script.make_optimizer(model, params(lr=0.02, weight_decay=0.03, warmup=0.2), 10)
    assert isinstance(optimizer, script.torch.optim.AdamW)
    decays = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert decays.keys() == {id(p) for p in model.parameters()}
    for name, weights in model.named_parameters():
        plain = name.endswith("bias") or "norm" in name.lower()
        assert decays[id(weights)] == (0.0 if plain else 0.03), name
    steps = []
    for _ in range(10):
        steps.append(round(optimizer.param_groups[0]["lr"] / 0.02, 6))
        optimizer.step()
        schedule.step()
    assert steps == [0, 0.5, 1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]


def test_a_batch_is_padded_to_its_longest_and_padding_changes_nothing(script: Any) -> None:
    rows = [(" ".join(["good"] * (1 + number % 7)), number % 2) for number in range(64)]
    tokenizer, model = script.make_model(params(), [text for text, _ in rows], None)
    found = list(script.batches(rows, tokenizer, 6, 8, True))
    assert [len(labels) for _, _, labels in found] == [8] * 8
    assert all(mask.sum(dim=1).max() == ids.shape[1] <= 6 for ids, mask, _ in found)
    assert sum(int((mask == 0).sum()) for _, mask, _ in found) < 64  # sentences of about the same length
    assert sum(int(labels.sum()) for _, _, labels in found) == 32
    script.torch.nn.init.normal_(model.classifier.weight)
    both = logits(script, tokenizer, model, "good good good good", "good")
    assert both[1].tolist() == pytest.approx(logits(script, tokenizer, model, "good")[0].tolist(), abs=1e-6)
    assert both[0].tolist() != pytest.approx(both[1].tolist(), abs=1e-4)


# -- training -----------------------------------------------------------------------------------------------


def test_what_can_be_learned_is_learned_and_the_best_epoch_is_the_result(script: Any, trial: Trial) -> None:
    folder = trial({"lr": 0.01, "epochs": 2}, max_train=0)
    script.main()
    epochs, result = outcome(folder)
    best = max(epochs, key=lambda e: e["val_accuracy"])  # the first of equal ones
    assert best["val_accuracy"] > 0.9
    assert result["test_accuracy"] > 0.8
    assert result["best_epoch"] == best["epoch"]
    scores = {"val_accuracy", "val_loss", "val_macro_f1", "val_auc"}
    assert result.keys() == scores | {"test_accuracy", "best_epoch"}
    assert all(result[name] == best[name] for name in scores)
    assert all(e.keys() == scores | {"epoch", "train_loss", "train_accuracy", "lr"} for e in epochs)
    assert 0.01 > epochs[0]["lr"] > epochs[1]["lr"] == 0


def test_batch_size_and_epochs_make_the_updates(
    script: Any, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[int] = []
    original = script.make_optimizer

    def spy(model: Any, params: Any, steps: int) -> Any:
        planned.append(steps)
        return original(model, params, steps)

    monkeypatch.setattr(script, "make_optimizer", spy)
    for size, epochs in (16, 1), (32, 2):
        folder = trial({"batch_size": size, "epochs": epochs})
        script.main()
        assert len(outcome(folder)[0]) == epochs
    assert planned == [4, 4]  # of 64 sentences


def test_a_request_to_stop_ends_it_with_a_result(script: Any, trial: Trial) -> None:
    folder = trial()
    (folder / "stop").touch()
    script.main()
    epochs, result = outcome(folder)
    assert len(epochs) == 1
    assert result["best_epoch"] == 1


def test_divergence_is_a_result_and_not_a_crash(script: Any, trial: Trial) -> None:
    folder = trial({"lr": 1e30})
    script.main()
    epochs, result = outcome(folder)
    assert [epoch["epoch"] for epoch in epochs] == [1]
    assert None in (epochs[0]["train_loss"], epochs[0]["val_loss"])
    assert result == {"val_accuracy": None}


def test_an_interrupted_training_goes_on_where_it_was(
    script: Any, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = trial({"epochs": 2}, "unbroken")
    script.main()
    unbroken = outcome(folder)

    original = script.train_one_epoch
    trained: list[int] = []

    def train_one_epoch(*args: Any) -> Any:
        trained.append(1)
        if len(trained) == 2:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(script, "train_one_epoch", train_one_epoch)
    folder = trial({"epochs": 2}, "broken")
    with pytest.raises(KeyboardInterrupt):
        script.main()
    assert sorted(p.name for p in folder.iterdir()) == ["checkpoint.pt", "config.json", "metrics.jsonl"]
    kept = (folder / "checkpoint.pt").read_bytes()

    trial({"epochs": 2}, "broken")
    script.main()
    assert len(trained) == 3  # one epoch of the two was left
    assert outcome(folder) == unbroken
    assert not (folder / "checkpoint.pt").exists()

    folder = trial({"epochs": 2, "dropout": 0.3}, "another")
    (folder / "checkpoint.pt").write_bytes(kept)
    script.main()
    assert len(trained) == 5  # another configuration begins anew
    assert outcome(folder) != unbroken


def test_missing_data_ends_the_script_with_the_sentence(script: Any, trial: Trial) -> None:
    trial(made_up_if_missing=False)
    with pytest.raises(SystemExit, match=r"^SST-2 is not here"):
        script.main()
    trial(init="pretrained")
    with pytest.raises(SystemExit, match=r"^distilbert/distilbert-base-uncased is not here"):
        script.main()


def test_a_copy_runs_without_data_at_smoke(tmp_path: Path) -> None:
    shutil.copytree(TASK.folder, tmp_path / "copy", ignore=shutil.ignore_patterns("__pycache__"))
    env = {k: v for k, v in os.environ.items() if k != "TCS_HPT_DATA_DIR"} | {"TCS_HPT_PROFILE": "smoke"}
    done = subprocess.run(
        [sys.executable, str(tmp_path / "copy" / "train.py")],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].startswith("finished ")


@pytest.mark.parametrize("missing", ["torch", "transformers"])
def test_a_missing_library_is_named_with_the_command(tmp_path: Path, missing: str) -> None:
    for name in {"torch", missing}:  # a stand-in for torch keeps this quick
        (tmp_path / name / "nn").mkdir(parents=True)
        (tmp_path / name / "nn" / "functional.py").touch()
        (tmp_path / name / "nn" / "__init__.py").touch()
        (tmp_path / name / "__init__.py").touch()
    (tmp_path / missing / "__init__.py").write_text(
        f'raise ModuleNotFoundError("No module named {missing!r}")'
    )
    done = subprocess.run(
        [sys.executable, str(TASK.folder / "train.py")],
        env=os.environ | {"PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        f"distilbert_sst2 needs torch and transformers (No module named {missing!r}): "
        "pip install 'tcs-hpt[text]'\n"
    )
