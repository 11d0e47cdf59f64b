"""Chat templates, and what belongs to the answer and what to thoughts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tcs_hpt.errors import ModelError
from tcs_hpt.llm import ChatReply
from tcs_hpt.llm.transformers_local import TransformersModel
from tcs_hpt.records import Message
from tcs_hpt.testing.models import request
from tests.llm.transformers_local.models import (
    ALWAYS_THINKS,
    CHAT,
    DROPS_SYSTEM,
    NO_SYSTEM,
    ONE_SYSTEM,
    save_random_model,
    save_reciting_model,
    torch,
    transformers,
)


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
