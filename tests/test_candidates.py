from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcs_hpt.evidence.candidates import (
    PER_PARAMETER,
    SHORT,
    SHOWN,
    candidates,
    past_effects,
    shortlist,
    single_changes,
)
from tcs_hpt.evidence.roles import role_of
from tcs_hpt.guard import AGENT_RULES, check
from tcs_hpt.records import FailureKind
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import Objective
from tcs_hpt.trajectory import Diagnosis, Label
from tests.build import configs, histories, history, spaces, task, trial

SPEC = task()
SPACE = SearchSpace(SPEC.params)
OBJECTIVE = SPEC.objective
UNKNOWN = Diagnosis(("unknown",), 0)


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("lr", "learning_rate"),
        ("learning_rate", "learning_rate"),
        ("lr0", "learning_rate"),
        ("eta", "learning_rate"),
        ("weight_decay", "regularization"),
        ("lora_dropout", "regularization"),
        ("reg_alpha", "regularization"),
        ("min_child_weight", "regularization"),
        ("hidden_size", "capacity"),
        ("mlp_layers", "capacity"),
        ("max_depth", "capacity"),
        ("epochs", "duration"),
        ("n_estimators", "duration"),
        ("batch_size", "batch_size"),
        ("momentum", "momentum"),
        ("optimizer", "optimizer"),
        ("activation", "optimizer"),
        ("subsample", "sampling"),
        ("colsample_bytree", "sampling"),
        ("lora_alpha", "other"),
        ("kernel_size", "other"),
        ("lr_decay", "other"),
        ("hidden_act", "optimizer"),
        ("num_boost_round", "duration"),
        ("min_samples_leaf", "regularization"),
    ],
)
def test_roles_by_name(name: str, role: str) -> None:
    assert role_of(name) == role


def test_gamma_means_what_stands_beside_it() -> None:
    assert role_of("gamma", ["gamma", "C"]) == "capacity"
    assert role_of("gamma", ["gamma", "reg_lambda"]) == "regularization"


def failing(kind: FailureKind, count: int) -> list[str]:
    """The expert's changes while every trial fails in the same way."""
    first = trial(1, SPACE.defaults(), None, kind=kind)
    trials, made = [first], []
    for _ in range(count):
        listed = candidates(SPACE, trials, OBJECTIVE, Diagnosis(("still improving",), 10))
        assert listed is not None
        assert listed.base == first  # not walking on from one failure to the next
        made.append(listed.candidates[0].change.text)
        trials.append(trial(len(trials) + 1, listed.candidates[0].config, None, 1, kind=kind))
    return made


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("timeout", {"epochs: 10 -> 2", "hidden_size: 100 -> 42"}),
        ("out_of_memory", {"batch_size: 128 -> 64", "hidden_size: 100 -> 42"}),
        ("diverged", {"lr: 0.001 -> 1e-4"}),
    ],
)
def test_while_nothing_finishes_the_failure_is_answered_not_the_curve(
    kind: FailureKind, expected: set[str]
) -> None:
    assert expected <= set(failing(kind, 4))


def test_one_collapse_does_not_make_a_clear_gain_look_small() -> None:
    def strengths(collapsed: float) -> list[float]:
        base = trial(1, SPACE.defaults(), 0.80)
        wider = trial(2, SPACE.changed(base.config, "hidden_size", 200), 0.83, 1)
        bad = trial(3, SPACE.changed(base.config, "lr", 0.5), collapsed, 1)
        return [e.strength for e in past_effects(SPACE, [base, wider, bad], OBJECTIVE)["hidden_size"]]

    assert strengths(0.79) == strengths(0.10) == [1.0]


def test_a_change_that_did_nothing_is_not_repeated_at_once() -> None:
    base = trial(1, SPACE.defaults(), 0.80)
    same = trial(2, SPACE.changed(base.config, "weight_decay", 0.003), 0.80, 1)
    listed = candidates(SPACE, [base, same], OBJECTIVE, Diagnosis(("overfitting",), 10))
    assert listed is not None
    assert listed.candidates[0].change.parameter != "weight_decay"


