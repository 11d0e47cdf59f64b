"""Choosing tokens inside `generate` of Transformers, and remembering how likely they were.

Imports torch; import it only after `transformers_local.require_engine`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from tcs_hpt.errors import ModelError
from tcs_hpt.llm._constrained import AnswerGrammar


class Sampler:
    """Chooses every token of one answer; `generate` calls it as a logits processor and as a stopping criterion.

    Transformers draws from torch's global random state and would have to keep all scores of all tokens to report a
    few. So the choice is made here, from a generator of its own, and told to `generate` as the one token that is left.

    Args:
        temperature: 0 takes the likeliest token.
        top_p: Draw only among the likeliest tokens that together have this probability, after temperature and grammar.
        seed: Of the draws.
        ends: Tokens that end the answer.
        grammar: What the answer must look like, if anything.
        scored: Whether to remember logits and probabilities.
        check: Called before every token; what it raises ends the generation.
    """

    def __init__(
        self,
        *,
        temperature: float,
        top_p: float,
        seed: int,
        ends: frozenset[int],
        grammar: AnswerGrammar | None,
        scored: bool,
        check: Callable[[], None],
    ) -> None:
        self._temperature = temperature
        self._top_p = top_p
        self._generator = torch.Generator().manual_seed(seed % 2**63)
        self._ends = ends
        self._grammar = grammar
        self._scored = scored
        self._check = check
        self.ids: list[int] = []
        """Tokens of the answer, without the one that ended it."""
        self.drawn = 0
        """Tokens that were chosen, with the one that ended it."""
        self.scores: list[tuple[float, float]] = []
        """Log probability (natural, of the model's raw distribution) and raw logit of each of `ids`."""
        self.ended = False

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores that leave one token. [1, vocabulary]."""
        self._check()
        if self.ended:
            return scores  # on Apple's GPU, generate notices one step late
        raw = scores[0].detach().to("cpu", torch.float32)
        token = self._choose(raw)
        self.drawn += 1
        if token in self._ends:
            self.ended = True
        else:
            self._keep(token, raw)
        chosen = torch.full_like(scores, -torch.inf)
        chosen[0, token] = 0.0
        return chosen

    def stop(self, input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        """Whether the answer is complete. [1], bool."""
        return torch.tensor([self.ended], device=input_ids.device)

    def _choose(self, raw: torch.Tensor) -> int:
        """From raw scores. [vocabulary]."""
        if not torch.isfinite(raw.max()):
            raise ModelError(
                "the model's scores are not finite", hint="Open it with dtype='float32' or 'bfloat16'."
            )
        scores = raw
        if self._grammar is not None:
            scores = raw.masked_fill(~self._grammar.allowed(len(raw)), -torch.inf)
        if self._temperature <= 0:
            return int(scores.argmax())
        probabilities = torch.softmax((scores - scores.max()) / self._temperature, dim=-1)
        if self._top_p < 1:
            ordered, order = probabilities.sort(descending=True, stable=True)
            # A token stays when those before it have not reached the bound; the first always does.
            ordered[ordered.cumsum(-1) - ordered >= self._top_p] = 0.0
            return int(order[torch.multinomial(ordered, 1, generator=self._generator)])
        return int(torch.multinomial(probabilities, 1, generator=self._generator))

    def _keep(self, token: int, raw: torch.Tensor) -> None:
        self.ids.append(token)
        if self._scored:
            logprob = torch.log_softmax(raw.double(), dim=-1)[token]
            self.scores.append((float(logprob), float(raw[token])))
        if self._grammar is not None:
            self._grammar.take(token)
            self.ended = self._grammar.complete
