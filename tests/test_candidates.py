from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcs_hpt.evidence.candidates import PER_PARAMETER, SHOWN, candidates, past_effects, single_changes
from tcs_hpt.evidence.roles import role_of
from tcs_hpt.guard import AGENT_RULES, check
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
        ("subsample", "other"),
    ],
)
def test_roles_by_name(name: str, role: str) -> None:
    assert role_of(name) == role


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
    assert [round(e.strength, 3) for e in effects["lr"]] == [0.48, -1.0]
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


def test_without_a_finished_trial_the_latest_failed_one_is_the_base() -> None:
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
