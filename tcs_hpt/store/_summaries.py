"""One line per study: counts and the best trial, kept beside the records so that a list never looks at them.

A line is computed anew, from an index over the trials, in the transaction that changes a trial or a declaration; it is
never counted up. So a list costs the same however many trials there are, and a line that is wrong for any reason is
right again after the study's next trial.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError

from tcs_hpt.errors import UserError
from tcs_hpt.spec import Direction, Fidelity
from tcs_hpt.store import _queue, _tables
from tcs_hpt.store._queue import QueueEntry

_STUDY = _tables.study.c
_TRIAL = _tables.trial.c
_SUMMARY = _tables.summary.c
_EVENT = _tables.event.c
_LEASE = _tables.lease.c
MOST_OF_TREND = 32
"""Points; as many as a small line has room for."""


@dataclass(frozen=True)
class StudyRow:
    """One line of a list of studies."""

    name: str
    task: str
    method: str
    trials: int
    """The study's total budget; where it begins with fewer epochs, what it comes to with the trials that go on to more."""
    finished: int
    """Trials with a score."""
    best: float | None
    """The score of the best trial, which keeps the objective's bounds; None before the first."""
    created_at: str
    """ISO 8601, UTC."""
    comparison: str = ""
    """The comparison that it belongs to; empty for a study of its own."""
    title: str = ""
    """The task's title."""
    model: str = ""
    """Both agents' models in one line; empty for methods without one, and before they were opened."""
    metric: str = ""
    direction: Direction = "maximize"
    target: float | None = None
    failed: int = 0
    interrupted: int = 0
    running: int = 0
    """Trials recorded as running, also those of engines that are gone."""
    best_trial: int | None = None
    trend: tuple[float, ...] = ()
    """The best score so far, from the first trial that has one to the last; of many trials some, evenly."""
    last_event: int = 0
    """Sequence number of its newest event; 0 before the first."""
    updated_at: str = ""
    """When that was, else `created_at`. ISO 8601, UTC."""
    engine_until: float = 0.0
    """When the last lease on one of its trials runs out, in seconds since 1970; in the future while somebody runs it."""
    entry: QueueEntry | None = None
    """Its place in the service's queue; None for a study that was made in a terminal."""

    @property
    def done(self) -> int:
        """Trials that have used up budget and ended."""
        return self.finished + self.failed


@dataclass(frozen=True)
class StudyPage:
    """A part of the list of studies."""

    rows: tuple[StudyRow, ...]
    next: str
    """What `after` has to be for the part that follows; empty when this is the last."""


def refresh(connection: sa.Connection, study_id: int, spec: str) -> None:
    """Compute a study's line and write it.

    Args:
        connection: In the transaction that changed something, in which no other process writes to this study.
        study_id: The study.
        spec: Its declaration, as stored.
    """
    values = _computed(connection, study_id, spec)
    connection.execute(_tables.summary.delete().where(_SUMMARY.study_id == study_id))
    connection.execute(_tables.summary.insert().values(study_id=study_id, **values))


def refresh_all(connection: sa.Connection) -> None:
    """Compute the lines of all studies, when the tables have just been made."""
    for study_id, spec in connection.execute(sa.select(_STUDY.id, _STUDY.spec)).all():
        refresh(connection, study_id, spec)


def rows(
    connection: sa.Connection,
    *,
    limit: int | None = None,
    after: str = "",
    query: str = "",
    states: Collection[str] = (),
    name: str = "",
) -> StudyPage:
    """Lines of the list, newest first; one query, whatever is asked.

    Args:
        connection: In a transaction.
        limit: Most lines; None for all.
        after: Where the part before this one ended.
        query: Text that the name, the task, its title or the method has to contain, in any case.
        states: States in the queue, of which a study has to have one; "" is that of a study which is not in it.
        name: Only the study of this name.

    Raises:
        UserError: `after` is not the end of any part.
    """
    newest = (
        sa.select(sa.func.max(_EVENT.seq)).where(_EVENT.study_id == _STUDY.id).correlate(_tables.study)
    ).scalar_subquery()
    until = (
        sa.select(sa.func.max(_LEASE.expires_at)).where(_LEASE.study_id == _STUDY.id).correlate(_tables.study)
    ).scalar_subquery()
    summary = [c for c in _SUMMARY if c.name != "study_id"]
    asked = (
        sa.select(
            _STUDY.id,
            _STUDY.name,
            _STUDY.created_at,
            *summary,
            _EVENT.seq,
            _EVENT.at,
            until.label("engine_until"),
            *(c.label(f"queue_{c.name}") for c in _queue.COLUMNS),
        )
        .join_from(_tables.study, _tables.summary, _SUMMARY.study_id == _STUDY.id, isouter=True)
        .join(_tables.event, sa.and_(_EVENT.study_id == _STUDY.id, _EVENT.seq == newest), isouter=True)
        .join(_tables.queue, _tables.queue.c.study_id == _STUDY.id, isouter=True)
        .order_by(_STUDY.id.desc())
        .limit(None if limit is None else limit + 1)
    )
    if after:
        asked = asked.where(_STUDY.id < _cursor(after))
    if name:
        asked = asked.where(_STUDY.name == name)
    if query:
        texts = (_STUDY.name, _SUMMARY.task, _SUMMARY.title, _SUMMARY.method)
        asked = asked.where(sa.or_(*(text.icontains(query, autoescape=True) for text in texts)))
    if states:
        asked = asked.where(sa.func.coalesce(_tables.queue.c.state, "").in_(states))
    found = connection.execute(asked).all()
    shown = found if limit is None else found[:limit]
    return StudyPage(
        rows=tuple(_line(connection, row) for row in shown),
        next=str(shown[-1].id) if len(found) > len(shown) else "",
    )


