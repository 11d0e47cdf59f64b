"""The service against its own description: random requests, and every answer is one that OpenAPI promises."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from tcs_hpt.catalog import load_task
from tcs_hpt.llm import machine
from tcs_hpt.service.app import create_app
from tcs_hpt.service.manifests import external_task
from tcs_hpt.service.settings import ServiceSettings
from tcs_hpt.store import Store
from tcs_hpt.tuning.launch import Launch, enter_study
from tests.build import history, study, task
from tests.service.api import MANIFEST, record

EXAMPLES = 15
"""Of each operation, so that the whole takes seconds."""
STREAMS = ["/api/v1/events", "/api/v1/studies/{name}/events"]
"""They do not end; `test_api_events` has them."""


@pytest.fixture(scope="module")
def app() -> Iterator[Any]:
    """The service with something in it: a study that is over, one that is asked and told, one that waits."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Store.open(str(Path(folder) / "studies.db")) as store,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(machine, "ollama_state", lambda: None)
        record(store, history(task()), study(name="done", trials=6))
        launch = Launch(task="my_net", method="random", name="asked", trials=1000)
        enter_study(launch, external_task(MANIFEST), store, now=0.0, state="external")
        waiting = Launch(task="function_2d", method="random", name="waiting")
        enter_study(waiting, load_task("function_2d"), store, now=0.0)
        yield create_app(ServiceSettings(store=store.url, allowed_hosts=("testserver",)), store=store)


def _described() -> Any:
    """The description, which needs no database."""
    nowhere = create_app(ServiceSettings(), store=cast(Store, object()))
    config = SchemathesisConfig.from_dict({"phases": {"coverage": {"enabled": False}}})
    loaded = schemathesis.openapi.from_dict(nowhere.openapi(), config=config)
    loaded.app = nowhere  # so that requests are made in this process; each names the app that it is for
    return loaded.exclude(path=STREAMS)


schema = _described()


@schema.parametrize()  # type: ignore[untyped-decorator]
@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_every_answer_is_one_that_was_promised(case: Any, app: Any) -> None:
    aimed = _aim(case)
    # What is well formed may still make no sense, e.g. a task that is not there; and where a name was put right, the rest
    # of the request may be right as well.
    case.call_and_validate(
        app=app, excluded_checks=[positive_data_acceptance, *([negative_data_rejection] if aimed else [])]
    )


def _aim(case: Any) -> bool:
    """Let every second request reach something that exists; random names never would."""
    names = case.path_parameters or {}
    if sum(map(ord, str(names.get("name", case.body)))) % 2 or case.method.upper() == "DELETE":
        return False
    if case.method.upper() == "POST" and case.path == "/api/v1/studies":
        if not isinstance(case.body, dict):
            return False
        case.body = {
            **case.body,
            "task": "function_2d",
            "manifest": None,
            "method": "random",
            "model": "auto",
        }
        return True
    if "/studies/" not in case.path or case.path.endswith("report.html"):  # drawing it takes a second
        return False
    name = "done"
    if case.path.endswith(("/ask", "/tell", "/epochs")):
        name = "asked"
    if case.path.endswith(("/pause", "/resume", "/stop")):
        name = "waiting"
        case.headers["Content-Type"] = "application/json"
    names["name"] = name
    if "number" in names:
        names["number"] = 1
    return True
