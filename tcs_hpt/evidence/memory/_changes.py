"""Remembered values as single changes of a base, and among the changes that are listed without memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tcs_hpt.evidence.candidates import PER_PARAMETER, SHOWN, Candidate, CandidateList, tested_keys
from tcs_hpt.evidence.memory._values import RememberedValue, near
from tcs_hpt.records import Trial, last_tested, ordered
from tcs_hpt.space import Change, SearchSpace, check_value, format_value
from tcs_hpt.spec import Scalar, TaskSpec, same_scalar

OFFERED = 3
"""Most remembered changes on a list."""


def remembered_changes(
    task: TaskSpec,
    values: Sequence[RememberedValue],
    base: Mapping[str, Scalar],
    trials: Sequence[Trial],
    *,
    count: int = OFFERED,
) -> tuple[Candidate, ...]:
    """Single changes of a base to remembered values, best first, one for each parameter.

    A value that a trial of this study had, or one near it, is left out: that trial says more. Every configuration is
    inside the space and untested.

    Args:
        task: What is tuned.
        values: Best first.
        base: The configuration that is changed.
        trials: All trials of the present study.
        count: Most changes.
    """
    space = SearchSpace(task.params)
    seen = tested_keys(space, trials) | {space.key(base)}
    newest = last_tested(trials, space.names)
    settings = {**task.fixed, **base}
    found: dict[str, Candidate] = {}
    for one in values:
        name, value = one.parameter, one.value
        if len(found) == count:
            break
        if name in found or name not in base or check_value(name, space.params[name], value) is not None:
            continue
        had = [base[name], *(t.config[name] for t in ordered(trials) if name in t.config)]
        if any(near(space, name, value, v) for v in had) or not _onward(space, one, base[name]):
            continue
        if any(n in settings and not same_scalar(settings[n], v) for n, v in one.beside):
            continue
        change = Change(name, base[name], value)
        config = space.changed(base, name, value, newest)
        reads_alike = format_value(value) == format_value(base[name])
        if space.key(config) not in seen and space.contains(config) and not reads_alike:
            found[name] = Candidate(change, config, one.score, one.reason, remembered=True)
    return tuple(found.values())


def _onward(space: SearchSpace, one: RememberedValue, base: Scalar) -> bool:
    """Whether the way from the base to the value is the way that the earlier study went to the end of its range."""
    way = space.to_unit(one.parameter, one.value) - space.to_unit(one.parameter, base)
    return way * one.open_end >= 0


def with_memory(
    task: TaskSpec, listed: CandidateList, values: Sequence[RememberedValue], trials: Sequence[Trial]
) -> CandidateList:
    """A list of changes with at most `OFFERED` remembered ones in it, ranked by score; `SHOWN` at most.

    A remembered change takes the place of listed ones to the same or a near value.
    """
    remembered = remembered_changes(task, values, listed.base_config, trials)
    if not remembered:
        return listed
    space = SearchSpace(task.params)
    counts = {c.change.parameter: 1 for c in remembered}
    kept: list[Candidate] = list(remembered)
    rest: list[Candidate] = []
    for candidate in listed.candidates:
        name = candidate.change.parameter
        if any(
            c.change.parameter == name and near(space, name, c.change.new, candidate.change.new)
            for c in remembered
        ):
            continue
        counts[name] = counts.get(name, 0) + 1
        (kept if counts[name] <= PER_PARAMETER else rest).append(candidate)
    chosen = (kept + rest)[:SHOWN]
    return CandidateList(listed.base, listed.base_config, tuple(sorted(chosen, key=lambda c: -c.score)))
