"""Who can propose: the methods by name."""

from __future__ import annotations

import difflib
from collections.abc import Callable

from tcs_hpt.errors import UserError
from tcs_hpt.llm import ChatModel
from tcs_hpt.proposers._base import ProposalContext, Proposer
from tcs_hpt.proposers.agents import AgentsProposer
from tcs_hpt.proposers.classical import RandomProposer
from tcs_hpt.proposers.expert import CoinProposer, ExpertProposer
from tcs_hpt.proposers.grid import GridProposer
from tcs_hpt.proposers.samplers import CmaesProposer, GpProposer, TpeProposer
from tcs_hpt.proposers.views import RawLongView, RawView, TcsView, View

METHODS: dict[str, str] = {
    "tcs-paper": "two agents over the state report, as published",
    "raw": "the same agents over the newest lines of the raw log, without TCS",
    "raw-long": "the same with as much of the log as the model's context holds",
    "expert": "no model: the top-ranked single change",
    "coin": "no model: one of the listed single changes, at random",
    "coin:raw": "no model: any single change, at random",
    "random": "no model: uniform draws over the whole space",
    "tpe": "no model: Optuna's tree-structured Parzen estimator",
    "gp": "no model: Optuna's Gaussian process",
    "cmaes": "no model: Optuna's CMA-ES, for numbers",
    "grid": "no model: a coarse grid, spread from its first point on",
}
"""What each method is, in the order to be shown."""

_VIEWS: dict[str, Callable[[], View]] = {"tcs-paper": TcsView, "raw": RawView, "raw-long": RawLongView}
"""What the agents of a method see."""

_WITHOUT_MODEL: dict[str, Callable[[], Proposer]] = {
    "expert": ExpertProposer,
    "coin": CoinProposer,
    "coin:tcs-paper": CoinProposer,
    "coin:raw": lambda: CoinProposer(RawView()),
    "random": RandomProposer,
    "tpe": TpeProposer,
    "gp": GpProposer,
    "cmaes": CmaesProposer,
    "grid": GridProposer,
}

NEEDS_MODEL = frozenset(_VIEWS)
"""Methods that ask a language model."""


def make_proposer(
    method: str, *, analysis_model: ChatModel | None = None, optimizer_model: ChatModel | None = None
) -> Proposer:
    """The proposer of a method.

    Raises:
        UserError: There is no such method, it needs a model and has none, or a package that it needs is missing.
    """
    if method in _WITHOUT_MODEL:
        return _WITHOUT_MODEL[method]()
    if method in NEEDS_MODEL:
        if analysis_model is None or optimizer_model is None:
            raise UserError(f"method {method!r} needs a language model", hint="Name one with --model.")
        return AgentsProposer(analysis_model, optimizer_model, _VIEWS[method]())
    near = difflib.get_close_matches(method, METHODS, n=1)
    meant = f"Did you mean `{near[0]}`? " if near else ""
    raise UserError(
        f"there is no method {method!r}",
        hint=f"{meant}Methods: " + "; ".join(f"{name} ({what})" for name, what in METHODS.items()) + ".",
    )


__all__ = [
    "METHODS",
    "NEEDS_MODEL",
    "AgentsProposer",
    "CmaesProposer",
    "CoinProposer",
    "ExpertProposer",
    "GpProposer",
    "GridProposer",
    "ProposalContext",
    "Proposer",
    "RandomProposer",
    "TpeProposer",
    "make_proposer",
]
