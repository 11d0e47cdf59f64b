from __future__ import annotations

from typing import Any

import pytest

from tcs_hpt.evidence.memory import EarlierStudy, Lesson, Memory, RememberedValue, recall
from tcs_hpt.spec import Scalar, StudySpec
from tests.build import study, task
from tests.evidence.earlier import START, TASK, changed, earlier
from tests.evidence.spaces import pick, real, whole


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
