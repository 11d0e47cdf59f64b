"""A study of a thousand trials: the page stays small, as what is drawn does not grow with the number of trials."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tcs_hpt.catalog import load_task
from tcs_hpt.records import Failure, Proposal, Trial
from tcs_hpt.spec import StudySpec
from tcs_hpt.store import Store
from tests.service.browser.service import Service

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
TRIALS = 1000
MOST_ELEMENTS = 1200
"""Of the whole page. One element a trial in one of its nine drawings would be beyond it."""


def fill(store: Path) -> None:
    spec = StudySpec(name="large", task=load_task("mlp_digits").spec, method="random", trials=TRIALS)
    draw = random.Random(7)
    with Store.open(str(store)) as database:
        database.create_study(spec)
        for number in range(1, TRIALS + 1):
            lr = round(10 ** draw.uniform(-4, 0), 6)
            config = {
                "lr": lr,
                "optimizer": draw.choice(["adam", "sgd"]),
                "hidden_size": draw.randint(8, 256),
            }
            failed = number % 50 == 0
            value = None if failed else round(0.97 - abs(lr - 0.02) / 2 - draw.random() / 20, 5)
            database.save_trial(
                "large",
                Trial(
                    number=number,
                    config=config,
                    state="failed" if failed else "finished",
                    proposal=Proposal(config=config, source="random"),
                    value=value,
                    metrics={} if value is None else {"val_accuracy": value},
                    failure=Failure(kind="crashed", message="The script crashed.") if failed else None,
                    started_at="2026-11-26T20:00:00+00:00",
                ),
            )


def test_a_thousand_trials_are_drawn_with_few_elements(tmp_path: Path, page: Page) -> None:
    service = Service(tmp_path, worker=False)
    fill(service.store)
    with service:
        page.goto(f"{service.url}#/studies/large")
        page.get_by_role("link", name="Trial 1000", exact=True).first.wait_for()
        assert page.locator("*").count() < MOST_ELEMENTS
        crosses = page.locator(".chart .crosses.failed").first.get_attribute("d") or ""
        assert crosses.count("M") == 2 * TRIALS // 50

        page.get_by_role("button", name="Older").click()
        page.get_by_role("link", name="Trial 975", exact=True).wait_for()
        assert page.locator("table.flow tbody tr").count() == 25
        page.locator(".chart .plot").first.focus()
        page.keyboard.press("End")
        page.get_by_text("Trial 1000: failed.").wait_for()
