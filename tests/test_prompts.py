from __future__ import annotations

from typing import Any

import jinja2
import pytest

from tcs_hpt import bundled
from tcs_hpt.llm import ChatRequest
from tcs_hpt.llm.scripted import ScriptedModel, first_choice
from tcs_hpt.prompts import render
from tcs_hpt.proposers import ProposalContext, make_proposer
from tcs_hpt.summary import estimate_tokens
from tests.build import history, study, task
from tests.golden_files import assert_golden

SPEC = task(fixed={"max_train": 1000})
WORDS = "A small network for handwritten digits; accuracy matters, training may be slow."


def requests(trials: int, method: str = "tcs-paper", **changes: object) -> list[ChatRequest]:
    model = ScriptedModel(then=first_choice)
    past = history(SPEC)[:trials]
    spec = study(SPEC, description=WORDS, method=method, **changes)
    proposer = make_proposer(method, analysis_model=model, optimizer_model=model)
    proposer.propose(ProposalContext(spec, past, trials + 1))
    return model.requests


def as_text(request: ChatRequest) -> str:
    return "".join(f"[{m.role}]\n{m.content}\n\n" for m in request.messages)


@pytest.mark.parametrize(
    ("name", "trials", "changes"),
    [
        ("bootstrap", 0, {}),
        ("cold_start", 0, {"start": "cold"}),
        ("decision", 6, {}),
        ("decision_free", 6, {"answers": "free"}),
        ("evidence_decision", 6, {"method": "tcs"}),
        ("raw_decision", 6, {"method": "raw"}),
        ("raw_decision_free", 1, {"method": "raw", "answers": "free"}),
    ],
)
def test_golden_prompts(name: str, trials: int, changes: dict[str, Any]) -> None:
    found = requests(trials, **changes)
    assert_golden(f"prompt_{name}.txt", "".join(as_text(r) for r in found))


@pytest.mark.parametrize("method", ["tcs", "tcs-paper", "raw"])
def test_prompts_stay_short(method: str) -> None:
    analysis, optimizer = requests(6, method)[:2]
    assert estimate_tokens(as_text(analysis)) < (1600 if method == "tcs" else 1300)
    assert estimate_tokens(as_text(optimizer)) < 800


def test_the_raw_prompts_carry_nothing_that_was_computed_from_the_trials() -> None:
    """The words of the state report and of the performance context, none of which is in a log."""
    asked = requests(6, "raw")
    assert [r.lane for r in asked] == ["analysis", "optimizer"]
    for request in asked:
        changing = request.messages[-1].content
        for word in ("CURRENT", "INCUMBENT", "Trend", "gap", "Curve", "COMPARISON", "untested", "Best"):
            assert word not in changing
    shown = [requests(6, method)[0].messages[-1].content for method in ("tcs-paper", "raw")]
    assert [text.count("\n- ") for text in shown] == [8, 8]


def test_an_analysis_that_failed_is_not_shown_as_one() -> None:
    model = ScriptedModel(["no", "no"], then=first_choice)
    proposer = make_proposer("raw", analysis_model=model, optimizer_model=model)
    proposer.propose(ProposalContext(study(SPEC), history(SPEC), 7))
    shown = model.requests[-1].messages[-1].content
    assert "There is none; decide yourself." in shown
    assert "Recommendation" not in shown
    assert "unknown" not in shown


def test_a_name_that_is_not_given_is_an_error() -> None:
    with pytest.raises(jinja2.UndefinedError):
        render("repair.v1")


def test_values_are_never_templates() -> None:
    assert "{{ 7 * 7 }}" in render("repair.v1", problems=["{{ 7 * 7 }}"]).user


def test_the_hash_is_of_the_template_not_of_the_values() -> None:
    assert render("repair.v1", problems=["a"]).sha256 == render("repair.v1", problems=["b"]).sha256
    assert render("repair.v1", problems=[]).sha256 != render("bootstrap.v1", **_bootstrap()).sha256


def _bootstrap() -> dict[str, object]:
    return {"task": SPEC, "description": "", "space": [], "problems": [], "base": {}}


def test_every_template_has_a_version_in_its_name() -> None:
    names = [p.name for p in bundled.folder("prompts").glob("*.j2")]
    assert names
    assert all(n.removesuffix(".j2").rsplit(".", 1)[-1].startswith("v") for n in names)
