from __future__ import annotations

import jinja2
import pytest

from tcs_hpt import bundled
from tcs_hpt.llm import ChatRequest
from tcs_hpt.llm.scripted import ScriptedModel, first_choice
from tcs_hpt.prompts import render
from tcs_hpt.proposers import AgentsProposer, ProposalContext
from tcs_hpt.summary import estimate_tokens
from tests.build import history, study, task
from tests.golden_files import assert_golden

SPEC = task(fixed={"max_train": 1000})
WORDS = "A small network for handwritten digits; accuracy matters, training may be slow."


def requests(trials: int, **changes: object) -> list[ChatRequest]:
    model = ScriptedModel(then=first_choice)
    past = history(SPEC)[:trials]
    spec = study(SPEC, description=WORDS, **changes)
    AgentsProposer(model, model).propose(ProposalContext(spec, past, trials + 1))
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
    ],
)
def test_golden_prompts(name: str, trials: int, changes: dict[str, object]) -> None:
    found = requests(trials, **changes)
    assert_golden(f"prompt_{name}.txt", "".join(as_text(r) for r in found))


def test_prompts_stay_short() -> None:
    analysis, optimizer = requests(6)[:2]
    assert estimate_tokens(as_text(analysis)) < 1300
    assert estimate_tokens(as_text(optimizer)) < 800


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
