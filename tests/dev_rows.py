"""Rows of the results of the development benchmark."""

from __future__ import annotations

from typing import Any

from benchmarks.dev.studies import Row


def row(problem: str, method: str, seed: int, trial: int, value: float | None, **changes: Any) -> Row:
    fields: dict[str, Any] = {
        "start": "defaults",
        "budget": 2,
        "trials": 2,
        "test": None,
        "regret": 9.0,  # the report computes it anew
        "best_regret": 9.0,
        "failure": "" if value is not None else "crashed",
        "source": method,
        "thinking_seconds": 0.5,
        "training_seconds": 0.0,
    }
    return Row(problem=problem, method=method, seed=seed, trial=trial, value=value, **fields | changes)