def first_change(label: Label, trials: int = 1) -> tuple[str, bool]:
    """Parameter of the top candidate and whether it goes up."""
    listed = candidates(SPACE, history(SPEC)[:trials], OBJECTIVE, Diagnosis((label,), 10))
    assert listed is not None
    change = listed.candidates[0].change
    assert isinstance(change.new, int | float)
    assert isinstance(change.old, int | float)
    return change.parameter, change.new > change.old


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("overfitting", ("weight_decay", True)),
        ("underfitting", ("lr", True)),
        ("unstable", ("lr", False)),
        ("diverged", ("lr", False)),
        ("still improving", ("epochs", True)),
        ("plateaued", ("hidden_size", True)),
    ],
)
def test_the_top_candidate_answers_the_diagnosis(label: Label, expected: tuple[str, bool]) -> None:
    if label == "still improving":
        parameter, up = first_change(label)
        assert up
        assert parameter in ("epochs", "lr")
    else:
        assert first_change(label) == expected


def test_an_answered_diagnosis_names_itself_in_the_reason() -> None:
    listed = candidates(SPACE, history(SPEC)[:1], OBJECTIVE, Diagnosis(("overfitting",), 10))
    assert listed is not None
    assert listed.candidates[0].reason == "The curve shows overfitting; raising weight_decay answers that."


def test_past_effects_are_relative_to_the_largest_and_failures_are_worst() -> None:
    effects = past_effects(SPACE, history(SPEC), OBJECTIVE)
    assert [round(e.strength, 3) for e in effects["lr"]] == [1.0, -1.0]
    assert effects["optimizer"][0].direction == 0
    assert effects["optimizer"][0].strength == -1.0


def test_a_direction_that_hurt_is_ranked_below_its_opposite() -> None:
    space = SearchSpace(task({"lr": {"type": "float", "low": 1e-5, "high": 1.0, "log": True}}).params)
    base = trial(1, {"lr": 0.01}, 0.9)
    worse = trial(2, {"lr": 0.1}, 0.7, 1)
    listed = candidates(space, [base, worse], OBJECTIVE, UNKNOWN)
    assert listed is not None
    new = listed.candidates[0].change.new
    assert isinstance(new, float)
    assert new < 0.01


def test_the_base_is_the_incumbent_and_ties_keep_the_earlier() -> None:
    listed = candidates(SPACE, history(SPEC), OBJECTIVE, UNKNOWN)
    assert listed is not None
    assert listed.base is not None
    assert listed.base.number == 4
    first, second = trial(1, {"x": 1}, 0.5), trial(2, {"x": 2}, 0.5)
    space = SearchSpace(task({"x": {"type": "int", "low": 1, "high": 9}}).params)
    listed = candidates(space, [second, first], OBJECTIVE, UNKNOWN)
    assert listed is not None
    assert listed.base == first


def test_without_a_finished_trial_the_start_is_the_base() -> None:
    failed = trial(1, SPACE.defaults(), None)
    listed = candidates(SPACE, [failed], OBJECTIVE, UNKNOWN)
    assert listed is not None
    assert listed.base == failed


def test_running_trials_count_as_tested() -> None:
    space = SearchSpace(task({"o": {"type": "categorical", "choices": ["a", "b", "c"]}}).params)
    done = trial(1, {"o": "a"}, 0.5)
    running = trial(2, {"o": "b"}, None, 1, state="running", failure=None)
    listed = candidates(space, [done, running], OBJECTIVE, UNKNOWN)
    assert listed is not None
    assert [c.change.new for c in listed.candidates] == ["c"]


