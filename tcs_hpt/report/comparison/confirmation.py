"""What is left of the winners' lead on fresh training seeds, as a section for each task. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tcs_hpt.compare import Recorded, Winner, again, winners
from tcs_hpt.records import Trial, score
from tcs_hpt.report import words
from tcs_hpt.report.comparison.rows import label
from tcs_hpt.report.comparison.text import FEW_PAIRS, digits_of, fixed, plus_minus
from tcs_hpt.report.sections import Grid, Section
from tcs_hpt.statistics import MeanStd, mean_std, noise_floor, paired_difference, sign_flip_test

START = "the start"


@dataclass(frozen=True)
class Confirmed:
    """A winner and what became of it."""

    winner: Winner
    trials: dict[int, Trial]
    """With a score, by fresh seed."""

    @property
    def name(self) -> str:
        """As the table calls it."""
        spec = self.winner.spec
        return (
            START if self.winner.is_start else label(spec.method, spec.analysis_model, spec.optimizer_model)
        )

    @property
    def mean(self) -> MeanStd | None:
        """Over fresh seeds; None without a score."""
        return mean_std(list(self.scores.values())) if self.scores else None

    @property
    def scores(self) -> dict[int, float]:
        """By fresh seed."""
        return {seed: score(t) for seed, t in self.trials.items()}


def confirmations(
    comparison: str, studies: Sequence[Recorded], repeats: Sequence[Recorded]
) -> list[Confirmed]:
    """The winners that were tried again, with a score or without; none when nothing was.

    Args:
        comparison: Its name.
        studies: Of the comparison.
        repeats: The studies that tried winners again.
    """
    return [Confirmed(w, again(comparison, w, repeats)) for w in winners(studies)] if repeats else []


def noise_floors(found: Iterable[Confirmed]) -> dict[str, float]:
    """By task, as far as a configuration of it has two scores."""
    by_task: dict[str, dict[str, list[float]]] = {}
    for each in found:
        if len(each.scores) > 1:  # winners that are equal are one configuration
            by_task.setdefault(each.winner.spec.task.name, {})[each.winner.digest] = list(
                each.scores.values()
            )
    return {task: noise_floor(list(groups.values())) for task, groups in by_task.items()}


def confirmation_sections(found: Sequence[Confirmed]) -> list[Section]:
    """A section for each task whose winners were tried again and have a score."""
    tasks = list(dict.fromkeys(c.winner.spec.task.name for c in found if c.trials))
    return [_section(task, [c for c in found if c.winner.spec.task.name == task]) for task in tasks]


def _section(task: str, found: Sequence[Confirmed]) -> Section:
    objective = found[0].winner.spec.task.objective
    base = next((c for c in found if c.winner.is_start and c.trials), None)
    digits = digits_of([score for c in found for score in c.scores.values()])
    tests = sorted({n for c in found for t in c.trials.values() for n in t.metrics if n.startswith("test_")})
    seeds = sorted({seed for c in found for seed in c.trials})
    against = ("against the start", "95 % interval", "p") if base is not None else ()
    return Section(
        title=f"{task}: the winners again, on {words.count(len(seeds), 'fresh training seed')}",
        lead=(
            f"The best configuration of each method over all its studies by {objective.metric}, trained again. What it had when it "
            f"was found is lucky as well as good{'; the difference is paired over the fresh seeds, and positive is better' if base else ''}.",
        ),
        grids=(
            Grid(
                "",
                ("winner of", "found in", "when found", "again", *(f"{n} again" for n in tests), *against),
                tuple(
                    (
                        c.name,
                        f"seed {c.winner.spec.seed}, trial {c.winner.trial.number}",
                        fixed(c.winner.trial.value, digits)
                        if c.winner.trial.value is not None
                        else words.MISSING,
                        plus_minus(c.mean, digits),
                        *(_test(c, name) for name in tests),
                        *(_difference(c, base, digits) if base is not None else ()),
                    )
                    for c in found
                ),
            ),
        ),
        notes=tuple(_notes(found, base, digits)),
    )


def _test(confirmed: Confirmed, name: str) -> str:
    values = [value for t in confirmed.trials.values() if (value := t.metrics.get(name)) is not None]
    return plus_minus(mean_std(values), digits_of(values)) if values else words.MISSING


def _difference(confirmed: Confirmed, base: Confirmed, digits: int | None) -> tuple[str, str, str]:
    objective = base.winner.spec.task.objective
    ours, theirs = confirmed.scores, base.scores
    gains = [objective.gain(ours[s], theirs[s]) for s in ours if s in theirs]
    if confirmed is base or not gains:
        return (words.MISSING,) * 3
    zeros = [0.0] * len(gains)
    interval = paired_difference(gains, zeros)
    if interval.n == 1:
        return fixed(interval.mean, digits, sign=True), "unknown", words.MISSING
    return (
        fixed(interval.mean, digits, sign=True),
        f"{fixed(interval.low, digits, sign=True)} to {fixed(interval.high, digits, sign=True)}",
        f"{sign_flip_test(gains, zeros):.2g}",
    )


def _notes(found: Sequence[Confirmed], base: Confirmed | None, digits: int | None) -> list[str]:
    notes = []
    most = max(len(c.trials) for c in found)
    notes += [
        f"{c.name}: {len(c.trials)} of {words.count(most, 'run')} with a score."
        for c in found
        if len(c.trials) < most
    ]
    floor = noise_floors(found).get(found[0].winner.spec.task.name)
    if floor is not None:
        notes.append(
            f"Noise floor: the same configuration scores {fixed(floor, digits)} apart from seed to seed (standard deviation, pooled over "
            "configurations). Differences between single trials below about twice that are not evidence of anything."
        )
    if base is not None and most < FEW_PAIRS:
        notes.append(f"The interval is a bootstrap over seeds; with fewer than {FEW_PAIRS} it is too narrow.")
    return notes
