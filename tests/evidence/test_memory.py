from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tcs_hpt.evidence.candidates import SHOWN, CandidateList, candidates
from tcs_hpt.evidence.memory import (
    OFFERED,
    EarlierStudy,
    Lesson,
    Memory,
    RememberedValue,
    Tried,
    recall,
    remembered_changes,
    with_memory,
)
from tcs_hpt.guard import AGENT_RULES, check
from tcs_hpt.records import Trial
from tcs_hpt.space import SearchSpace, check_value
from tcs_hpt.spec import Config, Scalar, StudySpec, TaskSpec
from tcs_hpt.trajectory import Diagnosis
from tests.build import PARAMS, configs, histories, parameter_specs, spaces, study, task, trial
from tests.evidence.spaces import pick, real, whole

TASK = task()
SPACE = SearchSpace(TASK.params)
START = SPACE.defaults()
UNKNOWN = Diagnosis(("unknown",), 0)


def earlier(
    name: str = "old",
    found: Mapping[str, Scalar] | None = None,
    *,
    spec: TaskSpec = TASK,
    began: float | None = 0.80,
    best: float | None = 0.90,
    profile: str | None = None,
    day: int = 1,
    finished: int = 10,
) -> EarlierStudy:
    """A study that began with its defaults and was best with some other values."""
    space = SearchSpace(spec.params)
    config = space.completed({**space.defaults(), **({"lr": 0.01} if found is None else found)})
    return EarlierStudy(
        name=name,
        task=spec,
        profile=profile,
        created_at=f"2026-01-{day:02d}T00:00:00+00:00",
        finished=finished,
        failed=1,
        start=Tried(1, space.defaults(), began),
        best=None if best is None else Tried(4, config, best),
    )


def changed(**changes: Any) -> TaskSpec:
    """The task with another declaration of some parameters; None leaves one out."""
    params = {name: spec for name, spec in {**PARAMS, **changes}.items() if spec is not None}
    return task(params)


def told(memory: Memory) -> list[tuple[str, Scalar]]:
    return [(v.parameter, v.value) for v in memory.values]


def reasons(*studies: EarlierStudy, present: StudySpec | None = None) -> list[str]:
    return [v.reason for v in recall(present or study(), studies).values]


# -- which studies --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("one", "lesson"),
    [
        (earlier(), "improved"),
        (earlier(began=None), "improved"),
        (earlier(finished=2), "too few trials"),
        (earlier(best=None, finished=0), "nothing finished"),
        (earlier(found={}, best=0.80), "start unbeaten"),
        (earlier(best=0.8001), "start unbeaten"),
        (
            earlier(spec=task(objective={"metric": "val_accuracy", "direction": "minimize"}), best=0.7),
            "other direction",
        ),
    ],
)
def test_only_a_study_that_beat_its_start_in_a_few_trials_offers_anything(
    one: EarlierStudy, lesson: Lesson
) -> None:
    memory = recall(study(), [one])
    assert [r.lesson for r in memory.studies] == [lesson]
    assert bool(memory.values) == (lesson == "improved")


def test_what_a_study_won_is_a_part_of_the_larger_score() -> None:
    (gained,) = recall(study(), [earlier()]).studies
    assert gained.gain == pytest.approx(0.1)
    assert gained.won == pytest.approx(0.1 / 0.9)
    (rescued,) = recall(study(), [earlier(began=None)]).studies
    assert (rescued.gain, rescued.won) == (None, 1.0)
    loss = task(objective={"metric": "val_loss", "direction": "minimize"})
    (fell,) = recall(study(loss), [earlier(spec=loss, began=2.0, best=0.5)]).studies
    assert (fell.gain, fell.won) == (1.5, 0.75)
    (huge,) = recall(study(), [earlier(began=-1.7e308, best=1.7e308)]).studies
    assert huge.won == 1.0


