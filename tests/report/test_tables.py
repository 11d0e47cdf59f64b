from __future__ import annotations

import random
import shlex
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcs_hpt.records import Proposal, Trial, by_number
from tcs_hpt.report import words
from tcs_hpt.report.tables import (
    compare_configs,
    exact,
    path_to,
    reproduce_command,
    summarize_study,
)
from tcs_hpt.spec import FloatParameter, Objective, coerce

from .sample import START, make_analysis, make_study, make_task, make_trial, make_trials

UP = Objective(metric="val_accuracy", direction="maximize")
DOWN = Objective(metric="val_loss", direction="minimize")


def fixes(command: str) -> dict[str, str]:
    parts = shlex.split(command)
    pairs = [parts[i + 1] for i, word in enumerate(parts) if word == "--fix"]
    return dict(pair.split("=", 1) for pair in pairs)


def test_the_sample_study() -> None:
    summary = summarize_study(make_study(), make_trials())
    assert (summary.trials, summary.interrupted) == (10, 1)
    assert summary.first is not None
    assert summary.best is not None
    assert (summary.first.number, summary.best.number) == (1, 8)
    assert summary.gain == pytest.approx(0.0223)
    assert [s.number for s in summary.path] == [2, 5, 7, 8]
    assert [s.base_trial for s in summary.path] == [1, 2, 5, 7]
    assert summary.path[0].effect == pytest.approx(0.0112)
    assert summary.sources == {"start": 1, "agents": 8, "expert": 1}
    assert list(summary.fallbacks.values()) == [(4,)]
    assert summary.analysis_fallbacks == {
        "the analysis was cut at 400 tokens; the deterministic diagnosis stood in": (9,)
    }
    assert (summary.rejected, summary.repairs, summary.calls) == (2, 1, 21)
    assert summary.failures == {"diverged": (3,), "out_of_memory": (10,)}
    assert (summary.prompt_tokens, summary.completion_tokens) == (21 * 812, 21 * 143)
    assert summary.thinking_seconds == pytest.approx(10 * 8.6)
    assert summary.training_seconds == pytest.approx(11 * 1.9)
    assert summary.deviations == (3,)
    assert summary.analyses == 8  # nine changes, one of them the expert's
    assert [(p.number, p.hit) for p in summary.predictions] == [
        (2, True),
        (5, True),
        (7, False),
        (8, True),
        (11, False),
    ]
    assert summary.hit_rate == pytest.approx(0.6)
    assert summary.test_metrics == {"test_accuracy": pytest.approx(0.9613)}


def test_order_of_trials_does_not_matter() -> None:
    trials = make_trials()
    shuffled = trials[:]
    random.Random(4).shuffle(shuffled)
    assert summarize_study(make_study(), shuffled) == summarize_study(make_study(), trials)


def test_what_choosing_took_is_added_up_and_unknown_where_one_trial_did_not_count() -> None:
    trials = make_trials()
    assert summarize_study(make_study(), trials).thinking_cpu_seconds is None
    assert summarize_study(make_study(), trials).model_memory_mb is None
    counted = []
    for number, trial in enumerate(trials):
        calls = tuple(c.model_copy(update={"memory_mb": 100.0 + number}) for c in trial.proposal.calls)
        spent = {"cpu_seconds": 2.0, "gpu_seconds": 0.5, "gpu_joules": 7.0, "calls": calls}
        counted.append(trial.model_copy(update={"proposal": trial.proposal.model_copy(update=spent)}))
    summary = summarize_study(make_study(), counted)
    assert summary.thinking_cpu_seconds == 11 * 2.0  # a retry carries its proposal over
    assert summary.thinking_gpu_seconds == 11 * 0.5
    assert summary.thinking_gpu_joules == 11 * 7.0
    assert summary.model_memory_mb == max(c.memory_mb or 0.0 for t in counted for c in t.proposal.calls)
    handed_on = counted[0].proposal.model_copy(update={"cpu_seconds": None, "seconds": 0.0})
    free = [counted[0].model_copy(update={"proposal": handed_on}), *counted[1:]]
    assert summarize_study(make_study(), free).thinking_cpu_seconds == 10 * 2.0
    uncounted = [counted[0], counted[1].model_copy(update={"proposal": trials[1].proposal}), *counted[2:]]
    assert summarize_study(make_study(), uncounted).thinking_cpu_seconds is None


