"""Single changes worth considering: which exist, and how the diagnosis and past effects rank them.

Pure and deterministic. The ranking here is the one without evidence blocks: it knows what a parameter's name says of its
role, what the incumbent's curve shows, and what earlier changes did. The advice table is the textbook's (Goodfellow,
Bengio and Courville, "Deep Learning", 2016, section 11.4): more regularization and less capacity against
overfitting, the reverse against underfitting, a lower learning rate against instability, more epochs while a curve
still rises. Its weights are ours.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from tcs_hpt.evidence.roles import Role, role_of
from tcs_hpt.records import FailureKind, Trial, bases, by_number, last_tested, ordered, outcome
from tcs_hpt.space import Change, Key, SearchSpace, nice
from tcs_hpt.spec import CategoricalParameter, Config, Objective, Scalar, same_scalar
from tcs_hpt.trajectory import Diagnosis, Label

SHOWN = 8
"""Most changes on a long list."""
SHORT = 3
"""Changes on a short list."""
PER_PARAMETER = 2
"""Most changes of one parameter on a list, unless the list would stay short."""
STEPS = (0.25, 0.125, 0.5)
"""Steps on a parameter's own scale, the preferred one first."""
APART = 0.05
"""Values closer than this part of the scale are not offered side by side."""
FINE = 64
"""Parts of the scale that are tried when every step was tested."""

_ADVICE: dict[Label, dict[Role, float]] = {
    "overfitting": {"regularization": 1.0, "sampling": -0.6, "capacity": -0.7, "duration": -0.4, "learning_rate": -0.3, "batch_size": -0.3},
    "underfitting": {"learning_rate": 0.9, "capacity": 0.8, "duration": 0.7, "regularization": -0.7, "sampling": 0.4, "batch_size": -0.6},
    "unstable": {"learning_rate": -1.0, "batch_size": 0.5, "momentum": -0.4},
    "diverged": {"learning_rate": -1.0, "momentum": -0.5, "batch_size": 0.2},
    "still improving": {"duration": 1.0, "learning_rate": 0.9, "batch_size": -0.6, "momentum": 0.3},
    "plateaued": {"capacity": 0.6, "learning_rate": -0.3, "batch_size": -0.3, "regularization": 0.2},
}  # fmt: skip
"""Diagnosis -> role -> direction to move it in, times how much it helps."""

_AFTER_FAILURE: dict[FailureKind, dict[Role, float]] = {
    "timeout": {"duration": -1.0, "capacity": -0.7, "batch_size": 0.4},
    "out_of_memory": {"batch_size": -1.0, "capacity": -0.8},
    "diverged": {"learning_rate": -1.0, "momentum": -0.5, "batch_size": 0.2},
}  # fmt: skip
"""What to move when the base itself failed; a curve cut short says nothing then."""

_FAILURE_SIGNS: dict[FailureKind, str] = {
    "timeout": "the base timed out",
    "out_of_memory": "the base ran out of memory",
    "diverged": "the base diverged",
}

_SIGNS: dict[Label, str] = {
    "diverged": "divergence",
    "unstable": "instability",
    "overfitting": "overfitting",
    "underfitting": "underfitting",
    "still improving": "improvement up to the end",
    "plateaued": "a plateau",
    "healthy": "nothing unusual",
    "unknown": "nothing",
}

_IMPORTANCE: dict[Role, float] = {
    "learning_rate": 0.5,
    "capacity": 0.3,
    "duration": 0.3,
    "optimizer": 0.25,
    "regularization": 0.2,
    "sampling": 0.2,
    "batch_size": 0.2,
    "momentum": 0.15,
    "other": 0.25,
}
"""How much a role usually matters, when nothing else is known."""


