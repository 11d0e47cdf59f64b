"""What qlora_summarization trains with, each part without a trial: its articles, its models and its scores."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tcs_hpt.spec import Scalar
from tcs_hpt.testing.tasks import prepared_data
from tests.tasks.qlora import LAYERS, NO_LAYERS, SMOKE, SPACE, WARNINGS, loaded

pytestmark = WARNINGS


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with loaded(tmp_path_factory.mktemp("copy")) as module:
        yield module


@pytest.fixture(scope="module")
def tiny(script: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the random model."""
    folder = tmp_path_factory.mktemp("tiny")
    script.language_models.make_tiny(
        folder, [text for pair in script.articles.made_up()["train"] for text in pair]
    )
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TCS_HPT_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


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


@pytest.mark.parametrize("strategy", ["qlora", "full", "prompt", "prefix"])
def test_the_loss_is_that_of_transformers_without_the_logits_of_the_prompt(
    script: Any, tiny: Path, strategy: str
) -> None:
    model, tokenizer, _ = script.language_models.load(str(tiny), None, strategy == "qlora", "cpu")
    model = script.language_models.prepare(model, params(strategy=strategy))
    made = []  # how many tokens got logits
    model.get_output_embeddings().register_forward_hook(lambda _, inputs, __: made.append(inputs[0].shape[1]))
    texts = script.articles.Texts(script.articles.made_up()["train"], tokenizer, params(summary_tokens=6))
    batch = texts.batch([0, 1, 2], "cpu", True)
    trained = [p for p in model.parameters() if p.requires_grad]
    grad = script.torch.autograd.grad
    whole = model(**batch, use_cache=False).loss
    ours = script.summary_loss(model, batch)
    assert made[-1] == 8 < made[0]
    assert ours.item() == pytest.approx(whole.item(), rel=1e-6)
    for wanted, found in zip(grad(whole, trained), grad(ours, trained), strict=True):
        script.torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-6)


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


# What is kept.


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
