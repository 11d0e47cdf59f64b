from __future__ import annotations

import json
from collections import Counter

import pytest

from tcs_hpt.errors import ModelError
from tcs_hpt.experiments.questions import Answer, ask, plan
from tcs_hpt.experiments.states import STATES, find_states
from tcs_hpt.llm.scripted import ScriptedModel
from tests.experiments.models import by_content, by_place, choosing, invalid, options, sometimes

TWO = find_states(["diverged", "plateau"])


def test_the_plan_holds_orders_repetitions_and_one_question_twice() -> None:
    questions = plan(TWO, repeats=4, orders=3)
    purposes = [(q.state.name, q.purpose) for q in questions]
    assert Counter(purposes) == {
        ("diverged", "order"): 3,
        ("diverged", "repeat"): 3,
        ("diverged", "again"): 1,
        ("plateau", "order"): 3,
        ("plateau", "repeat"): 3,
    }
    assert purposes == sorted(purposes, key=lambda p: p[0])  # one state after the other
    assert plan(TWO, repeats=4, orders=3) == questions


def test_repetitions_can_be_kept_to_the_first_states() -> None:
    questions = plan(TWO, repeats=4, orders=3, repeat_in=1)
    purposes = Counter((q.state.name, q.purpose) for q in questions)
    assert purposes["diverged", "repeat"] == 3
    assert purposes["plateau", "repeat"] == 0
    assert purposes["plateau", "order"] == 3


def test_seeds_differ_but_for_the_question_asked_twice() -> None:
    questions = plan(TWO, repeats=5, orders=4)
    seeds = Counter(q.seed for q in questions)
    (again,) = (q for q in questions if q.purpose == "again")
    assert [s for s, times in seeds.items() if times > 1] == [again.seed]
    first = questions[0]
    assert (again.seed, again.options, again.state) == (first.seed, first.options, first.state)


@pytest.mark.parametrize("orders", [1, 2, 4, 8])
def test_orders_are_rotations_that_never_show_a_change_at_the_same_place(orders: int) -> None:
    questions = [q for q in plan(TWO, repeats=3, orders=orders) if q.state is TWO[0]]
    lists = {q.order: q.options for q in questions if q.purpose == "order"}
    assert len(lists) == orders
    for place in range(8):
        assert len({listed[place] for listed in lists.values()}) == orders
    for listed in lists.values():
        start = lists[0].index(listed[0])
        assert listed == (*lists[0][start:], *lists[0][:start])
    assert {q.options for q in questions if q.purpose != "order"} == {lists[0]}


def test_the_list_is_not_shown_in_the_order_of_the_data() -> None:
    for question in plan(find_states(list(STATES)), repeats=1, orders=1):
        ranks = [list(question.state.changes).index(text) for text in question.options]
        assert ranks != sorted(ranks)


def test_the_products_own_questions_are_asked() -> None:
    model = by_place(2)
    (question,) = plan(TWO[:1], repeats=1, orders=1)[:1]
    analysed, decided = list(ask(model, [question]))
    first, second = model.requests
    assert [first.lane, second.lane] == ["analysis", "optimizer"]
    assert first.temperature == second.temperature == 0.7
    assert TWO[0].context.report_text.strip() in first.messages[-1].content
    for request in (first, second):
        assert options(request) == list(question.options)
    assert f"Recommendation: {question.options[2]}" in second.messages[-1].content
    assert (analysed.role, analysed.choice, analysed.place) == ("analysis", question.options[2], 2)
    assert (decided.role, decided.choice, decided.recommended) == (
        "optimizer",
        question.options[2],
        question.options[2],
    )
    assert [c.template for a in (analysed, decided) for c in a.calls] == ["analysis.v1", "optimizer.v1"]


def test_the_same_seed_makes_the_same_request_and_repetitions_do_not() -> None:
    model = by_place()
    questions = plan(TWO[:1], repeats=3, orders=1)
    list(ask(model, questions))
    digests = [r.digest() for r in model.requests if r.lane == "analysis"]
    assert [q.purpose for q in questions] == ["order", "repeat", "repeat", "again"]
    assert digests[3] == digests[0]
    assert len(set(digests)) == 3
    assert len({r.messages for r in model.requests if r.lane == "analysis"}) == 1


def test_the_number_of_calls_is_known_beforehand() -> None:
    questions = plan(TWO, repeats=4, orders=3)
    model = by_place()
    answers = list(ask(model, questions))
    assert len(model.requests) == len(answers) == sum(len(q.roles) for q in questions)


def test_an_answer_that_needs_repair_keeps_both_attempts() -> None:
    model = sometimes(["no idea"], by_content())
    answer = next(ask(model, plan(TWO[:1], repeats=1, orders=1)))
    assert answer.choice == "lr: 0.5 -> 0.05"
    assert answer.learning_rate == 0.05
    assert [bool(c.problems) for c in answer.calls] == [True, False]
    assert answer.calls[0].reply == "no idea"
    assert answer.calls[0].messages == ()


def test_no_usable_analysis_no_decision() -> None:
    answers = list(ask(invalid(), plan(TWO, repeats=2, orders=2)))
    assert {a.role for a in answers} == {"analysis"}
    assert {a.choice for a in answers} == {None}
    assert {a.place for a in answers} == {None}


def test_a_refused_decision_is_recorded() -> None:
    model = ScriptedModel(
        then=lambda r: by_content().complete(r).text if r.lane == "analysis" else json.dumps({"lr": 9})
    )
    analysed, decided = list(ask(model, plan(TWO[:1], repeats=1, orders=1)[:1]))
    assert analysed.choice is not None
    assert decided.choice is None
    assert len(decided.calls) == 2


def test_other_changes_have_no_learning_rate() -> None:
    model = choosing(lambda listed, request: next(o for o in listed if o.startswith("epochs")))
    answer = next(ask(model, plan(TWO[:1], repeats=1, orders=1)))
    assert answer.choice is not None
    assert answer.learning_rate is None


def test_a_model_that_fails_at_once_is_an_error() -> None:
    model = ScriptedModel([])
    answers = ask(model, plan(TWO, repeats=2, orders=2))
    next(answers)
    with pytest.raises(ModelError, match="the model failed: scripted has no reply left"):
        next(answers)
    assert len(model.requests) == 2


def test_a_model_that_dies_later_is_given_up_after_a_few_questions() -> None:
    good = by_place()
    questions = plan(TWO[:1], repeats=9, orders=1)
    replies = [lambda r: good.complete(r).text] * 4  # analysis, decision, two repetitions
    model = ScriptedModel(replies)
    answers: list[Answer] = []
    with pytest.raises(ModelError, match="the model failed"):
        answers.extend(ask(model, questions))
    assert [a.choice is not None for a in answers] == [True] * 4 + [False] * 3