def _line(connection: sa.Connection, row: Any) -> StudyRow:
    known = row._mapping
    summary = {c.name: known[c] for c in _SUMMARY if c.name != "study_id"}
    if row.task is None:
        # An older tcs-hpt entered it, which had opened the database before this table was made.
        spec = connection.execute(sa.select(_STUDY.spec).where(_STUDY.id == row.id)).scalar_one()
        summary = _computed(connection, row.id, spec)
    entry = {c.name: known[f"queue_{c.name}"] for c in _queue.COLUMNS}
    return StudyRow(
        name=row.name,
        created_at=row.created_at,
        **(summary | {"trend": tuple(json.loads(summary["trend"]))}),
        last_event=row.seq or 0,
        updated_at=row.at or row.created_at,
        engine_until=row.engine_until or 0.0,
        entry=QueueEntry(row.name, **entry) if entry["state"] is not None else None,
    )


def _computed(connection: sa.Connection, study_id: int, spec: str) -> dict[str, Any]:
    """What a study's line holds."""
    declared = json.loads(spec)  # not validated: one study of a newer version must not hide the others
    task = declared["task"]
    objective = task["objective"]
    values: dict[str, Any] = {
        "task": task["name"],
        "title": task.get("title", ""),
        "method": declared["method"],
        "model": _model(declared),
        "metric": objective["metric"],
        "direction": objective["direction"],
        "target": objective.get("target"),
        "comparison": declared.get("comparison", ""),
        "trials": _runs(declared),
        **dict.fromkeys(("finished", "failed", "interrupted", "running"), 0),
    }
    query = (
        sa.select(_TRIAL.state, sa.func.count(), sa.func.count(_TRIAL.value))
        .where(_TRIAL.study_id == study_id)
        .group_by(_TRIAL.state)
    )
    for state, count, scored in connection.execute(query):
        values[state] = scored if state == "finished" else count
    best = _best(connection, study_id, objective, whole=not declared.get("fidelity"))
    values["best_trial"], values["best"] = best if best is not None else (None, None)
    values["trend"] = json.dumps(_trend(connection, study_id, objective, whole=not declared.get("fidelity")))
    return values


def _cursor(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise UserError(
            f"{text!r} is not the end of a part of the list of studies",
            hint="Hand over what `next` of the part before was, or nothing for the first.",
        )
    return int(text)


def _model(spec: Mapping[str, Any]) -> str:
    analysis, optimizer = spec.get("analysis_model", ""), spec.get("optimizer_model", "")
    return analysis if analysis == optimizer else f"{analysis} (analysis), {optimizer} (optimizer)"


def _runs(spec: Mapping[str, Any]) -> int:
    """As `StudySpec.runs`; of rungs that another version wrote, the number of configurations."""
    try:
        rungs = Fidelity.model_validate(spec["fidelity"]) if spec.get("fidelity") else None
    except ValidationError:
        rungs = None
    return int(spec["trials"] if rungs is None else rungs.runs(spec["trials"]))


def _best(
    connection: sa.Connection, study_id: int, objective: Mapping[str, Any], *, whole: bool
) -> tuple[int, float] | None:
    """Number and score of the incumbent, by the rule of `records.incumbent`; None without one.

    Args:
        connection: In a transaction.
        study_id: The study.
        objective: Of its declaration.
        whole: Whether all its trials are given the full number of epochs.
    """
    value = _TRIAL.value.desc() if objective["direction"] == "maximize" else _TRIAL.value
    scored = sa.and_(_TRIAL.study_id == study_id, _TRIAL.state == "finished", _TRIAL.value.is_not(None))
    ranked = sa.select(_TRIAL.number, _TRIAL.value).where(scored).order_by(value, _TRIAL.number)
    if whole and not objective.get("bounds"):
        first = connection.execute(ranked.limit(1)).one_or_none()
        return (first.number, first.value) if first is not None else None
    for number, score, text in connection.execute(ranked.add_columns(_TRIAL.record)):
        if _counts(text):
            return number, score
    return None


def _trend(
    connection: sa.Connection, study_id: int, objective: Mapping[str, Any], *, whole: bool
) -> list[float]:
    """The best score after each trial that can be the incumbent, thinned to at most `MOST_OF_TREND`; arguments as of `_best`."""
    query = (
        sa.select(_TRIAL.value, _TRIAL.record if objective.get("bounds") or not whole else sa.literal(""))
        .where(_TRIAL.study_id == study_id, _TRIAL.state == "finished", _TRIAL.value.is_not(None))
        .order_by(_TRIAL.number)
    )
    scores = [score for score, text in connection.execute(query) if not text or _counts(text)]
    path = list(accumulate(scores, max if objective["direction"] == "maximize" else min))
    steps = min(len(path), MOST_OF_TREND) - 1
    return [path[i * (len(path) - 1) // steps] for i in range(steps + 1)] if steps > 0 else path


def _counts(text: str) -> bool:
    """Whether a finished trial with this record can be the incumbent."""
    record = json.loads(text)
    return not record.get("violations") and record.get("fidelity") is None
