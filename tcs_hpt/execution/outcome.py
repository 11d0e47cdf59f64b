"""Says how a trial ended, from what its script left behind. Pure: reads, starts and ends nothing."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from typing import Literal, TypeAlias

from tcs_hpt.client import REFUSED
from tcs_hpt.execution._base import RunResult
from tcs_hpt.records import EpochRecord, Failure, FailureKind, Metrics, Usage
from tcs_hpt.spec import Limits, Objective

EndedBy: TypeAlias = Literal["itself", "person", "engine", "time", "memory", "pruner"]
"""Who ended the script: a person who interrupted it, the death of the engine, one of its limits, or whoever found it not worth its time."""

STDERR_BYTES = 64 * 1024
"""How much of the end of standard error is worth reading."""

_STDERR_LINES, _STDERR_CHARACTERS = 20, 2000
_OUT_OF_MEMORY = re.compile(
    r"MemoryError|OutOfMemory|out of memory|OUT_OF_MEMORY|RESOURCE_EXHAUSTED|_STATUS_ALLOC_FAILED"
    r"|cudaErrorMemoryAllocation|can(?:'|no)t allocate memory|std::bad_alloc",
    re.IGNORECASE,
)
"""Python and NumPy, torch on CPU, CUDA, HIP, MPS and XPU, cuBLAS and cuDNN and their HIP twins, JAX, TensorFlow, C++."""
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|[\b]")
"""What a terminal does not show: colours and movements, titles and links, steps back."""
_TRACEBACK = "Traceback (most recent call last):"
_CHAINED = (
    "The above exception was the direct cause of the following exception:",
    "During handling of the above exception, another exception occurred:",
)


@dataclass(frozen=True)
class Ending:
    """What is known when the process is gone."""

    by: EndedBy
    exit_code: int | None
    """Negative for a signal; None when nobody saw it end."""
    result: Metrics | None
    epochs: tuple[EpochRecord, ...]
    stderr: str
    """The end of the script's standard error, as `clean` has it."""
    broken_result: str = ""
    """Why `result.json` cannot be read; empty when it can or there is none."""
    folder_gone: bool = False
    """The trial's folder does not exist any more."""
    kernel_kills: int = 0
    """Processes that the kernel has ended for want of memory while the script ran."""
    deciding: EpochRecord | None = None
    """The epoch that counts where there is no result."""
    missing: str = ""
    """Where the objective was looked for in vain; empty where it is only not among the metrics."""


