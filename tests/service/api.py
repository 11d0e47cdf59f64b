"""The API in this process, on a database of its own, with a clock that stands until it is moved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from tcs_hpt.events import Proposed, StudyEnded, StudyStarted, TrialEnded, TrialStarted
from tcs_hpt.records import Trial
from tcs_hpt.service.app import create_app
from tcs_hpt.service.settings import ServiceSettings
from tcs_hpt.spec import StudySpec
from tcs_hpt.store import Store
from tests.build import study as make_spec

HERE = "http://127.0.0.1:8765"
PROBLEM = "application/problem+json"
MANIFEST: dict[str, Any] = {
    "schema": 1,
    "name": "my_net",
    "objective": {"metric": "val_accuracy", "direction": "maximize", "target": 0.9},
    "params": {
        "lr": {"type": "float", "low": 1e-5, "high": 0.1, "log": True, "default": 1e-3},
        "layers": {"type": "int", "low": 1, "high": 4, "default": 2},
    },
    "fixed": {"batch_size": 64},
}
AT = "2026-01-01T00:00:00+00:00"


class Clock:
    """Seconds since 1970."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time."""
        return self.now


class Api:
    """A client, and what is behind it."""

    def __init__(self, app: FastAPI, client: TestClient, store: Store, clock: Clock) -> None:
        self.app = app
        self.client = client
        self.store = store
        self.clock = clock

    def get(self, path: str, status: int = 200, **query: Any) -> Any:
        """What GET answers, checked for its status."""
        return self._checked(self.client.get(f"/api/v1{path}", params=query or None), status)

    def post(self, path: str, body: Any = None, status: int = 200) -> Any:
        """What POST answers, checked for its status."""
        return self._checked(self.client.post(f"/api/v1{path}", json={} if body is None else body), status)

    def delete(self, path: str, status: int = 204) -> Any:
        """What DELETE answers, checked for its status."""
        return self._checked(self.client.delete(f"/api/v1{path}"), status)

    def enter(self, **changes: Any) -> dict[str, Any]:
        """A new study of a built-in task, or with `manifest` an external one."""
        fields = {"method": "expert", "trials": 3, "name": "s", "memory": False}
        fields |= {} if "manifest" in changes else {"task": "function_2d"}
        answer: dict[str, Any] = self.post("/studies", fields | changes, 201)
        return answer

    @staticmethod
    def _checked(response: Any, status: int) -> Any:
        assert response.status_code == status, response.text
        if status >= 400:
            assert response.headers["content-type"] == PROBLEM
            problem = response.json()
            assert problem["status"] == status
            assert problem["title"]
            assert problem["detail"]
        return (
            response.json() if response.content and "json" in response.headers["content-type"] else response
        )


@contextmanager
def api(folder: Path, *, url: str = "", **changes: Any) -> Iterator[Api]:
    """The API over a new database: a file in a folder, or another one by its URL."""
    clock = Clock(1_800_000_000.0)
    with Store.open(url or str(folder / "home" / "studies.db")) as store:
        app = create_app(ServiceSettings(clock=clock, poll_seconds=0.02, **changes), store=store)
        headers = {"Authorization": f"Bearer {changes['token']}"} if "token" in changes else {}
        with TestClient(app, base_url=HERE, headers=headers) as client:
            yield Api(app, client, store, clock)


def record(
    store: Store, trials: Sequence[Trial], spec: StudySpec | None = None, *, ended: bool = True
) -> StudySpec:
    """A study that was run in a terminal, with the events that it would have had."""
    spec = spec if spec is not None else make_spec(trials=len(trials))
    store.create_study(spec)
    name = spec.name
    store.append_event(name, StudyStarted(study=spec, model_reason="It was there."), AT)
    for trial in trials:
        store.save_trial(name, trial)
        store.append_event(name, Proposed(number=trial.number, proposal=trial.proposal), AT)
        store.append_event(name, TrialStarted(number=trial.number, config=trial.config), AT)
        if trial.state != "running":
            store.append_event(name, TrialEnded(trial=trial), AT)
    if ended:
        store.append_event(name, StudyEnded(reason="trials"), AT)
    return spec
