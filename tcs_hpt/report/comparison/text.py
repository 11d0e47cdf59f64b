"""What a comparison says, in sections of sentences and tables. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from tcs_hpt.report import words
from tcs_hpt.report.comparison.equal_time import at_equal_time
from tcs_hpt.report.comparison.means import (
    SIGNIFICANCE,
    Difference,
    MethodResult,
    Ranks,
    TaskResult,
    mean_ranks,
    summed,
)
from tcs_hpt.report.comparison.rows import Row
from tcs_hpt.report.cost import NOTE as COST_NOTE
from tcs_hpt.report.cost import Cores, cost_grid
from tcs_hpt.report.live import STOPPED
from tcs_hpt.report.sections import Grid, Section
from tcs_hpt.spec import Frozen
from tcs_hpt.statistics import MeanStd

FEW_PAIRS = 10
"""Below this many seeds a bootstrap interval is too narrow, and the text says so."""


class Run(Frozen):
    """One time that the comparison was run or continued: what a reader needs to judge or repeat it."""

    at: str
    """When it began; ISO 8601, UTC."""
    command: str
    machine: str
    """Cores, memory, platform; no name of a host."""
    versions: str
    jobs: int
    """Studies at the same time."""
    cores: int = 0
    """Of the machine; 0 in records that do not say."""


STARTS: dict[str, str] = {
    "defaults": "the task's defaults",
    "knowledge": "sensible values by name (start knowledge)",
    "cold": "a first configuration of its own (start cold)",
}
"""Where trial 1 comes from, in words."""


def sections(
    results: Sequence[TaskResult], runs: Sequence[Run] = (), confirmed: Sequence[Section] = ()
) -> list[Section]:
    """Everything there is to say, task by task, over all tasks, of winners that were tried again, and how it was run."""
    found = [_task_section(result, cores_of(runs)) for result in results]
    ranks = mean_ranks(results)
    if ranks is not None:
        found.append(_rank_section(ranks))
    elif len(results) > 1:
        text = "Not ranked: there is no pair of task and seed on which two or more methods all have a score."
        found.append(Section("All tasks: mean rank", (text,)))
    return [*found, *confirmed, run_section(runs)]


def cores_of(runs: Sequence[Run]) -> Cores:
    """Cores of the machine that it ran on, the largest if there were several."""
    return max((Cores.among(run.cores, run.jobs) for run in runs), default=Cores(0, 0))


# -- one task -----------------------------------------------------------------------------------------------


def _task_section(result: TaskResult, cores: Cores) -> Section:
    objective = result.objective
    better = "higher" if objective.direction == "maximize" else "lower"
    rows = result.rows
    return Section(
        title=f"{result.task}: {objective.metric}, {better} is better",
        lead=(_setting(rows),),
        grids=(
            _scores(result),
            *_differences(result),
            *_equal_time(result),
            _ledger(result),
            cost_grid({m.label: [r for r in m.rows if r.trials] for m in result.methods}, cores),
        ),
        notes=(*_notes(result), COST_NOTE),
        task=result.task,
    )


def _setting(rows: Sequence[Row]) -> str:
    def each(values: Iterable[object]) -> str:
        return " or ".join(map(str, dict.fromkeys(values)))

    seeds = sorted({r.seed for r in rows})
    start = each(STARTS[r.start] for r in rows)
    profile = each(r.profile or "the bare manifest" for r in rows)
    return (
        f"Every method: {each(r.budget for r in rows)} trials from {start}; profile: {profile}; "
        f"{words.count(len(seeds), 'seed')} ({_listed(seeds)})."
    )


def _scores(result: TaskResult) -> Grid:
    metric = result.objective.metric
    counted = [r for r in result.rows if r.counts]
    digits = digits_of([r.best for r in counted])
    names = result.test_names
    test_digits = {n: digits_of([r.test.get(n) for r in counted]) for n in names}
    return Grid(
        title=f"Best {metric} of each study, mean +- standard deviation over seeds",
        columns=("method", "seeds", "best", *(f"{n} of the best" for n in names), "mean of all trials"),
        rows=tuple(
            (
                method.label,
                _seeds(method),
                plus_minus(method.best, digits),
                *(plus_minus(method.test(n), test_digits[n]) for n in names),
                plus_minus(method.mean, digits),
            )
            for method in result.methods
        ),
    )


def _differences(result: TaskResult) -> list[Grid]:
    if not result.differences:
        return []
    digits = digits_of([r.best for r in result.rows if r.counts])
    return [
        Grid(
            title=f"Best against {result.control}, paired over seeds; positive is better",
            columns=("method", "pairs", "difference", "95 % interval", "p", "says"),
            rows=tuple(_difference(d, digits) for d in result.differences),
        )
    ]


def _difference(found: Difference, digits: int | None) -> tuple[str, ...]:
    interval = found.interval
    if interval is None or found.p is None:
        return (found.label, "0", words.MISSING, words.MISSING, words.MISSING, found.verdict)
    known = math.isfinite(interval.low)
    return (
        found.label,
        str(interval.n),
        fixed(interval.mean, digits, sign=True),
        f"{fixed(interval.low, digits, sign=True)} to {fixed(interval.high, digits, sign=True)}"
        if known
        else "unknown",
        f"{found.p:.2g}" if known else words.MISSING,
        found.verdict,
    )


def _equal_time(result: TaskResult) -> list[Grid]:
    found = at_equal_time(result)
    if found is None:
        return []
    digits = digits_of([r.best for r in result.rows if r.counts])
    return [
        Grid(
            title=(
                f"At equal time: what each had after {words.duration(found.seconds)} of choosing and training, when the quickest was done; "
                f"means over {words.count(found.seeds, 'seed')}"
            ),
            columns=("method", "trials by then", "best"),
            rows=tuple(
                (label, f"{cut.trials:.1f}", plus_minus(cut.best, digits))
                for label, cut in found.methods.items()
            ),
        )
    ]


def _ledger(result: TaskResult) -> Grid:
    return Grid(
        title="What happened and what it cost; seconds and tokens are the mean of a study",
        columns=(
            "method",
            "trials",
            "failed",
            "chosen by",
            "outcomes foreseen",
            "choosing s",
            "tokens read",
            "written",
            "training s",
        ),
        rows=tuple(_ledger_row(method) for method in result.methods),
    )


def _ledger_row(method: MethodResult) -> tuple[str, ...]:
    rows = [r for r in method.rows if r.trials]
    if not rows:
        return (method.label, "0", "0", *([words.MISSING] * 6))
    failures = summed(r.failures for r in rows)
    kinds = ", ".join(f"{kind.replace('_', ' ')} {n}" for kind, n in failures.items())
    fallbacks = sum(r.fallbacks for r in rows)
    chosen = ", ".join(f"{source} {n}" for source, n in summed(r.sources for r in rows).items())
    asked = any(r.calls for r in rows)
    return (
        method.label,
        str(sum(r.trials for r in rows)),
        (f"{sum(failures.values())} ({kinds})" if failures else "0")
        + (f", {broken} not allowed" if (broken := sum(r.infeasible for r in rows)) else ""),
        f"{chosen} ({words.count(fallbacks, 'fallback')})" if fallbacks else chosen,
        _foreseen(rows),
        _mean(r.thinking_seconds for r in rows),
        _mean((r.prompt_tokens for r in rows), whole=True) if asked else words.MISSING,
        _mean((r.completion_tokens for r in rows), whole=True) if asked else words.MISSING,
        _mean(r.training_seconds for r in rows),
    )


def _foreseen(rows: Sequence[Row]) -> str:
    """The hit rate beside that of the laziest forecast."""
    total = sum(r.predictions for r in rows)
    if not total:
        return words.MISSING
    hits, improved = sum(r.hits for r in rows), sum(r.improved for r in rows)
    sizes = sum(r.sizes for r in rows)
    sized = f"; sizes {sum(r.size_hits for r in rows)} of {sizes}" if sizes else ""
    return f"{hits} of {total} ({100 * hits / total:.0f} %; always 'improves': {100 * improved / total:.0f} %){sized}"


# -- what must be said --------------------------------------------------------------------------------------


def _notes(result: TaskResult) -> list[str]:
    notes = [note for method in result.methods for note in _left_out(method)]
    seeds = {m.label: sorted(m.scores()) for m in result.methods if m.counted}
    if len({tuple(s) for s in seeds.values()}) > 1:
        listed = "; ".join(f"{name}: {_listed(s)}" for name, s in seeds.items())
        notes.append(
            f"Unequal seeds ({listed}): the means are not over the same seeds; the differences pair equal seeds only."
        )
    for name, values in (
        ("numbers of trials", {r.budget for r in result.rows}),
        ("starts", {r.start for r in result.rows}),
        ("profiles", {r.profile for r in result.rows}),
    ):
        if len(values) > 1:
            notes.append(f"Unequal {name}: this is not a fair comparison; run the other methods again alike.")
    return notes + _reading(result)


def _left_out(method: MethodResult) -> list[str]:
    """Every study that the numbers leave out or that was shorter than the others, by reason."""
    groups: dict[str, list[int]] = {}
    for row in method.rows:
        if row.state == "failed":
            groups.setdefault(f"failed, left out: {words.one_line(row.reason, 300)}", []).append(row.seed)
        elif row.state == "unfinished":
            text = f"unfinished, left out: {row.trials} of {words.count(row.budget, 'trial')}"
            groups.setdefault(text, []).append(row.seed)
        elif row.best is None:
            text = f"no trial has a score, left out; the last one: {words.one_line(row.last_failure, 300)}"
            groups.setdefault(text, []).append(row.seed)
        elif row.trials < row.budget:
            why = STOPPED.get(row.ended, row.ended)
            text = f"{row.trials} of {words.count(row.budget, 'trial')}. {why}"
            groups.setdefault(text, []).append(row.seed)
    return [
        f"{method.label}, {'seed' if len(seeds) == 1 else 'seeds'} {_listed(seeds)}: {text}"
        for text, seeds in groups.items()
    ]


def _reading(result: TaskResult) -> list[str]:
    """How the table of differences is to be read, as far as it applies."""
    pairs = [d.interval.n for d in result.differences if d.interval is not None]
    if not pairs:
        return []
    notes = [
        f'"better" and "worse" need an interval without 0 and p below {SIGNIFICANCE} (sign-flip test over seeds).'
    ]
    if min(pairs) < FEW_PAIRS:
        notes.append(f"The interval is a bootstrap over seeds; with fewer than {FEW_PAIRS} it is too narrow.")
    if len(pairs) > 1:
        notes.append(f"The p-values are not corrected for {len(pairs)} comparisons.")
    return notes


# -- all tasks, and how it was run --------------------------------------------------------------------------


def _rank_section(ranks: Ranks) -> Section:
    absent = (
        (f"Not ranked, without a score on some task: {', '.join(ranks.absent)}.",) if ranks.absent else ()
    )
    return Section(
        title="All tasks: mean rank",
        lead=(f"1 is the best; over {ranks.blocks} of {ranks.of} pairs of task and seed.",),
        grids=(
            Grid("", ("method", "mean rank"), tuple((n, f"{rank:.2f}") for n, rank in ranks.mean.items())),
        ),
        notes=absent,
    )


def run_section(runs: Sequence[Run]) -> Section:
    """When, where and with which versions it was run."""
    if not runs:
        return Section("How it was run", ("Not known here: the comparison's folder has no record of it.",))
    lead = []
    for run in runs:
        lead.append(f"{run.at}: `{run.command}`")
        lead.append(f"{run.versions}; {run.machine}.")
    notes = []
    if any(run.jobs > 1 for run in runs):
        most = max(run.jobs for run in runs)
        notes.append(f"Up to {most} studies ran at the same time, so seconds include waiting for each other.")
    if len({(run.machine, run.versions) for run in runs}) > 1:
        notes.append("Machine or versions changed between the runs.")
    return Section("How it was run", tuple(dict.fromkeys(lead)), notes=tuple(notes))


# -- numbers ------------------------------------------------------------------------------------------------


def digits_of(values: Iterable[float | None]) -> int | None:
    """Decimals that give the largest value four significant digits; None where that would hide the smallest."""
    sizes = [abs(v) for v in values if v]
    if not sizes:
        return 4
    largest = max(sizes)
    if largest > 1000 * min(sizes):
        return None
    digits = 3 - math.floor(math.log10(largest))
    return max(digits, 0) if -4 <= digits <= 8 else None


def fixed(value: float, digits: int | None, *, sign: bool = False) -> str:
    """A number with so many decimals; four significant digits for None."""
    plus = "+" if sign else ""
    return f"{value:{plus}.4g}" if digits is None else f"{value:{plus}.{digits}f}"


def plus_minus(value: MeanStd | None, digits: int | None) -> str:
    """`mean +- std`."""
    if value is None:
        return words.MISSING
    mean = fixed(value.mean, digits)
    return mean if value.std is None else f"{mean} +- {fixed(value.std, digits)}"


def _mean(values: Iterable[float], *, whole: bool = False) -> str:
    known = list(values)
    mean = sum(known) / len(known)
    return f"{mean:,.0f}" if whole or mean >= 9.95 else f"{mean:.1f}"


def _seeds(method: MethodResult) -> str:
    counted, total = len(method.counted), len(method.rows)
    return str(total) if counted == total else f"{counted} of {total}"


def _listed(seeds: Sequence[int]) -> str:
    """Seeds as people write them: `0 to 4`, `0, 3, 7`."""
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))
