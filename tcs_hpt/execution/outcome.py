"""Reads what a training script left behind and says how its trial ended. Starts and ends nothing."""

from __future__ import annotations

import json
import math
import re
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from tcs_hpt.client import METRIC_NAME, REFUSED
from tcs_hpt.execution._base import RunResult
from tcs_hpt.records import EpochRecord, Failure, FailureKind, Metrics, Usage
from tcs_hpt.spec import Limits, Objective

EndedBy: TypeAlias = Literal["itself", "interrupt", "time", "memory"]
"""Who ended the process."""

_STDERR_LINES, _STDERR_CHARACTERS, _STDERR_BYTES = 20, 2000, 64 * 1024
_OUT_OF_MEMORY = re.compile(
    r"MemoryError|OutOfMemoryError|CUDA out of memory|can't allocate memory|std::bad_alloc"
)
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_TRACEBACK = "Traceback (most recent call last):"


def read_numbers(raw: Mapping[str, object]) -> tuple[Metrics, tuple[str, ...]]:
    """The metrics among some JSON values, and the names of those that are not finite (they become None).

    What is neither a number nor null, or has no proper name, is left out.
    """
    metrics: Metrics = {}
    for name, value in raw.items():
        if not METRIC_NAME.fullmatch(name) or isinstance(value, bool):
            continue
        if value is None:
            metrics[name] = None
        elif isinstance(value, int | float):
            try:
                number = float(value)
            except OverflowError:
                number = math.inf
            metrics[name] = number if math.isfinite(number) else None
    return metrics, tuple(n for n, v in metrics.items() if v is None)


class MetricsTail:
    """Follows `metrics.jsonl` while it grows. A line counts once it is complete; broken ones are skipped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._rest = b""
        self.epochs: list[EpochRecord] = []
        """Everything read so far, in the order of the file."""
        self.broken = 0
        """Lines that could not be read."""

    def read(self, *, last: bool = False) -> list[EpochRecord]:
        """The epochs that are new since the last call.

        Args:
            last: The script is gone, so a last line without its end is as complete as it will be.
        """
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                new = file.read()
        except OSError:  # not written yet, or deleted by the script
            new = b""
        self._offset += len(new)
        *lines, self._rest = (self._rest + new).split(b"\n")
        if last and self._rest:
            lines, self._rest = [*lines, self._rest], b""
        return [record for line in lines if line.strip() and (record := self._parse(line)) is not None]

    def _parse(self, line: bytes) -> EpochRecord | None:
        try:
            raw = json.loads(line)
            number = raw.pop("epoch", self.epochs[-1].epoch + 1 if self.epochs else 1)
            if isinstance(number, bool) or number != int(number):
                raise ValueError(number)
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            self.broken += 1
            return None
        metrics, non_finite = read_numbers(raw)
        self.epochs.append(EpochRecord(epoch=int(number), metrics=metrics, non_finite=non_finite))
        return self.epochs[-1]


def read_result(folder: Path) -> Metrics | None:
    """The final metrics in `result.json`; None when there is none or it cannot be read."""
    try:
        raw = json.loads((folder / "result.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return read_numbers(raw)[0] if isinstance(raw, dict) else None


@dataclass(frozen=True)
class Ending:
    """What is known when the process is gone."""

    by: EndedBy
    exit_code: int | None
    """Negative for a signal; None when nobody saw it end."""
    result: Metrics | None
    epochs: tuple[EpochRecord, ...]
    stderr: str
    """The end of the script's standard error."""


def judge(ending: Ending, objective: Objective, limits: Limits, usage: Usage) -> RunResult:
    """How the trial ended. A result with the objective means finished, however the process ended after it."""

    def result(
        state: Literal["finished", "failed", "interrupted"],
        kind: FailureKind | None = None,
        message: str = "",
        metrics: Metrics | None = None,
    ) -> RunResult:
        metrics = metrics or {}
        failure = None if kind is None else Failure(kind=kind, message=message, stderr=_short(ending.stderr))
        value = metrics.get(objective.metric) if failure is None else None
        return RunResult(state, value, metrics, ending.epochs, failure, usage)

    def scored(metrics: Metrics) -> RunResult:
        if metrics[objective.metric] is None:
            return result("failed", "diverged", f"{objective.metric} is not a finite number", metrics)
        return result("finished", metrics=metrics)

    if ending.result is not None and objective.metric in ending.result:
        return scored(ending.result)
    if ending.by == "interrupt":
        return result("interrupted", "interrupted", "the trial was ended before it had finished")
    if ending.by == "time":
        return result(
            "failed", "timeout", f"the trial ran longer than its limit of {limits.trial_seconds:g} seconds"
        )
    if ending.by == "memory":
        return result(
            "failed", "out_of_memory", f"the trial used more than its limit of {limits.memory_mb} MiB"
        )
    if ending.exit_code != 0:
        return result("failed", *_crash(ending.exit_code, ending.stderr))
    last = next((e.metrics for e in reversed(ending.epochs) if objective.metric in e.metrics), None)
    if ending.result is None and last is not None:
        return scored(last)
    seen = dict.fromkeys(name for e in ending.epochs for name in e.metrics) | dict.fromkeys(
        ending.result or {}
    )
    return result(
        "failed",
        "no_metric",
        f"the script ended well but never reported {objective.metric}; "
        f"it reported {', '.join(seen) if seen else 'no metric at all'}",
    )


def _crash(exit_code: int | None, stderr: str) -> tuple[FailureKind, str]:
    line = _last_error(stderr)
    if exit_code == REFUSED:
        return "invalid", line or "the script refused its parameters without a reason"
    if _OUT_OF_MEMORY.search(stderr):
        return "out_of_memory", line
    if exit_code is not None and exit_code < 0:
        try:
            name = signal.Signals(-exit_code).name
        except ValueError:
            name = str(-exit_code)
        hint = "; perhaps the machine ran out of memory" if name == "SIGKILL" else ""
        return "crashed", f"the script was killed by signal {name}{hint}"
    return "crashed", line or f"the script ended with exit code {exit_code} and wrote no error"


def _last_error(stderr: str) -> str:
    """The line that names the error: the end of the last traceback, else the last line."""
    lines = [line for line in stderr.splitlines() if line.strip()]
    if not lines:
        return ""
    start = max((i for i, line in enumerate(lines) if line.strip() == _TRACEBACK), default=None)
    if start is not None:
        named = next((line for line in lines[start + 1 :] if not line[0].isspace()), None)
        if named is not None:
            return named[:300]
    return lines[-1].strip()[:300]


def read_stderr(path: Path) -> str:
    """The last part of a log as a terminal would show it: progress bars collapsed, colours removed."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(size - _STDERR_BYTES, 0))
            text = file.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    lines = (line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n"))
    return _ESCAPES.sub("", "\n".join(lines)).rstrip()


def _short(stderr: str) -> str:
    return "\n".join(stderr.splitlines()[-_STDERR_LINES:])[-_STDERR_CHARACTERS:]
