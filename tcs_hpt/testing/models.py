"""What every chat model must do, as a test class to inherit.

Subclass `ModelContract` in a test module under a name that starts with `Test`, and give it two pytest fixtures:
`model`, which may be shared by all tests, and `model_to_close`, which may not.
"""

from __future__ import annotations

import json
from typing import Any

from tcs_hpt.llm import ChatModel, ChatRequest
from tcs_hpt.records import Message

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "change": {"type": "string", "enum": ["lr: 0.01 -> 0.003", "dropout: 0.2 -> 0.4"]},
        "confidence": {"type": "integer", "minimum": 1, "maximum": 5},
        "reason": {"type": "string", "maxLength": 40},
    },
    "required": ["change", "confidence", "reason"],
    "additionalProperties": False,
}
"""What agents ask for, in small: an enum, a bounded number, and a short text last."""


def request(text: str = "Which change is best?", **changes: Any) -> ChatRequest:
    """A request such as the agents make, with any field of `ChatRequest` changed."""
    fields: dict[str, Any] = {
        "messages": (
            Message(role="system", content="You tune the hyperparameters of a neural network."),
            Message(role="user", content=text),
        ),
        "max_tokens": 120,
        "schema": SCHEMA,
        "seed": 1,
        "lane": "optimizer",
    }
    return ChatRequest(**(fields | changes))


class ModelContract:
    """Rules that hold for every backend; they say nothing about how good an answer is."""

    def test_name_is_one_that_a_user_could_type(self, model: ChatModel) -> None:
        """A name, without spaces around it."""
        assert model.name
        assert model.name == model.name.strip()

    def test_an_answer_satisfies_the_schema(self, model: ChatModel) -> None:
        """The text is the JSON object asked for, and nothing else."""
        reply = model.complete(request())
        assert reply.finish_reason == "stop"
        answer = json.loads(reply.text)
        assert set(answer) == set(SCHEMA["properties"])
        assert answer["change"] in SCHEMA["properties"]["change"]["enum"]
        assert answer["confidence"] in range(1, 6)
        assert len(answer["reason"]) <= 40

    def test_an_answer_without_schema_is_text(self, model: ChatModel) -> None:
        """Free text needs no schema."""
        assert model.complete(request(schema=None, max_tokens=20)).text

    def test_tokens_and_time_are_counted(self, model: ChatModel) -> None:
        """Counts are there, and grow with the prompt."""
        short, long = model.complete(request("One?")), model.complete(request("One? " * 50))
        assert 0 < short.prompt_tokens < long.prompt_tokens
        assert short.completion_tokens > 0
        assert short.seconds >= 0

    def test_the_same_request_gives_the_same_text(self, model: ChatModel) -> None:
        """Whatever was asked in between, in the same lane or another."""
        first = model.complete(request()).text
        model.complete(request("Which change is worst?", seed=2))
        model.complete(request("What now?", lane="analysis"))
        assert model.complete(request()).text == first

    def test_a_rested_model_answers_as_before(self, model: ChatModel) -> None:
        """Giving memory back between decisions changes no answer."""
        first = model.complete(request()).text
        model.rest()
        model.rest()
        assert model.complete(request()).text == first

    def test_tokens_that_are_told_make_up_the_answer(self, model: ChatModel) -> None:
        """A backend that knows no probabilities tells none."""
        reply = model.complete(request(schema=None, max_tokens=12, logprobs=True))
        assert all(token.logprob <= 1e-6 for token in reply.tokens)
        if reply.tokens:
            assert "".join(token.text for token in reply.tokens).strip() == reply.text.strip()

    def test_closing_twice_is_fine(self, model_to_close: ChatModel) -> None:
        """Closing may come from several places."""
        model_to_close.close()
        model_to_close.close()
