from __future__ import annotations

import importlib.util
import json
import math
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tcs_hpt.catalog import load_task
from tcs_hpt.client import REFUSED
from tcs_hpt.execution import Job
from tcs_hpt.execution.folder import prepare
from tcs_hpt.llm.models import CATALOGUE, DEFAULT_EMBEDDED, models_dir
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import Config, Scalar
from tcs_hpt.testing.tasks import TaskContract, prepared_data

pytestmark = [
    # peft 0.21 asks Transformers 5.23 for what that calls deprecated.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    # And it says of prompt tuning that only the distances between tokens count, as they do in training.
    pytest.mark.filterwarnings("ignore:Position ids are not supported:UserWarning"),
]

TASK = load_task("qlora_summarization")
SMOKE = TASK.spec.with_profile("smoke")
SPACE = SearchSpace(TASK.spec.params)
LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj")
NO_LAYERS: Config = dict.fromkeys(LAYERS, False)

Trained = tuple[list[dict[str, Any]], dict[str, Any]]
Train = Callable[..., Trained]


class TestQloraSummarization(TaskContract):
    task = "qlora_summarization"
    test_score = "test_rouge1"
    needs = "cnn_dailymail"


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The script as a module, from a copy of the task's folder, without data and with an empty cache."""
    home = tmp_path_factory.mktemp("copy")
    folder = shutil.copytree(TASK.folder, home / "mine")
    spec = importlib.util.spec_from_file_location("qlora_train", folder / "train.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        for name in ("GOMP_SPINCOUNT", "CUBLAS_WORKSPACE_CONFIG", "TOKENIZERS_PARALLELISM"):
            patch.setenv(name, "false" if name.startswith("TOK") else os.environ.get(name, "0"))
        patch.setenv("TCS_HPT_CACHE_DIR", str(home / "cache"))
        patch.delenv("TCS_HPT_DATA_DIR", raising=False)
        spec.loader.exec_module(module)
        threads = module.torch.get_num_threads()
        yield module
        module.torch.use_deterministic_algorithms(False)
        module.torch.set_num_threads(threads)
        for name in ("articles", "language_models", "scores"):
            del sys.modules[name]


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


@pytest.fixture(scope="module")
def tiny(script: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the random model."""
    folder = tmp_path_factory.mktemp("tiny")
    script.language_models.make_tiny(
        folder, [text for pair in script.articles.made_up()["train"] for text in pair]
    )
    return folder


def params(values: dict[str, Scalar] | None = None, **fixed: Scalar) -> dict[str, Scalar]:
    return {**SMOKE.fixed, **SPACE.completed(values or {}), **fixed}


# The data.


def test_the_prepared_validation_file_is_split_once(script: Any) -> None:
    parts = script.articles.load(prepared_data("cnn_dailymail"), "quick")
    assert {part: len(pairs) for part, pairs in parts.items()} == {
        "train": 800,
        "validation": 200,
        "test": 500,
    }
    stories = [{pair.article for pair in pairs} for pairs in parts.values()]
    assert len(set.union(*stories)) == sum(map(len, stories)) >= 1499  # a story may be there twice
    assert script.articles.load(prepared_data("cnn_dailymail"), "paper") == parts


def test_the_files_of_the_hub_keep_their_parts(script: Any, tmp_path: Path) -> None:
    import pyarrow
    from pyarrow import parquet

    folder = tmp_path / "cnn_dailymail" / "3.0.0"
    folder.mkdir(parents=True)
    for part, files in (("train", 3), ("validation", 1), ("test", 1)):
        rows = [{"id": str(n), "article": f"{part} {n}", "highlights": f"short {n}"} for n in range(900)]
        parquet.write_table(pyarrow.Table.from_pylist(rows), folder / f"{part}-00000-of-{files:05}.parquet")
    parts = script.articles.load(tmp_path, "quick")
    assert {part: len(pairs) for part, pairs in parts.items()} == script.articles.POOL
    assert all(pairs[7] == (f"{part} 7", "short 7") for part, pairs in parts.items())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TCS_HPT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_is_missing_is_read_from_the_hub_once(
    script: Any, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Rows(list[dict[str, str]]):
        def take(self, count: int) -> list[dict[str, str]]:
            return self[:count]

    def load_dataset(name: str, version: str, *, split: str, streaming: bool) -> Rows:
        asked.append((name, version, split, streaming))
        return Rows({"id": str(n), "article": f"{split} {n}", "highlights": "short"} for n in range(1000))

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    for _ in range(2):
        parts = script.articles.load(None, "quick")
    assert {part: len(pairs) for part, pairs in parts.items()} == script.articles.POOL
    assert asked == [("abisee/cnn_dailymail", "3.0.0", part, True) for part in script.articles.POOL]
    assert {p.name for p in (cache / "data" / "cnn_dailymail").iterdir()} == set(script.articles.FETCHED)


@pytest.mark.parametrize("named", [True, False])
def test_without_data_and_network_one_sentence_says_what_goes_where(
    script: Any, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: bool
) -> None:
    def load_dataset(*args: Any, **options: Any) -> None:
        raise ConnectionError("Couldn't reach the Hub\n(no route)")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    with pytest.raises(script.DataUnavailable) as failed:
        script.articles.load(tmp_path / "mine" if named else None, "quick")
    message = str(failed.value)
    assert message.startswith(
        "CNN/DailyMail is not here (the Hugging Face Hub's abisee/cnn_dailymail cannot be read"
    )
    assert "\n" not in message
    place = tmp_path / "mine" if named else cache / "data"
    assert message.endswith(f"put validation_1000.jsonl.gz, test_500.jsonl.gz into {place / 'cnn_dailymail'}")


def test_only_smoke_makes_data_up(script: Any, cache: Path) -> None:
    made = script.articles.load(None, "smoke")
    assert made == script.articles.made_up()
    assert {part: len(pairs) for part, pairs in made.items()} == {"train": 40, "validation": 10, "test": 10}
    assert all(pair.article.startswith(pair.highlights) for pairs in made.values() for pair in pairs)


def test_the_loss_is_that_of_the_summary_alone(script: Any, tiny: Path) -> None:
    tokenizer = script.language_models.load(str(tiny), None, False, "cpu")[1]
    pairs = script.articles.made_up()["train"][:3]
    texts = script.articles.Texts(pairs, tokenizer, params(article_tokens=20, summary_tokens=6))
    batch = {name: tensor.tolist() for name, tensor in texts.batch([0, 1, 2], "cpu", True).items()}
    for pair, ids, mask, labels in zip(pairs, *batch.values(), strict=True):
        real = [i for i, m in zip(ids, mask, strict=True) if m]
        assert mask == sorted(mask)  # padded on the left
        kept = [label for label in labels if label != -100]
        assert labels[-len(kept) :] == kept == real[-7:]
        assert kept[-1] == tokenizer.eos_token_id
        assert pair.highlights.startswith(tokenizer.decode(kept[:-1]))
        prompt = tokenizer.decode(real[:-7])
        assert prompt.startswith(script.articles.REQUEST)
        shown = prompt.removeprefix(f"{script.articles.REQUEST}\n\n").removesuffix("\n\nSummary: ")
        assert pair.article.startswith(shown)
        assert len(tokenizer(shown)["input_ids"]) == 20


def test_every_text_is_used_once_before_any_is_used_twice(script: Any) -> None:
    batches = script.order(0, 5, 4, 10)
    assert [len(batch) for batch in batches] == [4] * 5
    used = [n for batch in batches for n in batch]
    assert sorted(used[:10]) == sorted(used[10:]) == list(range(10))
    assert script.order(0, 5, 4, 10) == batches != script.order(1, 5, 4, 10)


# The model.


def test_a_model_is_found_before_the_hub_is_asked(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    find, name = script.language_models.find, "HuggingFaceTB/SmolLM2-135M-Instruct"
    monkeypatch.setenv("TCS_HPT_MODELS_DIR", str(tmp_path / "own"))
    assert find(name, tmp_path / "data") is None
    places = [
        tmp_path / "own" / "SmolLM2-135M-Instruct.Q4_1.gguf",
        tmp_path / "data" / "SmolLM2-135M-Instruct.F16.gguf",
        tmp_path / "data" / "models" / "SmolLM2-135M-Instruct",
    ]
    for place in places:  # each comes before those that were there already
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch() if place.suffix == ".gguf" else place.mkdir()
        if place.is_dir():
            (place / "config.json").touch()
        assert find(name, tmp_path / "data") == place
    assert find(str(places[0]), None) == places[0]
    assert find("HuggingFaceTB/SmolLM2-360M-Instruct", tmp_path / "data") is None


def test_a_model_that_is_nowhere_is_named_in_one_sentence(
    script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(script.DataUnavailable) as failed:
        script.language_models.load("nobody/nothing", tmp_path, True, "cpu")
    message = str(failed.value)
    assert message.startswith("the model nobody/nothing is not here and cannot be fetched (")
    assert f"into {tmp_path / 'models'};" in message
    assert "\n" not in message


def test_a_folder_without_weights_is_named(script: Any, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(script.DataUnavailable, match="cannot be loaded: "):
        script.language_models.load(str(tmp_path), None, True, "cpu")


def loss_and_gradient(script: Any, model: Any) -> tuple[float, Any]:
    """Of a fixed text, the gradient as it arrives below all layers."""
    torch = script.torch
    ids = torch.arange(2, 34).view(2, 16)
    inputs = model.get_input_embeddings()(ids).detach().requires_grad_()
    model.train()
    loss = model(inputs_embeds=inputs, labels=ids, use_cache=False).loss
    loss.backward()
    return loss.item(), inputs.grad


def test_four_bit_weights_compute_and_learn_as_what_they_stand_for(script: Any, tiny: Path) -> None:
    load = script.language_models.load
    model = load(str(tiny), None, True, "cpu")[0]
    layers = [m for m in model.modules() if isinstance(m, script.language_models.bnb.nn.Linear4bit)]
    assert len(layers) == 2 * 7
    assert {(m.weight.quant_state.quant_type, m.weight.quant_state.nested) for m in layers} == {("nf4", True)}
    first = loss_and_gradient(script, model)
    with script.torch.no_grad():  # where bitsandbytes may change how the weights lie in memory
        model.eval()(input_ids=script.torch.arange(2, 34).view(2, 16))
    after = loss_and_gradient(script, model)
    assert (after[0], after[1].tolist()) == (first[0], first[1].tolist())
    again = load(str(tiny), None, True, "cpu")[0]
    assert loss_and_gradient(script, again)[0] == first[0]
    dense = loss_and_gradient(script, model.dequantize())
    assert dense[0] == pytest.approx(first[0], rel=1e-5)
    assert script.torch.allclose(dense[1], first[1], rtol=1e-3, atol=1e-6)
    exact = loss_and_gradient(script, load(str(tiny), None, False, "cpu")[0])
    assert exact[0] != first[0]


@pytest.mark.parametrize("name", LAYERS)
def test_adapters_are_where_they_are_switched_on(script: Any, tiny: Path, name: str) -> None:
    model = script.language_models.load(str(tiny), None, True, "cpu")[0]
    values = {**NO_LAYERS, name: True, "r": 12, "lora_alpha": 48, "lora_dropout": 0.2}
    tuned = script.language_models.prepare(model, params(values))
    found = {n: m for n, m in tuned.named_modules() if hasattr(m, "lora_A")}
    assert sorted(n.rpartition(".")[2] for n in found) == [name] * 2
    for layer in found.values():
        assert isinstance(layer.base_layer, script.language_models.bnb.nn.Linear4bit)
        assert layer.lora_A["default"].out_features == layer.lora_B["default"].in_features == 12
        assert layer.scaling["default"] == 48 / 12
        assert layer.lora_dropout["default"].p == 0.2
    trained = [n for n, p in tuned.named_parameters() if p.requires_grad]
    assert len(trained) == 4
    assert all(".lora_" in n for n in trained)


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


def test_a_checkpoint_of_another_configuration_is_not_used(script: Any, tiny: Path, tmp_path: Path) -> None:
    model = script.language_models.prepare(
        script.language_models.load(str(tiny), None, True, "cpu")[0], params()
    )
    optimizer = script.torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
    kept = {"epochs": [{"epoch": 1}], "best": {"val_rouge1": 1.0}, "best_weights": {}}
    script.save(tmp_path / "c.pt", model, optimizer, config={"seed": 0}, **kept)
    assert script.resume(tmp_path / "c.pt", {"seed": 0}, model, optimizer)[0] == [{"epoch": 1}]
    assert script.resume(tmp_path / "c.pt", {"seed": 1}, model, optimizer) == ([], None, {})


def test_the_base_model_is_scored_once(
    script: Any, tiny: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer, what = script.language_models.load(str(tiny), None, True, "cpu")
    pairs = script.articles.made_up()["validation"][:2]
    texts = script.articles.Texts(pairs, tokenizer, params())
    scored: list[dict[str, float]] = []

    def evaluate(*args: Any) -> dict[str, float]:
        scored.append({"rouge1": 0.1 * len(scored), "loss": random.random()})
        return scored[-1]

    monkeypatch.setattr(script, "evaluate", evaluate)
    assert (
        script.base_scores(model, texts, "cpu", what)
        == script.base_scores(model, texts, "cpu", what)
        == scored[0]
    )
    longer = script.articles.Texts(pairs, tokenizer, params(new_tokens=9))
    assert script.base_scores(model, longer, "cpu", what) == scored[1]
    assert script.base_scores(model, texts, "cpu", [*what, "changed"]) == scored[2]
    assert script.base_scores(model, texts, "cpu", None) == scored[3]
    assert len(list((cache / "qlora_summarization").iterdir())) == 3


# The scores.


def test_rouge_and_the_others_are_those_of_the_literature(
    script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(script.scores, "has_wordnet", lambda: False)
    wanted = ["the cat ran away", "one two three four five"]
    found = script.scores.score(["about cats", "numbers"], ["the cat sat", wanted[1]], wanted)
    # 2 of 3 written words, 2 of 4 wanted ones; 1 of 2 pairs, 1 of 3 pairs
    assert found["rouge1"] == pytest.approx((4 / 7 + 1) / 2)
    assert found["rouge2"] == pytest.approx((2 / 5 + 1) / 2)
    assert found["rougeL"] == pytest.approx((4 / 7 + 1) / 2)
    assert found["rouge1_with_article"] == pytest.approx((8 / 11 + 1) / 2)
    assert found["exact_match"] == 0.5
    assert 40 < found["bleu"] < 100
    assert "meteor" not in found
    same = script.scores.score(wanted, wanted, wanted)
    assert (same["rouge1"], same["rougeL"], same["exact_match"]) == (1, 1, 1)
    assert same["bleu"] == pytest.approx(100)


def test_meteor_is_there_when_nltk_has_its_words(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(script.scores, "has_wordnet", lambda: True)
    monkeypatch.setattr(script.scores, "meteor_score", lambda wanted, written: float(wanted == [written]))
    assert script.scores.score(["a", "b"], ["one", "two"], ["one", "three"])["meteor"] == 0.5


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