def test_a_study_that_ended_below_where_another_began_offers_nothing() -> None:
    poor = earlier("poor", {"lr": 0.5}, began=0.2, best=0.7)
    good = earlier("good", {"epochs": 20}, began=0.8, best=0.9)
    memory = recall(study(), [poor, good])
    assert {r.study.name: r.lesson for r in memory.studies} == {
        "poor": "others began better",
        "good": "improved",
    }
    assert told(memory) == [("epochs", 20)]
    elsewhere = earlier("good", {"epochs": 20}, began=0.8, best=0.9, profile="paper")
    assert ("lr", 0.5) in told(recall(study(), [poor, elsewhere]))  # scores of another size say nothing


def test_closeness_is_about_task_objective_profile_and_what_was_fixed() -> None:
    present = study(changed(epochs=None).model_copy(update={"fixed": {"max_train": 100}}), profile="quick")
    same, other = present.task, task(objective={"metric": "val_f1", "direction": "maximize"})
    refixed = same.model_copy(update={"fixed": {"max_train": 900}})
    renamed = same.model_copy(update={"name": "letters"})
    found = recall(
        present,
        [
            earlier("other metric", spec=other, profile="quick", day=9),
            earlier("other task", spec=renamed, profile="quick", day=8),
            earlier("other fixed value", spec=refixed, profile="quick", day=7),
            earlier("other profile", spec=same, day=6),
            earlier("unrelated", {"x": 2.0}, spec=task({"x": real(1.0, 3.0)}, name="u"), profile="quick"),
            earlier("narrowed", spec=same.narrowed(fix={"batch_size": 64}), profile="quick", day=1),
            earlier("same", spec=same, profile="quick", day=2),
            earlier(present.name, spec=same, profile="quick", day=3),
        ],
    )
    assert [(r.study.name, r.closeness) for r in found.studies] == [
        ("same", "setting"),
        ("narrowed", "setting"),
        ("other fixed value", "task"),
        ("other profile", "task"),
        ("other metric", "parameters"),
        ("other task", "parameters"),
    ]


def test_nothing_is_remembered_within_a_comparison() -> None:
    assert recall(study(comparison="main"), [earlier()]) == Memory()
    assert recall(study(), [earlier()]) != Memory()


def test_studies_are_told_in_words() -> None:
    def sentence(one: EarlierStudy) -> str:
        return recall(study(), [one]).studies[0].sentence

    assert sentence(earlier()) == "old (digits, 11 trials, 2026-01-01): val_accuracy 0.8 -> 0.9."
    assert "none -> 0.9" in sentence(earlier(began=None))
    assert sentence(earlier(best=None, finished=0)).endswith(
        "(digits, 1 trial, 2026-01-01): no trial finished."
    )
    assert "nothing beat the start" in sentence(earlier(best=0.8))
    assert "too few trials to tell" in sentence(earlier(finished=1))


# -- single values ----------------------------------------------------------------------------------------------


def test_values_of_the_start_are_no_evidence() -> None:
    memory = recall(study(), [earlier(found={"lr": 0.01, "epochs": 20})])
    assert sorted(told(memory)) == [("epochs", 20), ("lr", 0.01)]


def test_a_child_counts_when_it_left_its_default() -> None:
    plain = recall(study(), [earlier(found={"optimizer": "sgd"})])
    assert told(plain) == [("optimizer", "sgd")]
    tuned = recall(study(), [earlier(found={"optimizer": "sgd", "momentum": 0.5})])
    assert sorted(told(tuned)) == [("momentum", 0.5), ("optimizer", "sgd")]


@pytest.mark.parametrize(
    ("now", "offered"),
    [
        ({}, True),
        ({"lr": real(0.02, 1.0, log=True)}, False),  # the value is below the range
        ({"lr": None}, False),
        ({"lr": pick(0.001, 0.01, 0.1)}, False),
        ({"lr": real(1e-5, 0.1)}, True),  # of the same task: the scale may have changed
    ],
)
def test_a_value_is_offered_only_where_the_present_range_has_it(now: dict[str, Any], offered: bool) -> None:
    memory = recall(study(changed(**now)), [earlier()])
    assert told(memory) == ([("lr", 0.01)] if offered else [])


