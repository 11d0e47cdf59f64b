"""From messages to a model's own prompt, whatever its chat template can and cannot do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError

from tcs_hpt.errors import ModelError
from tcs_hpt.records import Message

PLAIN = (
    "{{ bos_token or '' }}{% for message in messages %}{{ message.role | capitalize }}: {{ message.content }}\n\n"
    "{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)
"""For models that have no chat template."""
PLACEHOLDER = "<<content>>"
"""Stands for a message's text while the fixed part of a prompt is cut out of the rendered template."""
THINK, END_THINK = "<think>", "</think>"

_Chat = list[dict[str, str]]


@dataclass(frozen=True)
class RenderedPrompt:
    """What a model reads."""

    ids: tuple[int, ...]
    fixed: int
    """How many leading tokens depend on nothing but the leading system messages."""
    opening: str = ""
    """What the prompt has already written of the answer: `<think>`, or nothing."""


class ChatTemplate:
    """Renders messages with a tokenizer's chat template.

    System messages are given as they are where the template shows them, else joined into one, else put in front of
    the first other message.

    Args:
        tokenizer: Of Transformers.
        name: Of the model, for messages.
    """

    def __init__(self, tokenizer: Any, name: str) -> None:
        self._tokenizer = tokenizer
        self._name = name
        self._template = None if tokenizer.chat_template else PLAIN

    def render(self, messages: Sequence[Message], *, think: bool) -> RenderedPrompt:
        """The prompt for these messages; depends on nothing else.

        Args:
            messages: In order.
            think: Whether a thinking model may think before it answers.

        Raises:
            ModelError: The template takes these messages in no form.
        """
        chat = [{"role": m.role, "content": m.content} for m in messages]
        text, form = self._text(chat, think)
        opening = ""
        if text.rstrip().endswith(THINK):
            if think:
                opening = THINK
            else:
                text = f"{text.rstrip()}\n\n{END_THINK}\n\n"
        ids = self._ids(text)
        return RenderedPrompt(ids, self._fixed(chat, form, ids, text, think), opening)

    def _text(self, chat: _Chat, think: bool) -> tuple[str, Callable[[_Chat], _Chat]]:
        refusal: Exception | None = None
        system = [m["content"].strip() for m in chat if m["role"] == "system"]
        for form in (_as_is, _system_joined, _system_merged):
            try:
                text = self._apply(form(chat), think)
            except (TemplateError, ValueError, TypeError) as error:
                refusal = error
                continue
            # Some templates leave out what they do not know instead of refusing it.
            if all(content in text for content in system):
                return text, form
        raise ModelError(
            f"the chat template of {self._name} does not take these messages: {refusal or 'it drops some of them'}",
            hint="Send messages of a user and the assistant in turn, the user's first.",
        ) from refusal

    def _fixed(
        self, chat: _Chat, form: Callable[[_Chat], _Chat], ids: tuple[int, ...], text: str, think: bool
    ) -> int:
        """Tokens before the text of the first message that is not a system message; 0 without system messages."""
        system = next((i for i, m in enumerate(chat) if m["role"] != "system"), 0)
        if system == 0:
            return 0
        shown = [*chat[:system], {"role": chat[system]["role"], "content": PLACEHOLDER}]
        before, found, _ = self._apply(form(shown), think).rpartition(PLACEHOLDER)
        if not found or not text.startswith(before):
            return 0
        # A token may reach over the border; and something must be left to be answered.
        return min(_common(self._ids(before), ids), len(ids) - 1)

    def _apply(self, chat: _Chat, think: bool) -> str:
        return str(
            self._tokenizer.apply_chat_template(
                chat,
                chat_template=self._template,
                tokenize=False,
                add_generation_prompt=True,
                enable_thinking=think,
            )
        )

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer(text, add_special_tokens=False)["input_ids"])


def _as_is(chat: _Chat) -> _Chat:
    return chat


def _system_joined(chat: _Chat) -> _Chat:
    system, rest = _split(chat)
    return [{"role": "system", "content": system}, *rest] if system else rest


def _system_merged(chat: _Chat) -> _Chat:
    system, rest = _split(chat)
    if not system:
        return rest
    if not rest or rest[0]["role"] != "user":
        return [{"role": "user", "content": system}, *rest]
    return [{"role": "user", "content": f"{system}\n\n{rest[0]['content']}"}, *rest[1:]]


def _split(chat: _Chat) -> tuple[str, _Chat]:
    system = "\n\n".join(m["content"] for m in chat if m["role"] == "system")
    return system, [m for m in chat if m["role"] != "system"]


def _common(first: Sequence[int], second: Sequence[int]) -> int:
    """How many leading elements are equal."""
    count = 0
    for a, b in zip(first, second, strict=False):
        if a != b:
            break
        count += 1
    return count