def test_when_the_base_has_no_neighbour_left_the_next_best_is_base() -> None:
    space = SearchSpace(
        task(
            {
                "a": {"type": "categorical", "choices": ["x", "y"]},
                "b": {"type": "categorical", "choices": ["x", "y"]},
            }
        ).params
    )
    trials = [
        trial(1, {"a": "x", "b": "x"}, 0.5),
        trial(2, {"a": "y", "b": "x"}, 0.4, 1),
        trial(3, {"a": "x", "b": "y"}, 0.3, 1),
    ]
    listed = candidates(space, trials, OBJECTIVE, UNKNOWN)
    assert listed is not None
    assert listed.base is not None
    assert listed.base.number == 2
    trials.append(trial(4, {"a": "y", "b": "y"}, 0.2, 2))
    assert candidates(space, trials, OBJECTIVE, UNKNOWN) is None  # exhausted


def test_small_integer_spaces_are_used_up_completely() -> None:
    space = SearchSpace(task({"n": {"type": "int", "low": 1, "high": 12}}).params)
    trials = [trial(1, {"n": 1}, 0.0)]
    objective = Objective(metric="val_accuracy", direction="maximize")
    while (listed := candidates(space, trials, objective, UNKNOWN)) is not None:
        config = listed.candidates[0].config
        assert listed.base is not None
        trials.append(trial(len(trials) + 1, config, float(len(trials)), listed.base.number))
    assert sorted(t.config["n"] for t in trials) == list(range(1, 13))


@given(st.data(), spaces())
def test_lists_hold_only_allowed_untested_single_changes(data: st.DataObject, space: SearchSpace) -> None:
    trials = data.draw(histories(space, max_size=6))
    listed = candidates(space, trials, OBJECTIVE, UNKNOWN)
    if listed is None:
        return
    assert 1 <= len(listed.candidates) <= SHOWN
    for candidate in listed.candidates:
        decision = check(candidate.config, space, trials, AGENT_RULES, listed.base_config)
        assert decision.accepted, decision.reasons
    texts = [c.change.text for c in listed.candidates]
    assert len(set(texts)) == len(texts)
    names = [c.change.parameter for c in listed.candidates]
    if len(set(names)) * PER_PARAMETER >= SHOWN and len(names) == SHOWN:
        assert all(names.count(n) <= SHOWN for n in names)


@given(st.data(), spaces())
def test_single_changes_do_not_depend_on_record_order(data: st.DataObject, space: SearchSpace) -> None:
    base = data.draw(configs(space))
    trials = data.draw(histories(space, max_size=5))
    assert single_changes(space, base, trials) == single_changes(space, base, trials[::-1])


@given(st.data(), spaces())
def test_a_short_list_is_the_best_of_different_parameters(data: st.DataObject, space: SearchSpace) -> None:
    listed = candidates(space, data.draw(histories(space, max_size=6)), OBJECTIVE, UNKNOWN)
    if listed is None:
        return
    short = shortlist(listed)
    assert (short.base, short.base_config) == (listed.base, listed.base_config)
    assert short.candidates[0] == listed.candidates[0]
    assert [c for c in listed.candidates if c in short.candidates] == list(short.candidates)
    names = [c.change.parameter for c in short.candidates]
    on_offer = {c.change.parameter for c in listed.candidates}
    assert len(names) == min(SHORT, len(listed.candidates))
    assert len(set(names)) == min(SHORT, len(on_offer))
    for one in short.candidates:
        if names.count(one.change.parameter) == 1:
            assert one == next(c for c in listed.candidates if c.change.parameter == one.change.parameter)


def test_what_an_earlier_study_found_has_a_place_on_the_short_list() -> None:
    listed = candidates(SPACE, history(SPEC), OBJECTIVE, UNKNOWN)
    assert listed is not None
    last = replace(listed.candidates[-1], remembered=True)
    assert last.change.text not in [c.change.text for c in shortlist(listed).candidates]
    short = shortlist(replace(listed, candidates=(*listed.candidates[:-1], last)))
    assert short.candidates[:-1] == shortlist(listed).candidates[:-1]
    assert short.candidates[-1] == last
