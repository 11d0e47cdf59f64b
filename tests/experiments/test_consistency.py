from __future__ import annotations

import json
from itertools import cycle
from pathlib import Path

import pytest

from tcs_hpt.errors import ModelError
from tcs_hpt.experiments.consistency import RateAnswer, ask_rates, prompt_for, read_rate, spreads
from tcs_hpt.experiments.states import STATES
from tcs_hpt.experiments.suites import AskingSuite, load_suite
from tcs_hpt.llm.scripted import ScriptedModel
from tcs_hpt.report.comparison.text import Run
from tcs_hpt.report.consistency import IMAGE, ROWS, write_consistency
from tcs_hpt.report.folder import PAGE, TABLE
from tests.report.test_html import Page

LOW, HIGH = 1e-5, 1.0
RUN = Run(at="now", command="tcs-hpt bench run c", machine="m", versions="v", jobs=1)


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ('{"lr": 0.01}', 0.01),
        ('```json\n{"learning_rate": "1e-3"}\n```', 0.001),
        ('{"LR": 1e-3, "why": "2 trials"}', 0.001),
        ("The learning rate should be 0.003, since 2 trials diverged.", 0.003),
        ("I would set lr: **0.02**.", 0.02),
        ("`lr` = 3e-4", 3e-4),
        ("learning rate of .5", 0.5),
        ("0.25", 0.25),
    ],
)
def test_a_rate_is_read_however_it_is_written(text: str, rate: float) -> None:
    assert read_rate(text, LOW, HIGH) == (rate, "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no number"),
        ("Lower it a little.", "no number"),
        ('{"lr": true}', "no number"),
        ("Try 3 or 4.", "several numbers"),
        ('{"lr": 5}', "5 is out of range"),
        ('{"lr": -0.1}', "out of range"),
        ('{"lr": 1e999}', "out of range"),
        ("lr=0", "0 is out of range"),
    ],
)
def test_an_answer_without_a_usable_rate_is_counted_with_its_reason(text: str, problem: str) -> None:
    rate, why = read_rate(text, LOW, HIGH)
    assert rate is None
    assert problem in why


def answers(*texts: str, **more: object) -> list[RateAnswer]:
    model = ScriptedModel(cycle(texts), name="m")
    state = STATES["underfitting"]
    return list(ask_rates(model, [state], ["log", "report"], repeats=4))


def test_the_same_prompt_is_asked_with_other_seeds() -> None:
    model = ScriptedModel(then='{"lr": 0.01}', name="m")
    found = list(ask_rates(model, [STATES["underfitting"]], ["log", "report"], repeats=4))
    assert [(a.shown, a.repeat) for a in found] == [(s, r) for s in ("log", "report") for r in range(4)]
    asked = [r.messages for r in model.requests]
    assert len(set(asked[:4])) == len(set(asked[4:])) == 1
    assert asked[0] != asked[4]
    assert len({r.seed for r in model.requests}) == 4  # the same four for both prompts
    assert all(r.schema is None and r.temperature == 0.7 for r in model.requests)


def test_the_prompts_differ_in_what_is_told_only() -> None:
    state = STATES["diverged"]
    log, report = prompt_for(state, "log"), prompt_for(state, "report")
    assert log.system == report.system
    assert '"lr"' in log.user  # the configurations are among the lines
    assert "CURRENT SITUATION" in report.user
    assert "a number between 1e-5 and 1" in log.system
    with pytest.raises(ValueError, match="no parameter 'lr'"):
        prompt_for(STATES["plateau"], "log")


def test_what_was_answered_is_not_asked_again() -> None:
    first = answers('{"lr": 0.01}')
    model = ScriptedModel(then='{"lr": 0.02}', name="m")
    again = list(ask_rates(model, [STATES["underfitting"]], ["log", "report"], repeats=5, known=first))
    assert [(a.shown, a.repeat) for a in again] == [("log", 4), ("report", 4)]
    other = ScriptedModel(then='{"lr": 0.02}', name="other")
    assert len(list(ask_rates(other, [STATES["underfitting"]], ["log"], repeats=2, known=first))) == 2


def test_answers_to_another_prompt_are_asked_anew() -> None:
    first = answers('{"lr": 0.01}')
    assert len({a.prompt for a in first}) == 2  # log and report
    known = [
        first[0].model_copy(update={"prompt": "other"}),
        first[1].model_copy(update={"prompt": ""}),
        *first[2:],
    ]
    model = ScriptedModel(then='{"lr": 0.02}', name="m")
    (again,) = ask_rates(model, [STATES["underfitting"]], ["log", "report"], repeats=4, known=known)
    assert (again.key, again.prompt) == (first[0].key, first[0].prompt)


def test_a_model_that_is_gone_is_an_error() -> None:
    with pytest.raises(ModelError):
        list(ask_rates(ScriptedModel([]), [STATES["underfitting"]], ["log"], repeats=2))


def test_the_spread_is_in_decades() -> None:
    log, report = spreads(answers('{"lr": 0.001}', '{"lr": 0.1}', "no", '{"lr": 0.1}'))
    assert (log.model, log.state, log.shown, log.asked, log.valid, log.distinct) == (
        "m",
        "underfitting",
        "log",
        4,
        3,
        2,
    )
    assert (log.low, log.median, log.high) == (0.001, 0.1, 0.1)
    assert log.decades == pytest.approx(2 / 3**0.5)
    assert report.shown == "report"
    (silent, _) = spreads(answers("no"))
    assert (silent.valid, silent.low, silent.decades) == (0, None, None)


def test_the_study_is_written(tmp_path: Path) -> None:
    suite = load_suite("figure2-consistency")
    assert isinstance(suite, AskingSuite)
    found = answers('{"lr": 0.001}', '{"lr": 0.1}', "<b>no</b>", '{"lr": 0.1}')
    write_consistency(tmp_path, suite, found, [RUN], version="1", generated_at="now")
    table = (tmp_path / TABLE).read_text()
    assert "| m | raw log | 4 | 3 | 2 | 0.001 | 0.1 | 0.1 | 1.15 |" in table
    assert "- m, raw log: no number (1 answer)" in table
    page = (tmp_path / PAGE).read_text()
    Page(page)
    assert "n=3" in page
    assert "mathdefault" not in page  # labels of the axis are plain numbers
    assert "<b>no</b>" not in page
    assert (tmp_path / IMAGE).read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / ROWS).read_text().count("\n") == 9
    write_consistency(tmp_path / "none", suite, answers("no"), [], version="1", generated_at="now")
    assert json.dumps([a.model_dump() for a in found])  # nothing in it that JSON cannot hold