def test_a_value_off_the_present_steps_is_not_moved() -> None:
    spec = task({"width": whole(8, 64, default=8), "n": whole(1, 9, default=1)})
    stepped = task({"width": whole(8, 64, step=8, default=8), "n": whole(1, 9, default=1)})
    old = earlier(found={"width": 20, "n": 4}, spec=spec)
    assert sorted(told(recall(study(spec), [old]))) == [("n", 4), ("width", 20)]
    assert told(recall(study(stepped), [old])) == [("n", 4)]


@pytest.mark.parametrize(
    ("there", "here", "best", "offered"),
    [
        (real(1e-4, 1, log=True, default=1e-3), real(1e-5, 0.1, log=True), 0.01, True),
        (real(1e-4, 1, log=True, default=1e-3), real(1e-5, 0.1), 0.01, False),  # another scale
        (whole(1, 9, default=1), real(1, 9), 4, False),
        (pick("a", "b", "c", default="a"), pick("b", "c"), "b", True),
        (pick("a", "b", "c", default="a"), pick("b", "x"), "b", False),  # nothing it won against is here
        (pick(True, False, default=True), pick(1, 0), False, False),
    ],
)
def test_a_parameter_of_another_task_must_be_the_same_thing(
    there: dict[str, Any], here: dict[str, Any], best: Scalar, offered: bool
) -> None:
    old = earlier(found={"p": best}, spec=task({"p": there, "q": whole(1, 3)}, name="other"))
    memory = recall(study(task({"p": here, "r": whole(1, 3)})), [old])
    assert told(memory) == ([("p", best)] if offered else [])


def test_a_name_with_another_role_there_is_another_parameter() -> None:
    there = task({"gamma": real(0, 1, default=0.1), "C": real(0, 1)}, name="svm")
    here = task({"gamma": real(0, 1), "reg_lambda": real(0, 1)})
    assert recall(study(here), [earlier(found={"gamma": 0.5}, spec=there)]).studies == ()


def test_studies_that_agree_are_one_value_and_say_so() -> None:
    assert reasons(earlier("a")) == ["lr 0.01 was best in an earlier study of this task."]
    assert reasons(earlier("a"), earlier("b")) == ["lr 0.01 was best in 2 earlier studies of this task."]
    near = reasons(earlier("a"), earlier("b", {"lr": 0.011}, day=2))
    assert near == ["lr near 0.011 was best in 2 earlier studies of this task."]
    assert len(reasons(earlier("a"), earlier("b", {"lr": 0.1}))) == 2


def test_reasons_say_how_close_the_studies_were() -> None:
    small = earlier("a", profile="smoke")
    other = earlier("b", spec=TASK.model_copy(update={"name": "letters"}))
    third = earlier("c", spec=TASK.model_copy(update={"name": "words"}))
    metric = earlier("d", spec=task(objective={"metric": "val_f1", "direction": "maximize"}))
    assert reasons(small) == ["lr 0.01 was best in an earlier study of this task at other settings."]
    assert reasons(other) == ["lr 0.01 was best in an earlier study of another task, letters."]
    assert reasons(other, third) == ["lr 0.01 was best in 2 earlier studies of other tasks."]
    assert reasons(metric) == ["lr 0.01 was best in an earlier study of this task for another metric."]
    assert reasons(small, other) == ["lr 0.01 was best in 2 earlier studies, 1 of them of this task."]


