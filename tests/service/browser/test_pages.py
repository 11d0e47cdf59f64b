"""What the pages say, for everybody: also with the keyboard, in the dark, in a narrow window, and with strange texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.service.browser.conftest import Complaints
from tests.service.browser.service import Service

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = pytest.mark.browser

PAGES = (
    "#/",
    "#/studies/digits",
    "#/studies/agents/trials/3",
    "#/new",
    "#/compare?studies=agents,expert",
    "#/nowhere",
)
NARROW = {"width": 360, "height": 740}
LOWEST_CONTRAST = 4.5
"""WCAG 2.2, level AA, for text of usual size."""

CONTRASTS = (Path(__file__).parent / "contrasts.js").read_text(encoding="utf-8")


def visit(page: Page, service: Service, address: str) -> None:
    page.goto("about:blank")
    page.goto(service.url + address)
    page.locator("main h1").wait_for()
    page.wait_for_load_state("load")


def test_the_story_of_a_trial_is_told_from_report_to_result(shared: Service, page: Page) -> None:
    story = shared.ask("GET", "studies/agents/trials/3")
    visit(page, shared, "#/studies/agents")
    page.get_by_role("link", name="Trial 3", exact=True).first.click()
    page.get_by_role("heading", name="Trial 3").wait_for()
    headings = page.locator("ol.story h2").all_inner_texts()
    assert headings == [
        "What was known",
        "The diagnosis",
        "The proposal",
        "The guard",
        "The training",
        "The result",
    ]

    report = page.locator("details[data-fold=report]")
    assert not report.locator("pre").is_visible()
    report.locator("summary").click()
    assert report.locator("pre").inner_text().strip() == story["report"].strip()
    assert page.locator(".change code").inner_text() == story["change"]
    assert page.locator(".offers li").count() == len(story["options"]) > 1
    assert page.locator(".offers li.chosen code").inner_text() == story["change"]
    page.get_by_text(f"Expected: {story['expected']}. Seen: {story['actual']}.").wait_for()

    page.locator("details[data-fold=prompts] > summary").click()
    calls = shared.ask("GET", "studies/agents/trials/3/calls")["items"]
    page.locator("section.call").nth(len(calls) - 1).wait_for()
    assert page.locator("section.call > pre").first.inner_text().strip() == calls[0]["reply"].strip()


def test_a_question_is_answered_with_links_to_the_trials(shared: Service, page: Page) -> None:
    visit(page, shared, "#/studies/expert")
    page.get_by_label("Question").fill("Which trial is the best?")
    page.get_by_role("button", name="Ask").click()
    answer = page.locator("article.answer")
    best = shared.detail("expert")["best_trial"]
    answer.locator(f"a[href='#/studies/expert/trials/{best}']").first.click()
    page.get_by_role("heading", name=f"Trial {best}").wait_for()
    assert page.url.endswith(f"#/studies/expert/trials/{best}")


def test_studies_of_one_task_are_compared(shared: Service, page: Page) -> None:
    visit(page, shared, "#/compare")
    page.get_by_label("Task", exact=True).select_option("function_2d")
    page.get_by_label("agents").check()
    page.get_by_label("expert").check()
    page.locator(".chart .line.s1").first.wait_for()
    assert page.locator("main > div table.flow tbody tr").count() == 2
    assert page.url.endswith("#/compare?studies=agents,expert")


def test_a_line_of_the_list_shows_how_the_best_score_moved(shared: Service, page: Page) -> None:
    trends = {item["name"]: item["trend"] for item in shared.ask("GET", "studies")["items"]}
    assert len(trends["expert"]) == 6
    visit(page, shared, "#/")
    row = page.locator("tr[data-name=expert]")
    drawn = row.locator("svg.spark path").get_attribute("d") or ""
    assert drawn.count("L") == 5
    end = row.locator("svg.spark circle").bounding_box()
    line = row.locator("svg.spark").bounding_box()
    assert end is not None
    assert line is not None
    assert line["x"] <= end["x"] <= line["x"] + line["width"]


def test_the_list_is_searched_and_filtered(shared: Service, page: Page) -> None:
    visit(page, shared, "#/")
    assert page.locator("#list tbody tr").count() == 3
    page.get_by_label("Search").fill("digits")
    page.wait_for_function("() => document.querySelectorAll('#list tbody tr').length === 1")
    page.get_by_label("State").select_option("failed")
    page.get_by_text("No study fits this search.").wait_for()
    page.reload()  # the search is part of the address
    page.get_by_text("No study fits this search.").wait_for()


def test_everything_can_be_reached_with_the_keyboard(shared: Service, page: Page) -> None:
    visit(page, shared, "#/")

    def tab_to(condition: str) -> None:
        for _ in range(80):
            page.keyboard.press("Tab")
            if page.evaluate(f"() => {{ const e = document.activeElement; return Boolean({condition}); }}"):
                outline = page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
                assert outline == "solid", "the focus must be seen"
                return
        raise AssertionError(f"the Tab key never reached {condition}")

    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("() => document.activeElement.id") == "main"

    tab_to("e.textContent === 'agents'")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="agents").wait_for()
    page.wait_for_function("() => document.activeElement?.tagName === 'H1'")
    tab_to("e.classList.contains('plot')")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.get_by_text("Trial 2: value ").wait_for()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Trial 2").wait_for()
    page.wait_for_function("() => document.activeElement?.tagName === 'H1'")
    tab_to("e.tagName === 'SUMMARY'")
    page.keyboard.press("Enter")
    assert page.locator("details[open]").count() == 1


def test_the_theme_follows_the_system_and_a_choice_is_kept(
    shared: Service, context: Callable[..., BrowserContext], complaints: Complaints
) -> None:
    page = context(color_scheme="dark").new_page()
    visit(page, shared, "#/")
    background = "() => getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.locator("#theme").click()
    light = page.evaluate(background)
    assert sum(map(int, light[4:-1].split(","))) > 600 > 200 > sum(map(int, dark[4:-1].split(",")))
    page.reload()
    assert page.evaluate(background) == light
    page.locator("#theme").click()  # dark
    page.locator("#theme").click()  # as the system has it
    page.emulate_media(color_scheme="light")
    assert page.evaluate(background) == light
    assert complaints.unexpected == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_enough_contrast(
    shared: Service, context: Callable[..., BrowserContext], scheme: str
) -> None:
    page = context(color_scheme=scheme).new_page()
    for address in PAGES:
        visit(page, shared, address)
        page.evaluate("() => document.querySelectorAll('details').forEach((d) => d.setAttribute('open', ''))")
        weak = [found for found in page.evaluate(CONTRASTS) if found["contrast"] < LOWEST_CONTRAST]
        assert weak == [], address


@pytest.mark.parametrize("address", PAGES)
def test_a_narrow_window_does_not_scroll_sideways(
    shared: Service, context: Callable[..., BrowserContext], complaints: Complaints, address: str
) -> None:
    page = context(viewport=NARROW).new_page()
    visit(page, shared, address)
    page.evaluate("() => document.querySelectorAll('details').forEach((d) => d.setAttribute('open', ''))")
    page.wait_for_timeout(300)
    wide = page.evaluate("() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide[0] <= wide[1] <= NARROW["width"]
    assert complaints.unexpected == []


@pytest.mark.parametrize("address", PAGES)
def test_pages_are_built_for_screen_readers(shared: Service, page: Page, address: str) -> None:
    visit(page, shared, address)
    page.wait_for_timeout(200)
    assert page.locator("h1").count() == 1
    assert page.locator("main").count() == page.locator("header.top nav").count() == 1
    assert page.title() != "tcs-hpt" or address == "#/"
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll('input, select, textarea')]
            .filter((e) => !e.labels.length && !e.getAttribute('aria-label')).map((e) => e.outerHTML)"""
    )
    assert unnamed == []
    silent = page.evaluate(
        """() => [...document.querySelectorAll('svg')]
            .filter((e) => e.getAttribute('aria-hidden') !== 'true' && !e.getAttribute('aria-label')).map((e) => e.outerHTML)"""
    )
    assert silent == []
    twice = page.evaluate(
        """() => [...document.querySelectorAll('[id]')].map((e) => e.id).filter((id, i, all) => all.indexOf(id) !== i)"""
    )
    assert twice == []


