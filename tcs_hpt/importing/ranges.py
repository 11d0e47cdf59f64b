"""Types, ranges and scales for what was found, from what is known by name, else around the default."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tcs_hpt.evidence.knowledge import Advice, knowledge
from tcs_hpt.evidence.roles import role_of
from tcs_hpt.importing.found import Found
from tcs_hpt.spec import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Objective,
    ParameterSpec,
    Scalar,
    TaskSpec,
)

_WIDE = 1e9
_UNKNOWN_FACTOR = 10.0
_KINDS = ("neural network", "boosting")
"""Where a name is looked for when the kind of model is not clear."""
_WIDE_ENOUGH = 2.0
"""Decades of what is worth trying that need no margin on either side."""
_COSTLY = {"duration": 2.0, "batch_size": 4.0, "capacity": 4.0}
"""How far above the script's own value a range may go where more costs time or memory."""


@dataclass(frozen=True)
class Proposal:
    """A parameter as the manifest will declare it."""

    found: Found
    spec: ParameterSpec
    source: str
    """Where the range comes from, in a few words."""
    check: str = ""
    """What a person should look at; empty when nothing is doubtful."""


def propose(
    found: Sequence[Found], words: str, objective: Objective
) -> tuple[tuple[Proposal, ...], Mapping[str, str]]:
    """Ranges for hyperparameters, and by name why some are left out after all.

    Args:
        found: What may be a hyperparameter; names differ.
        words: What the script says and uses, which tells the kind of model.
        objective: Tells regression from classification.
    """
    drafts = {f.name: d for f in found if (d := _draft(f)) is not None}
    task = TaskSpec.model_validate(
        {
            "schema": 1,
            "name": "script",
            "description": words,
            "command": ["script"],
            "objective": objective.model_dump(),
            "params": {n: p.model_dump() for n, p in drafts.items()},
        }
    )
    known = knowledge(task)
    divided = any("head" in f.name for f in found)
    proposals: list[Proposal] = []
    against: dict[str, str] = {}
    for item in found:
        advice = known.advice.get(item.name)
        if item.name not in drafts:
            against[item.name] = _UNUSABLE.get(item.kind, "nothing tells its values")
        elif item.needs_knowledge and advice is None:
            against[item.name] = "a literal of an unknown name"
        else:
            family, check = known.family, ""
            if advice is None and item.route.way != "setting":
                advice, family, check = _elsewhere(task, item)
            made = (
                _known(item, drafts[item.name], advice, family, divided)
                if advice is not None
                else _unknown(item)
            )
            if check and isinstance(made, Proposal):
                made = replace(made, check=check)
            if isinstance(made, str):
                against[item.name] = made
            else:
                proposals.append(made)
    return tuple(proposals), against


_UNUSABLE = {
    "text": "text whose possible values the script does not list",
    "unknown": "no default, and no type",
}


def _elsewhere(task: TaskSpec, found: Found) -> tuple[Advice | None, str, str]:
    """What is known by the name for another kind of model than the script seems to train, where the default fits to that.

    Returns:
        The advice, if there is any; the kind of model; what a person should look at.
    """
    for kind in _KINDS:
        known = knowledge(task, kind)
        advice = known.advice.get(found.name)
        default = found.default
        if advice is None or advice.low is None or advice.high is None:
            continue
        if not isinstance(default, int | float) or isinstance(default, bool):
            continue
        if advice.low / 3 <= default <= advice.high * 3:
            return (
                advice,
                known.family,
                f"nothing tells what is trained; the range is usual for a {known.family}",
            )
    return None, "", ""


def _draft(found: Found) -> ParameterSpec | None:
    """The parameter with a range so wide that what is known fits in."""
    if found.kind == "bool":
        return CategoricalParameter(choices=_switch(found), default=None)
    if len(set(found.choices)) > 1:
        return CategoricalParameter(choices=tuple(dict.fromkeys(found.choices)))
    if found.kind == "int":
        return IntParameter(low=int(-_WIDE), high=int(_WIDE))
    if found.kind == "float" or (found.kind == "unknown" and found.default is None):
        return FloatParameter(low=-_WIDE, high=_WIDE)
    return None


def _switch(found: Found) -> tuple[Scalar, ...]:
    pair = found.route.way == "toggle" and found.route.off
    return (found.route.key, found.route.off) if pair else (True, False)