def test_rank_is_closeness_then_what_speaks_for_a_value() -> None:
    def order(*studies: EarlierStudy) -> list[str]:
        return [v.studies[0] for v in recall(study(), studies).values]

    far = TASK.model_copy(update={"name": "letters"})
    assert order(
        earlier("parameters", {"lr": 0.1}, spec=far, best=0.99, day=9),
        earlier("task", {"lr": 0.01}, profile="smoke", best=0.95, day=8),
        earlier("setting", {"lr": 0.3}, best=0.82, day=1),
    ) == ["setting", "task", "parameters"]
    assert order(earlier("older", {"lr": 0.1}, day=1), earlier("newer", day=2)) == ["newer", "older"]
    assert order(earlier("small", {"lr": 0.1}, best=0.82, day=2), earlier("large", day=1)) == [
        "large",
        "small",
    ]
    assert order(earlier("one", {"lr": 0.1}, day=3), earlier("two", day=2), earlier("too", day=1)) == [
        "two",
        "one",
    ]
    several = {"epochs": 20, "hidden_size": 200, "weight_decay": 0.1}
    assert order(earlier("several", several, day=2), earlier("single", day=1))[0] == "single"


def test_scores_stay_within_their_closeness() -> None:
    far = TASK.model_copy(update={"name": "letters"})
    many = [earlier(f"far-{i}", {"lr": 0.1}, spec=far, began=None, day=1 + i % 28) for i in range(200)]
    one = earlier("own", {"lr": 0.01, "epochs": 20, "hidden_size": 9}, profile="smoke", best=0.81)
    values = recall(study(), [*many, one]).values
    assert values[-1].studies[0].startswith("far")
    assert len(values[-1].studies) == 200


# -- whole configurations ---------------------------------------------------------------------------------------


def test_best_configurations_of_the_same_setting_come_by_score() -> None:
    memory = recall(
        study(),
        [
            earlier("second", {"lr": 0.01}, best=0.9, day=3),
            earlier("first", {"lr": 0.1, "optimizer": "sgd", "momentum": 0.5}, best=0.95),
            earlier("again", {"lr": 0.01}, best=0.88, day=2),
            earlier("smaller", {"lr": 0.3}, best=0.99, profile="smoke"),
        ],
    )
    assert [(c.study, c.value) for c in memory.configurations] == [("first", 0.95), ("second", 0.9)]
    assert memory.configurations[0].config == {**START, "lr": 0.1, "optimizer": "sgd", "momentum": 0.5}
    assert memory.configurations[1].reason == "The best of second: val_accuracy 0.9 after 0.8."


def test_what_was_fixed_there_is_part_of_a_configuration() -> None:
    narrow = TASK.narrowed(fix={"batch_size": 64, "epochs": 20})
    (found,) = recall(study(), [earlier(spec=narrow)]).configurations
    assert found.config == {**START, "lr": 0.01, "batch_size": 64, "epochs": 20}
    held = study(TASK.narrowed(fix={"lr": 0.5}))
    assert recall(held, [earlier()]).configurations == ()  # lr was best elsewhere and cannot be set


def test_a_configuration_that_is_not_whole_here_is_left_out() -> None:
    present = study(changed(lr=real(1e-4, 1e-2, log=True), extra=whole(1, 5, default=2)))
    old = [earlier("out", {"lr": 0.1, "epochs": 20}), earlier("in", {"epochs": 30}, best=0.85)]
    memory = recall(present, old)
    assert [c.config for c in memory.configurations] == [{**START, "epochs": 30, "extra": 2}]
    assert sorted(told(memory)) == [("epochs", 20), ("epochs", 30)]


# -- changes of a base ------------------------------------------------------------------------------------------


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


def test_values_are_plain_data() -> None:
    (value,) = recall(study(), [earlier()]).values
    assert value == RememberedValue(
        parameter="lr",
        value=0.01,
        closeness="setting",
        score=value.score,
        reason="lr 0.01 was best in an earlier study of this task.",
        studies=("old",),
        beside=(("optimizer", "adam"),),
    )
    assert hash(value) == hash(recall(study(), [earlier()]).values[0])
