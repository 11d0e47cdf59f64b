from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcs_hpt.llm.scripted import ScriptedModel, first_choice
from tcs_hpt.proposers import METHODS, CoinProposer, ProposalContext, make_proposer
from tcs_hpt.proposers.raw_log import log_lines, log_text
from tcs_hpt.proposers.views import RawLongView, RawView, TcsView
from tcs_hpt.records import EpochRecord, Proposal, Trial
from tcs_hpt.space import SearchSpace
from tcs_hpt.summary import estimate_tokens
from tests.build import epochs, histories, history, study, task, trial

SPEC = task()


def context(trials: list[Trial] | None = None, **changes: Any) -> ProposalContext:
    trials = history(SPEC) if trials is None else trials
    return ProposalContext(study(SPEC, **changes), trials, len(trials) + 1)


def proposed(method: str, model: ScriptedModel, context: ProposalContext) -> Proposal:
    proposal = make_proposer(method, analysis_model=model, optimizer_model=model).propose(context)
    assert proposal is not None
    return proposal


# -- the log ------------------------------------------------------------------------------------------------


def test_a_trial_is_its_configuration_its_epochs_and_its_result() -> None:
    curve = (
        EpochRecord(epoch=1, metrics={"loss": 0.1 + 0.2, "test_loss": 9.0, "seconds": 1.5}),
        EpochRecord(epoch=2, metrics={"loss": None, "test_loss": None}, non_finite=("loss", "test_loss")),
    )
    lines = log_lines([trial(3, {"lr": 0.01, "nesterov": True}, 0.5, curve=curve)])
    assert lines == [
        '{"trial": 3, "params": {"lr": 0.01, "nesterov": true}}',
        '{"epoch": 1, "loss": 0.30000000000000004}',
        '{"epoch": 2, "loss": NaN}',
        '{"trial": 3, "result": {"val_accuracy": 0.5, "val_loss": 0.3}}',
    ]


def test_a_failure_is_one_line_whatever_its_message() -> None:
    lines = log_lines([trial(1, {"lr": 0.01}, None, kind="crashed", message='a "quoted"\nmessage')])
    assert lines[-1] == '{"trial": 1, "failed": "crashed", "message": "a \\"quoted\\" message"}'


def test_running_and_interrupted_trials_are_left_out() -> None:
    trials = [
        trial(1, {"lr": 0.01}, 0.5),
        trial(2, {"lr": 0.02}, None, state="running", failure=None),
        trial(3, {"lr": 0.03}, None, state="interrupted", kind="interrupted"),
    ]
    assert [json.loads(line).get("trial") for line in log_lines(trials)] == [1, 1]


@given(st.data(), st.integers(0, 900))
def test_the_log_is_the_newest_lines_and_never_longer_than_allowed(data: st.DataObject, limit: int) -> None:
    trials = data.draw(histories(SearchSpace(SPEC.params)))
    text, lines = log_text(trials, max_tokens=limit), log_lines(trials)
    assert estimate_tokens(text) <= max(limit, 1)
    shown = text.splitlines()
    if shown and shown[-1] == lines[-1]:
        assert shown == lines[len(lines) - len(shown) :]
        more = lines[-len(shown) - 1 :]
        assert len(shown) == len(lines) or estimate_tokens("\n".join(more) + "\n") > limit
    else:  # not even the last line fits
        assert not lines or lines[-1].startswith(text.strip())
    assert log_text(trials[::-1], max_tokens=limit) == text


# -- what the agents of `raw` see -----------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["raw", "raw-long"])
def test_the_log_is_shown_and_the_test_score_is_not(method: str) -> None:
    model = ScriptedModel(then=first_choice)
    proposal = proposed(method, model, context())
    assert proposal.report.endswith('{"trial": 6, "result": {"val_accuracy": 0.9475, "val_loss": 0.3}}\n')
    assert proposal.report in model.requests[0].messages[-1].content + "\n"
    assert [c.template for c in proposal.calls] == ["analysis_raw.v1", "optimizer_raw.v1"]
    for request in model.requests:
        assert "test_" not in "".join(m.content for m in request.messages)