def _known(found: Found, draft: ParameterSpec, advice: Advice, family: str, divided: bool) -> Proposal | str:
    """The range worth trying, widened to the script's own value; `divided`: a width must be a multiple of the number of heads."""
    source = f"known by name ({family})"
    if isinstance(draft, CategoricalParameter):
        return _choices(found, draft, source)
    assert advice.low is not None
    assert advice.high is not None
    low, high, default = advice.low, advice.high, found.default
    check = ""
    if default is None:
        default, check = advice.first, "the script has no default; this is a usual first value"
    if not isinstance(default, int | float) or isinstance(default, bool):
        return "its default is no number"
    whole = found.kind == "int"
    if default < 0:
        return f"its default {default} has a meaning of its own"
    if advice.log and default == 0:
        return _off_or(found, low, high, whole, source)
    if advice.log:
        wide = 1.0 if math.log10(high / low) >= _WIDE_ENOUGH else 2.0
        low, high = min(low / wide, default / 2), max(high * wide, default * 2)
    else:
        low, high = min(low, default), max(high, default)
    role = role_of(found.name)
    if role in _COSTLY and default > 0 and found.default is not None:
        high = min(high, default * _COSTLY[role])
        low = max(low, default / 4)
    if advice.log:
        most = high
        low, high = _nice(low, -1), _nice(high, 1)
        if role in _COSTLY:
            high = min(high, most)
    if role in ("batch_size", "capacity") and whole and advice.log and _is_power_of_two(int(default)):
        low, high = 2.0 ** math.floor(math.log2(max(low, 1))), 2.0 ** math.floor(math.log2(high))
        if divided and role == "capacity" and low < high:
            powers = tuple(2**p for p in range(int(math.log2(low)), int(math.log2(high)) + 1))
            return Proposal(found, CategoricalParameter(choices=powers, default=int(default)), source, check)
    spec = _numeric(found, _clean(low), _clean(high), advice.log, default, whole)
    if spec is None:
        return "its range would hold one value only"
    return Proposal(found, spec, source, check)


def _off_or(found: Found, low: float, high: float, whole: bool, source: str) -> Proposal:
    """Zero, which is off, and a few magnitudes: a logarithmic scale has no place for 0."""
    count = min(max(round(math.log10(high / low)) + 1, 3), 5)
    steps = [low * (high / low) ** (i / (count - 1)) for i in range(count)]
    values: list[Scalar] = [0 if whole else 0.0]
    values += [round(s) if whole else float(f"{s:.0e}") for s in steps]
    spec = CategoricalParameter(choices=tuple(dict.fromkeys(values)), default=values[0])
    return Proposal(found, spec, source)


def _choices(found: Found, draft: CategoricalParameter, source: str) -> Proposal | str:
    default: Scalar | None = found.default
    if found.kind == "bool":
        default = _switch(found)[0 if found.default else 1]
    spec = CategoricalParameter(
        choices=draft.choices, default=default if any(default == c for c in draft.choices) else None
    )
    check = "these are the values that the code compares it with" if found.guessed_choices else ""
    return Proposal(found, spec, source if not found.guessed_choices else "comparisons in the code", check)


def _unknown(found: Found) -> Proposal | str:
    """A decade around the default, or a factor of four for whole numbers, which usually cost time."""
    if found.kind == "bool" or found.choices:
        draft = _draft(found)
        assert isinstance(draft, CategoricalParameter)
        return _choices(found, draft, "the script's own choices")
    default = found.default
    if not isinstance(default, int | float) or isinstance(default, bool):
        return "an unknown name without a default"
    if default <= 0:
        return f"an unknown name, and its default {default} tells no range"
    whole = found.kind == "int"
    check = "nothing is known by this name; the range is a guess around the default"
    if whole:
        low, high, log = max(1.0, default / 4), max(default * 4.0, 4.0), default >= 8
    elif 0.05 <= default < 1:
        low, high, log = _nice(default / _UNKNOWN_FACTOR, -1), 1.0, False
    else:
        low, high, log = default / _UNKNOWN_FACTOR, default * _UNKNOWN_FACTOR, True
    spec = _numeric(found, _nice(low, -1), _nice(high, 1), log, default, whole)
    return Proposal(found, spec, "around the default", check) if spec is not None else "tells no range"


def _numeric(
    found: Found, low: float, high: float, log: bool, default: float, whole: bool
) -> ParameterSpec | None:
    if whole:
        bottom, top = max(math.floor(low), 1 if log else 0), math.ceil(high)
        bottom, top = min(bottom, int(default)), max(top, int(default))
        if bottom >= top:
            return None
        return IntParameter(
            low=bottom, high=top, log=log and bottom > 0 and top >= 8 * bottom, default=int(default)
        )
    low, high = min(low, default), max(high, default)
    return (
        FloatParameter(low=low, high=high, log=log and low > 0, default=float(default))
        if low < high
        else None
    )


def _nice(value: float, direction: int) -> float:
    """The next of 1, 2, 3, 5 and their decades below (-1) or above (1); the value itself when it is one."""
    if value <= 0:
        return 0.0
    power = math.floor(math.log10(value) + 1e-9)
    steps = [m * 10.0**p for p in (power - 1, power, power + 1) for m in (1, 2, 3, 5)]
    close = [s for s in steps if abs(s - value) <= 1e-6 * value]
    if close:
        return _clean(close[0])
    return _clean(max(s for s in steps if s < value) if direction < 0 else min(s for s in steps if s > value))


def _is_power_of_two(value: int) -> bool:
    return value > 1 and value & (value - 1) == 0


def _clean(value: float) -> float:
    return float(f"{value:.4g}")
