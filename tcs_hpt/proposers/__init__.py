"""Who can propose: the methods by name."""

from __future__ import annotations

from tcs_hpt.errors import UserError
from tcs_hpt.llm import ChatModel
from tcs_hpt.proposers._base import ProposalContext, Proposer
from tcs_hpt.proposers.agents import AgentsProposer
from tcs_hpt.proposers.classical import RandomProposer
from tcs_hpt.proposers.expert import CoinProposer, ExpertProposer

METHODS: dict[str, str] = {
    "tcs-paper": "two agents over the state report, as published",
    "expert": "no model: the top-ranked single change",
    "coin": "no model: one of the listed single changes, at random",
    "random": "no model: uniform draws over the whole space",
}
"""What each method is, in the order to be shown."""

NEEDS_MODEL = frozenset({"tcs-paper"})
"""Methods that ask a language model."""


def make_proposer(
    method: str, *, analysis_model: ChatModel | None = None, optimizer_model: ChatModel | None = None
) -> Proposer:
    """The proposer of a method.

    Raises:
        UserError: There is no such method, or it needs a model and has none.
    """
    if method == "expert":
        return ExpertProposer()
    if method in ("coin", "coin:tcs-paper"):
        return CoinProposer()
    if method == "random":
        return RandomProposer()
    if method in NEEDS_MODEL:
        if analysis_model is None or optimizer_model is None:
            raise UserError(f"method {method!r} needs a language model", hint="Name one with --model.")
        return AgentsProposer(analysis_model, optimizer_model)
    raise UserError(
        f"there is no method {method!r}",
        hint="Methods: " + "; ".join(f"{name} ({what})" for name, what in METHODS.items()) + ".",
    )


__all__ = [
    "METHODS",
    "NEEDS_MODEL",
    "AgentsProposer",
    "CoinProposer",
    "ExpertProposer",
    "ProposalContext",
    "Proposer",
    "RandomProposer",
    "make_proposer",
]
