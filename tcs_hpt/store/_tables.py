"""Our tables: complete records as JSON text, beside columns for what is searched.

JSON is kept as text, not in a database's own JSON type: some of those refuse NaN inside a rejected proposal or
write `1.0` as `1`, and a record must come back exactly as it went in.
"""

from __future__ import annotations

import sqlalchemy as sa

SCHEMA_VERSION = 4
"""Raised with every change of the tables, together with a step in `_migrations.py`."""

metadata = sa.MetaData()

schema = sa.Table(
    "tcs_schema",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
)

study = sa.Table(
    "tcs_study",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(255), nullable=False, unique=True),
    sa.Column("spec", sa.Text, nullable=False),
    sa.Column("created_at", sa.String(40), nullable=False),
)

trial = sa.Table(
    "tcs_trial",
    metadata,
    sa.Column("study_id", sa.ForeignKey("tcs_study.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("value", sa.Double),
    sa.Column("record", sa.Text, nullable=False),  # without epochs and model calls, which have their own rows
    # Answers what a list of studies asks for without a look at the records, which are a hundred times as large.
    sa.Index("tcs_trial_scores", "study_id", "state", "value", "number"),
)


def _part_of_trial(name: str) -> sa.Table:
    """A table of the numbered parts of a trial, which vanish with it."""
    return sa.Table(
        name,
        metadata,
        sa.Column("study_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(
            ["study_id", "number"], ["tcs_trial.study_id", "tcs_trial.number"], ondelete="CASCADE"
        ),
    )


epoch = _part_of_trial("tcs_epoch")
model_call = _part_of_trial("tcs_model_call")

event = sa.Table(
    "tcs_event",
    metadata,
    sa.Column("study_id", sa.ForeignKey("tcs_study.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("record", sa.Text, nullable=False),
)

lease = sa.Table(
    "tcs_lease",
    metadata,
    sa.Column("study_id", sa.ForeignKey("tcs_study.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),  # there may be no such trial yet
    sa.Column("owner", sa.String(255), nullable=False),
    sa.Column("engine_pid", sa.BigInteger, nullable=False),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("heartbeat", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
)

summary = sa.Table(
    "tcs_summary",  # one line of a list of studies, kept by `_summaries.py`; everything in it can be computed again
    metadata,
    sa.Column(
        "study_id", sa.ForeignKey("tcs_study.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
    sa.Column("task", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("method", sa.Text, nullable=False),
    sa.Column("model", sa.Text, nullable=False),
    sa.Column("metric", sa.Text, nullable=False),
    sa.Column("direction", sa.String(16), nullable=False),
    sa.Column("target", sa.Double),
    sa.Column("comparison", sa.Text, nullable=False),
    sa.Column("trials", sa.Integer, nullable=False),
    sa.Column("finished", sa.Integer, nullable=False),
    sa.Column("failed", sa.Integer, nullable=False),
    sa.Column("interrupted", sa.Integer, nullable=False),
    sa.Column("running", sa.Integer, nullable=False),
    sa.Column("best", sa.Double),
    sa.Column("best_trial", sa.Integer),
    sa.Column("trend", sa.Text, nullable=False, server_default="[]"),  # JSON: a few of the best scores so far
)

queue = sa.Table(
    "tcs_queue",
    metadata,
    sa.Column(
        "study_id", sa.ForeignKey("tcs_study.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    ),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("wanted", sa.String(8), nullable=False),
    sa.Column("launch", sa.Text, nullable=False),
    sa.Column("entered_at", sa.Double, nullable=False),
    sa.Column("worker", sa.String(255), nullable=False),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("device", sa.String(64), nullable=False),
    sa.Column("heartbeat", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
    sa.Column("deaths", sa.Integer, nullable=False),
    sa.Column("message", sa.Text, nullable=False),
)

worker = sa.Table(
    "tcs_worker",
    metadata,
    sa.Column("name", sa.String(255), primary_key=True),
    sa.Column("host", sa.String(255), nullable=False),
    sa.Column("devices", sa.Text, nullable=False),
    sa.Column("slots", sa.Integer, nullable=False),
    sa.Column("heartbeat", sa.Double, nullable=False),
    sa.Column("expires_at", sa.Double, nullable=False),
)
