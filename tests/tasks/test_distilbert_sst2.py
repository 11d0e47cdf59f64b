from __future__ import annotations

import csv
import gzip
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tcs_hpt.catalog import load_task
from tcs_hpt.data import DataUnavailable
from tcs_hpt.execution import Job
from tcs_hpt.execution.folder import prepare
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import Scalar
from tcs_hpt.testing.tasks import TaskContract, prepared_data

TASK = load_task("distilbert_sst2")
SMOKE = TASK.spec.with_profile("smoke")
SPACE = SearchSpace(SMOKE.params)

Trial = Callable[..., Path]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An empty cache folder, for the scripts in processes of their own too, and no network."""
    home = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(home))
        patch.setenv("TCS_HPT_CACHE_DIR", str(home / "tcs-hpt"))
        patch.setenv("HF_HOME", str(home / "huggingface"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        yield home / "tcs-hpt" / "data"


class TestDistilbertSst2(TaskContract):
    task = "distilbert_sst2"
    test_score = "test_accuracy"
    needs = "sst2"


@pytest.fixture(scope="module")
def script(cache: Path) -> Iterator[Any]:
    """The task's script as a module."""
    spec = importlib.util.spec_from_file_location("distilbert_sst2_train", TASK.folder / "train.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TASK.folder))
        patch.setattr(sys, "dont_write_bytecode", True)
        spec.loader.exec_module(module)
        threads = module.torch.get_num_threads()
        yield module
        module.torch.set_num_threads(threads)
        module.torch.use_deterministic_algorithms(False)
        del sys.modules["sst2"]


@pytest.fixture
def sst2(script: Any) -> Any:
    """The module beside the script that finds the data."""
    return script.sst2


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


# -- data ---------------------------------------------------------------------------------------------------


def write_table(
    path: Path, rows: list[tuple[Any, ...]], header: tuple[str, ...] = ("sentence", "label")
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(map(str, row)) for row in [header, *rows]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def sentences(start: int, count: int) -> list[tuple[str, int]]:
    return [(f'a " film {number}', number % 2) for number in range(start, start + count)]


@pytest.fixture
def glue(tmp_path: Path) -> Path:
    """A data folder with SST-2 as GLUE has it: a space after every sentence, and a test part without labels."""
    folder = tmp_path / "glue" / "SST-2"
    train, dev = sentences(0, 30), sentences(100, 20)
    write_table(folder / "train.tsv", [(f"{text} ", label) for text, label in [*train, dev[0]]])
    write_table(folder / "dev.tsv", [(f"{text} ", label) for text, label in dev])
    write_table(folder / "test.tsv", [(0, "uneasy mishmash")], ("index", "sentence"))
    return tmp_path / "glue"


def test_the_prepared_data_keeps_its_official_parts(sst2: Any) -> None:
    parts = sst2.load(prepared_data("sst2"), 0, False)
    assert (len(parts["val"]), sum(label for _, label in parts["val"])) == (872, 444)
    assert (len(parts["test"]), sum(label for _, label in parts["test"])) == (1821, 909)
    assert len(parts["train"]) in range(67_300, 67_349)  # without what is in the test part too
    assert parts["train"][0] == ("hide new secretions from the parental units", 0)
    held_out = {text for part in ("val", "test") for text, _ in parts[part]}
    assert not held_out & {text for text, _ in parts["train"]}
    small = sst2.load(prepared_data("sst2"), 100, False)
    assert len(set(small["train"])) == 100
    assert set(small["train"]) <= set(parts["train"])
    assert small["train"] == sst2.load(prepared_data("sst2"), 100, False)["train"]
    assert (small["val"], small["test"]) == (parts["val"], parts["test"])


def test_without_labels_of_a_test_part_dev_is_halved(sst2: Any, glue: Path) -> None:
    parts = sst2.load(glue, 0, False)
    assert sorted(parts["train"]) == sorted(sentences(0, 30))  # not the one that is in dev too; no spaces
    assert sorted(parts["val"] + parts["test"]) == sorted(sentences(100, 20))
    assert [sum(label for _, label in parts[part]) for part in ("val", "test")] == [5, 5]
    assert parts == sst2.load(glue, 0, False)


def test_all_layouts_give_the_same_rows(sst2: Any, glue: Path, tmp_path: Path) -> None:
    expected = sst2.load(glue, 0, False)
    (tmp_path / "deep" / "glue_data").mkdir(parents=True)
    (glue / "SST-2").rename(tmp_path / "deep" / "glue_data" / "SST-2")
    assert sst2.load(tmp_path / "deep", 0, False) == expected
    for path in (tmp_path / "deep" / "glue_data" / "SST-2").iterdir():
        (tmp_path / "zipped" / "sst2").mkdir(parents=True, exist_ok=True)
        with gzip.open(tmp_path / "zipped" / "sst2" / f"{path.name}.gz", "wb") as file:
            file.write(path.read_bytes())
    assert sst2.load(tmp_path / "zipped", 0, False) == expected
    hub(tmp_path / "deep" / "glue_data" / "SST-2").save_to_disk(tmp_path / "saved" / "sst2")
    assert sst2.load(tmp_path / "saved", 0, False) == expected


def hub(folder: Path) -> Any:
    """The tables of a folder as the hub has them: -1 for a label that nobody tells."""
    datasets = pytest.importorskip("datasets")
    parts = {}
    for part, name in ("train", "train"), ("dev", "validation"), ("test", "test"):
        with (folder / f"{part}.tsv").open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        columns = {"idx": list(range(len(rows))), "sentence": [row["sentence"] for row in rows]}
        columns["label"] = [int(row.get("label", -1)) for row in rows]
        parts[name] = datasets.Dataset.from_dict(columns)
    return datasets.DatasetDict(parts)


def test_what_is_missing_is_fetched_once_into_the_cache(
    sst2: Any, glue: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("TCS_HPT_CACHE_DIR", str(tmp_path / "fetched"))
    asked: list[str] = []

    def load_dataset(name: str) -> Any:
        asked.append(name)
        return hub(glue / "SST-2")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    expected = sst2.load(glue, 0, False)
    assert asked == []
    for _ in range(2):
        assert sst2.load(tmp_path / "mine", 0, False) == expected
    assert asked == ["stanfordnlp/sst2"]
    assert [p.name for p in (tmp_path / "fetched" / "data").iterdir()] == ["sst2"]  # nothing half-written
    assert not (tmp_path / "mine").exists()


def test_without_data_and_network_one_sentence_says_what_goes_where(sst2: Any, tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    with pytest.raises(DataUnavailable) as raised:
        sst2.load(tmp_path, 0, False)
    message = str(raised.value)
    assert message.startswith("SST-2 is not here (stanfordnlp/sst2 cannot be read: ")
    assert message.endswith(f": put train.tsv, dev.tsv into {tmp_path / 'SST-2'}")
    assert "\n" not in message


def test_a_missing_datasets_is_named_with_the_command(
    sst2: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(
        DataUnavailable, match=r"datasets.*: pip install 'tcs-hpt\[text\]' to fetch it\): put train"
    ):
        sst2.load(tmp_path, 0, False)


@pytest.mark.parametrize(
    "content", ["sentence\tlabel\ngood\tyes\n", "text\tlabel\ngood\t1\n", "sentence\tlabel\ngood\n"]
)
def test_another_table_is_refused_by_name(sst2: Any, glue: Path, content: str) -> None:
    broken = glue / "SST-2" / "dev.tsv"
    broken.write_text(content)
    with pytest.raises(DataUnavailable) as raised:
        sst2.load(glue, 0, False)
    assert str(raised.value).startswith(f"{broken} is not a table of SST-2 (")


@pytest.mark.parametrize("content", ["index\tsentence\n0\tgood\n", "sentence\tlabel\ngood\t2\nbad\t0\n"])
def test_parts_without_the_two_labels_are_refused(sst2: Any, glue: Path, content: str) -> None:
    (glue / "SST-2" / "dev.tsv").write_text(content)
    with pytest.raises(
        DataUnavailable, match=r"^train and dev of SST-2 in .*SST-2 are not labelled 0 and 1: "
    ):
        sst2.load(glue, 0, False)


def test_sentences_are_invented_only_where_allowed_and_where_there_are_none(sst2: Any, glue: Path) -> None:
    made = sst2.load(None, 0, True)
    assert made == sst2.load(None, 0, True)
    assert [len(made[part]) for part in ("train", "val", "test")] == [600, 200, 200]
    assert all(("good" in text, "bad" in text) == (label == 1, label == 0) for text, label in made["val"])
    assert sst2.load(glue, 0, True) == sst2.load(glue, 0, False)


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


# -- vocabulary ---------------------------------------------------------------------------------------------


def test_a_vocabulary_is_trained_once_and_the_same_every_time(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [f"{a}{b}{c} {c}{a}" for a in "abcdé" for b in "xyz" for c in "mnopqr"] * 2
    found = []
    for name in "one", "two", "three":
        monkeypatch.setenv("TCS_HPT_CACHE_DIR", str(tmp_path / name))
        found.append(script.vocabulary(texts, 60))
    assert found[0] == found[1] == found[2]
    vocabulary = found[0]
    assert len(vocabulary) == 60
    assert list(vocabulary)[:5] == script.SPECIAL_TOKENS
    assert list(vocabulary.values()) == list(range(60))
    (kept,) = (tmp_path / "three" / "data" / "distilbert_sst2").iterdir()

    monkeypatch.delattr(script.BertWordPieceTokenizer, "train_from_iterator")
    assert script.vocabulary(texts, 60) == vocabulary  # from the cache
    kept.write_text(kept.read_text().replace("[MASK]", "[SEEN]"))
    assert "[SEEN]" in script.vocabulary(texts, 60)
    for other in (texts[1:], 60), (texts, 59):
        with pytest.raises(AttributeError):  # other sentences and sizes are another vocabulary
            script.vocabulary(*other)


def test_a_cache_that_cannot_be_written_is_no_obstacle(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("TCS_HPT_CACHE_DIR", str(tmp_path / "file"))
    assert "good" in script.vocabulary(["good film", "good good"], 40)


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
