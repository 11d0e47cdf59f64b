"""Tiny models made on the spot: one of random weights, one that recites a text."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

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
