"""optuna-dashboard reads a store as if it were Optuna's own."""

from __future__ import annotations

import io
import json
from typing import Any
from wsgiref.util import setup_testing_defaults

import optuna_dashboard
import pytest
import sqlalchemy as sa
from optuna.storages import RDBStorage

from tcs_hpt.records import Trial
from tcs_hpt.store import Store
from tcs_hpt.testing.samples import study_spec
from tests.store.optuna_view import RECORDS


class Dashboard:
    def __init__(self, store: Store) -> None:
        storage = RDBStorage(store.url, engine_kwargs={"poolclass": sa.NullPool})
        self._app = optuna_dashboard.wsgi(storage)

    def get(self, path: str, query: str = "") -> Any:
        environ: dict[str, Any] = {}
        setup_testing_defaults(environ)
        environ |= {"PATH_INFO": path, "QUERY_STRING": query, "wsgi.errors": io.StringIO()}
        answered: list[str] = []

        def start_response(status: str, headers: list[tuple[str, str]], _: object = None) -> Any:
            answered.append(status)

        body = b"".join(self._app(environ, start_response))
        assert answered == ["200 OK"], (answered, body, environ["wsgi.errors"].getvalue())
        return json.loads(body)


def typed(text: str, kind: str) -> object:
    """A parameter's value from the dashboard's words for it."""
    readers: dict[str, Any] = {
        "<class 'float'>": float,
        "<class 'int'>": int,
        "<class 'str'>": str,
        "<class 'bool'>": lambda t: t == "True",
    }
    return readers[kind](text)


def ours(trial: Trial) -> dict[str, Any]:
    states = {"finished": "Complete", "running": "Running", "failed": "Fail", "interrupted": "Fail"}
    curve = {
        epoch.epoch: "nan" if "val_accuracy" in epoch.non_finite else epoch.metrics["val_accuracy"]
        for epoch in trial.epochs
        if "val_accuracy" in epoch.metrics
    }
    return {
        "trial": trial.number,
        "state": states[trial.state],
        "values": None if trial.value is None else [trial.value],
        "params": {**trial.config, "mixed": repr(trial.config["mixed"])},
        "curve": curve,
        "change": trial.proposal.change,
    }


def theirs(trial: dict[str, Any]) -> dict[str, Any]:
    about = {a["key"]: a["value"] for a in trial["user_attrs"]}
    return {
        "trial": int(about["trial"]),
        "state": trial["state"],
        "values": trial.get("values"),
        "params": {
            p["name"]: typed(p["param_external_value"], p["param_external_pytyp"]) for p in trial["params"]
        },
        "curve": {point["step"]: point["value"] for point in trial["intermediate_values"]},
        "change": about.get("change", ""),
    }


def test_optuna_dashboard_shows_what_we_recorded(any_url: str) -> None:
    with Store.open(any_url, mirror_seconds=0) as store:
        store.create_study(study_spec(direction="minimize"))
        for record in RECORDS:
            store.save_trial("first", record)
        running = RECORDS[-1]
        assert running.state == "running"
        for epoch in RECORDS[0].epochs:
            store.append_epoch("first", running.number, epoch)
        trials = store.load_trials("first")

        dashboard = Dashboard(store)
        (study,) = dashboard.get("/api/studies")["study_summaries"]
        assert (study["study_name"], study["directions"]) == ("first", ["minimize"])
        attributes = {a["key"]: a["value"] for a in study["user_attrs"]}
        assert attributes == {"task": "toy", "method": "tcs", "metric": "val_accuracy", "seed": "0"}

        detail = dashboard.get(f"/api/studies/{study['study_id']}", "after=0")
        assert [theirs(t) for t in detail["trials"]] == [ours(t) for t in trials]
        assert detail["has_intermediate_values"]
        assert [theirs(t)["trial"] for t in detail["best_trials"]] == [4]
        ranges = {p["name"]: p["distribution"] for p in detail["union_search_space"]}
        lr = {"type": "FloatDistribution", "low": 1e-6, "high": 0.1, "step": None, "log": True}
        assert ranges["lr"] == lr
        assert set(ranges) == set(store.get_study("first").task.params)
        later = dashboard.get(f"/api/studies/{study['study_id']}", "after=3")["trials"]
        assert [theirs(t)["trial"] for t in later] == [4, 5]


@pytest.mark.parametrize("path", ["/api/meta", "/api/studies"])
def test_optuna_dashboard_opens_a_store_without_studies(any_url: str, path: str) -> None:
    with Store.open(any_url) as store:
        assert Dashboard(store).get(path) is not None
