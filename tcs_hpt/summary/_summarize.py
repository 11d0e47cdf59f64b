"""From the records of a study to the values of a state report."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Literal

from tcs_hpt.records import Trial, by_number, incumbent, ordered, outcome, score
from tcs_hpt.space import Change, SearchSpace, format_value
from tcs_hpt.spec import CategoricalParameter, Objective, Scalar, TaskSpec, same_scalar
from tcs_hpt.summary._report import (
    Comparison,
    Experiment,
    FailureNote,
    ParameterAnalysis,
    Situation,
    StateReport,
    TestedValue,
    Trend,
)
from tcs_hpt.trajectory import curve, diagnose

STAGNATION = 3
"""Trials without a new best after which the trend is stagnating."""
REGION = 0.25
"""Part of a parameter's scale without a tested value that counts as an unexplored region."""


def summarize(task: TaskSpec, trials: Sequence[Trial], *, total_trials: int) -> StateReport:
    """The state report of a study.

    Args:
        task: With profile and overrides applied.
        trials: All trials in any order; interrupted and running ones are left out.
        total_trials: The study's budget.
    """
    space, objective = SearchSpace(task.params), task.objective
    done = [t for t in ordered(trials) if t.state != "running"]
    best = incumbent(done, objective)
    latest = done[-1] if done else None
    reference = objective.target if objective.target is not None else (best.value if best else None)
    base = best or latest
    failed = [t for t in reversed(done) if t.failure is not None]
    numbered = by_number(done)
    return StateReport(
        situation=_situation(done, best, objective, total_trials),
        incumbent=_experiment(best, objective, reference) if best else None,
        latest=_experiment(latest, objective, reference) if latest and latest is not best else None,
        comparisons=_comparisons(space, done, numbered, objective),
        parameters=tuple(_parameter(space, n, done, base, objective) for n in space.names),
        failures=tuple(
            FailureNote(
                t.number,
                t.failure.kind,
                t.failure.message,
                _changes(space, numbered[t.proposal.base_trial], t)
                if t.proposal.base_trial in numbered
                else (),
            )
            for t in failed[:3]
            if t.failure is not None
        ),
    )


def _situation(done: Sequence[Trial], best: Trial | None, objective: Objective, total: int) -> Situation:
    value = best.value if best else None
    gap = None
    if value is not None and objective.target is not None:
        gap = objective.gain(objective.target, value)
    return Situation(
        metric=objective.metric,
        direction=objective.direction,
        target=objective.target,
        best=value,
        best_trial=best.number if best else None,
        gap=gap,
        trend=trend(done, objective),
        since_best=sum(t.number > best.number for t in done) if best else len(done),
        trials=len(done),
        total=total,
        formula=objective.formula if objective.terms else "",
        bounds=tuple(map(str, objective.bounds)),
    )


def trend(done: Sequence[Trial], objective: Objective) -> Trend:
    """Where the scores are going, from trials that ended, by number.

    `improving`: the latest is a new best. `stagnating`: no new best for three trials, or no difference to the
    previous one. `recovering`: better than the previous one or after a failure, yet no new best. `worsening`: worse
    than the previous one, or failed.
    """
    if len(done) < 2:
        return "first"
    latest, previous, before = done[-1], done[-2], done[:-1]
    best_before = incumbent(before, objective)
    beaten = best_before is not None and latest.value is not None
    if beaten and objective.better(score(latest), score(best_before)):  # type: ignore[arg-type]
        return "improving"
    best = incumbent(done, objective)
    if best is not None and sum(t.number > best.number for t in done) >= STAGNATION:
        return "stagnating"
    if latest.value is None:
        return "worsening"
    if previous.value is None:
        return "recovering"
    step = outcome(objective.gain(latest.value, previous.value), latest.value, previous.value)
    return {"improves": "recovering", "worsens": "worsening"}.get(step, "stagnating")  # type: ignore[return-value]


CONVERGED_AFTER = 5
"""Finished trials in a row without a new best before a study can count as converged."""
CONVERGED_WITHIN = 0.005
"""The three best scores lie within this share of the best one."""


def converged(done: Sequence[Trial], objective: Objective) -> bool:
    """Whether more trials are unlikely to help: no new best for five finished trials, and a flat top.

    Args:
        done: Trials that ended, by number.
        objective: Metric and direction.
    """
    ranked = sorted(
        (t for t in done if t.value is not None), key=lambda t: (-objective.gain(score(t), 0.0), t.number)
    )
    if len(ranked) < CONVERGED_AFTER + 1:
        return False
    best = ranked[0]
    since = sum(t.number > best.number for t in ranked)
    flat = abs(score(best) - score(ranked[2])) <= CONVERGED_WITHIN * max(abs(score(best)), 1e-12)
    return since >= CONVERGED_AFTER and flat


