from __future__ import annotations

import json
from typing import Any

import pytest

from tcs_hpt.errors import ModelError
from tcs_hpt.events import Analysed, Event, Thinking
from tcs_hpt.evidence.blocks import without
from tcs_hpt.llm import ChatReply, ChatRequest
from tcs_hpt.llm.scripted import ScriptedModel, first_choice
from tcs_hpt.proposers import AgentsProposer, CoinProposer, ProposalContext
from tcs_hpt.proposers.views import EvidenceView, TcsView, View
from tcs_hpt.records import Trial
from tests.build import history, study, task, trial

SPEC = task()


def context(trials: list[Trial] | None = None, watch: Any = None, **changes: Any) -> ProposalContext:
    trials = history(SPEC) if trials is None else trials
    return ProposalContext(study(SPEC, **changes), trials, len(trials) + 1, watch or (lambda event: None))


def options(request: ChatRequest, key: str) -> list[str]:
    assert request.schema is not None
    return list(request.schema["properties"][key]["enum"])


def recommend(index: int) -> Any:
    def answer(request: ChatRequest) -> str:
        found = json.loads(first_choice(request))
        if "specific_recommendation" in found:
            found["specific_recommendation"] = options(request, "specific_recommendation")[index]
        else:
            found["hyperparameters"] = options(request, "hyperparameters")[index]
        return json.dumps(found)

    return answer


def test_both_agents_agree_on_a_listed_change() -> None:
    model = ScriptedModel(then=recommend(2))
    proposal = AgentsProposer(model, model).propose(context())
    assert proposal is not None
    assert proposal.source == "agents"
    assert proposal.change == options(model.requests[0], "specific_recommendation")[2]
    assert proposal.change in proposal.options
    assert proposal.base_trial == 4
    assert proposal.deviation == ""
    assert [c.role for c in proposal.calls] == ["analysis", "optimizer"]
    assert proposal.decision.accepted
    assert proposal.report.startswith("CURRENT SITUATION")


def test_the_optimizer_may_deviate_and_the_record_says_so() -> None:
    model = ScriptedModel([recommend(0), recommend(3)])
    proposal = AgentsProposer(model, model).propose(context())
    assert proposal is not None
    shown = options(model.requests[1], "hyperparameters")
    assert proposal.change == shown[3]
    assert proposal.deviation == f"the analysis recommended {shown[0]}"


def test_one_repair_round_shows_the_error() -> None:
    model = ScriptedModel(["nonsense", recommend(0), '{"hyperparameters": "lr: 1 -> 9"}', recommend(0)])
    proposal = AgentsProposer(model, model).propose(context())
    assert proposal is not None
    assert proposal.source == "agents"
    assert [(c.role, c.attempt) for c in proposal.calls] == [
        ("analysis", 1),
        ("analysis", 2),
        ("optimizer", 1),
        ("optimizer", 2),
    ]
    assert "the answer holds no JSON object" in model.requests[1].messages[-1].content
    assert "must be one of" in model.requests[3].messages[-1].content
    assert [r.attempt for r in proposal.rejected] == [1, 1]


def test_a_failed_analysis_is_replaced_by_the_diagnosis_and_named() -> None:
    model = ScriptedModel(["no", "still no", recommend(0)])
    proposal = AgentsProposer(model, model).propose(context())
    assert proposal is not None
    assert proposal.source == "agents"
    assert proposal.analysis is not None
    assert proposal.analysis.by == "diagnosis"
    assert proposal.analysis.problem_diagnosis.startswith("overfitting from epoch")
    assert "no JSON object" in proposal.analysis.failure


def test_a_failed_decision_is_replaced_by_the_expert_and_named() -> None:
    model = ScriptedModel([recommend(0)], then="no")
    proposal = AgentsProposer(model, model).propose(context())
    assert proposal is not None
    assert proposal.source == "expert"
    assert "no usable answer in 2 attempts: the answer holds no JSON object" in proposal.fallback
    listed = context().candidates
    assert listed is not None
    assert proposal.config == listed.candidates[0].config


def test_a_model_that_dies_later_is_recorded_and_the_study_goes_on() -> None:
    model = ScriptedModel([])
    proposal = AgentsProposer(model, model).propose(context())
    assert proposal is not None
    assert proposal.source == "expert"
    assert "the model failed" in proposal.fallback


def test_a_model_that_fails_at_the_first_question_is_an_error() -> None:
    model = ScriptedModel([])
    with pytest.raises(ModelError, match="the model failed"):
        AgentsProposer(model, model).propose(context([]))


def test_the_bootstrap_analysis_comments_on_the_given_start() -> None:
    model = ScriptedModel(then=first_choice)
    seen: list[Event] = []
    proposal = AgentsProposer(model, model).propose(context([], watch=seen.append))
    assert proposal is not None
    assert (proposal.source, proposal.config) == ("start", context().space.defaults())
    assert [c.role for c in proposal.calls] == ["bootstrap"]
    assert proposal.analysis is not None
    assert proposal.analysis.expected_outcome is None
    assert [type(e) for e in seen] == [Thinking, Analysed]


def test_a_cold_start_is_one_answer_for_every_parameter() -> None:
    model = ScriptedModel(then=first_choice)
    proposal = AgentsProposer(model, model).propose(context([], start="cold"))
    assert proposal is not None
    assert proposal.source == "agents"
    assert len(model.requests) == 1
    assert context().space.contains(proposal.config)