def judge(ending: Ending, objective: Objective, limits: Limits, usage: Usage) -> RunResult:
    """How the trial ended. A result with the objective means finished, however the process ended after it.

    A script that was killed by something outside has crashed; whether it is tried again is for the loop to say.
    """

    def result(
        state: Literal["finished", "failed", "interrupted"],
        kind: FailureKind | None = None,
        message: str = "",
        *,
        metrics: Metrics | None = None,
        origin: Literal["", "engine", "person"] = "",
    ) -> RunResult:
        metrics = metrics or {}
        failure = (
            None
            if kind is None
            else Failure(kind=kind, message=message, stderr=_short(ending.stderr), origin=origin)
        )
        value = metrics.get(objective.metric) if failure is None else None
        return RunResult(state, value, metrics, ending.epochs, failure, usage)

    def scored(metrics: Metrics) -> RunResult:
        if metrics[objective.metric] is None:
            return result("failed", "diverged", f"{objective.metric} is not a finite number", metrics=metrics)
        return result("finished", metrics=metrics)

    if ending.result is not None and objective.metric in ending.result:
        return scored(ending.result)
    if ending.by in ("person", "engine"):
        return result(
            "interrupted", "interrupted", "the trial was ended before it had finished", origin=ending.by
        )
    if ending.by == "time":
        return result(
            "failed", "timeout", f"the trial ran longer than its limit of {limits.trial_seconds:g} seconds"
        )
    if ending.by == "pruner":
        if ending.deciding is None:
            return result("failed", "no_metric", f"it was stopped early, before it had {objective.metric}")
        return scored(ending.deciding.metrics)
    over_limit = limits.memory_mb is not None and usage.peak_memory_mb > limits.memory_mb
    if ending.by == "memory" or (ending.exit_code == -signal.SIGKILL and over_limit):
        return result(
            "failed", "out_of_memory", f"the trial used more than its limit of {limits.memory_mb} MiB"
        )
    if ending.folder_gone:
        return result("failed", "crashed", "the trial's folder was deleted while the script ran")
    if ending.exit_code != 0:
        if ending.kernel_kills and ending.exit_code in (-signal.SIGKILL, 128 + signal.SIGKILL):
            return result("failed", "out_of_memory", "the kernel ended the script: the machine has no memory")
        return result("failed", *_crash(ending.exit_code, ending.stderr))
    if ending.broken_result:
        message = f"the script ended well, but its result.json cannot be read: {ending.broken_result}"
        return result("failed", "no_metric", message)
    if ending.result is None and ending.deciding is not None:
        return scored(ending.deciding.metrics)
    if ending.missing:
        return result("failed", "no_metric", f"the script ended well, but {ending.missing}")
    seen = dict.fromkeys(name for e in ending.epochs for name in e.metrics)
    seen |= dict.fromkeys(ending.result or {})
    wanting = objective.missing(seen) or [objective.metric]
    return result(
        "failed",
        "no_metric",
        f"the script ended well but never reported {_listed(wanting)}; it reported {_listed(list(seen))}",
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 20} more" if len(names) > 20 else ""
    return ", ".join(names[:20]) + more if names else "no metric at all"


def _crash(exit_code: int | None, stderr: str) -> tuple[FailureKind, str]:
    last_words = _last_words(stderr)
    line = _named_error(last_words)
    if exit_code == REFUSED:
        return "invalid", line or "the script refused its parameters without a reason"
    if found := next((text for text in reversed(last_words) if _OUT_OF_MEMORY.search(text)), ""):
        return "out_of_memory", line if _OUT_OF_MEMORY.search(line) else found.strip()[:300]
    if exit_code is None:
        return "crashed", line or "the script ended, and nobody saw its exit code"
    if exit_code < 0:
        try:
            name = signal.Signals(-exit_code).name
        except ValueError:
            name = str(-exit_code)
        return "crashed", f"the script was killed by signal {name}"
    return "crashed", line or f"the script ended with exit code {exit_code} and wrote no error"


def _last_words(stderr: str) -> list[str]:
    """The last traceback with those that led to it and what follows; without one, the last lines.

    An error that the script got over earlier is not among them.
    """
    lines = [line for line in stderr.splitlines() if line.strip()]
    starts = [i for i, line in enumerate(lines) if line.strip() == _TRACEBACK]
    if not starts:
        return lines[-_STDERR_LINES:]
    while len(starts) > 1 and lines[starts[-1] - 1].strip() in _CHAINED:
        starts.pop()
    return lines[starts[-1] :]


def _named_error(last_words: list[str]) -> str:
    """The line that names the error: the end of the last traceback, else the last line."""
    start = max((i for i, line in enumerate(last_words) if line.strip() == _TRACEBACK), default=None)
    if start is not None:
        named = next((line for line in last_words[start + 1 :] if not line[0].isspace()), None)
        if named is not None:
            return named[:300]
    return last_words[-1].strip()[:300] if last_words else ""


def clean(log: bytes) -> str:
    """A log as a terminal would show it: progress bars collapsed, colours removed."""
    text = log.decode("utf-8", errors="replace")
    lines = (line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n"))
    return ESCAPES.sub("", "\n".join(lines)).rstrip()


def _short(stderr: str) -> str:
    return "\n".join(stderr.splitlines()[-_STDERR_LINES:])[-_STDERR_CHARACTERS:]
