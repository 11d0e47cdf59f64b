from __future__ import annotations

import pytest

from tcs_hpt.llm.scripted import ScriptedModel, first_choice
from tcs_hpt.proposers import METHODS, NEEDS_MODEL, Proposer, make_proposer
from tcs_hpt.testing.proposers import ProposerContract


def made(method: str) -> Proposer:
    model = ScriptedModel(then=first_choice) if method in NEEDS_MODEL else None
    return make_proposer(method, analysis_model=model, optimizer_model=model)


@pytest.mark.parametrize("proposer", [made(m) for m in METHODS], ids=list(METHODS))
class TestEveryMethod(ProposerContract):
    pass


class TestAgentsThatWriteNonsense(ProposerContract):
    @pytest.fixture(params=["tcs-paper", "raw"])
    def proposer(self, request: pytest.FixtureRequest) -> Proposer:
        model = ScriptedModel(then="no")
        return make_proposer(request.param, analysis_model=model, optimizer_model=model)