@pytest.mark.parametrize("trials", [[], [make_trial(1, failure="crashed", source="start")]])
def test_nothing_finished(trials: list[Trial]) -> None:
    summary = summarize_study(make_study(), trials)
    assert summary.best is None
    assert summary.gain is None
    assert summary.hit_rate is None
    assert summary.path == ()
    assert not summary.improved


def test_an_interrupted_proposal_that_is_carried_over_is_paid_once() -> None:
    interrupted = make_trial(2, change="lr: 0.01 -> 0.003", base=1, state="interrupted")
    again = interrupted.model_copy(update={"number": 3, "state": "finished", "value": 0.97})
    summary = summarize_study(make_study(), [make_trial(1, source="start"), interrupted, again])
    assert summary.calls == 2
    assert summary.thinking_seconds == pytest.approx(8.6)
    assert summary.training_seconds == pytest.approx(3 * 1.9)


def test_bootstrap_analysis_of_the_start_predicts_nothing_and_binds_nobody() -> None:
    bootstrap = make_analysis("lr: 0.01 -> 0.003").model_copy(update={"expected_outcome": None})
    start = make_trial(1, source="start", analysis=bootstrap)
    summary = summarize_study(make_study(), [start])
    assert (summary.analyses, summary.predictions) == (0, ())


@pytest.mark.parametrize(
    "proposal",
    [
        {"deviation": "it took another change"},
        {"fallback": "no usable answer"},
        {"analysis": make_analysis("lr: 0.01 -> 0.003", by="diagnosis")},
        {"analysis": None},
    ],
)
def test_only_the_agents_own_followed_predictions_count(proposal: dict[str, Any]) -> None:
    trials = [
        make_trial(1, 0.9, source="start"),
        make_trial(2, 0.95, change="lr: 0.01 -> 0.003", base=1, **proposal),
    ]
    assert summarize_study(make_study(), trials).predictions == ()


def test_path_survives_a_circle_and_a_missing_base() -> None:
    a = make_trial(1, 0.9, change="lr: 1 -> 2", base=2)
    b = make_trial(2, 0.8, change="lr: 2 -> 1", base=1)
    assert [s.number for s in path_to(a, by_number([a, b]), UP)] == [2, 1]
    lost = make_trial(5, 0.9, change="lr: 1 -> 2", base=4)
    assert [s.number for s in path_to(lost, by_number([lost]), UP)] == [5]


def test_compare_configs_shows_parameters_that_appear() -> None:
    start = make_trial(1, source="start")
    best = make_trial(2, config={**START, "optimizer": "sgd", "momentum": 0.9})
    rows = {r.name: r for r in compare_configs(make_study(), start, best)}
    assert list(rows) == list(make_task().params)
    assert [n for n, r in rows.items() if r.changed] == ["optimizer", "momentum"]
    assert rows["momentum"].start is None
    assert not any(r.changed for r in compare_configs(make_study(), None, best))


# -- the command that reproduces ----------------------------------------------------------------------------


def test_command_leads_back_to_the_same_run() -> None:
    study, best = make_study(), make_trials()[7]
    command = reproduce_command(study, best, task_ref="my tasks/$digits", store_url="sqlite:///a b.db")
    parts = shlex.split(command)
    assert parts[:3] == ["tcs-hpt", "tune", "my tasks/$digits"]
    options = dict(zip(parts[3::2], parts[4::2], strict=True))
    assert options["--method"] == "expert"
    assert options["--trials"] == "1"
    assert options["--seed"] == "3"
    assert options["--profile"] == "quick"
    assert options["--store"] == "sqlite:///a b.db"
    typed = {
        name: coerce(study.task.params[name], text, name) if name in study.task.params else int(text)
        for name, text in fixes(command).items()
    }
    narrowed = study.task.narrowed(fix=typed)
    assert narrowed.params == {}
    assert dict(narrowed.fixed) == {**best.config, **study.task.fixed}


