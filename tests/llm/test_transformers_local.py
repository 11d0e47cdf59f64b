from __future__ import annotations

import itertools
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from tcs_hpt.errors import ModelError, ModelUnavailable
from tcs_hpt.llm import ChatModel, ChatReply
from tcs_hpt.llm.transformers_local import TransformersModel, require_engine
from tcs_hpt.records import Message
from tcs_hpt.testing.models import SCHEMA, ModelContract, request

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")
pytest.importorskip("llguidance")

TEXTS = [
    "You tune the hyperparameters of a neural network. Which change is best? Which change is worst? What now?",
    "system user assistant Which change is best? You tune the hyperparameters of a neural network.",
    '{"change": "lr: 0.01 -> 0.003", "confidence": 1, "reason": "dropout: 0.2 -> 0.4"} 56789',
    '{"change": "lr: 0.01 -> 0.003", "confidence": 1, "reason": "dropout: 0.2 -> 0.4"} One? é日',
    "System: User: Assistant:",
]
CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
NO_SYSTEM = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}" + CHAT
DROPS_SYSTEM = "{% set messages = messages | rejectattr('role', 'equalto', 'system') | list %}" + CHAT
ONE_SYSTEM = (
    "{% if messages[1].role == 'system' %}{{ raise_exception('one system message') }}{% endif %}" + CHAT
)
ALWAYS_THINKS = CHAT + "{{ '<think>\n' }}"
WINDOW = 512


def save_tokenizer(folder: Path, template: str | None = CHAT) -> Any:
    """A byte-level BPE that knows the bytes of `TEXTS`, and the marks of a chat."""
    bpe = tokenizers.Tokenizer(tokenizers.models.BPE())
    bpe.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=400,
        min_frequency=2,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=["Ċ", "Ġ"],
        show_progress=False,
    )
    bpe.train_from_iterator(TEXTS, trainer)
    bpe.add_tokens(["<think>", "</think>"])
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<|im_end|>")
    tokenizer.chat_template = template
    tokenizer.save_pretrained(folder)
    return tokenizer


