"""What a comparison amounts to: from one tidy row per study, the numbers that may be claimed.

Pure. Rows may come in any order; tasks and methods are shown in the order of their first row. Numbers of a method are
over the seeds whose study ran to its end and has a score; whatever is left out is said in a note.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tcs_hpt.errors import UserError
from tcs_hpt.report.comparison.rows import Row
from tcs_hpt.spec import Objective
from tcs_hpt.statistics import Interval, MeanStd, mean_std, paired_difference, sign_flip_test

SIGNIFICANCE = 0.05
"""A difference counts as shown when its sign-flip p-value is below this and its 95 % interval leaves 0 out."""

ENOUGH_PAIRS = 6
"""Fewer pairs cannot reach `SIGNIFICANCE`: the smallest p-value of n pairs is 2 / 2^n."""


@dataclass(frozen=True)
class MethodResult:
    """A method on one task."""

    label: str
    rows: tuple[Row, ...]
    """All its studies, by seed."""

    @property
    def counted(self) -> tuple[Row, ...]:
        """Those of them with a result."""
        return tuple(r for r in self.rows if r.counts)

    @property
    def best(self) -> MeanStd | None:
        """Best score over seeds; None without any."""
        return _over(r.best for r in self.counted)

    @property
    def mean(self) -> MeanStd | None:
        """Mean score of a study's trials, over seeds: what a typical trial gives. Failed trials have no score."""
        return _over(r.mean for r in self.counted)

    def test(self, name: str) -> MeanStd | None:
        """A test metric of the best trial over seeds; None unless every one of them has it."""
        values = [r.test.get(name) for r in self.counted]
        return None if None in values else _over(values)

    def scores(self) -> dict[int, float]:
        """The best score of each seed."""
        return {r.seed: r.best for r in self.counted if r.best is not None}

    def best_so_far(self) -> list[list[float]]:
        """For each place in the budget, the best score so far of every seed.

        It begins at the first place at which all seeds have a score; before it the lists are empty. A study that ended
        early keeps its best.
        """
        objective = self.rows[0].objective
        curves = [_best_so_far(r.values, objective) for r in self.counted]
        length = max((len(c) for c in curves), default=0)
        places = [[c[min(i, len(c) - 1)] for c in curves] for i in range(length)]
        return [[v for v in place if v is not None] if None not in place else [] for place in places]


def _over(values: Iterable[float | None]) -> MeanStd | None:
    known = [v for v in values if v is not None]
    return mean_std(known) if known else None


def _best_so_far(values: Sequence[float | None], objective: Objective) -> list[float | None]:
    best: float | None = None
    curve: list[float | None] = []
    for value in values:
        if value is not None and (best is None or objective.better(value, best)):
            best = value
        curve.append(best)
    return curve


@dataclass(frozen=True)
class Difference:
    """A method against the control, paired over the seeds that both have."""

    label: str
    interval: Interval | None
    """Improvement over the control in the metric's unit, positive is better, with its 95 % interval; None without pairs."""
    p: float | None
    """Of the sign-flip test."""
    lost: int = 0
    """Seeds on which the control has a score and the method's own study gave none."""

    @property
    def verdict(self) -> str:
        """What may be said."""
        if self.interval is None or self.p is None:
            return "no seed in common"
        if self.interval.n == 1:
            return "one seed says nothing about the noise"
        if self.interval.low <= 0 <= self.interval.high:
            return "within the noise"
        if self.p >= SIGNIFICANCE:
            few = self.interval.n < ENOUGH_PAIRS
            return f"too few seeds to tell ({ENOUGH_PAIRS} or more can)" if few else "within the noise"
        if self.interval.mean > 0 and self.lost:
            return f"no verdict: {self.lost} of its studies gave no score"
        return "better" if self.interval.mean > 0 else "worse"


def difference(method: MethodResult, control: MethodResult) -> Difference:
    """A method against the control on the seeds that both have; higher and lower scores alike, positive is better."""
    objective = control.rows[0].objective
    ours, theirs = method.scores(), control.scores()
    seeds = sorted(set(ours) & set(theirs))
    if not seeds:
        return Difference(method.label, None, None)
    gains = [objective.gain(ours[s], theirs[s]) for s in seeds]
    zeros = [0.0] * len(gains)
    lost = sum(row.seed in theirs and row.seed not in ours for row in method.rows)
    return Difference(method.label, paired_difference(gains, zeros), sign_flip_test(gains, zeros), lost)


