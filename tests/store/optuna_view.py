"""A study as Optuna's own functions load it."""

from __future__ import annotations

from typing import Any

import optuna
import sqlalchemy as sa
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from tcs_hpt.records import Trial
from tcs_hpt.store import Store
from tcs_hpt.testing.samples import failed_trial, interrupted_trial, rich_trial, simple_trial


def load_optuna(store: Store, name: str = "first") -> optuna.Study:
    storage = RDBStorage(store.url, engine_kwargs={"poolclass": sa.NullPool})  # nothing stays open
    return optuna.load_study(study_name=name, storage=storage)


def shown(store: Store) -> list[tuple[int, TrialState, float | None, dict[str, Any]]]:
    """Our number, state, value and configuration, as Optuna's tables have them."""
    trials = load_optuna(store).trials
    return [(t.user_attrs["trial"], t.state, t.values[0] if t.values else None, t.params) for t in trials]


def expected(trials: list[Trial]) -> list[tuple[int, TrialState, float | None, dict[str, Any]]]:
    states = {"finished": TrialState.COMPLETE, "running": TrialState.RUNNING}
    return [
        (
            t.number,
            states.get(t.state, TrialState.FAIL),
            t.value,
            {**t.config, "mixed": repr(t.config["mixed"])},
        )
        for t in trials
    ]


RECORDS = [rich_trial(1), failed_trial(2), interrupted_trial(3), simple_trial(4, 0.25), simple_trial(5)]