def _experiment(trial: Trial, objective: Objective, reference: float | None) -> Experiment:
    points = curve(trial.epochs, objective.metric, objective).points
    shown: tuple[tuple[int, float], ...] = ()
    if len(points) >= 2:
        best = max(points, key=lambda p: (objective.gain(p[1], 0.0), -p[0]))
        shown = tuple(dict.fromkeys([points[0], best, points[-1]]))
    others = sorted((n, v) for n, v in trial.shown_metrics.items() if n != objective.metric and v is not None)
    return Experiment(
        number=trial.number,
        value=trial.value,
        diagnosis=diagnose(trial, objective, reference=reference),
        curve=shown,
        failure=trial.failure.kind if trial.failure else None,
        failure_message=trial.failure.message if trial.failure else "",
        metrics=tuple(others),
        stopped_early=bool(trial.stopped_early),
        violations=trial.violations,
    )


def _changes(space: SearchSpace, old: Trial, new: Trial) -> tuple[Change, ...]:
    return tuple(
        Change(n, old.config.get(n), new.config[n])
        for n in space.differences(old.config, new.config)
        if n in new.config
    )


def _comparisons(
    space: SearchSpace, done: Sequence[Trial], numbered: dict[int, Trial], objective: Objective
) -> tuple[Comparison, ...]:
    if not done:
        return ()
    latest = done[-1]
    pairs: list[tuple[Trial, Literal["base", "previous"]]] = []
    base = numbered.get(latest.proposal.base_trial or 0)
    if base is not None:
        pairs.append((base, "base"))
    if len(done) > 1 and done[-2] is not base:
        pairs.append((done[-2], "previous"))
    return tuple(
        Comparison(
            latest.number,
            other.number,
            relation,
            _changes(space, other, latest),
            objective.gain(latest.value, other.value)
            if latest.value is not None and other.value is not None
            else None,
        )
        for other, relation in pairs
    )


def _parameter(
    space: SearchSpace, name: str, done: Sequence[Trial], base: Trial | None, objective: Objective
) -> ParameterAnalysis:
    best: dict[str, float | None] = {}  # by how a value is written: True is not 1
    counts: dict[str, int] = {}
    values: dict[str, Scalar] = {}
    for trial in done:
        if name not in trial.config:
            continue
        value = space.tidy(name, trial.config[name])
        written = format_value(value)
        values.setdefault(written, value)
        counts[written] = counts.get(written, 0) + 1
        known = best.setdefault(written, trial.value)
        if trial.value is not None and (known is None or objective.better(trial.value, known)):
            best[written] = trial.value
    tested = [TestedValue(values[w], s, counts[w]) for w, s in best.items()]
    tested.sort(
        key=lambda t: (
            t.score is None,
            -objective.gain(t.score, 0.0) if t.score is not None else 0.0,
            space.to_unit(name, t.value),
        )
    )
    return ParameterAnalysis(
        name=name,
        scale=scale_text(space, name),
        current=base.config.get(name) if base else None,
        tested=tuple(tested),
        unexplored=_unexplored(space, name, [t.value for t in tested]),
        choices=isinstance(space.params[name], CategoricalParameter),
    )


def scale_text(space: SearchSpace, name: str) -> str:
    """A parameter's range or choices in a few characters: `1e-4..1 log`, `adam|sgd`."""
    parameter = space.params[name]
    if isinstance(parameter, CategoricalParameter):
        return "|".join(format_value(c) for c in parameter.choices)
    text = f"{format_value(parameter.low)}..{format_value(parameter.high)}"
    return f"{text} log" if parameter.log else text


def _unexplored(space: SearchSpace, name: str, tested: Sequence[Scalar]) -> tuple[str, ...]:
    parameter = space.params[name]
    if isinstance(parameter, CategoricalParameter):
        return tuple(format_value(c) for c in parameter.choices if not any(same_scalar(c, t) for t in tested))
    places = sorted({space.to_unit(name, v) for v in tested})
    edges = [0.0, *places, 1.0]
    gaps = [(b - a, a, b) for a, b in itertools.pairwise(edges) if b - a >= REGION - 1e-9]
    gaps.sort(key=lambda g: (-round(g[0], 9), g[1]))
    return tuple(
        f"{format_value(space.from_unit(name, a))}..{format_value(space.from_unit(name, b))}"
        for _, a, b in gaps
    )
