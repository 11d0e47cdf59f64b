from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcs_hpt.records import Trial
from tcs_hpt.report.questions import Answer, answer
from tcs_hpt.spec import StudySpec
from tests.report.sample import make_study, make_trial, make_trials

STUDY, TRIALS = make_study(), make_trials()


def ask(question: str, trials: list[Trial] | None = None) -> Answer:
    return answer(STUDY, TRIALS if trials is None else trials, question)


@pytest.mark.parametrize(
    ("question", "kind", "trials", "said"),
    [
        ("Give me a summary", "overview", (1, 8), "rose from 0.951 (trial 1) to 0.9733 (trial 8)"),
        ("What is the best configuration?", "best", (1, 8), "Trial 8 is the best: val_accuracy 0.9733 with lr=0.003"),
        ("Was the target reached?", "best", (1, 8), "The target of 0.975 was missed by 0.0017"),
        ("How did the score improve?", "path", (1, 2, 5, 7, 8), "Trial 5: epochs: 12 -> 30 (agents, +0.0067 to trial 2)"),
        ("Why did the model underperform?", "shortfall", (1, 3, 8, 10), "2 trials of 10 gave no score"),
        ("Which trials failed, and why?", "failures", (3, 4, 9, 10, 11), "Trial 3 diverged: val_accuracy is not finite from epoch 3 on. Trial 10 ran out of memory"),
        ("What did not work?", "failures", (3, 4, 9, 10, 11), "Changes that made val_accuracy worse: trial 4 (batch_size: 64 -> 32); trial 9"),
        ("Why is the best trial the best?", "best", (1, 8), "Trial 8 is the best"),
        ("Which parameter matters most?", "importance", (2, 4, 5, 7, 8, 9, 11), "moved most with optimizer: optimizer by up to 0.0193 (trial 9); lr by up to 0.0112 (trials 2 and 11)"),
        ("Was the model right in its predictions?", "trust", (2, 5, 7, 8, 11), "foresaw 3 of 5 outcomes (60 %)"),
        ("Could the gain be luck?", "noise", (1, 8), "Every configuration was measured once"),
        ("Does it overfit?", "curve", (8,), "The best trial (8) ran 30 epochs"),
        ("What should I try next?", "next", (8,), "From trial 8, the evidence ranks these single changes first: epochs: 30 -> "),
        ("What has not been tried?", "untried", (1, 2, 3, 4, 5, 7, 8, 9, 10, 11), "optimizer: adam, sgd"),
        ("How long did it take?", "cost", (1,), "17,052 tokens read and 3,003 written"),
        ("Who chose the configurations?", "who", (3, 4), "agents 8, expert 1, start 1. In trial 4 somebody else acted"),
        ("What is the test score?", "test", (8,), "test_accuracy 0.9613. No proposer saw test metrics."),
        ("What did the learning rate do?", "parameter", (1, 2, 3, 8, 11), "Changing it alone from 0.01 to 0.003 (trial 2, from trial 1) made val_accuracy better by 0.0112"),
        ("batch size?", "parameter", (2, 4, 8, 10), "from 64 to 256 (trial 10, from trial 8) failed: The trial used 4,210 MiB"),
        ("What happened in trial 7?", "trial", (5, 7), "The analysis expected about the same score, wrongly."),
        ("Tell me about trial #4", "trial", (2, 4), "proposed by expert (the optimizer's answer could not be used"),
        ("why did trial 3 fail?", "trial", (2, 3), "It failed: val_accuracy is not finite from epoch 3 on."),
        ("Why did trial 5 fail?", "trial", (2, 5), "Trial 5 did not fail."),
        ("What is the difference between trials 2 and 5?", "difference", (2, 5), "epochs 12 against 30. That is all that differs"),
        ("compare trial 1 with trial 8", "difference", (1, 8), "no single one of them explains the scores"),
        ("Why was trial 99 so slow?", "trial", (), "There is no trial 99 in this study, which has trials 1 to 11."),
        ("Good morning", "unknown", (), "I did not understand the question"),
        ("", "unknown", (), "I did not understand the question"),
    ],
)  # fmt: skip
def test_answers_come_from_the_records(question: str, kind: str, trials: tuple[int, ...], said: str) -> None:
    found = ask(question)
    assert (found.kind, found.trials) == (kind, trials), found
    assert said in found.text


def test_what_can_be_asked_is_understood() -> None:
    kinds = [ask(suggestion).kind for suggestion in ask("Good morning").suggestions]
    assert kinds == ["best", "path", "shortfall", "importance", "failures", "trust", "next", "cost"]
    for question in ("summary", "trial 5", "lr", "importance", "does it overfit?"):
        for suggestion in ask(question).suggestions:
            assert ask(suggestion).kind != "unknown", suggestion


@pytest.mark.parametrize(
    ("trials", "question", "said"),
    [
        ([], "What is the best configuration?", "No trial has run yet"),
        ([make_trial(1, None, failure="diverged")], "best?", "No trial finished: 1 trial without a score."),
        ([make_trial(1, source="start")], "which parameter matters?", "No parameter was ever changed alone"),
        ([make_trial(1, source="start")], "which trials failed?", "None of 1 trial failed."),
        ([make_trial(1, source="start")], "trial 2?", "There is no trial 2 in this study, which has trial 1 alone."),
        ([make_trial(1, source="start")], "could I trust the predictions?", "No prediction could be checked"),
        ([make_trial(1, source="start", epochs=1)], "more epochs?", "no learning curve to judge"),
        ([make_trial(1, source="start")], "momentum?", "momentum was active in no trial."),
    ],
)  # fmt: skip
def test_studies_with_little_in_them(trials: list[Trial], question: str, said: str) -> None:
    assert said in ask(question, trials).text


def test_repeats_are_told_apart_from_new_configurations() -> None:
    again = make_trial(12, 0.9719, config=TRIALS[7].config).model_copy(update={"replicate_of": 8})
    assert "Trial 12 repeats trial 8 with 0.9719 against 0.9733." in ask("luck?", [*TRIALS, again]).text


def test_trials_with_fewer_epochs_are_told_apart() -> None:
    fewer = StudySpec.model_validate(
        STUDY.model_dump() | {"fidelity": {"parameter": "epochs", "rungs": [4, 12]}}
    )
    first = make_trial(1, 0.90, source="start").model_copy(update={"fidelity": 4})
    full = make_trial(2, 0.95, source="promotion").model_copy(update={"promoted_from": 1})
    assert "It reached val_accuracy 0.9 with epochs 4." in answer(fewer, [first, full], "trial 1").text
    assert "Trial 2 is the best: val_accuracy 0.95" in answer(fewer, [first, full], "best?").text
    assert answer(fewer, [first, full], "what next?").trials == (1,)


@given(st.text(max_size=200), st.permutations(TRIALS))
def test_any_question_has_an_answer_that_cites_trials_that_exist(question: str, trials: list[Trial]) -> None:
    found = ask(question, trials)
    assert found.text
    assert found == ask(question)
    assert set(found.trials) <= {t.number for t in TRIALS}
    if found.kind != "trial":
        named = {int(n) for n in re.findall(r"\btrial (\d+)", found.text)}
        assert named <= {t.number for t in TRIALS}
