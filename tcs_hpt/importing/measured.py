"""All metrics of a script, and which of them to tune on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tcs_hpt.errors import UserError
from tcs_hpt.importing import goals, printed, printing, reported, tracked, written
from tcs_hpt.importing.metric_found import Format, MetricFound, Place
from tcs_hpt.importing.printed import NUMBER
from tcs_hpt.importing.script import Script, scripts_run
from tcs_hpt.spec import Direction

_EXACT: dict[Format, int] = {"report": 0, "jsonl": 1, "pattern": 2, "csv": 3, "json": 4}
EXAMPLE = 'print(f"epoch {epoch} val_loss {loss:.4f}")'


@dataclass(frozen=True)
class Measured:
    """What is tuned on, and what else can be read at the same place."""

    metric: MetricFound
    direction: Direction
    others: tuple[MetricFound, ...]
    """Of the same place, for the curves."""
    score: Literal["last", "best"]
    headline: str
    """The pattern of a line that only says which epoch begins, where the metric's own line does not; else empty."""
    doubts: tuple[str, ...]


def gather(script: Script) -> tuple[MetricFound, ...]:
    """Every metric that the script writes somewhere, the best to tune on first; a name once.

    Of a shell script: those of the Python scripts of its folder that it runs.
    """
    scripts = scripts_run(script)
    found = [
        m
        for one in scripts
        for m in (
            *reported.find(one),
            *written.find(one),
            *printed.find(printing.lines(one)),
            *tracked.find(one),
        )
    ]
    ordered = sorted(enumerate(found), key=lambda pair: (_key(pair[1]), pair[0]))
    unique: dict[str, MetricFound] = {}
    for _, metric in ordered:
        unique.setdefault(metric.name, metric)
    return tuple(unique.values())


def _key(metric: MetricFound) -> tuple[int, ...]:
    return (
        metric.inner,
        goals.rank(metric.script_name),
        metric.best,
        not metric.per_epoch,
        _EXACT[metric.place.format],
    )


def choose(
    found: Sequence[MetricFound], script: Script, wanted: str, direction: Direction | None
) -> Measured:
    """The metric to tune on.

    Args:
        found: As `gather` gives it.
        script: Whose they are.
        wanted: The name that the user asks for; empty for the best guess.
        direction: As the user says; None to go by the name.

    Raises:
        UserError: The script writes none, or the direction cannot be told.
    """
    if not found and not wanted and (elsewhere := tracked.sent_elsewhere(script)):
        name, tracker = next(iter(elsewhere.items()))
        raise UserError(
            f"{script.name} sends {', '.join(elsewhere)} to {tracker} alone, where nothing here can read it",
            hint=f'Let it print it as well, e.g. `print("{name}", value)` each epoch.',
        )
    if not found and not wanted:
        raise UserError(
            f"{script.name} prints, logs or writes no metric that could be recognised, so nothing says what to improve",
            hint=f"Let it print one, e.g. `{EXAMPLE}`, or name one that it prints: `tcs-hpt init {script.name} --metric val_loss`.",
        )
    doubts: list[str] = []
    if wanted:
        metric = _wanted(found, wanted)
        if metric is None:
            metric = _guessed(wanted)
            doubts.append(f"no line that prints {wanted} was found; the pattern is a guess")
    else:
        metric = found[0]
    original = metric
    said = goals.split(metric.script_name)
    if metric.name.startswith("test_") or (said == "test" and not wanted):
        name = goals.without_test(metric.name)
        doubts.append(
            f"the script only reports {metric.script_name}, on what it calls test data; tuning on it makes it a validation score"
        )
        metric = _renamed(metric, name)
    elif said == "train":
        doubts.append("this is measured on the training data; a validation metric would be better")
    elif said == "" and not wanted:
        doubts.append("the name does not say on which data it is measured")
    if metric.inner:
        doubts.append("it is printed many times within an epoch; the last one counts")
    if metric.doubt:
        doubts.append(metric.doubt)
    way = direction or goals.measure(metric.name)
    if way is None:
        raise UserError(
            f"nothing tells whether {metric.name} should go up or down",
            hint="Say so: `--direction maximize` or `--direction minimize`.",
        )
    others = tuple(
        replace(m, pattern=metric.pattern) if m.pattern == original.pattern else m
        for m in found
        if _goes_with(m, original)
    )
    best = any(
        m.best and goals.measure(m.name) == goals.measure(metric.name) and m.name != metric.name
        for m in found
    )
    score: Literal["last", "best"] = "best" if best and metric.per_epoch else "last"
    return Measured(metric, way, others, score, _headline(script, metric), tuple(doubts))


def _headline(script: Script, metric: MetricFound) -> str:
    if metric.place.format != "pattern" or "(?P<epoch>" in metric.pattern or not metric.per_epoch:
        return ""
    return next((h for one in scripts_run(script) if (h := printed.headline(printing.lines(one)))), "")


def _wanted(found: Sequence[MetricFound], wanted: str) -> MetricFound | None:
    plain = wanted.lower()
    exact = [m for m in found if plain in (m.name.lower(), m.script_name.lower())]
    return exact[0] if exact else None


def _guessed(name: str) -> MetricFound:
    group = re.sub(r"\W", "_", name)
    group = f"m_{group}" if not group[:1].isalpha() else group
    pattern = rf"\b{re.escape(name)}\W*(?P<{group}>{NUMBER})"
    return MetricFound(group, Place("stdout", "pattern"), 0, pattern=pattern, per_epoch=True)


def _renamed(metric: MetricFound, name: str) -> MetricFound:
    if metric.place.format == "pattern":
        return replace(
            metric,
            name=name,
            written_name=metric.name,
            pattern=metric.pattern.replace(f"(?P<{metric.name}>", f"(?P<{name}>"),
        )
    return replace(metric, name=name, written_name=metric.script_name)


def _goes_with(other: MetricFound, metric: MetricFound) -> bool:
    """Whether another metric can be read beside the one that decides, without breaking its epochs apart."""
    if other.place != metric.place or other.name == metric.name or other.inner:
        return False
    if goals.split(other.script_name) == "test" and not other.name.startswith("test_"):
        return False
    if other.pattern == metric.pattern and other.place.format == "pattern":
        return True
    # What is counted otherwise, steps beside epochs, would open epochs of its own.
    together = other.counter == metric.counter or {other.counter, metric.counter} == {"", "epoch"}
    return other.per_epoch and metric.per_epoch and not other.best and together
