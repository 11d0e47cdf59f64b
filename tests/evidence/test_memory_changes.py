"""What is remembered, offered as changes of a base."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tcs_hpt.evidence.candidates import SHOWN, CandidateList, candidates
from tcs_hpt.evidence.memory import (
    OFFERED,
    EarlierStudy,
    Memory,
    Tried,
    recall,
    remembered_changes,
    with_memory,
)
from tcs_hpt.guard import AGENT_RULES, check
from tcs_hpt.records import Trial
from tcs_hpt.space import SearchSpace, check_value
from tcs_hpt.spec import Config, TaskSpec
from tcs_hpt.trajectory import Diagnosis
from tests.build import configs, histories, parameter_specs, spaces, study, task, trial
from tests.evidence.earlier import START, TASK, changed, earlier
from tests.evidence.spaces import pick, whole

SPACE = SearchSpace(TASK.params)
UNKNOWN = Diagnosis(("unknown",), 0)


def changes(
    memory: Memory, base: Config | None = None, trials: Sequence[Trial] = (), spec: TaskSpec = TASK
) -> list[str]:
    found = remembered_changes(spec, memory.values, base or SearchSpace(spec.params).defaults(), trials)
    return [c.change.text for c in found]


def test_at_most_a_few_one_for_each_parameter() -> None:
    old = [
        earlier("a", {"lr": 0.01, "epochs": 20, "hidden_size": 200}),
        earlier("b", {"lr": 0.1, "weight_decay": 0.1, "batch_size": 16}),
    ]
    memory = recall(study(), old)
    found = changes(memory)
    assert len(memory.values) == 6
    assert len(found) == OFFERED
    assert len({text.split(":")[0] for text in found}) == OFFERED


def test_what_this_study_tried_itself_is_not_offered() -> None:
    memory = recall(study(), [earlier(found={"lr": 0.01, "epochs": 20})])
    assert sorted(changes(memory)) == ["epochs: 10 -> 20", "lr: 0.001 -> 0.01"]
    worse = trial(2, {**START, "lr": 0.0101}, 0.5, 1)
    assert changes(memory, trials=[worse]) == ["epochs: 10 -> 20"]
    assert changes(memory, base={**START, "lr": 0.0101}) == ["epochs: 10 -> 20"]
    stopped = trial(2, {**START, "lr": 0.01}, None, 1, state="interrupted")
    assert len(changes(memory, trials=[stopped])) == 2


def test_an_inactive_parameter_is_not_changed_and_children_follow_the_rules() -> None:
    memory = recall(study(), [earlier(found={"optimizer": "sgd", "momentum": 0.5})])
    (only,) = remembered_changes(TASK, memory.values, START, [])
    assert only.change.text == "optimizer: adam -> sgd"
    assert only.config == {**START, "optimizer": "sgd", "momentum": 0.9}
    assert changes(memory, base=only.config) == ["momentum: 0.9 -> 0.5"]


def test_a_learning_rate_belongs_to_its_optimizer() -> None:
    memory = recall(study(), [earlier(found={"optimizer": "sgd", "lr": 0.1})])
    assert changes(memory) == ["optimizer: adam -> sgd"]
    assert "lr: 0.001 -> 0.1" in changes(memory, base={**START, "optimizer": "sgd", "momentum": 0.9})
    settled = TASK.narrowed(fix={"optimizer": "adam"})
    assert (
        changes(recall(study(settled), [earlier(found={"optimizer": "sgd", "lr": 0.1})]), spec=settled) == []
    )


@pytest.mark.parametrize(("base", "offered"), [(10, True), (100, False)])
def test_where_an_earlier_range_ended_the_value_is_a_bound_only(base: int, offered: bool) -> None:
    wider = changed(epochs=whole(2, 400, default=base))
    memory = recall(study(wider), [earlier(found={"epochs": 40})])
    assert memory.values[0].reason == (
        "epochs 40 was best in an earlier study of this task, where the range ended."
    )
    assert changes(memory, spec=wider) == ([f"epochs: {base} -> 40"] if offered else [])
    assert memory.configurations == ()


@pytest.mark.parametrize(("base", "offered"), [(64, True), (16, False)])
def test_ordered_choices_have_ends_too(base: int, offered: bool) -> None:
    there = task({"batch_size": pick(32, 64, 128, default=64)})
    here = task({"batch_size": pick(8, 16, 32, 64, 128, default=base)})
    memory = recall(study(here), [earlier(found={"batch_size": 32}, spec=there)])
    assert bool(changes(memory, spec=here)) == offered


def test_remembered_changes_join_a_list_and_take_the_place_of_near_ones() -> None:
    trials = [trial(1, START, 0.8)]
    listed = candidates(SPACE, trials, TASK.objective, UNKNOWN)
    assert listed is not None
    near = next(c for c in listed.candidates if c.change.parameter == "lr")
    memory = recall(study(), [earlier(found={"lr": near.change.new, "epochs": 21})])
    joined = with_memory(TASK, listed, memory.values, trials)
    assert (joined.base, joined.base_config) == (listed.base, listed.base_config)
    assert len(joined.candidates) == len(listed.candidates) == SHOWN
    assert sum(c.change == near.change for c in joined.candidates) == 1
    assert {c.reason for c in joined.candidates[:2]} == {v.reason for v in memory.values}
    assert [c.score for c in joined.candidates] == sorted((c.score for c in joined.candidates), reverse=True)
    assert with_memory(TASK, listed, (), trials) is listed


# -- whatever was remembered ------------------------------------------------------------------------------------


@st.composite
def earlier_studies(draw: st.DrawFn, space: SearchSpace, count: int = 3) -> list[EarlierStudy]:
    """Studies in spaces that share some parameters with `space`, hold some of its names otherwise, and lack some."""
    found = []
    for number in range(draw(st.integers(0, count))):
        params: dict[str, Any] = {}
        for name, parameter in space.params.items():
            kind = draw(st.sampled_from(["same", "same", "other", "missing"]))
            if kind == "same":
                params[name] = parameter.model_dump()
                if any(params.get(p) != space.params[p].model_dump() for p in parameter.when):
                    params[name]["when"] = {}  # there is no such parent, or it has other choices
            elif kind == "other":
                params[name] = draw(parameter_specs())
        params.setdefault("extra", {"type": "int", "low": 1, "high": 5})
        old = task(params, name=draw(st.sampled_from(["digits", "other"])))
        there = SearchSpace(old.params)
        start, best = draw(configs(there)), draw(configs(there))
        began = draw(st.one_of(st.none(), st.floats(-2, 2)))
        found.append(
            EarlierStudy(
                name=f"s{number}",
                task=old,
                profile=draw(st.sampled_from([None, "smoke"])),
                created_at=f"2026-01-0{draw(st.integers(1, 3))}T00:00:00+00:00",
                finished=draw(st.integers(2, 12)),
                failed=0,
                start=Tried(1, start, began),
                best=Tried(2, best, draw(st.floats(-2, 2))),
            )
        )
    return found


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), spaces())
def test_nothing_outside_the_space_is_ever_offered(data: st.DataObject, space: SearchSpace) -> None:
    spec = task({n: p.model_dump() for n, p in space.params.items()})
    memory = recall(study(spec), data.draw(earlier_studies(space)))
    trials = data.draw(histories(space, max_size=4))
    for configuration in memory.configurations:
        assert space.contains(configuration.config)
    for value in memory.values:
        assert check_value(value.parameter, space.params[value.parameter], value.value) is None
        assert 0.4 <= value.score < 1.6
    base = data.draw(configs(space))
    for candidate in remembered_changes(spec, memory.values, base, trials):
        decision = check(candidate.config, space, trials, AGENT_RULES, base)
        assert decision.accepted, decision.reasons
    listed = candidates(space, trials, spec.objective, UNKNOWN)
    if listed is not None:
        joined = with_memory(spec, listed, memory.values, trials)
        assert_sound(joined, space, trials)


def assert_sound(listed: CandidateList, space: SearchSpace, trials: Sequence[Trial]) -> None:
    """What the agents and the guard rely on."""
    assert 1 <= len(listed.candidates) <= SHOWN
    texts = [c.change.text for c in listed.candidates]
    assert len(set(texts)) == len(texts)
    for candidate in listed.candidates:
        assert check(candidate.config, space, trials, AGENT_RULES, listed.base_config).accepted


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), spaces())
def test_the_order_of_studies_and_trials_does_not_matter(data: st.DataObject, space: SearchSpace) -> None:
    spec = task({n: p.model_dump() for n, p in space.params.items()})
    old = data.draw(earlier_studies(space))
    shuffled = data.draw(st.permutations(old))
    memory = recall(study(spec), old)
    assert recall(study(spec), shuffled) == memory
    trials, base = data.draw(histories(space, max_size=4)), data.draw(configs(space))
    assert remembered_changes(spec, memory.values, base, trials) == remembered_changes(
        spec, memory.values, base, trials[::-1]
    )
