from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tcs_hpt.errors import UserError
from tcs_hpt.records import ModelCall, Trial
from tcs_hpt.report.html import render_html, write_html
from tcs_hpt.report.tables import summarize_study
from tcs_hpt.report.words import cost_sentence
from tcs_hpt.spec import StudySpec

from .sample import HOSTILE, make_analysis, make_call, make_study, make_task, make_trial, make_trials

SMALL = make_study(task=make_task().narrowed(only=("lr",)))
"""One tuned parameter: one figure of effects."""

VOID = {"meta", "br", "link", "img", "input", "hr"}


class Page(HTMLParser):
    """Checks that elements close in order, and collects ids, links, tags and visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.append((name, value or ""))
            if name == "id":
                self.ids.append(value or "")
            if name == "href":
                self.links.append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data


def render(study: StudySpec, trials: list[Trial]) -> str:
    return render_html(study, trials, task_ref="digits_mlp", generated_at="2025-01-31 10:20", version="0.1.0")


@pytest.fixture(scope="module")
def html() -> str:
    return render(make_study(), make_trials())


def test_the_page_holds_together(html: str) -> None:
    page = Page(html)
    assert len(page.ids) == len(set(page.ids))
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    for section in ("result", "best", "history", "curves", "effects", "who", "costs", "failures", "trials"):
        assert f"#{section}" in page.links
    assert {f"trial-{n}" for n in range(1, 12)} <= set(page.ids)


def test_the_page_loads_nothing(html: str) -> None:
    page = Page(html)
    assert all(link.startswith("#") for link in page.links)
    assert not page.tags & {"script", "link", "img", "iframe", "object", "form"}
    assert not [a for a in page.attributes if a[0] in ("src", "srcset") or a[0].startswith("on")]
    outside = set(re.findall(r"https?://[^\s\"'<)]+", html))
    assert outside <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "@import" not in html


def test_what_a_model_wrote_is_text(html: str) -> None:
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 2  # in a reply and in a reason
    assert HOSTILE in Page(html).text


def test_hostile_text_is_harmless_everywhere() -> None:
    hostile = "</pre></style><img src=x onerror=alert(1)>"
    places = ("reason", "report", "fallback", "deviation", "change", "source")
    proposal = make_trial(1).proposal.model_copy(update=dict.fromkeys(places, hostile))
    page = Page(render(SMALL, [make_trial(1).model_copy(update={"proposal": proposal})]))
    assert page.text.count(hostile) >= len(places)
    assert "img" not in page.tags


def test_a_hostile_task_is_harmless() -> None:
    hostile = "</title></svg><img src=x onerror=alert(1)>"
    task = make_study().task.model_copy(update={"title": hostile, "description": hostile})
    study = make_study(task=task, description=hostile).model_copy(update={"name": hostile})
    page = Page(render(study, [make_trial(1)]))
    assert "img" not in page.tags


def test_the_page_says_what_happened(html: str) -> None:
    text = " ".join(Page(html).text.split())
    for said in (
        "val_accuracy rose from 0.951 (trial 1) to 0.9733 (trial 8), better by 0.0223.",
        "not seen by the tuner: test_accuracy 0.9613",
        "--fix weight_decay=0.0012345678901234567",
        "Fallback in trial 4: the optimizer's answer could not be used after one repair: no such option",
        "No analysis by the agents in trial 9: the analysis was cut at 400 tokens; the deterministic diagnosis stood in",
        "2 attempts rejected before training, 1 answer asked again",
        "The analysis foresaw 3 of 5 outcomes (60 %)",
        "out of memory",
        "17,052",
        "Attempt 2 rejected: lr must be between 1e-05 and 0.1, got 7.0",
        "Departs from the analysis: the analysis named dropout, the optimizer changed lr",
        "Numbers that were not finite from epoch 3.",
        "Z is not one of the options",
        "6. Expected outcome",
        "# State report before trial 8",
        "of 10, 2 failed, 1 interrupted",
    ):
        assert said in text, said


def test_the_page_and_the_closing_words_say_what_the_model_held() -> None:
    trials = make_trials()
    assert "Memory of the model" not in render(make_study(), trials)
    calls = tuple(c.model_copy(update={"memory_mb": 500.0}) for c in trials[1].proposal.calls)
    proposal = trials[1].proposal.model_copy(update={"calls": calls})
    told = [trials[0], trials[1].model_copy(update={"proposal": proposal}), *trials[2:]]
    text = Page(render(make_study(), told)).text
    assert re.search(r"Memory of the model\s*524\.3 MB", text)
    assert re.search(r"Memory of the largest trial\s*327\.2 MB", text)
    assert cost_sentence(summarize_study(make_study(), told)).endswith("; the model held 524.3 MB of memory.")


def test_the_order_of_the_trials_does_not_change_the_page() -> None:
    trials = make_trials()[:2]
    assert render(SMALL, trials[::-1]) == render(SMALL, trials)


@pytest.mark.parametrize(
    ("trials", "said"),
    [
        ([], "No trial has run yet."),
        ([make_trial(1, source="start", failure="crashed")], "No trial finished"),
        ([make_trial(1, None, source="start", state="running")], "No trial finished"),
        ([make_trial(1, source="start")], "Only the start was tried."),
        ([make_trial(1, 0.9, source="start"), make_trial(2, 0.8)], "No trial beat the start"),
    ],
)
def test_studies_without_a_win(trials: list[Trial], said: str) -> None:
    page = Page(render(SMALL, trials))
    assert said in page.text
    assert {link.removeprefix("#") for link in page.links} <= set(page.ids)
    assert "may be chance" not in page.text


def test_a_bootstrap_analysis_predicts_nothing() -> None:
    bootstrap = make_analysis("lr: 0.01 -> 0.003").model_copy(update={"expected_outcome": None})
    call: ModelCall = make_call("bootstrap", "{}")
    page = Page(render(SMALL, [make_trial(1, source="start", analysis=bootstrap, calls=(call,))]))
    assert "there was no trial yet to compare with" in page.text
    assert "Were the predictions right?" not in page.text


def test_write_replaces_the_file_and_leaves_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    for trials in (make_trials()[:1], make_trials()[:2]):
        write_html(path, SMALL, trials, task_ref="t", generated_at="now", version="0")
    assert "Trial 2" in path.read_text(encoding="utf-8")
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_write_survives_a_lone_surrogate(tmp_path: Path) -> None:
    trial = make_trial(1, reason="caf\udce9")
    write_html(tmp_path / "r.html", SMALL, [trial], task_ref="t", generated_at="now", version="0")
    assert "caf?" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_a_place_that_cannot_be_written_is_the_users_to_change(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UserError, match="cannot be written"):
        write_html(tmp_path / "file" / "r.html", SMALL, [], task_ref="t", generated_at="", version="")
