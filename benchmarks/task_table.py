"""Is a task worth tuning? Its default score beside random configurations, seconds and memory of a trial.

    tcs-hpt compare TASK... --methods random --seeds 1 --trials 16 --start defaults --name tasks --store tasks.db
    python -m benchmarks.task_table tasks --store tasks.db

The first command runs the defaults and fifteen random configurations of each task, and goes on where it was cut; the second prints
a table in Markdown of whatever is there. Scores are those of validation.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from statistics import median

from benchmarks.dev.report import table
from tcs_hpt.compare import studies_of
from tcs_hpt.records import Trial, finished, ordered, score
from tcs_hpt.spec import Objective, StudySpec
from tcs_hpt.store import Store

HEAD = (
    "task",
    "metric",
    "defaults",
    "best",
    "median",
    "worst",
    "random configurations",
    "failed",
    "seconds a trial",
    "longest",
    "peak memory",
)


def line(spec: StudySpec, trials: Iterable[Trial]) -> tuple[str, ...]:
    """The cells of one study: its first trial has the defaults, all others are random.

    The median and the worst are of those that finished; how many did not has a column of its own.
    """
    first, *others = ordered(trials)
    objective = spec.task.objective
    scores = sorted((score(t) for t in finished(others)), reverse=objective.direction == "maximize")
    ended = [t for t in (first, *others) if t.state != "running"]
    return (
        f"`{spec.task.name}`",
        f"{objective.metric} ({_better(objective)})",
        "failed" if first.value is None else f"{first.value:.4g}",
        *(_written(pick(scores)) if scores else "" for pick in (_first, median, _last)),
        str(len(others)),
        str(sum(t.state == "failed" for t in others)),
        f"{median(t.usage.wall_seconds for t in ended):.0f}",
        f"{max(t.usage.wall_seconds for t in ended):.0f}",
        f"{max(t.usage.peak_memory_mb for t in ended):.0f} MB",
    )


def _first(scores: Sequence[float]) -> float:
    return scores[0]


def _last(scores: Sequence[float]) -> float:
    return scores[-1]


def _written(value: float) -> str:
    return f"{value:.4g}"


def _better(objective: Objective) -> str:
    return "higher is better" if objective.direction == "maximize" else "lower is better"


def main() -> None:
    """Print the table of a comparison."""
    parser = argparse.ArgumentParser()
    parser.add_argument("comparison")
    parser.add_argument("--store", default="")
    options = parser.parse_args()
    with Store.open(options.store or None) as store:
        studies = [s for s in studies_of(store, options.comparison) if ordered(s.trials)]
    if not studies:
        parser.exit(1, f"there is no trial of a comparison {options.comparison!r}\n")
    print(table(HEAD, [line(s.spec, s.trials) for s in studies]))


if __name__ == "__main__":
    main()