def save_random_model(folder: Path, *, template: str | None = CHAT, **settings: Any) -> Path:
    """A Llama of 30,000 random weights that prefers some tokens clearly."""
    tokenizer = save_tokenizer(folder, template)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=WINDOW,
        initializer_range=0.2,
        eos_token_id=tokenizer.eos_token_id,
        **settings,
    )
    with torch.random.fork_rng():
        torch.manual_seed(1)
        transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def save_reciting_model(folder: Path, text: str, *, template: str = CHAT) -> Path:
    """A model that writes this text after a line break, then ends; no token may occur twice in it.

    Attention and MLP are zero, so that the scores depend on the last token alone: 8 for its successor, else 0.
    """
    tokenizer = save_tokenizer(folder, template)
    chain = [*tokenizer("\n" + text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    assert len(set(chain)) == len(chain)
    size = len(tokenizer)
    config = transformers.LlamaConfig(
        vocab_size=size,
        hidden_size=size,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        head_dim=8,
        max_position_embeddings=WINDOW,
        tie_word_embeddings=False,
        rms_norm_eps=1e-12,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = transformers.LlamaForCausalLM(config)
    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(torch.eye(size))
        model.model.layers[0].self_attn.o_proj.weight.zero_()
        model.model.layers[0].mlp.down_proj.weight.zero_()
        model.lm_head.weight.zero_()
        for token, successor in itertools.pairwise(chain):
            # The last norm scales a one-hot vector to sqrt(size).
            model.lm_head.weight[successor, token] = 8 / size**0.5
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """So small a model only loses time when threads wait for each other on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_model(tmp_path_factory.mktemp("random"))


@pytest.fixture(scope="module")
def model(folder: Path) -> Iterator[TransformersModel]:
    model = TransformersModel(str(folder), name="transformers:tiny", device="cpu")
    yield model
    model.close()


@contextmanager
def on_each_forward(action: Callable[[int], None]) -> Iterator[None]:
    """Calls the action with the number of tokens that a model is about to evaluate."""

    def hook(module: Any, arguments: tuple[Any, ...]) -> None:
        if isinstance(module, torch.nn.Embedding):
            action(arguments[0].shape[-1])

    handle = torch.nn.modules.module.register_module_forward_pre_hook(hook)
    try:
        yield
    finally:
        handle.remove()


class TestTransformersModel(ModelContract):
    @pytest.fixture
    def model(self, model: TransformersModel) -> ChatModel:
        return model

    @pytest.fixture
    def model_to_close(self, folder: Path) -> ChatModel:
        return TransformersModel(str(folder))


def test_it_is_named_as_the_user_would(folder: Path) -> None:
    assert TransformersModel(str(folder)).name == f"transformers:{folder}"


def test_scores_are_those_of_one_pass_over_the_whole_text(folder: Path, model: TransformersModel) -> None:
    # Letters only, so that a token's text tells which token it is.
    asked = request(schema={"type": "string", "pattern": "^[a-z ]{20}$"}, logprobs=True, temperature=1.5)
    reply = model.complete(asked)
    assert "".join(token.text for token in reply.tokens) == reply.text

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    by_text = {tokenizer.decode([i]): i for i in range(len(tokenizer))}
    answer = [by_text[token.text] for token in reply.tokens]
    prompt = tokenizer.apply_chat_template(
        [m.model_dump() for m in asked.messages], add_generation_prompt=True, return_dict=True
    )["input_ids"]
    assert reply.prompt_tokens == len(prompt)
    assert reply.completion_tokens == len(answer)
    with torch.no_grad():
        llama = transformers.AutoModelForCausalLM.from_pretrained(folder)
        logits = llama(torch.tensor([[*prompt, *answer]])).logits[0, len(prompt) - 1 : -1].double()
    exact = [logits[i, token].item() for i, token in enumerate(answer)]
    total = [torch.logsumexp(row, 0).item() for row in logits]
    assert [token.logit for token in reply.tokens] == pytest.approx(exact, abs=1e-4)
    assert [token.logprob for token in reply.tokens] == pytest.approx(
        [score - z for score, z in zip(exact, total, strict=True)], abs=1e-4
    )
    assert max(exact) - min(exact) > 1


def test_scores_are_told_only_when_asked_for(model: TransformersModel) -> None:
    assert model.complete(request()).tokens == ()


def test_an_answer_is_written_in_the_schemas_order_without_free_whitespace(model: TransformersModel) -> None:
    text = model.complete(request(seed=5)).text
    assert text == json.dumps(json.loads(text), ensure_ascii=False)
    assert list(json.loads(text)) == list(SCHEMA["properties"])


def test_a_character_in_several_tokens_belongs_to_the_last_of_them(model: TransformersModel) -> None:
    reply = model.complete(request(schema={"enum": ["é日é"]}, logprobs=True))
    assert reply.text == '"é日é"'
    assert [token.text for token in reply.tokens] == ['"', "", "é", "", "", "日", "", "é", '"']


@pytest.mark.parametrize(
    "schema", [{"type": "fruit"}, {"$ref": "#/$defs/none"}, {"type": "string", "pattern": "("}]
)
def test_a_schema_that_cannot_be_enforced_is_refused(
    model: TransformersModel, schema: dict[str, Any]
) -> None:
    with pytest.raises(ModelError, match="schema cannot be enforced"):
        model.complete(request(schema=schema))


def test_an_answer_is_cut_where_the_tokens_end(model: TransformersModel) -> None:
    reply = model.complete(request(max_tokens=3))
    assert (reply.finish_reason, reply.completion_tokens) == ("length", 3)
    assert reply.text.startswith('{"')


def test_temperature_0_takes_the_likeliest_token(model: TransformersModel) -> None:
    replies = [
        model.complete(request(schema=None, max_tokens=20, temperature=0, seed=seed, logprobs=True))
        for seed in (1, 2)
    ]
    assert replies[0].text == replies[1].text
    drawn = model.complete(request(schema=None, max_tokens=20, temperature=3, logprobs=True))
    assert sum(t.logprob for t in drawn.tokens) < sum(t.logprob for t in replies[0].tokens)


def test_seeds_differ_and_leave_the_callers_random_state_alone(model: TransformersModel) -> None:
    before = torch.get_rng_state()
    texts = {
        model.complete(request(schema=None, max_tokens=20, seed=seed)).text for seed in (1, 2, -3, 2**70)
    }
    assert len(texts) == 4
    assert torch.equal(torch.get_rng_state(), before)


def test_a_kept_prefix_is_not_read_again_and_changes_no_bit(folder: Path, model: TransformersModel) -> None:
    asked = request(lane="prefix", logprobs=True)
    model.complete(request("What now?", lane="prefix", temperature=2))
    read: list[int] = []
    with on_each_forward(read.append):
        kept = model.complete(asked)
    assert 1 < read[0] < kept.prompt_tokens / 2
    assert set(read[1:]) == {1}

    fresh = TransformersModel(str(folder), device="cpu")
    all_read: list[int] = []
    with on_each_forward(all_read.append):
        first = fresh.complete(asked)
    fresh.close()
    assert all_read[0] + all_read[1] == kept.prompt_tokens
    assert (first.text, first.tokens) == (kept.text, kept.tokens)


def test_a_changed_system_message_is_read(model: TransformersModel) -> None:
    other = (Message(role="system", content="What now?"), request().messages[1])
    read: list[int] = []
    model.complete(request(lane="changed"))
    with on_each_forward(read.append):
        reply = model.complete(request(lane="changed", messages=other))
    assert read[0] + read[1] == reply.prompt_tokens


def test_a_prompt_longer_than_the_window_is_refused(model: TransformersModel) -> None:
    with pytest.raises(
        ModelError, match=rf"has \d+ tokens, and transformers:tiny reads at most {WINDOW}"
    ) as caught:
        model.complete(request("Which change is best? " * 200))
    assert "Shorten the prompt" in caught.value.hint


def test_an_answer_ends_with_the_window(model: TransformersModel) -> None:
    text = "Which change is best? " * 80
    prompt = model.complete(request(text, max_tokens=1)).prompt_tokens
    assert WINDOW - 200 < prompt < WINDOW
    endless = {"type": "string", "minLength": 2 * WINDOW}
    reply = model.complete(request(text, schema=endless, max_tokens=2 * WINDOW))
    assert reply.finish_reason == "length"
    assert reply.prompt_tokens + reply.completion_tokens == WINDOW


def test_tokens_are_counted_with_the_models_own_tokenizer(folder: Path, model: TransformersModel) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    assert model.token_count("Which change is best?") == len(tokenizer.tokenize("Which change is best?")) > 0
    assert model.token_count("") == 0


def test_ctrl_c_interrupts_and_the_next_answer_is_the_same(model: TransformersModel) -> None:
    asked = request(schema=None, max_tokens=40)
    whole = model.complete(asked).text
    count = 0

    def interrupt(_: int) -> None:
        nonlocal count
        count += 1
        if count == 5:
            raise KeyboardInterrupt

    with on_each_forward(interrupt), pytest.raises(KeyboardInterrupt):
        model.complete(asked)
    assert model.complete(asked).text == whole


def test_closing_ends_an_answer_that_is_being_written(folder: Path) -> None:
    model = TransformersModel(str(folder))
    count = 0

    def close(_: int) -> None:
        nonlocal count
        count += 1
        if count == 5:
            model.close()

    with on_each_forward(close), pytest.raises(ModelError, match="is closed"):
        model.complete(request(schema=None, max_tokens=400))
    assert count == 5


def test_a_closed_model_says_so(folder: Path) -> None:
    model = TransformersModel(str(folder))
    model.close()
    model.rest()
    with pytest.raises(ModelError, match="is closed"):
        model.complete(request())
    with pytest.raises(ModelError, match="is closed"):
        model.token_count("a")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_resting_gives_device_memory_back(folder: Path) -> None:
    model = TransformersModel(str(folder), device="cuda")
    first = model.complete(request(logprobs=True))
    busy = torch.cuda.memory_allocated()
    model.rest()
    assert torch.cuda.memory_allocated() < busy / 2
    assert model.complete(request(logprobs=True)).tokens == first.tokens
    model.close()


def test_a_model_without_a_chat_template_gets_a_plain_one(tmp_path: Path) -> None:
    model = TransformersModel(str(save_random_model(tmp_path, template=None)))
    read = prompt_of(model, *request().messages)
    assert read == f"System: {SYSTEM}\n\nUser: Which change is best?\n\nAssistant:"


SYSTEM = request().messages[0].content


def prompt_of(model: TransformersModel, *messages: Message) -> str:
    """What the model read, put together from what it evaluated."""
    ids: list[int] = []

    def hook(module: Any, arguments: tuple[Any, ...]) -> None:
        if isinstance(module, torch.nn.Embedding):
            ids.extend(arguments[0][0].tolist())

    handle = torch.nn.modules.module.register_module_forward_pre_hook(hook)
    try:
        reply = model.complete(request(messages=messages, max_tokens=1))
    finally:
        handle.remove()
    assert len(ids) == reply.prompt_tokens
    source = model.name.removeprefix("transformers:")
    return str(transformers.AutoTokenizer.from_pretrained(source).decode(ids))


@pytest.mark.parametrize("template", [NO_SYSTEM, DROPS_SYSTEM])
def test_a_model_without_a_system_role_gets_its_text_with_the_first_user_message(
    tmp_path: Path, template: str
) -> None:
    model = TransformersModel(str(save_random_model(tmp_path, template=template)))
    messages = [
        *request().messages,
        Message(role="assistant", content="lr: 0.01"),
        Message(role="user", content="What now?"),
    ]
    assert prompt_of(model, *messages) == (
        f"<|im_start|>user\n{SYSTEM}\n\nWhich change is best?<|im_end|>\n<|im_start|>assistant\nlr: 0.01<|im_end|>\n"
        "<|im_start|>user\nWhat now?<|im_end|>\n<|im_start|>assistant\n"
    )


def test_system_messages_are_joined_for_a_template_that_takes_one(tmp_path: Path) -> None:
    model = TransformersModel(str(save_random_model(tmp_path, template=ONE_SYSTEM)))
    messages = [Message(role="system", content="What now?"), *request().messages]
    assert prompt_of(model, *messages).startswith(f"<|im_start|>system\nWhat now?\n\n{SYSTEM}<|im_end|>\n")


def test_a_template_that_takes_no_form_of_the_messages_is_an_error(tmp_path: Path) -> None:
    model = TransformersModel(str(save_random_model(tmp_path, template="{{ raise_exception('never') }}")))
    with pytest.raises(ModelError, match=r"does not take these messages: never"):
        model.complete(request())


def recite(tmp_path: Path, text: str, *, template: str = CHAT, think: bool = False) -> ChatReply:
    model = TransformersModel(str(save_reciting_model(tmp_path, text, template=template)), think=think)
    reply = model.complete(request(schema=None, temperature=0, logprobs=True))
    model.close()
    return reply


def test_an_answer_ends_at_the_models_end_token(tmp_path: Path) -> None:
    reply = recite(tmp_path, "dropout?")
    assert (reply.text, reply.thoughts, reply.finish_reason) == ("dropout?", "", "stop")
    assert reply.completion_tokens == len(reply.tokens) + 1
    assert [token.logit for token in reply.tokens] == pytest.approx([8.0] * len(reply.tokens), abs=1e-4)


def test_thoughts_are_split_off_with_their_tokens(tmp_path: Path) -> None:
    reply = recite(tmp_path, "<think>Which</think>best?")
    assert (reply.text, reply.thoughts) == ("best?", "Which")
    assert "".join(token.text for token in reply.tokens) == "best?"


def test_thoughts_that_the_prompt_opens_are_thoughts(tmp_path: Path) -> None:
    reply = recite(tmp_path, "Which</think>best?", template=ALWAYS_THINKS, think=True)
    assert (reply.text, reply.thoughts) == ("best?", "Which")
    assert "".join(token.text for token in reply.tokens) == "best?"


def test_a_thinking_model_answers_at_once_under_a_schema(tmp_path: Path) -> None:
    model = TransformersModel(str(save_random_model(tmp_path, template=ALWAYS_THINKS)), think=True)
    assert prompt_of(model, *request().messages).endswith("assistant\n<think>\n\n</think>\n\n")
    reply = model.complete(request())
    assert json.loads(reply.text)
    assert reply.thoughts == ""


def test_settings_of_the_model_change_no_score(tmp_path: Path) -> None:
    folder = save_reciting_model(tmp_path, "best?")
    path = folder / "generation_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps(settings | {"repetition_penalty": 2.0, "do_sample": True, "top_k": 1}))
    reply = TransformersModel(str(folder)).complete(
        request("best?", schema=None, temperature=0, logprobs=True)
    )
    assert reply.text == "best?"
    assert [token.logit for token in reply.tokens] == pytest.approx([8.0] * len(reply.tokens), abs=1e-4)


def test_nothing_is_drawn_behind_the_end() -> None:
    from tcs_hpt.llm._sampling import Sampler

    sampler = Sampler(
        temperature=0, top_p=1, seed=0, ends=frozenset({1}), grammar=None, scored=True, check=lambda: None
    )
    scores = torch.tensor([[0.0, 2.0, 1.0]])
    assert sampler(scores, scores).argmax() == 1
    assert torch.equal(sampler(scores, scores.flip(1)), scores.flip(1))
    assert (sampler.ids, sampler.drawn, sampler.scores, sampler.ended) == ([], 1, [], True)


@pytest.mark.parametrize(("top_p", "drawn"), [(0.5, {0}), (0.7, {0, 1}), (1.0, {0, 1, 2})])
def test_top_p_leaves_the_likeliest_tokens(top_p: float, drawn: set[int]) -> None:
    from tcs_hpt.llm._sampling import Sampler

    sampler = Sampler(
        temperature=1, top_p=top_p, seed=0, ends=frozenset(), grammar=None, scored=False, check=lambda: None
    )
    scores = torch.tensor([[0.6, 0.3, 0.1]]).log()
    assert {int(sampler(scores, scores).argmax()) for _ in range(100)} == drawn


def test_scores_that_are_no_numbers_are_an_error() -> None:
    from tcs_hpt.llm._sampling import Sampler

    sampler = Sampler(
        temperature=1, top_p=1, seed=0, ends=frozenset(), grammar=None, scored=False, check=lambda: None
    )
    scores = torch.tensor([[0.0, torch.nan]])
    with pytest.raises(ModelError, match="not finite"):
        sampler(scores, scores)


def test_opening_leaves_the_environment_of_trials_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    require_engine()
    assert "GOMP_SPINCOUNT" not in os.environ
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    require_engine()
    assert os.environ["GOMP_SPINCOUNT"] == "7"


def refused(source: str, **settings: Any) -> ModelUnavailable:
    with pytest.raises(ModelUnavailable) as caught:
        TransformersModel(source, **settings)
    assert "\n" not in caught.value.message
    assert caught.value.hint
    return caught.value


def test_missing_and_damaged_files_are_named(tmp_path: Path) -> None:
    assert "there is no model file" in str(refused(str(tmp_path / "none.gguf")))
    assert "there is no model folder" in str(refused(str(tmp_path / "none")))
    assert "there is no model folder ./none" in str(refused("./none"))
    assert "cannot load" in str(refused(str(tmp_path)))
    (tmp_path / "weights.bin").write_bytes(b"")
    assert "only GGUF files" in str(refused(str(tmp_path / "weights.bin")))
    (tmp_path / "damaged.gguf").write_bytes(b"GGUF and no more")
    assert "cannot load" in str(refused(str(tmp_path / "damaged.gguf")))
    folder = save_random_model(tmp_path / "cut")
    (folder / "model.safetensors").write_bytes(b"\0" * 20)
    assert "cannot load" in str(refused(str(folder)))


def test_code_of_a_model_is_not_run_unasked(tmp_path: Path) -> None:
    config = {"model_type": "own", "auto_map": {"AutoConfig": "own.OwnConfig"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "own.py").write_text("raise SystemExit('it ran')\n")
    assert "Python code of its own" in str(refused(str(tmp_path)))


def test_a_model_that_does_not_fit_is_refused_before_its_weights_are_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = (folder / "model.safetensors").stat().st_size
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=weights))
    assert "GB of memory" in str(refused(str(folder)))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=1.2 * weights))
    TransformersModel(str(folder), device="cpu").close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"device": "abacus"}, "torch knows no device `abacus`"),
        ({"device": "cuda:99"}, "there is no device `cuda:99`"),
        ({"device": "meta"}, "there is no device `meta`"),
        ({"dtype": "int8"}, "`int8` is not a number format"),
        ({"dtype": "nn"}, "`nn` is not a number format"),
    ],
)
def test_wrong_settings_are_refused(folder: Path, settings: dict[str, str], message: str) -> None:
    assert message in str(refused(str(folder), **settings))


def test_half_precision_answers_too(folder: Path) -> None:
    model = TransformersModel(str(folder), device="cpu", dtype="bfloat16")
    assert json.loads(model.complete(request()).text)


@pytest.mark.parametrize("package", ["torch", "transformers", "llguidance"])
def test_a_missing_package_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    error = refused("anything")
    assert package in error.message
    assert "tcs-hpt[transformers]" in error.hint


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (transformers.utils.hub, sys.modules["huggingface_hub"].constants):
        for constant in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
            monkeypatch.setattr(module, constant, str(tmp_path), raising=False)
    return tmp_path


def test_a_model_that_is_not_here_without_a_network_is_one_sentence(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["huggingface_hub"].constants, "HF_HUB_OFFLINE", True)
    assert refused("someone/something").message == (
        "transformers:someone/something is not on this machine, and the Hugging Face Hub cannot be reached"
    )


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (404, "RepoNotFound", "there is no transformers:someone/something on the Hugging Face Hub"),
        (403, "GatedRepo", "is gated on the Hugging Face Hub"),
    ],
)
def test_what_the_hub_refuses_is_one_sentence(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch, status: int, code: str, message: str
) -> None:
    with hub_that_refuses(status, code) as address:
        monkeypatch.setattr(sys.modules["huggingface_hub"].constants, "ENDPOINT", address)
        assert message in refused("someone/something").message


@contextmanager
def hub_that_refuses(status: int, code: str) -> Iterator[str]:
    class Refusal(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            if code:
                self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Refusal)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.embedded
def test_the_embedded_models_file_answers_with_logits(smollm2: Path) -> None:
    model = TransformersModel(str(smollm2), device="cpu")
    reply = model.complete(request(logprobs=True))
    model.close()
    assert set(json.loads(reply.text)) == set(SCHEMA["properties"])
    assert "".join(token.text for token in reply.tokens) == reply.text
    assert all(token.logprob < 0 and token.logit is not None for token in reply.tokens)
