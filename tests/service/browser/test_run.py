"""Starting, watching, steering and deleting studies, as a person does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.service.api import MANIFEST
from tests.service.browser.conftest import Complaints
from tests.service.browser.service import Service

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
FINISH_MS = 90_000


def test_the_first_study_is_started_in_the_form_and_watched_to_its_end(service: Service, page: Page) -> None:
    page.goto(service.url)
    page.get_by_role("link", name="Start the first study").click()
    page.get_by_label("Task", exact=True).select_option("function_2d")
    page.get_by_label("Trials", exact=True).fill("4")
    page.get_by_text("in up to 4 trials").wait_for()  # the service's own answer to a dry run
    assert page.get_by_label("Method: who proposes the values").input_value() == "expert"
    assert not page.get_by_label("Language model").is_visible()
    page.get_by_role("button", name="Start the study").click()

    page.locator(".headline .badge[data-state=finished]").wait_for(timeout=FINISH_MS)
    page.get_by_role("link", name="Trial 4", exact=True).wait_for()
    assert page.locator("table tbody tr").count() == 4
    assert page.locator(".chart svg.drawing .line.best").count() == 1
    name = service.ask("GET", "studies")["items"][0]["name"]
    best = service.detail(name)
    assert page.locator(".figures").inner_text().count(f"trial {best['best_trial']}") == 1

    page.get_by_role("link", name="Studies", exact=True).first.click()
    page.locator("#list .badge[data-state=finished]").wait_for()


def test_the_list_follows_what_others_start(service: Service, page: Page) -> None:
    page.goto(service.url)
    page.get_by_role("heading", name="No studies yet").wait_for()
    service.create(name="elsewhere", task="function_2d", method="random", trials=2)
    page.locator("tr[data-name=elsewhere] .badge[data-state=finished]").wait_for(timeout=FINISH_MS)
    service.ask("DELETE", "studies/elsewhere")
    page.get_by_role("heading", name="No studies yet").wait_for()
    assert page.locator("tr[data-name]").count() == 0


def test_a_study_is_paused_resumed_stopped_and_deleted(
    service: Service, page: Page, complaints: Complaints
) -> None:
    complaints.expected = ["status of 404"]  # a page of trials that was on its way when the study was deleted
    service.create(name="long", task="function_2d", method="random", trials=2000)
    page.goto(f"{service.url}#/studies/long")
    state = page.locator(".headline .badge")
    # Any trial: the list shows the newest, and the first may not be among them any more.
    page.locator("tr[data-number]").first.wait_for(timeout=FINISH_MS)
    page.get_by_role("button", name="Pause").click()
    page.locator(".headline .badge[data-state=paused]").wait_for(timeout=FINISH_MS)
    page.get_by_role("button", name="Resume").click()
    page.locator(".headline .badge[data-state=running]").wait_for(timeout=FINISH_MS)
    page.get_by_role("button", name="Stop").click()
    page.locator(".headline .badge[data-state=stopped]").wait_for(timeout=FINISH_MS)
    assert state.inner_text() == "stopped"
    assert 0 < service.detail("long")["trials_done"] < 2000

    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
    assert service.detail("long")["state"] == "stopped"
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete the study").click()
    page.get_by_role("heading", name="No studies yet").wait_for()
    assert service.ask("GET", "studies")["items"] == []


def test_a_page_goes_on_where_it_was_after_the_service_was_killed(
    service: Service, page: Page, complaints: Complaints
) -> None:
    complaints.expected = [
        "ERR_CONNECTION_REFUSED",
        "ERR_INCOMPLETE_CHUNKED_ENCODING",
        "ERR_CONNECTION_RESET",
        "ERR_EMPTY_RESPONSE",
    ]
    name = service.create(name="cut", task="function_2d", method="random", trials=12)
    page.goto(f"{service.url}#/studies/{name}")
    page.get_by_role("link", name="Trial 2", exact=True).first.wait_for(timeout=FINISH_MS)
    service.kill()
    notice = page.get_by_text("Connection lost, trying again.")
    notice.wait_for()
    service.start()
    notice.wait_for(state="detached", timeout=FINISH_MS)
    page.locator(".headline .badge[data-state=finished]").wait_for(timeout=FINISH_MS)

    page.locator(".chart details.data").first.locator("summary").click()
    shown = page.locator(".chart details.data").first.locator("tbody th").all_inner_texts()
    assert shown == [str(n) for n in service.ask("GET", f"studies/{name}/progress")["numbers"]]
    assert len(shown) >= 12


def test_errors_stand_beside_their_fields(service: Service, page: Page, complaints: Complaints) -> None:
    complaints.expected = ["status of 422"]
    page.goto(f"{service.url}#/new?task=function_2d&method=expert")
    page.get_by_text("in up to 10 trials").wait_for()
    page.get_by_label("Trials", exact=True).fill("0")
    wrong = page.locator("[data-field=trials] .wrong")
    page.wait_for_function("() => document.querySelector('[data-field=trials] .wrong').textContent !== ''")
    assert page.get_by_label("Trials", exact=True).get_attribute("aria-invalid") == "true"
    page.get_by_role("button", name="Start the study").click()
    page.wait_for_function("() => document.activeElement?.id === 'trials'")
    page.get_by_label("Trials", exact=True).fill("3")
    page.get_by_text("in up to 3 trials").wait_for()
    assert wrong.inner_text() == ""
    assert service.ask("GET", "studies")["items"] == []


def test_a_parameter_is_fixed_in_the_table(service: Service, page: Page) -> None:
    page.goto(f"{service.url}#/new?task=function_2d&method=expert")
    page.get_by_text("Parameters: choose what is tuned").click()
    page.get_by_label("tune y").uncheck()
    page.locator("#fix-y").fill("2.5")
    page.locator(".preview").get_by_text("y = 2.5").wait_for()
    page.get_by_label("Trials", exact=True).fill("2")
    page.get_by_role("button", name="Start the study").click()
    page.locator(".headline").wait_for()
    name = service.ask("GET", "studies")["items"][0]["name"]
    detail = service.detail(name)
    assert [p["name"] for p in detail["params"]] == ["x"]
    assert detail["fixed"]["y"] == 2.5


def test_an_external_study_is_made_and_followed(service: Service, page: Page) -> None:
    page.goto(f"{service.url}#/new")
    page.get_by_label("I do: the service proposes values").check()
    page.get_by_label("Method: who proposes the values").select_option("expert")
    page.get_by_text("Looks for values of lr, layers and optimizer").wait_for()
    page.get_by_role("button", name="Start the study").click()
    page.get_by_role("heading", name="Run the trials yourself").wait_for()
    name = service.ask("GET", "studies")["items"][0]["name"]
    commands = page.locator(".command pre").all_inner_texts()
    assert any(f"/api/v1/studies/{name}/ask" in c for c in commands)

    asked = service.ask("POST", f"studies/{name}/ask", {})
    for epoch in (1, 2, 3):
        service.ask(
            "POST",
            f"studies/{name}/trials/{asked['trial']}/epochs",
            {"epoch": epoch, "metrics": {"val_accuracy": 0.2 * epoch}},
        )
    page.locator(".now").get_by_text("Epoch 3, val_accuracy 0.6.").wait_for()
    service.ask("POST", f"studies/{name}/trials/{asked['trial']}/tell", {"metrics": {"val_accuracy": 0.61}})
    page.locator(".figures").get_by_text("0.61").first.wait_for()
    page.get_by_role("link", name="Trial 1", exact=True).first.wait_for()

    refused = page.get_by_text("asking is refused until it is resumed")
    page.get_by_role("button", name="Pause").click()
    refused.wait_for()
    page.reload()
    refused.wait_for()
    assert page.locator(".command pre").all_inner_texts() == commands
    page.get_by_role("button", name="Resume").click()
    refused.wait_for(state="hidden")
    page.get_by_role("button", name="Stop").click()
    page.locator(".headline .badge[data-state=stopped]").wait_for()
    assert page.locator(".command pre").first.is_hidden()


def test_results_are_seen_while_an_external_study_is_paused(service: Service, page: Page) -> None:
    service.ask("POST", "studies", {"name": "away", "method": "expert", "trials": 5, "manifest": MANIFEST})
    asked = service.ask("POST", "studies/away/ask", {})
    page.goto(f"{service.url}#/studies/away")
    page.get_by_role("button", name="Pause").click()
    page.locator(".headline .badge[data-state=paused]").wait_for()
    service.ask("POST", f"studies/away/trials/{asked['trial']}/tell", {"metrics": {"val_accuracy": 0.61}})
    page.locator(".figures").get_by_text("0.61").first.wait_for()
    assert page.locator(".headline .badge").get_attribute("data-state") == "paused"