def test_the_log_of_raw_keeps_to_the_reports_budget() -> None:
    for budget in (200, 600, 1500):
        text = proposed("raw", ScriptedModel(then=first_choice), context(report_tokens=budget)).report
        assert budget - 120 < estimate_tokens(text) <= budget


def test_raw_long_fills_the_context_of_the_embedded_model_and_no_more() -> None:
    space = SearchSpace(SPEC.params)
    long = [trial(n, space.defaults(), 0.5, curve=epochs(200, 0.9)) for n in (1, 2)]
    lengths = []
    for words in ("", "It should be accurate. " * 40, "It should be accurate. " * 200):
        model = ScriptedModel(then=first_choice)
        proposal = proposed("raw-long", model, ProposalContext(study(SPEC, description=words), long, 3))
        prompt = sum(estimate_tokens(m.content) for m in model.requests[0].messages)
        whole = prompt + 2 * model.requests[0].max_tokens + RawLongView.REPAIR_TOKENS
        assert RawLongView.CONTEXT - 60 < whole <= RawLongView.CONTEXT
        lengths.append(estimate_tokens(proposal.report))
    assert RawLongView.LOG_TOKENS >= lengths[0] > 2000
    assert lengths[0] > lengths[1] + 100 > lengths[2] + 200


def test_raw_long_never_shows_less_than_raw() -> None:
    crowded = task(fixed={f"f{i}": i for i in range(300)})  # a prompt that fills the context by itself
    trials = history(crowded)
    logs = []
    for method in ("raw", "raw-long"):
        asked = ProposalContext(study(crowded), trials, 7)
        logs.append(proposed(method, ScriptedModel(then=first_choice), asked).report)
    assert logs[0] == logs[1] != ""


def test_the_changes_are_drawn_by_the_seed_from_all_neighbours() -> None:
    offered: set[str] = set()
    for seed in range(12):
        model = ScriptedModel(then=first_choice)
        proposal = proposed("raw", model, context(seed=seed))
        schema = model.requests[0].schema
        assert schema is not None
        assert list(proposal.options) == schema["properties"]["specific_recommendation"]["enum"]
        assert proposal.base_trial == 4
        offered |= set(proposal.options)
    ranked = context().candidates
    assert ranked is not None
    assert offered > {c.change.text for c in ranked.candidates}
    assert {o.split(":")[0] for o in offered} == set(history(SPEC)[3].config)


def test_a_failed_decision_is_a_coins_and_named() -> None:
    proposal = proposed("raw", ScriptedModel([first_choice], then="no"), context())
    assert proposal.source == "coin"
    assert proposal.change == proposal.options[0]
    assert "no usable answer in 2 attempts" in proposal.fallback
    assert proposal.reason == "Drawn at random from 8 changes."
    assert len(proposal.calls) == 3


def test_a_failed_analysis_is_left_out_and_named() -> None:
    proposal = proposed("raw", ScriptedModel(["no", "no"], then=first_choice), context())
    assert proposal.source == "agents"
    assert proposal.analysis is not None
    assert (proposal.analysis.by, proposal.analysis.specific_recommendation) == ("nobody", "")
    assert "no JSON object" in proposal.analysis.failure
    assert proposal.deviation == ""


def test_the_coin_of_raw_tosses_among_the_changes_of_raw() -> None:
    listed = RawView().candidates(context())
    assert listed is not None
    tossed = make_proposer("coin:raw").propose(context())
    assert tossed is not None
    assert tossed.options == tuple(c.change.text for c in listed.candidates)
    assert tossed.change in tossed.options
    plain = make_proposer("coin:tcs-paper").propose(context())
    assert plain == CoinProposer(TcsView()).propose(context())
    assert plain is not None
    assert plain.options != tossed.options


def test_every_method_is_told_in_one_line() -> None:
    for name, words in METHODS.items():
        assert name == name.strip()
        assert 10 < len(words) < 80
        assert "\n" not in words
