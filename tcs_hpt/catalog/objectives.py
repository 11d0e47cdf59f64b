"""Several objectives in a manifest, `[[objectives]]`: checked one by one and put together to the one that decides.

[[objectives]]
metric = "val_accuracy"
direction = "maximize"
weight = 1.0               # needed where several have a direction

[[objectives]]
metric = "latency_ms"
high = 20                  # a bound; `low` and `high` may stand beside a direction too
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from tcs_hpt.catalog.fields import Findings
from tcs_hpt.catalog.wording import toml
from tcs_hpt.spec import WEIGHTED, Direction, Frozen, Name

_BOUND = "Add `direction` and a `weight`, or a bound: `high = ...` or `low = ...`."


class _Entry(Frozen):
    metric: Name
    direction: Direction | None = None
    weight: float | None = Field(default=None, gt=0)
    target: float | None = None
    low: float | None = None
    high: float | None = None


def join_objectives(check: Findings) -> None:
    """Replace `objectives` in the manifest under check by the `objective` that they make; problems are added.

    Without them nothing happens.
    """
    if "objectives" not in check.raw:
        return
    entries = check.raw["objectives"]
    check.raw = {key: value for key, value in check.raw.items() if key != "objectives"}
    if "objective" in check.raw:
        check.add(
            "objectives",
            "[objective] and [[objectives]] exclude each other",
            "Make [objective] the first of the [[objectives]].",
        )
        return
    if not isinstance(entries, list) or not entries or not all(isinstance(e, dict) for e in entries):
        check.add(
            "objectives", f"`objectives` must be tables, got {toml(entries)}", "Write each as [[objectives]]."
        )
        return
    before = len(check.problems)
    for place, entry in enumerate(entries, 1):
        _check_entry(check, f"objectives.{place}", entry, alone=sum("direction" in e for e in entries) < 2)
    if not any("direction" in entry for entry in entries):
        check.add("objectives", "none of the objectives has a direction, so nothing decides", _BOUND)
    if len(check.problems) == before:
        check.raw = {**check.raw, "objective": _joined(entries)}


def _check_entry(check: Findings, key: str, entry: dict[str, Any], *, alone: bool) -> None:
    check.model(_Entry, entry, key)
    bounded = "low" in entry or "high" in entry
    if "direction" not in entry:
        if not bounded:
            check.add(key, "an objective needs a direction or a bound", _BOUND)
        for name in ("weight", "target"):
            if name in entry:
                check.add(
                    f"{key}.{name}",
                    f"`{name}` has no use without a direction",
                    "Add `direction`, or remove it.",
                )
    elif not alone:
        if "weight" not in entry:
            check.add(
                f"{key}.weight",
                "`weight` is missing: several objectives have a direction",
                "Say what one unit of the metric is worth, e.g. `weight = 1.0`.",
            )
        if "target" in entry:
            check.add(
                f"{key}.target", "`target` needs a single objective with a direction", "Make it a bound."
            )


def _joined(entries: list[dict[str, Any]]) -> dict[str, Any]:
    directed = [e for e in entries if "direction" in e]
    bounds = [
        {k: e[k] for k in ("metric", "low", "high") if k in e} for e in entries if "low" in e or "high" in e
    ]
    if len(directed) == 1:
        alone: dict[str, Any] = {
            k: directed[0][k] for k in ("metric", "direction", "target") if k in directed[0]
        }
        return {**alone, "bounds": bounds}
    terms = [{k: e[k] for k in ("metric", "direction", "weight")} for e in directed]
    return {"metric": WEIGHTED, "direction": "maximize", "terms": terms, "bounds": bounds}
