"""The last word before anything runs: is this configuration allowed?

Pure. Every proposer passes here, whoever it is; the agents and the expert are bound by more rules than others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tcs_hpt.records import Decision, Trial, last_tested, ordered
from tcs_hpt.space import SearchSpace


@dataclass(frozen=True)
class Rules:
    """What a proposer is bound by, beyond the space."""

    one_change: bool = False
    """Exactly one parameter may be set against the base."""
    no_repeats: bool = False
    """A finished, failed or running trial may not be repeated."""


AGENT_RULES = Rules(one_change=True, no_repeats=True)
"""Agents, expert and coin."""
FREE_RULES = Rules()
"""A start, and proposers that search freely."""


def check(
    config: Mapping[str, Any],
    space: SearchSpace,
    trials: Sequence[Trial],
    rules: Rules,
    base: Mapping[str, Any] | None = None,
) -> Decision:
    """Whether `config` may run, with every rule it breaks.

    Args:
        config: What was proposed; it may hold anything.
        space: Where configurations live.
        trials: All trials of the study, running ones included.
        rules: What the proposer is bound by.
        base: The configuration that one change is counted against; not needed without `rules.one_change`.
    """
    reasons = [str(v) for v in space.violations(config)]
    if reasons:
        return Decision(accepted=False, reasons=tuple(reasons))
    if rules.one_change and base is not None:
        changed = space.changed_parameters(base, config)
        if not changed:
            reasons.append("nothing was changed; set exactly one parameter to another value")
        elif len(changed) > 1:
            names = ", ".join(changed)
            reasons.append(f"{len(changed)} parameters were changed ({names}); change exactly one")
        elif changed[0] in config:
            newest = last_tested(trials, space.names)
            meant = space.changed(base, changed[0], config[changed[0]], newest)
            also = ", ".join(space.differences(meant, config))
            if also:  # a child that the change switches on was given a value of its own
                reasons.append(f"{changed[0]} was changed and {also} was set as well; change exactly one")
    if rules.no_repeats:
        key = space.key(config)
        twin = next((t for t in ordered(trials) if space.key(t.config) == key), None)
        if twin is not None:
            reasons.append(f"trial {twin.number} already tested this configuration; choose an untested value")
    return Decision(accepted=not reasons, reasons=tuple(reasons))
