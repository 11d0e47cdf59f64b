"""What a new study may remember of the studies before it: where each began and its best trial, in a few queries."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError

from tcs_hpt.evidence.memory import EarlierStudy, Tried
from tcs_hpt.spec import TaskSpec
from tcs_hpt.store import _tables
from tcs_hpt.store._rows import Found

SCANNED = 1000
"""Newest declarations that are looked at, those of comparisons among them."""


def earlier_studies(connection: sa.Connection, study: Found, limit: int) -> list[EarlierStudy]:
    """The studies that were entered before one and have to do with it, newest first; at most `limit`.

    Args:
        connection: In a transaction.
        study: The study that would remember them.
        limit: Most studies. Those of its task come before others with one of its parameters when not all fit.
    """
    task = json.loads(study.spec)["task"]
    own: list[tuple[int, str, dict[str, Any], str]] = []
    others: list[tuple[int, str, dict[str, Any], str]] = []
    table = _tables.study.c
    query = (
        sa.select(table.id, table.name, table.spec, table.created_at)
        .where(table.id < study.id)
        .order_by(table.id.desc())
        .limit(SCANNED)
    )
    for number, name, text, created_at in connection.execute(query):
        spec = json.loads(text)
        if spec.get("comparison"):
            continue
        if spec["task"]["name"] == task["name"]:
            own.append((number, name, spec, created_at))
        elif _shares(spec["task"]["params"], task["params"]):
            others.append((number, name, spec, created_at))
        if len(own) == limit:
            break
    chosen = sorted((own + others)[:limit], key=lambda row: -row[0])
    specs = {number: spec for number, _, spec, _ in chosen}
    judged = {n: s for n, s in specs.items() if s["task"]["objective"].get("bounds") or s.get("fidelity")}
    trials = _deciding(connection, {n: s for n, s in specs.items() if n not in judged})
    trials |= _judged(connection, judged)
    found = []
    for number, name, spec, created_at in chosen:
        declared = _task(spec)
        ended = trials.get(number)
        if declared is not None and ended is not None:
            found.append(EarlierStudy(name, declared, spec.get("profile"), created_at, *ended))
    return found


def _shares(there: Mapping[str, Any], here: Mapping[str, Any]) -> bool:
    return any(name in there and there[name]["type"] == parameter["type"] for name, parameter in here.items())


def _task(spec: Mapping[str, Any]) -> TaskSpec | None:
    """The task of a declaration; None for one of another version, which must not hide the other studies."""
    try:
        return TaskSpec.model_validate(spec["task"])
    except ValidationError:
        return None


def _deciding(
    connection: sa.Connection, specs: Mapping[int, Mapping[str, Any]]
) -> dict[int, tuple[int, int, Tried, Tried | None]]:
    """By study: how many trials finished and failed, the first and the best; without studies that are at their first.

    Interrupted trials have no part in it, and running ones only as the first.
    """
    trial = _tables.trial.c
    maximized = [n for n, s in specs.items() if s["task"]["objective"]["direction"] == "maximize"]
    signed = sa.case((trial.study_id.in_(maximized), -trial.value), else_=trial.value)
    loss = sa.case((trial.state == "finished", signed))  # NULL otherwise
    each: dict[str, Any] = {"partition_by": trial.study_id}
    placed = (
        sa.select(
            trial.study_id,
            trial.number,
            loss.label("loss"),
            sa.func.row_number().over(**each, order_by=trial.number).label("place"),
            # Databases disagree on where NULL belongs in an order.
            sa.func.row_number().over(**each, order_by=(loss.is_(None), loss, trial.number)).label("rank"),
            sa.func.count(loss).over(**each).label("finished"),
            sa.func.sum(sa.case((trial.state == "failed", 1), else_=0)).over(**each).label("failed"),
        )
        .where(trial.study_id.in_(list(specs)), trial.state != "interrupted")
        .subquery()
    )
    key = sa.and_(trial.study_id == placed.c.study_id, trial.number == placed.c.number)
    query = (
        sa.select(placed, trial.state, trial.value, trial.record)
        .join_from(placed, _tables.trial, key)
        .where(sa.or_(placed.c.place == 1, placed.c.rank == 1))
        .order_by(placed.c.study_id, placed.c.place)
    )
    found: dict[int, list[sa.Row[Any]]] = {}
    for row in connection.execute(query):
        found.setdefault(row.study_id, []).append(row)
    return {number: _ended(rows) for number, rows in found.items() if rows[0].state != "running"}


def _judged(
    connection: sa.Connection, specs: Mapping[int, Mapping[str, Any]]
) -> dict[int, tuple[int, int, Tried, Tried | None]]:
    """As `_deciding`, of studies in which the score alone does not say what is best: the records are looked at.

    A trial that breaks a bound, or was given fewer epochs than the full number, is not the best. A start that breaks one counts as
    failed, whatever its score: it was not allowed, and what was found in its place is a gain.
    """
    if not specs:
        return {}
    trial = _tables.trial.c
    query = (
        sa.select(trial.study_id, trial.number, trial.state, trial.value, trial.record)
        .where(trial.study_id.in_(list(specs)), trial.state != "interrupted")
        .order_by(trial.study_id, trial.number)
    )
    found: dict[int, list[_Judged]] = {}
    for row in connection.execute(query):
        found.setdefault(row.study_id, []).append(_Judged.of(row))
    ended = {}
    for number, trials in found.items():
        if trials[0].state == "running":
            continue
        turn = -1.0 if specs[number]["task"]["objective"]["direction"] == "maximize" else 1.0
        full = [t for t in trials if t.full and t.state != "running"]
        best = min(
            (t for t in full if t.score is not None),
            key=lambda t: (turn * (t.score or 0.0), t.tried.number),
            default=None,
        )
        states = [t.state for t in trials]
        start = (full or trials)[0]
        ended[number] = (
            states.count("finished"),
            states.count("failed"),
            replace(start.tried, value=start.score),
            best.tried if best is not None else None,
        )
    return ended


@dataclass(frozen=True)
class _Judged:
    """A trial of a study in which not every score counts."""

    state: str
    tried: Tried
    full: bool
    """Whether it was given all epochs."""
    score: float | None
    """None where it does not count."""

    @classmethod
    def of(cls, row: Any) -> _Judged:
        record = json.loads(row.record)
        full = record.get("fidelity") is None
        counts = row.state == "finished" and full and not record.get("violations")
        tried = Tried(row.number, record["config"], row.value)
        return cls(row.state, tried, full, row.value if counts else None)


def _ended(rows: Sequence[sa.Row[Any]]) -> tuple[int, int, Tried, Tried | None]:
    first = rows[0]
    best = next((row for row in rows if row.rank == 1 and row.loss is not None), None)
    return first.finished, first.failed, _tried(first), _tried(best) if best is not None else None


def _tried(row: sa.Row[Any]) -> Tried:
    return Tried(row.number, json.loads(row.record)["config"], row.value)