def test_a_model_that_favours_places_starts_elsewhere_with_each_seed() -> None:
    starts = set()
    for seed in range(6):
        model = ScriptedModel(then=first_choice)
        proposal = AgentsProposer(model, model).propose(context([], start="cold", seed=seed))
        assert proposal is not None
        starts.add(proposal.config["lr"])
    assert len(starts) > 2


def test_the_evidence_narrows_a_cold_start_to_values_worth_trying() -> None:
    """Also for its coin; without the knowledge block, and in the published method, all of the scale is on offer."""

    def rates(view: View) -> tuple[set[float], set[float]]:
        model = ScriptedModel(then=first_choice)
        AgentsProposer(model, model, view).propose(context([], start="cold"))
        (request,) = model.requests
        assert request.schema is not None
        drawn = [CoinProposer(view).propose(context([], start="cold", seed=seed)) for seed in range(20)]
        offered = request.schema["properties"]["lr"]["enum"]
        return set(offered), {float(p.config["lr"]) for p in drawn if p is not None}

    narrow, drawn = rates(EvidenceView())
    wide, all_drawn = rates(TcsView())
    assert min(wide) < min(narrow) <= max(narrow) < max(wide)
    assert drawn <= narrow
    assert max(all_drawn) > max(narrow)
    assert rates(EvidenceView(without(["knowledge"])))[0] == wide


def test_a_failed_cold_start_falls_back_to_the_middles() -> None:
    model = ScriptedModel(then="no")
    proposal = AgentsProposer(model, model).propose(context([], start="cold"))
    assert proposal is not None
    assert (proposal.source, proposal.config) == ("expert", context().space.middles())
    assert proposal.fallback


def test_free_answers_are_bound_by_the_guard() -> None:
    answers = ['{"hyperparameters": "lr=0.02, epochs=7"}', '{"hyperparameters": "lr=0.02"}']
    model = ScriptedModel([recommend(0), *answers])
    proposal = AgentsProposer(model, model).propose(context(answers="free"))
    assert proposal is not None
    assert proposal.change == "lr: 0.003 -> 0.02"
    assert "2 parameters were changed" in model.requests[2].messages[-1].content


def test_the_list_is_shuffled_by_the_seed_and_the_same_for_both_agents() -> None:
    def shown(seed: int) -> tuple[list[str], list[str]]:
        model = ScriptedModel(then=recommend(0))
        AgentsProposer(model, model).propose(context(seed=seed))
        first, second = model.requests
        return options(first, "specific_recommendation"), options(second, "hyperparameters")

    orders = [shown(seed) for seed in range(4)]
    assert all(a == b for a, b in orders)
    assert len({tuple(a) for a, _ in orders}) > 1
    assert len({tuple(sorted(a)) for a, _ in orders}) == 1


def test_proposing_twice_gives_the_same_and_seeds_differ_between_calls() -> None:
    model = ScriptedModel(then=recommend(1))
    first = AgentsProposer(model, model).propose(context())
    again = AgentsProposer(model, model).propose(context())
    assert first is not None
    assert again is not None
    assert first.model_copy(update={"seconds": 0.0}) == again.model_copy(update={"seconds": 0.0})
    seeds = [r.seed for r in model.requests[:2]]
    assert len(set(seeds)) == 2


def test_model_seeds_depend_on_the_place_in_the_budget_not_on_the_number() -> None:
    past = history(SPEC)
    gap = trial(7, past[0].config, None, state="interrupted")
    seeds = []
    for trials in (past, [*past, gap]):
        model = ScriptedModel(then=recommend(0))
        AgentsProposer(model, model).propose(ProposalContext(study(SPEC), trials, len(trials) + 1))
        seeds.append([r.seed for r in model.requests])
    assert seeds[0] == seeds[1]


def test_two_models_share_the_work() -> None:
    analyst, optimizer = (
        ScriptedModel(then=recommend(0), name="a"),
        ScriptedModel(then=recommend(0), name="b"),
    )
    proposal = AgentsProposer(analyst, optimizer).propose(context())
    assert proposal is not None
    assert [c.model for c in proposal.calls] == ["a", "b"]


def test_every_prompt_carries_the_users_words_and_never_the_test_score() -> None:
    words = "ResNet on my photos, I care about F1"
    model = ScriptedModel(then=first_choice)
    for trials, start in [([], "defaults"), ([], "cold"), (history(SPEC), "defaults")]:
        AgentsProposer(model, model).propose(context(trials, description=words, start=start))
    assert len(model.requests) == 4
    for request in model.requests:
        text = "\n".join(m.content for m in request.messages)
        assert words in text
        assert "0.1235" not in text
        assert "test_accuracy" not in text


def test_static_text_comes_first_so_that_a_server_can_reuse_the_prefix() -> None:
    model = ScriptedModel(then=recommend(0))
    AgentsProposer(model, model).propose(context(history(SPEC)[:2]))
    AgentsProposer(model, model).propose(context())
    for role in ("analysis", "optimizer"):
        systems = {r.messages[0].content for r in model.requests if r.lane == role}
        assert len(systems) == 1


class Flaky(ScriptedModel):
    """Fails at its first question."""

    def complete(self, request: ChatRequest) -> ChatReply:
        if not self.requests:
            self.requests.append(request)
            raise ModelError("the server is gone", hint="Start it.")
        return super().complete(request)


def test_a_model_that_failed_is_asked_the_same_again() -> None:
    model = Flaky(then=first_choice)
    proposal = AgentsProposer(model, model).propose(context())
    assert proposal is not None
    assert proposal.calls[0].problems == ("the model failed: the server is gone",)
    assert model.requests[1].messages == model.requests[0].messages
    assert not proposal.fallback