def test_command_keeps_the_manifests_bare_profile_and_the_default_store() -> None:
    command = reproduce_command(make_study(profile=None), make_trials()[0], task_ref="digits_mlp")
    assert "--profile" not in command
    assert "--store" not in command
    assert "lr=0.01" in command


def test_values_that_were_fixed_for_this_study_are_in_the_command() -> None:
    task = make_task().narrowed(fix={"dropout": 0.375})
    config = {n: v for n, v in START.items() if n != "dropout"}
    command = reproduce_command(make_study(task=task), make_trial(1, config=config), task_ref="digits_mlp")
    assert fixes(command)["dropout"] == "0.375"


@given(st.floats(min_value=1e-12, max_value=1e12))
def test_floats_read_back_exactly(value: float) -> None:
    parameter = FloatParameter(low=1e-12, high=1e12, log=True)
    assert coerce(parameter, exact(value), "lr") == value


@pytest.mark.parametrize("choice", ["it's; rm -rf $HOME", "naïve 数", "a=b", "-x", True, 0.1, 8])
def test_choices_survive_the_shell(choice: bool | float | int | str) -> None:
    trial = make_trial(1, config={"kind": choice})
    assert fixes(reproduce_command(make_study(), trial, task_ref="t"))["kind"] == exact(choice)


# -- words --------------------------------------------------------------------------------------------------


def say(*trials: Trial, objective: Objective = UP) -> str:
    return words.headline(summarize_study(make_study(), trials), objective)


def test_headlines_are_honest() -> None:
    start = make_trial(1, 0.9, source="start")
    failed = make_trial(1, source="start", failure="crashed")
    assert say() == "No trial has run yet."
    assert say(failed) == "No trial finished: 1 trial without a score."
    assert say(start) == "Only the start was tried."
    assert say(start, make_trial(2, 0.9)).startswith("No trial beat the start: 1 other configuration")
    assert "Trial 1 has no score" in say(failed, make_trial(2, 0.9))
    assert say(start, make_trial(2, 0.95)) == (
        "val_accuracy rose from 0.9 (trial 1) to 0.95 (trial 2), better by 0.05."
    )


def test_a_minimized_score_falls() -> None:
    study = make_study(task=make_task("minimize", target=0.1))
    trials = [make_trial(1, 0.5, source="start"), make_trial(2, 0.25), make_trial(3, 0.7)]
    summary = summarize_study(study, trials)
    assert words.headline(summary, study.task.objective) == (
        "val_loss fell from 0.5 (trial 1) to 0.25 (trial 2), better by 0.25."
    )
    assert (
        words.target_sentence(summary.best, study.task.objective) == "The target of 0.1 was missed by 0.15."
    )


def test_hits_are_shown_beside_blind_optimism() -> None:
    text = words.hit_sentence(summarize_study(make_study(), make_trials()))
    assert "3 of 5 outcomes (60 %)" in text
    assert 'always saying "improves" would have got 4' in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0.0 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (61.0, "1 min 01 s"), (3725.0, "1 h 02 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


def test_one_line_drops_what_moves_a_terminals_cursor() -> None:
    assert words.one_line("a\x1b[2J\n\tb\r\nc") == "a [2J b c"
    assert words.one_line("abcdef", 4) == "abc…"


def test_reason_of_a_whole_configuration() -> None:
    trial = make_trial(2, 0.9, source="tpe", config={"lr": 0.003})
    assert words.change_of(trial) == "lr=0.003"
    assert words.change_of(trial.model_copy(update={"replicate_of": 1})) == "repeats trial 1"
    assert isinstance(trial.proposal, Proposal)