@dataclass(frozen=True)
class TaskResult:
    """All methods on one task."""

    task: str
    methods: tuple[MethodResult, ...]
    control: str
    """The label that the others are measured against."""
    differences: tuple[Difference, ...]

    @property
    def objective(self) -> Objective:
        """What better means."""
        return self.methods[0].rows[0].objective

    @property
    def rows(self) -> list[Row]:
        """All studies of the task."""
        return [r for m in self.methods for r in m.rows]

    @property
    def test_names(self) -> list[str]:
        """Test metrics that a best trial has, sorted."""
        return sorted({name for r in self.rows if r.counts for name in r.test})


@dataclass(frozen=True)
class Ranks:
    """Mean place of every method, 1 is the best, over the pairs of task and seed on which all of them have a score."""

    mean: Mapping[str, float]
    """By label, best first."""
    blocks: int
    """Pairs of task and seed that were ranked."""
    of: int
    """All pairs of task and seed."""
    absent: tuple[str, ...]
    """Methods without a score on some task, which are not ranked."""


def task_results(rows: Iterable[Row], against: str = "") -> list[TaskResult]:
    """The comparison task by task.

    Args:
        rows: One per study.
        against: The control: a method, `METHOD@MODEL`, or a label. Without one: `coin`, else `random`, else the first.

    Raises:
        UserError: No method is called so, or several are.
    """
    tasks: dict[str, dict[str, list[Row]]] = {}
    for each in rows:
        tasks.setdefault(each.task, {}).setdefault(each.label, []).append(each)
    labels = list(dict.fromkeys(name for methods in tasks.values() for name in methods))
    chosen = _control([r for methods in tasks.values() for group in methods.values() for r in group], against)
    results = []
    for task, groups in tasks.items():
        methods = [
            MethodResult(name, tuple(sorted(groups[name], key=lambda r: r.seed)))
            for name in labels
            if name in groups
        ]
        control = next((m for m in methods if m.label == chosen), methods[0])
        differences = tuple(difference(m, control) for m in methods if m is not control)
        results.append(TaskResult(task, tuple(methods), control.label, differences))
    return results


def _control(rows: Sequence[Row], against: str) -> str:
    names: dict[str, set[str]] = {}
    for each in rows:
        spelled = {each.method, each.label}
        if each.analysis_model == each.optimizer_model and each.analysis_model:
            spelled.add(f"{each.method}@{each.analysis_model}")
        for name in spelled:
            names.setdefault(name, set()).add(each.label)
    if against:
        found = names.get(against, set())
        if len(found) != 1:
            raise UserError(
                f"the control {against!r} names {'several methods' if found else 'no method'} of the comparison",
                hint=f"Choose one of: {', '.join(dict.fromkeys(r.label for r in rows))}.",
            )
        return next(iter(found))
    coins = [name for name in names if name.startswith("coin:")]
    for usual in ("coin", *coins, "random"):
        if usual in names:
            return usual
    return rows[0].label if rows else ""


def mean_ranks(results: Sequence[TaskResult]) -> Ranks | None:
    """Places over several tasks; None for one task, or when no pair of task and seed has all methods."""
    if len(results) < 2:
        return None
    labels = list(dict.fromkeys(m.label for r in results for m in r.methods))
    scored = [{m.label: m.scores() for m in r.methods} for r in results]
    present = [name for name in labels if all(task.get(name) for task in scored)]
    places: dict[str, list[float]] = {name: [] for name in present}
    total = blocks = 0
    for result, scores in zip(results, scored, strict=True):
        seeds = sorted({r.seed for r in result.rows})
        total += len(seeds)
        for seed in seeds:
            if len(present) < 2 or any(seed not in scores[name] for name in present):
                continue
            blocks += 1
            for name, place in _places({n: scores[n][seed] for n in present}, result.objective).items():
                places[name].append(place)
    if not blocks:
        return None
    means = {name: sum(p) / len(p) for name, p in places.items()}
    ranked = dict(sorted(means.items(), key=lambda item: item[1]))
    return Ranks(ranked, blocks, total, tuple(n for n in labels if n not in present))


def _places(scores: Mapping[str, float], objective: Objective) -> dict[str, float]:
    """The place of each, 1 is the best; equal scores share the mean of their places."""
    return {
        name: 1
        + sum(objective.better(other, mine) for other in scores.values())
        + (sum(other == mine for other in scores.values()) - 1) / 2
        for name, mine in scores.items()
    }


def summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Several counts as one, the largest first."""
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(sorted(total.items(), key=lambda item: (-item[1], item[0])))
