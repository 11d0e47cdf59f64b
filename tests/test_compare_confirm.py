"""Winners that are tried again on fresh training seeds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tcs_hpt.compare import Recorded, TaskEntry, again, confirmation, plan_confirmation, winners
from tcs_hpt.compare._confirm import FRESH
from tcs_hpt.records import Trial
from tcs_hpt.report.comparison.confirmation import confirmation_sections, confirmations, noise_floors
from tcs_hpt.report.sections import to_markdown
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import Config, StudySpec
from tests.build import study, task, trial

TASK = task(
    {
        "optimizer": {"type": "categorical", "choices": ["adam", "sgd"], "default": "sgd"},
        "momentum": {"type": "float", "low": 0.0, "high": 0.99, "when": {"optimizer": ["sgd"]}},
        "lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True, "default": 0.01},
    },
    name="t",
)
START: Config = {"optimizer": "sgd", "momentum": 0.495, "lr": 0.01}
ADAM: Config = {"optimizer": "adam", "lr": 0.1}


def done(
    method: str, seed: int, *scores: float | None, config: Config | None = None, **more: object
) -> Recorded:
    """A study whose first trial has the start, and whose later ones have another configuration each."""
    spec = study(
        TASK, name=f"c--t--{method}--{seed}", method=method, seed=seed, trials=len(scores), comparison="c"
    )
    configs = [START, *({**(config or ADAM), "lr": 0.1 + 0.1 * i} for i in range(len(scores) - 1))]
    trials = tuple(
        trial(n, dict(c), value) for n, (c, value) in enumerate(zip(configs, scores, strict=True), 1)
    )
    return Recorded(spec.model_copy(update=more), trials, "trials")


def repeated(spec: StudySpec, value: float | None) -> Recorded:
    config = SearchSpace(spec.task.params).defaults()
    made: Trial = trial(1, config, value)
    return Recorded(spec, (made,), "trials")


def test_the_best_of_each_method_and_the_common_start_are_winners() -> None:
    found = winners([done("random", 1, 0.5, 0.7), done("random", 0, 0.5, 0.6), done("tcs", 0, 0.5, 0.4, 0.4)])
    assert [(w.is_start, w.spec.method, w.spec.seed, w.trial.number) for w in found] == [
        (True, "random", 1, 1),
        (False, "random", 1, 2),
        (False, "tcs", 0, 1),
    ]
    assert found[2].digest == found[0].digest  # it never left the start
    assert found[1].digest != found[0].digest


def test_of_equal_scores_the_earlier_seed_wins() -> None:
    found = winners([done("random", 1, 0.5, 0.7), done("random", 0, 0.5, 0.7)])
    assert [w.spec.seed for w in found if not w.is_start] == [0]


def test_without_a_common_start_there_is_none() -> None:
    other = done("tcs", 0, 0.5)
    other = Recorded(other.spec, (trial(1, dict(ADAM), 0.5),), "trials")
    assert [w.is_start for w in winners([done("random", 0, 0.4), other])] == [False, False]


def test_unfinished_studies_and_such_without_a_score_win_nothing() -> None:
    cut = done("random", 0, 0.5, 0.9)
    assert winners([Recorded(cut.spec, cut.trials, None)]) == []
    assert winners([done("random", 0, None, None)]) == []


def test_each_winner_is_run_once_for_each_fresh_seed() -> None:
    found = winners([done("random", 0, 0.5, 0.7), done("tcs", 0, 0.6, 0.4)])
    planned = plan_confirmation("c", found, {"t": TaskEntry(TASK, Path("folder"))}, 3)
    assert len(planned) == 6  # the start, which won for tcs too, and one other
    assert [p.spec.seed for p in planned] == [FRESH, FRESH, FRESH + 1, FRESH + 1, FRESH + 2, FRESH + 2]
    assert len({p.spec.name for p in planned}) == 6
    assert {p.spec.comparison for p in planned} == {confirmation("c")}
    for winner, plan in zip((found[0], found[1]), planned[:2], strict=True):
        assert SearchSpace(plan.spec.task.params).defaults() == winner.config
        assert plan.spec.start == "defaults"
        assert plan.spec.trials == 1
    assert plan_confirmation("c", found, {}, 3) == []


def test_what_was_tried_again_is_found_by_winner_and_seed() -> None:
    found = winners([done("random", 0, 0.5, 0.7)])
    planned = plan_confirmation("c", found, {"t": TaskEntry(TASK, Path("folder"))}, 2)
    repeats = [repeated(p.spec, 0.1 * i) for i, p in enumerate(planned, 1)]
    start, best = (again("c", w, repeats) for w in found)
    assert {seed: round(t.value or 0, 1) for seed, t in start.items()} == {FRESH: 0.1, FRESH + 1: 0.3}
    assert {seed: round(t.value or 0, 1) for seed, t in best.items()} == {FRESH: 0.2, FRESH + 1: 0.4}
    assert again("other", found[0], repeats) == {}
    failed = [repeated(p.spec, None) for p in planned]
    assert again("c", found[0], failed) == {}


def test_the_table_pairs_winners_with_the_start() -> None:
    studies = [done("random", 0, 0.5, 0.9), done("tcs", 0, 0.5, 0.4)]
    found = winners(studies)
    planned = plan_confirmation("c", found, {"t": TaskEntry(TASK, Path("folder"))}, 8)
    scores = {found[0].digest: 0.5, found[1].digest: 0.6}
    repeats = [
        repeated(p.spec, scores[p.spec.name.split("--")[2]] + 0.01 * (p.spec.seed % 2)) for p in planned
    ]
    text = to_markdown("c", confirmation_sections(confirmations("c", studies, repeats)))
    assert "## t: the winners again, on 8 fresh training seeds" in text
    assert "| the start | seed 0, trial 1 | 0.5000 | 0.5050 +- 0.0053 |" in text
    assert "| random | seed 0, trial 2 | 0.9000 | 0.6050 +- 0.0053 |" in text
    assert "| +0.1000 | +0.1000 to +0.1000 | 0.0078 |" in text
    assert "| tcs | seed 0, trial 1 | 0.5000 | 0.5050 +- 0.0053 |" in text
    assert "Noise floor: the same configuration scores 0.0053 apart" in text
    assert "with fewer than 10 it is too narrow" in text


def test_without_a_common_start_the_winners_still_tell_the_noise() -> None:
    other = done("tcs", 0, 0.6, 0.4)
    elsewhere = Recorded(other.spec.model_copy(update={"trials": 1}), other.trials[1:], "trials")
    studies = [done("random", 0, 0.5, 0.9), elsewhere]
    found = winners(studies)
    assert not any(w.is_start for w in found)
    planned = plan_confirmation("c", found, {"t": TaskEntry(TASK, Path("folder"))}, 2)
    repeats = [repeated(p.spec, 0.5 + 0.02 * (p.spec.seed % 2)) for p in planned]
    tried = confirmations("c", studies, repeats)
    assert noise_floors(tried) == {"t": pytest.approx(0.02 / 2**0.5)}
    text = to_markdown("c", confirmation_sections(tried))
    assert "Noise floor: the same configuration scores 0.0141 apart" in text
    assert "against the start" not in text
    assert "too narrow" not in text


def test_without_repeats_there_is_nothing_to_say() -> None:
    assert confirmations("c", [done("random", 0, 0.5, 0.9)], []) == []
    assert noise_floors([]) == {}


def test_runs_without_a_score_are_counted() -> None:
    studies = [done("random", 0, 0.5, 0.9)]
    planned = plan_confirmation("c", winners(studies), {"t": TaskEntry(TASK, Path("folder"))}, 2)
    repeats = [repeated(p.spec, None if i == 1 else 0.5) for i, p in enumerate(planned)]
    text = to_markdown("c", confirmation_sections(confirmations("c", studies, repeats)))
    assert "- random: 1 of 2 runs with a score." in text
