"""Who can propose: the methods by name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable

from tcs_hpt.errors import UserError
from tcs_hpt.evidence.blocks import without
from tcs_hpt.llm import ChatModel
from tcs_hpt.proposers._base import ProposalContext, Proposer
from tcs_hpt.proposers.agents import AgentsProposer
from tcs_hpt.proposers.classical import RandomProposer
from tcs_hpt.proposers.expert import CoinProposer, ExpertProposer
from tcs_hpt.proposers.fitness import by_front, by_score
from tcs_hpt.proposers.genetic import POPULATION, GeneticProposer
from tcs_hpt.proposers.grid import GridProposer
from tcs_hpt.proposers.samplers import CmaesProposer, GpProposer, TpeProposer
from tcs_hpt.proposers.views import BlindView, EvidenceView, RawLongView, RawView, ScoresView, TcsView, View

METHODS: dict[str, str] = {
    "tcs": "two agents over the state report and all evidence",
    "tcs-paper": "two agents over the state report, as published",
    "raw": "the same agents over the newest lines of the raw log, without TCS",
    "raw-long": "the same with a longer log",
    "scores": "the same agents, told the scores alone",
    "blind": "the same agents, told nothing of the trials",
    "expert": "no model: the top-ranked single change of tcs",
    "coin": "no model: one of the changes listed by tcs, at random",
    "coin:raw": "no model: any single change, at random",
    "random": "no model: uniform draws over the whole space",
    "tpe": "no model: Optuna's tree-structured Parzen estimator",
    "gp": "no model: Optuna's Gaussian process",
    "cmaes": "no model: Optuna's CMA-ES, for numbers",
    "grid": "no model: a coarse grid, spread from its first point on",
    "ga": "no model: the genetic algorithm of the AutoLLM paper, populations of 10",
}
"""What each method is, in the order to be shown.

Beside these, `tcs`, `expert` and `coin` may leave out evidence blocks, as in `tcs:no-surrogate+no-memory`, and `expert:tcs-paper` and
`coin:tcs-paper` take the list of `tcs-paper`. `ga:4` is the genetic algorithm with populations of 4, or any other number; `ga:pareto` and
`ga:4+pareto` breed along the trade-offs of several metrics in place of their weighted score.
"""

_AGENTS: dict[str, Callable[[], View]] = {
    "tcs": EvidenceView,
    "tcs-paper": TcsView,
    "raw": RawView,
    "raw-long": RawLongView,
    "scores": ScoresView,
    "blind": BlindView,
}
"""What the agents of a method see."""

_SINGLE_CHANGES: dict[str, Callable[[View], Proposer]] = {"expert": ExpertProposer, "coin": CoinProposer}
"""Methods without a model that take a change from a list."""

_CLASSICAL: dict[str, Callable[[], Proposer]] = {
    "random": RandomProposer,
    "tpe": TpeProposer,
    "gp": GpProposer,
    "cmaes": CmaesProposer,
    "grid": GridProposer,
    "ga": GeneticProposer,
}

NEEDS_MODEL = frozenset(_AGENTS)
"""Methods that ask a language model; `needs_model` also knows their variants."""

_GENETIC = re.compile(r"(?P<size>[2-9]|[1-9]\d{1,3})(?P<front>\+pareto)?|pareto")
_LEFT_OUT = "no-"


def needs_model(method: str) -> bool:
    """Whether a method asks a language model."""
    return method.partition(":")[0] in NEEDS_MODEL


def make_proposer(
    method: str,
    *,
    analysis_model: ChatModel | None = None,
    optimizer_model: ChatModel | None = None,
    stand_in: bool = True,
) -> Proposer:
    """The proposer of a method.

    Args:
        method: Its name.
        analysis_model: For methods that ask one.
        optimizer_model: For methods that ask one; may be the same.
        stand_in: Whether somebody else acts when a model gives nothing at all.

    Raises:
        UserError: There is no such method, it needs a model and has none, or a package that it needs is missing.
    """
    name, colon, variant = method.partition(":")
    if name in _CLASSICAL and not colon:
        return _CLASSICAL[name]()
    if name == "ga" and (bred := _GENETIC.fullmatch(variant)):
        return GeneticProposer(
            int(bred["size"] or POPULATION), by_score if bred["size"] and not bred["front"] else by_front
        )
    if name in _SINGLE_CHANGES and (view := _view(method, name, variant)) is not None:
        return _SINGLE_CHANGES[name](view)
    if name in _AGENTS and (view := _view(method, name, variant)) is not None:
        if analysis_model is None or optimizer_model is None:
            raise UserError(f"method {method!r} needs a language model", hint="Name one with --model.")
        return AgentsProposer(analysis_model, optimizer_model, view, stand_in=stand_in)
    if name == "ga" and colon:
        raise UserError(
            f"there is no method {method!r}: the size of a population is a whole number from 2 to 9999",
            hint="For example ga:4, which breeds for the first time after four trials, or ga:4+pareto for several metrics.",
        )
    near = difflib.get_close_matches(method, METHODS, n=1)
    meant = f"Did you mean `{near[0]}`? " if near else ""
    raise UserError(
        f"there is no method {method!r}",
        hint=f"{meant}Methods: " + "; ".join(f"{name} ({what})" for name, what in METHODS.items()) + ".",
    )


def _view(method: str, name: str, variant: str) -> View | None:
    """Whose list, and what is seen; None when there is no such variant.

    Raises:
        UserError: A block that is left out does not exist.
    """
    if not variant:
        return None if method.endswith(":") else _AGENTS.get(name, EvidenceView)()
    if variant.startswith(_LEFT_OUT) and name in ("tcs", *_SINGLE_CHANGES):
        return EvidenceView(without(word.removeprefix(_LEFT_OUT) for word in variant.split("+")))
    if name in _SINGLE_CHANGES and variant in ("tcs", "tcs-paper"):
        return _AGENTS[variant]()
    return RawView() if (name, variant) == ("coin", "raw") else None


__all__ = [
    "METHODS",
    "NEEDS_MODEL",
    "AgentsProposer",
    "CmaesProposer",
    "CoinProposer",
    "ExpertProposer",
    "GeneticProposer",
    "GpProposer",
    "GridProposer",
    "ProposalContext",
    "Proposer",
    "RandomProposer",
    "TpeProposer",
    "make_proposer",
    "needs_model",
]
