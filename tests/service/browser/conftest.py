"""A real browser against the real service. Debian's chromium is taken as it is; nothing is downloaded."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.service.browser.service import Service

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

REQUIRED = os.environ.get("TCS_HPT_REQUIRE_BROWSER") == "1"
"""Where a browser was installed for the tests, as in CI, they may not be left out."""
WAIT_MS = 30_000
WIDE = {"width": 1200, "height": 900}


def _missing(reason: str) -> None:
    if REQUIRED:
        pytest.fail(f"TCS_HPT_REQUIRE_BROWSER is set, and {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        _missing("playwright is not installed")
    path = next(
        (p for name in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(name))), None
    )
    if path is None:
        _missing("there is no chromium on this machine")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """An empty service with one worker."""
    with Service(tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with three studies, for tests that only look: `agents`, `expert` and `digits`."""
    with Service(tmp_path_factory.mktemp("shared")) as running:
        running.finished(name="agents", task="function_2d", method="tcs", model="scripted:first", trials=5)
        running.finished(name="expert", task="function_2d", method="expert", trials=6)
        running.finished(name="digits", task="mlp_digits", method="expert", trials=3, profile="smoke")
        yield running


class Complaints:
    """What the browser put on its console as an error; `expected` names parts of those that a test provokes."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.expected: list[str] = []

    @property
    def unexpected(self) -> list[str]:
        return [text for text in self.found if not any(part in text for part in self.expected)]


@pytest.fixture
def complaints() -> Complaints:
    return Complaints()


@pytest.fixture
def context(chromium: Browser, complaints: Complaints) -> Iterator[Callable[..., BrowserContext]]:
    """Makes windows with settings of their own; closes them all."""
    made: list[BrowserContext] = []

    def make(**settings: Any) -> BrowserContext:
        fresh = chromium.new_context(**{"viewport": WIDE, **settings})
        fresh.set_default_timeout(WAIT_MS)
        fresh.on("console", lambda m: complaints.found.append(m.text) if m.type == "error" else None)
        fresh.on("weberror", lambda e: complaints.found.append(str(e.error)))
        made.append(fresh)
        return fresh

    yield make
    for one in made:
        one.close()


@pytest.fixture
def page(context: Callable[..., BrowserContext], complaints: Complaints) -> Iterator[Page]:
    """A window of the usual size; the test fails when the page complained."""
    yield context().new_page()
    assert complaints.unexpected == []