def test_the_token_is_asked_for_once_and_a_wrong_one_refused(
    tmp_path: Path, page: Page, complaints: Complaints
) -> None:
    complaints.expected = ["status of 401"]
    with Service(tmp_path, token="a-token-of-a-good-length", worker=False) as service:
        page.goto(service.url)
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Token").fill("wrong")
        dialog.get_by_role("button", name="Go on").click()
        dialog.get_by_text("The service refused that token.").wait_for()
        dialog.get_by_label("Token").fill(service.token)
        dialog.get_by_role("button", name="Go on").click()
        page.get_by_role("heading", name="No studies yet").wait_for()
        page.reload()
        page.get_by_role("heading", name="No studies yet").wait_for()
        assert page.get_by_role("dialog").count() == 0


def test_the_report_is_handed_over_as_a_file_where_a_token_is_needed(
    tmp_path: Path, page: Page, complaints: Complaints
) -> None:
    complaints.expected = ["status of 401"]
    with Service(tmp_path, token="a-token-of-a-good-length") as service:
        name = service.finished(task="function_2d", method="random", trials=2)
        page.goto(service.url)
        page.get_by_role("dialog").get_by_label("Token").fill(service.token)
        page.get_by_role("dialog").get_by_role("button", name="Go on").click()
        page.get_by_role("link", name=name).click()
        with page.expect_download() as download:
            page.get_by_role("button", name="Report").click()
        assert download.value.suggested_filename == f"{name}.html"
        text = Path(download.value.path()).read_text(encoding="utf-8")
        assert text.lower().startswith("<!doctype html>")
        assert name in text


def test_texts_of_others_are_shown_and_never_run(
    service: Service, page: Page, complaints: Complaints
) -> None:
    complaints.expected = ["status of 404"]
    text = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>"
    name = service.finished(name="strange", task="function_2d", method="random", trials=1, description=text)
    visit(page, service, f"#/studies/{name}")
    page.locator(".headline").get_by_text(text).wait_for()
    assert page.locator("main img, main script").count() == 0
    assert "run" not in page.title()
    visit(page, service, "#/studies/..%2F..%2Fhealthz")
    page.get_by_role("heading", name="Not found").wait_for()