@dataclass(frozen=True)
class Candidate:
    """A single change of the base, what it gives, and why it might be good."""

    change: Change
    config: Config
    score: float
    """Rank key; higher is better. Has no unit."""
    reason: str
    """One sentence, or two."""
    hurts: bool = False
    """Whether the trials so far speak clearly against it."""
    remembered: bool = False
    """Whether it comes from an earlier study."""


@dataclass(frozen=True)
class CandidateList:
    """What may be tried next."""

    base: Trial | None
    """The trial that the changes start from; None before any trial ended."""
    base_config: Config
    candidates: tuple[Candidate, ...]
    """Best first, at most `SHOWN`."""


def tested_keys(space: SearchSpace, trials: Sequence[Trial]) -> set[Key]:
    """Identities that count as tried: finished, failed and running trials."""
    return {space.key(t.config) for t in ordered(trials)}


def single_changes(
    space: SearchSpace, base: Mapping[str, Scalar], trials: Sequence[Trial]
) -> list[tuple[Change, Config]]:
    """Every untested change of one active parameter at the usual steps; on a fine grid when those are used up."""
    seen = tested_keys(space, trials) | {space.key(base)}
    newest = last_tested(trials, space.names)
    found: list[tuple[Change, Config]] = []
    texts = {Change(name, value, value).text for name, value in base.items()}  # reads like no change at all
    for name in base:
        before = len(found)
        for values in (_steps(space, name, base[name]), _fine(space, name, base[name])):
            for value in values:
                config = space.changed(base, name, value, newest)
                key = space.key(config)
                change = Change(name, base[name], value)
                if key not in seen and change.text not in texts and space.contains(config):
                    seen.add(key)
                    texts.add(change.text)
                    found.append((change, config))
            if len(found) > before:
                break  # the fine grid is only for a parameter whose usual steps are used up
    return found


def shortlist(listed: CandidateList) -> CandidateList:
    """The best `SHORT` of a list, of one parameter each as far as there are so many; best first.

    The best one from an earlier study has a place on it in any case.
    """
    leaders: dict[str, Candidate] = {}
    for candidate in listed.candidates:
        leaders.setdefault(candidate.change.parameter, candidate)
    chosen = list(leaders.values())
    chosen = (chosen + [c for c in listed.candidates if c not in chosen])[:SHORT]
    remembered = next((c for c in listed.candidates if c.remembered), None)
    if remembered is not None and remembered not in chosen:
        chosen[-1] = remembered
    return replace(listed, candidates=tuple(c for c in listed.candidates if c in chosen))


def _steps(space: SearchSpace, name: str, value: Scalar) -> list[Scalar]:
    parameter = space.params[name]
    if isinstance(parameter, CategoricalParameter):
        if not parameter.ordered:
            return [c for c in parameter.choices if not same_scalar(c, value)]
        index = next(i for i, c in enumerate(parameter.choices) if same_scalar(c, value))
        places = [index + 1, index - 1, index + 2, index - 2]
        return [parameter.choices[i] for i in places if 0 <= i < len(parameter.choices)]
    here = space.to_unit(name, value)
    values: list[Scalar] = []
    for step in STEPS:
        for sign in (1, -1):
            there = here + sign * step
            if -step / 2 <= there <= 1 + step / 2:  # a step that ends a little outside is cut at the edge
                new = nice(space, name, space.from_unit(name, there))
                near: list[Scalar] = [value, *values]
                if all(abs(space.to_unit(name, new) - space.to_unit(name, v)) >= APART for v in near):
                    values.append(new)
    return values


def _fine(space: SearchSpace, name: str, value: Scalar) -> list[Scalar]:
    if isinstance(space.params[name], CategoricalParameter):
        return list(space.values(name, 0))
    here = space.to_unit(name, value)
    places = sorted((i / FINE for i in range(FINE + 1)), key=lambda u: (abs(u - here), u))
    return list(dict.fromkeys(space.from_unit(name, u) for u in places))


