"""The parts of the page that are pure, called as modules in the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.service.browser.service import Service

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

STREAM = ': hello\n\nid: 1\nevent: a\ndata: {"x":\ndata: 1}\n\nid: 2\r\nevent: b\r\ndata:2\r\n\r\ndata: 3\n\nid: 4\ndata: cut'


@pytest.fixture
def module(shared: Service, page: Page) -> Any:
    """Calls a function of a module: `module("js/format.js", "number", 0.5)`."""
    page.goto(shared.url)

    def call(path: str, name: str, *given: Any) -> Any:
        return page.evaluate(
            "async ([path, name, given]) => (await import(path))[name](...given)",
            [f"{shared.url}{path}", name, list(given)],
        )

    return call


@pytest.mark.parametrize("piece", [1, 2, 3, 7, len(STREAM)])
def test_events_are_read_whatever_the_pieces(shared: Service, page: Page, piece: int) -> None:
    page.goto(shared.url)
    found = page.evaluate(
        """async ([url, text, piece]) => {
            const { Parser } = await import(url);
            const found = [];
            const parser = new Parser((event) => found.push([event.id, event.kind, event.data]));
            for (let i = 0; i < text.length; i += piece) parser.feed(text.slice(i, i + piece));
            return found;
        }""",
        [f"{shared.url}js/events.js", STREAM, piece],
    )
    assert found == [["1", "a", '{"x":\n1}'], ["2", "b", "2"], ["", "message", "3"]]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.9633333, "0.96333"),
        (0, "0"),
        (1e-6, "1e-6"),
        (12_345_678, "1.2346e7"),
        (None, "–"),
        (-0.00012, "-0.00012"),
    ],
)
def test_numbers_are_short(module: Any, value: float | None, shown: str) -> None:
    assert module("js/format.js", "number", value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.44, "0.4 s"), (59.6, "1 min 0 s"), (75, "1 min 15 s"), (7300, "2 h 1 min"), (None, "–")],
)
def test_durations_are_read_at_a_glance(module: Any, seconds: float | None, shown: str) -> None:
    assert module("js/format.js", "duration", seconds) == shown


def test_scores_are_coloured_by_rank(module: Any) -> None:
    path, name = "js/charts/parameters.js", "fifths"
    assert module(path, name, [3, None, 1, 2, 5, 4], "minimize") == [2, None, 4, 3, 0, 1]
    assert module(path, name, [3, None, 1, 2, 5, 4], "maximize") == [2, None, 0, 1, 4, 3]
    assert module(path, name, [1e9, 1, 2, 3, 4], "minimize")[1] == 4


def test_metrics_of_one_kind_share_a_chart(module: Any) -> None:
    names = ["train_loss", "val_loss", "train_accuracy", "val_accuracy", "lr", "seconds"]
    groups = module("js/charts/curves.js", "groups", names, "val_accuracy")
    assert groups == [["val_accuracy", "train_accuracy"], ["val_loss", "train_loss"], ["lr"]]


def test_every_module_has_its_type(shared: Service, page: Page) -> None:
    types: dict[str, str] = {}
    page.on("response", lambda r: types.update({r.url: r.headers.get("content-type", "")}))
    page.goto(shared.url)
    page.locator("main h1").wait_for()
    scripts = [kind for url, kind in types.items() if url.endswith(".js")]
    assert len(scripts) > 20
    assert {kind.split(";")[0] for kind in scripts} == {"text/javascript"}
