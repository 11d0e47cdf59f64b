"""Learning curves in Optuna's table of intermediate values, many points at once.

Optuna's public interface writes one point per transaction, at about the cost of a whole record of ours; a thousand
epochs that a fast script reports in a second would hold the engine up for two. So the rows are inserted directly. The
table belongs to the schema that Optuna checks when it opens a database; should a later Optuna change it, `open_table`
finds none and the public interface is used.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import sqlalchemy as sa

if TYPE_CHECKING:
    from optuna.storages import RDBStorage

_NAME = "trial_intermediate_values"
_COLUMNS = {
    "trial_intermediate_value_id",
    "trial_id",
    "step",
    "intermediate_value",
    "intermediate_value_type",
}


def open_table(storage: RDBStorage) -> sa.Table | None:
    """Optuna's table, if it looks as expected."""
    try:
        table = sa.Table(_NAME, sa.MetaData(), autoload_with=storage.engine)
    except sa.exc.NoSuchTableError:
        return None
    return table if {c.name for c in table.columns} == _COLUMNS else None


def extend(storage: RDBStorage, table: sa.Table | None, trial_id: int, values: Mapping[int, float]) -> None:
    """Add points to the curve of a running trial, by step; a step that is there gets the new value.

    Args:
        storage: Optuna's storage.
        table: What `open_table` found.
        trial_id: A trial that exists.
        values: Finite numbers or NaN.
    """
    if table is not None and insert(storage, table, trial_id, values):
        return
    for step, value in values.items():
        storage.set_trial_intermediate_value(trial_id, step, value)


def insert(storage: RDBStorage, table: sa.Table, trial_id: int, values: Mapping[int, float]) -> bool:
    """Add points at once, whatever the trial's state; False, and none added, when a step is there already."""
    rows = [
        {
            "trial_id": trial_id,
            "step": step,
            "intermediate_value": None if math.isnan(value) else value,
            "intermediate_value_type": "NAN" if math.isnan(value) else "FINITE",
        }
        for step, value in values.items()
    ]
    if not rows:
        return True
    try:
        with storage.engine.begin() as connection:
            connection.execute(table.insert(), rows)
    except sa.exc.IntegrityError:
        return False
    return True