def candidates(
    space: SearchSpace,
    trials: Sequence[Trial],
    objective: Objective,
    diagnosis: Diagnosis,
    *,
    start: Mapping[str, Scalar] | None = None,
) -> CandidateList | None:
    """The ranked list of untested single changes, from the best base that has any; None when the space has none.

    Args:
        space: Where to search.
        trials: All trials of the study.
        objective: Metric and direction.
        diagnosis: What the base's curve shows.
        start: Base before any trial ended; the defaults if not given.

    Without a score the base is the first trial: walking on from one failure to the next leads nowhere.
    """
    for base, config in base_configs(space, trials, objective, start=start):
        scored = scored_changes(space, trials, objective, diagnosis, base, config)
        if scored:
            return CandidateList(base, dict(config), diverse(scored))
    return None


def base_configs(
    space: SearchSpace,
    trials: Sequence[Trial],
    objective: Objective,
    *,
    start: Mapping[str, Scalar] | None = None,
) -> list[tuple[Trial | None, Config]]:
    """Where a change may start from, the best trial first; the start, or the defaults, before any trial ended."""
    found: list[tuple[Trial | None, Config]] = [(t, t.config) for t in bases(trials, objective)]
    return found or [(None, dict(start) if start is not None else space.defaults())]


def scored_changes(
    space: SearchSpace,
    trials: Sequence[Trial],
    objective: Objective,
    diagnosis: Diagnosis,
    base: Trial | None,
    config: Mapping[str, Scalar],
) -> list[Candidate]:
    """All untested single changes of a base, best first; ties keep the order of the manifest and the steps.

    Args:
        space: Where to search.
        trials: All trials of the study.
        objective: Metric and direction.
        diagnosis: What the base's curve shows.
        base: The trial that is changed; None for a configuration that was never tried.
        config: Its configuration.
    """
    effects = past_effects(space, trials, objective)
    failed = base.failure.kind if base is not None and base.failure is not None else None
    found = single_changes(space, config, trials)
    scored = [_scored(space, change, new, diagnosis, failed, effects) for change, new in found]
    return sorted(scored, key=lambda c: -c.score)


@dataclass(frozen=True)
class Effect:
    """What one earlier change of a parameter did."""

    direction: int
    """+1 up, -1 down, 0 between unordered choices."""
    value: Scalar
    """The value it was changed to."""
    strength: float
    """Gain relative to the study's largest improvement, in [-1, 1]; a failure is -1, a rescue from one 1."""
    trial: int


def past_effects(
    space: SearchSpace, trials: Sequence[Trial], objective: Objective
) -> dict[str, list[Effect]]:
    """Effects of all single changes so far, by parameter, oldest first."""
    numbered = by_number(trials)
    gains: list[tuple[str, Effect]] = []
    for trial in ordered(trials):
        base = numbered.get(trial.proposal.base_trial or 0)
        if base is None or trial.state == "running" or (base.value is None and trial.value is None):
            continue
        changed = space.changed_parameters(base.config, trial.config)
        if len(changed) != 1 or changed[0] not in trial.config or changed[0] not in base.config:
            continue
        name = changed[0]
        direction = _direction(space, name, base.config[name], trial.config[name])
        if trial.value is None or base.value is None:
            gain = math.inf if base.value is None else -math.inf
        else:
            gain = objective.gain(trial.value, base.value)
            if outcome(gain, trial.value, base.value) == "about the same":
                gain = 0.0
        gains.append((name, Effect(direction, trial.config[name], gain, trial.number)))
    scale = _scale([e.strength for _, e in gains])
    found: dict[str, list[Effect]] = {}
    for name, past in gains:
        strength = min(max(past.strength / scale, -1.0), 1.0)
        found.setdefault(name, []).append(replace(past, strength=strength))
    return found


def _scale(gains: Sequence[float]) -> float:
    """The largest improvement; without any, the median harm. One collapse must not make all else look small."""
    finite = [g for g in gains if math.isfinite(g) and g != 0]
    helped = [g for g in finite if g > 0]
    if helped:
        return max(helped)
    return median(-g for g in finite) if finite else 1.0


