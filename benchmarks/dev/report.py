"""Tables of finished studies, in Markdown. Regret is computed anew from the scores, since figures may have changed meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from benchmarks.dev.problems import WORST, chosen, regret
from benchmarks.dev.studies import Row
from tcs_hpt.errors import UserError
from tcs_hpt.statistics import Interval, paired_difference, sign_flip_test


@dataclass(frozen=True)
class Outcome:
    """What a study amounts to."""

    method: str
    problem: str
    seed: int
    best: float
    """Regret of its best trial."""
    mean: float
    """Regret of its trials, on average."""
    failed: int
    trials: int
    seconds: float
    """Spent on thinking."""


def outcomes(studies: Iterable[Sequence[Row]], *, trials: int | None = None) -> list[Outcome]:
    """One for each study; a method that was run with several starts counts as several methods.

    Args:
        studies: Their rows.
        trials: The budget of those that are wanted.

    Raises:
        UserError: There are none, they have several budgets and nobody said which, or a problem is no longer there.
    """
    wanted = [rows for rows in studies if trials is None or rows[0].budget == trials]
    budgets = sorted({rows[0].budget for rows in wanted})
    if len(budgets) != 1:
        raise UserError(
            f"there are studies of {', '.join(map(str, budgets))} trials"
            if budgets
            else "there are no studies",
            hint="Choose one budget with --trials." if budgets else "Run some first.",
        )
    starts = {rows[0].start for rows in wanted}
    return [
        _outcome(rows, rows[0].method if len(starts) == 1 else f"{rows[0].method}, {rows[0].start}")
        for rows in wanted
    ]


def _outcome(rows: Sequence[Row], method: str) -> Outcome:
    problem, seed = chosen([rows[0].problem])[0], rows[0].seed
    regrets = [regret(problem, seed, row.value) for row in rows]
    return Outcome(
        method=method,
        problem=problem.name,
        seed=seed,
        best=min(regrets),
        mean=fmean(regrets),
        failed=sum(bool(row.failure) for row in rows),
        trials=len(rows),
        seconds=sum(row.thinking_seconds for row in rows),
    )


def shared(found: Sequence[Outcome]) -> dict[str, dict[tuple[str, int], Outcome]]:
    """Outcomes by method and then by problem and seed, of the problems and seeds that every method has.

    Raises:
        UserError: There is none.
    """
    by_method: dict[str, dict[tuple[str, int], Outcome]] = {}
    for one in found:
        by_method.setdefault(one.method, {})[one.problem, one.seed] = one
    common = set.intersection(*(set(studies) for studies in by_method.values()))
    if not common:
        raise UserError(
            "there is no problem and seed that every method has", hint="Run the same problems and seeds."
        )
    return {
        method: {key: studies[key] for key in sorted(common)}
        for method, studies in sorted(by_method.items(), key=lambda m: fmean(m[1][k].best for k in common))
    }


def markdown(found: Sequence[Outcome], control: str) -> str:
    """The methods side by side, each against the control, and problem by problem; best method first.

    Raises:
        UserError: The control is not among the methods, or no problem and seed is shared by all.
    """
    methods = shared(found)
    if control not in methods:
        raise UserError(
            f"there is no method {control!r} in these results", hint=f"Methods: {', '.join(methods)}."
        )
    keys = list(methods[control])
    problems = sorted({problem for problem, _ in keys})
    left_out = len(found) - len(keys) * len(methods)
    parts = [
        f"{len(problems)} problems, {len({seed for _, seed in keys})} seeds, {len(keys)} studies of every method"
        + (f" ({left_out} studies without a counterpart are left out)" if left_out else "")
        + f". Regret: 0 is the best known score, 1 a median random one; cut off at {WORST:g}, which is that of a failed trial.",
        _summary(methods, problems),
        f"Against `{control}`, paired over problem and seed (below 0 is better; p of a sign-flip test):",
        _paired(methods, control, keys),
        "Regret of the best trial, by problem:",
        _by_problem(methods, problems),
    ]
    return "\n\n".join(parts) + "\n"


def _summary(methods: dict[str, dict[tuple[str, int], Outcome]], problems: Sequence[str]) -> str:
    ranks = _ranks(methods)
    lines = []
    for method, studies in methods.items():
        group = list(studies.values())
        lines.append(
            (
                f"`{method}`",
                with_interval(_over_problems(group, problems, lambda o: o.best)),
                with_interval(_over_problems(group, problems, lambda o: o.mean)),
                f"{ranks[method]:.2f}",
                f"{100 * sum(o.failed for o in group) / sum(o.trials for o in group):.1f} %",
                f"{fmean(o.seconds for o in group):.2f}",
            )
        )
    head = ("method", "best trial", "mean of all trials", "rank", "failed", "thinking s per study")
    return table(head, lines)


def _over_problems(
    group: Sequence[Outcome], problems: Sequence[str], figure: Callable[[Outcome], float]
) -> Interval:
    """A mean over problems and where it would lie with other problems of this kind: problems are resampled, not seeds."""
    means = [fmean(figure(o) for o in group if o.problem == problem) for problem in problems]
    return paired_difference(means, [0.0] * len(means))


def _ranks(methods: dict[str, dict[tuple[str, int], Outcome]]) -> dict[str, float]:
    """Mean rank by the best trial, 1 for the best; equal ones share the middle."""
    from scipy.stats import rankdata

    keys = next(iter(methods.values()))
    ranked = [rankdata([studies[key].best for studies in methods.values()]) for key in keys]
    return {method: fmean(float(r[i]) for r in ranked) for i, method in enumerate(methods)}


def _paired(
    methods: dict[str, dict[tuple[str, int], Outcome]], control: str, keys: Sequence[tuple[str, int]]
) -> str:
    def against(method: str, figure: Callable[[Outcome], float]) -> tuple[str, str]:
        a = [figure(methods[method][key]) for key in keys]
        b = [figure(methods[control][key]) for key in keys]
        return with_interval(paired_difference(a, b), sign="+"), f"{sign_flip_test(a, b):.3f}"

    lines = [
        (f"`{method}`", *against(method, lambda o: o.best), *against(method, lambda o: o.mean))
        for method in methods
        if method != control
    ]
    return table(("method", "best trial", "p", "mean of all trials", "p"), lines)


def _by_problem(methods: dict[str, dict[tuple[str, int], Outcome]], problems: Sequence[str]) -> str:
    lines = [
        (
            problem,
            *(
                f"{fmean(o.best for o in studies.values() if o.problem == problem):.3f}"
                for studies in methods.values()
            ),
        )
        for problem in problems
    ]
    return table(("problem", *(f"`{m}`" for m in methods)), lines)


def with_interval(interval: Interval, sign: str = "") -> str:
    """A mean and its interval, `0.100 (0.050 to 0.150)`; sign is `+` for differences."""
    return f"{interval.mean:{sign}.3f} ({interval.low:{sign}.3f} to {interval.high:{sign}.3f})"


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Cells as a table in Markdown, the first column to the left."""
    rule = ["---"] + ["--:"] * (len(head) - 1)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *lines))
