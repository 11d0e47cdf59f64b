"""JSON schemas as masks over a model's vocabulary, through `llguidance`.

Imports torch; import it only after `transformers_local.require_engine`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from llguidance import LLMatcher, LLTokenizer
from llguidance.hf import from_tokenizer

from tcs_hpt.errors import ModelError

SPELLING = {"whitespace_flexible": False, "key_separator": ": ", "item_separator": ", "}
"""Small models fill an answer with line breaks where they may; these separators are the ones they know best."""


class AnswerGrammar:
    """Follows one answer, token by token."""

    def __init__(self, matcher: LLMatcher) -> None:
        self._matcher = matcher

    def allowed(self, vocabulary: int) -> torch.Tensor:
        """Which tokens may come next. [vocabulary], bool."""
        bias = torch.frombuffer(bytearray(self._matcher.compute_logit_bias()), dtype=torch.uint8)
        allowed = torch.zeros(vocabulary, dtype=torch.bool)
        shared = min(vocabulary, len(bias))
        allowed[:shared] = bias[:shared] > 0
        if self._matcher.is_error() or not allowed.any():
            raise ModelError(
                f"the JSON schema leaves no token to write: {self._matcher.get_error() or 'none is allowed'}",
                hint="Simplify the schema: shorter patterns, fewer alternatives.",
            )
        return allowed

    def take(self, token: int) -> None:
        """Go on with this token, which must be allowed."""
        self._matcher.consume_token(token)

    @property
    def complete(self) -> bool:
        """Whether the answer satisfies the schema and nothing can follow."""
        return self._matcher.is_stopped()


class SchemaCompiler:
    """Makes grammars of JSON schemas: keys in the schema's order, no free whitespace.

    Args:
        tokenizer: Of Transformers, of the fast kind.
        vocabulary: How many scores the model gives.
        ends: Tokens that end an answer.

    Raises:
        ModelError: The tokenizer is of a kind that cannot be constrained.
    """

    def __init__(self, tokenizer: Any, vocabulary: int, ends: Sequence[int]) -> None:
        try:
            self._tokenizer: LLTokenizer = from_tokenizer(
                tokenizer, n_vocab=max(vocabulary, len(tokenizer)), eos_token=list(ends) or None
            )
        except (ValueError, AttributeError) as error:
            raise ModelError(
                f"answers cannot be held to a JSON schema with this tokenizer: {error}",
                hint="Choose a model whose folder has a tokenizer.json.",
            ) from error

    def compile(self, schema: Mapping[str, Any]) -> AnswerGrammar:
        """A grammar at its beginning.

        Raises:
            ModelError: The schema holds something that cannot be enforced.
        """
        text = json.dumps(dict(schema) | {"x-guidance": SPELLING})
        matcher = LLMatcher(self._tokenizer, LLMatcher.grammar_from_json_schema(text), log_level=0)
        if matcher.is_error():
            raise ModelError(
                f"the JSON schema cannot be enforced: {matcher.get_error()}",
                hint="Check the types, patterns and references of the schema.",
            )
        return AnswerGrammar(matcher)