def _direction(space: SearchSpace, name: str, old: Scalar, new: Scalar) -> int:
    parameter = space.params[name]
    if isinstance(parameter, CategoricalParameter) and not parameter.ordered:
        return 0
    a, b = space.to_unit(name, old), space.to_unit(name, new)
    return (b > a) - (b < a)


def _scored(
    space: SearchSpace,
    change: Change,
    config: Config,
    diagnosis: Diagnosis,
    failed: FailureKind | None,
    effects: Mapping[str, list[Effect]],
) -> Candidate:
    name, role = change.parameter, role_of(change.parameter, space.names)
    direction = _direction(space, name, change.old, change.new) if change.old is not None else 0
    reasons: list[tuple[float, str]] = []
    total = _IMPORTANCE[role]
    tried = effects.get(name, [])
    inert = sum(past.strength == 0 and past.direction == direction for past in tried)
    for weight, sign, moves in _advice(diagnosis, failed):
        advice = weight * moves.get(role, 0.0) * direction / (1 + 2 * inert)
        total += advice
        if advice > 0:
            reasons.append((advice, f"{sign}; {_verb(direction)} {name} answers that"))
    for past in tried:
        if direction == 0:
            total += 0.5 * past.strength if same_scalar(past.value, change.new) else 0.0
        elif past.direction == direction:
            total += 0.8 * past.strength
            if past.strength > 0:
                reasons.append(
                    (0.8 * past.strength, f"{_verb(direction)} {name} helped in trial {past.trial}")
                )
        elif past.direction == -direction:
            total -= 0.4 * past.strength
            if past.strength < 0:
                reasons.append(
                    (-0.4 * past.strength, f"{_verb(-direction)} {name} hurt in trial {past.trial}")
                )
    total -= 0.4 * inert + 0.15 * sum(past.strength < 0 for past in tried)
    if not tried:
        total += 0.2
        reasons.append((0.2, f"no trial has changed {name}"))
    if isinstance(change.new, int | float) and direction != 0:
        step = abs(space.to_unit(name, change.new) - space.to_unit(name, change.old or 0))
        blind = diagnosis.main in ("unknown", "healthy") and failed is None
        total -= 0.2 * abs(step - (STEPS[1] if blind else STEPS[0]))
    reason = max(reasons, key=lambda r: r[0])[1] if reasons else f"changing {name} usually matters"
    return Candidate(change, config, total, f"{reason[0].upper()}{reason[1:]}.")


def _advice(
    diagnosis: Diagnosis, failed: FailureKind | None
) -> list[tuple[float, str, Mapping[Role, float]]]:
    """Weight, sign and moves of everything that calls for a change, strongest first."""
    if failed is not None:
        return [(1.0, _FAILURE_SIGNS.get(failed, ""), _AFTER_FAILURE.get(failed, {}))]
    weighted = zip((1.0, 0.5, 0.25), diagnosis.labels, strict=False)
    return [(w, f"the curve shows {_SIGNS[label]}", _ADVICE.get(label, {})) for w, label in weighted]


def _verb(direction: int) -> str:
    return {1: "raising", -1: "lowering"}.get(direction, "changing")


def diverse(scored: Sequence[Candidate]) -> tuple[Candidate, ...]:
    """The best few, at most two of a parameter; filled up with the rest when that leaves room."""
    counts: dict[str, int] = {}
    kept: list[Candidate] = []
    rest: list[Candidate] = []
    for candidate in scored:
        name = candidate.change.parameter
        counts[name] = counts.get(name, 0) + 1
        (kept if counts[name] <= PER_PARAMETER else rest).append(candidate)
    if len(kept) < SHOWN:
        kept += rest[: SHOWN - len(kept)]
    return tuple(sorted(kept[:SHOWN], key=lambda c: -c.score))
