"""The newest lines of a study's raw log, cut to a number of tokens: what agents see that have no state report.

The lines are those that a person would find in the trials' folders: the configuration, `metrics.jsonl`, `result.json`, and how
a failure was called, with every digit that the script wrote. Nothing is computed from them. Left out are test metrics, and
times (`seconds`, `..._seconds`): they differ from run to run, and the same seed shall ask the same questions. Pure; trials
may come in any order.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping

from tcs_hpt.records import EpochRecord, Trial, ordered
from tcs_hpt.summary import estimate_tokens


def log_text(trials: Iterable[Trial], *, max_tokens: int, epochs: bool = True) -> str:
    """The newest whole lines that fit, oldest first; a last line that does not fit alone is cut at its end.

    Args:
        trials: All trials; interrupted and running ones are left out, as they are in the state report.
        max_tokens: Upper bound, in estimated tokens.
        epochs: Whether the epochs are among the lines; else configurations, results and failures alone.
    """
    lines = log_lines(trials, epochs=epochs)
    kept: list[str] = []
    left = max_tokens
    for line in reversed(lines):
        left -= estimate_tokens(line + "\n")  # a token never reaches over a line break, so lengths add up
        if left < 0:
            break
        kept.append(line)
    if not kept and lines:
        return _shortened(lines[-1], max_tokens)
    return "".join(line + "\n" for line in reversed(kept))


def log_lines(trials: Iterable[Trial], *, epochs: bool = True) -> list[str]:
    """Every line, oldest first: a trial's configuration, its epochs if wanted, then its result or its failure."""
    lines = []
    for trial in ordered(trials):
        if trial.state == "running":
            continue
        lines.append(_json({"trial": trial.number, "params": trial.config}))
        if epochs:
            lines += [_json({"epoch": e.epoch, **_metrics(e)}) for e in trial.epochs]
        if trial.failure is not None:
            message = " ".join(trial.failure.message.split())
            lines.append(_json({"trial": trial.number, "failed": trial.failure.kind, "message": message}))
        else:
            lines.append(_json({"trial": trial.number, "result": _shown(trial.metrics)}))
    return lines


def _metrics(epoch: EpochRecord) -> dict[str, float]:
    names = {**epoch.metrics, **dict.fromkeys(epoch.non_finite)}  # a null stands for NaN, wherever it is kept
    return _shown(names)


def _shown(metrics: Mapping[str, float | None]) -> dict[str, float]:
    return {n: math.nan if v is None else v for n, v in metrics.items() if not _hidden(n)}


def _hidden(name: str) -> bool:
    return name.startswith("test_") or name == "seconds" or name.endswith("_seconds")


def _json(value: Mapping[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _shortened(line: str, max_tokens: int) -> str:
    while line and estimate_tokens(line + "\n") > max_tokens:
        line = line[: len(line) * 9 // 10]
    return line + "\n"
