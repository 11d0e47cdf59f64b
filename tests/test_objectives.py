"""Several objectives: weights, bounds, and what they mean on the way from a manifest to the best trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tcs_hpt.catalog import load_task
from tcs_hpt.errors import ManifestError, UserError
from tcs_hpt.pruning import require_prunable
from tcs_hpt.records import Trial, bases, incumbent
from tcs_hpt.report.tables import summarize_study
from tcs_hpt.report.tradeoffs import front_figure, front_grid, trade_offs
from tcs_hpt.report.words import goal, headline
from tcs_hpt.spec import WEIGHTED, Bound, Objective, TaskSpec, Term
from tcs_hpt.statistics import pareto_front
from tcs_hpt.store import Store
from tcs_hpt.summary import render, summarize
from tests.build import study, task, trial
from tests.cli.test_commands import environment, hpt

__all__ = ["environment"]

ACCURATE = Term(metric="val_accuracy", direction="maximize", weight=1.0)
FAST = Term(metric="latency_ms", direction="minimize", weight=0.01)
BOTH = Objective(metric=WEIGHTED, direction="maximize", terms=(ACCURATE, FAST))
QUICK = Bound(metric="latency_ms", high=20)
BOUND = Objective(metric="val_accuracy", direction="maximize", bounds=(QUICK,))

MANIFEST = """
schema = 1
name = "two"
command = ["sh", "-c", "true"]
[params.lr]
type = "float"
low = 0.1
high = 1.0
"""


def manifest(tmp_path: Path, *entries: str) -> TaskSpec:
    (tmp_path / "task.toml").write_text(MANIFEST + "".join(f"[[objectives]]\n{e}\n" for e in entries))
    return load_task(str(tmp_path)).spec


def problems(tmp_path: Path, *entries: str) -> list[str]:
    with pytest.raises(ManifestError) as error:
        manifest(tmp_path, *entries)
    return [f"{p.key}: {p.message}" for p in error.value.problems]


# -- the manifest -------------------------------------------------------------------------------------------


def test_two_weighted_metrics_make_one_score(tmp_path: Path) -> None:
    spec = manifest(
        tmp_path,
        'metric = "val_accuracy"\ndirection = "maximize"\nweight = 1.0',
        'metric = "latency_ms"\ndirection = "minimize"\nweight = 0.01\nhigh = 20',
    )
    assert spec.objective == BOTH.model_copy(update={"bounds": (QUICK,)})
    assert TaskSpec.model_validate(spec.model_dump(by_alias=True)) == spec


def test_one_metric_and_a_bound_keep_its_name_and_target(tmp_path: Path) -> None:
    spec = manifest(
        tmp_path,
        'metric = "val_loss"\ndirection = "minimize"\ntarget = 0.1',
        'metric = "latency_ms"\nhigh = 20',
    )
    assert spec.objective == Objective(metric="val_loss", direction="minimize", target=0.1, bounds=(QUICK,))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (('metric = "a"',), "objectives.1: an objective needs a direction or a bound"),
        (
            ('metric = "a"\nhigh = 1',),
            "objectives: none of the objectives has a direction, so nothing decides",
        ),
        (
            ('metric = "a"\nhigh = 1\nweight = 2.0',),
            "objectives.1.weight: `weight` has no use without a direction",
        ),
        (
            ('metric = "a"\ndirection = "maximize"\nweight = 1.0', 'metric = "b"\ndirection = "minimize"'),
            "objectives.2.weight: `weight` is missing: several objectives have a direction",
        ),
        (
            ('metric = "a"\ndirection = "up"',),
            "objectives.1.direction: `direction` must be maximize or minimize",
        ),
        (('metric = "a"\ndirection = "maximize"\nhihg = 3',), "objectives.1.hihg: unknown key `hihg`"),
        (('direction = "maximize"',), "objectives.1.metric: `metric` is missing"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, entries: tuple[str, ...], message: str) -> None:
    found = problems(tmp_path, *entries)
    assert any(line.startswith(message) for line in found), found


def test_one_objective_and_several_exclude_each_other(tmp_path: Path) -> None:
    text = (
        MANIFEST
        + '[objective]\nmetric = "a"\ndirection = "maximize"\n[[objectives]]\nmetric = "b"\nhigh = 1\n'
    )
    (tmp_path / "task.toml").write_text(text)
    with pytest.raises(ManifestError, match="exclude each other"):
        load_task(str(tmp_path))


def test_a_pattern_for_every_metric_that_decides(tmp_path: Path) -> None:
    more = '[metrics]\nsource = "stdout"\nformat = "pattern"\npatterns = [\'acc (?P<val_accuracy>\\S+)\']\n'
    (tmp_path / "task.toml").write_text(
        MANIFEST
        + more
        + '[[objectives]]\nmetric = "val_accuracy"\ndirection = "maximize"\nweight = 1.0\n'
        + '[[objectives]]\nmetric = "latency_ms"\ndirection = "minimize"\nweight = 0.01\n'
    )
    with pytest.raises(ManifestError, match="'latency_ms', the objective's metric"):
        load_task(str(tmp_path))


# -- the score ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metrics", "score"),
    [
        ({"val_accuracy": 0.9, "latency_ms": 20.0}, 0.7),
        ({"val_accuracy": 0.9, "latency_ms": None}, None),
        ({"val_accuracy": 1e308, "latency_ms": -1e310 / 1e2}, None),
    ],
)
def test_the_weighted_score_is_the_sum_with_a_minus_for_what_shall_be_small(
    metrics: dict[str, Any], score: float | None
) -> None:
    found = BOTH.complete(metrics)[WEIGHTED]
    assert found == (pytest.approx(score) if score is not None else None)


def test_without_one_of_its_terms_there_is_no_score() -> None:
    assert WEIGHTED not in BOTH.complete({"val_accuracy": 0.9})
    assert BOTH.missing({"val_accuracy"}) == ["latency_ms"]
    assert BOUND.complete({"val_accuracy": 0.9}) == {"val_accuracy": 0.9}


def test_bounds_are_kept_or_named() -> None:
    assert BOUND.violations({"val_accuracy": 0.9, "latency_ms": 20.0}) == ()
    assert BOUND.violations({"val_accuracy": 0.9, "latency_ms": 20.5}) == ("latency_ms <= 20, got 20.5",)
    assert BOUND.violations({"val_accuracy": 0.9}) == ("latency_ms <= 20, got nothing",)
    assert str(Bound(metric="m", low=0.1, high=2)) == "0.1 <= m <= 2"
    assert BOTH.formula == "1 x val_accuracy - 0.01 x latency_ms"


# -- the best -----------------------------------------------------------------------------------------------


def over(number: int, value: float, latency: float, lr: float = 0.01) -> Trial:
    metrics = {"val_accuracy": value, "latency_ms": latency}
    made = trial(number, {"lr": lr}, value)
    return made.model_copy(update={"metrics": metrics, "violations": BOUND.violations(metrics)})


def test_only_what_keeps_the_bounds_can_be_the_best() -> None:
    trials = [over(1, 0.7, 10), over(2, 0.9, 30), over(3, 0.8, 20)]
    best = incumbent(trials, BOUND)
    assert best is not None
    assert best.number == 3
    assert [t.number for t in bases(trials, BOUND)] == [3, 1, 2]
    assert incumbent(trials[1:2], BOUND) is None
    assert [t.number for t in bases(trials[1:2], BOUND)] == [2]


def test_the_state_report_says_what_is_allowed_and_what_was_not() -> None:
    params = {"lr": {"type": "float", "low": 1e-4, "high": 1.0, "log": True}}
    spec = task(params).model_copy(update={"objective": BOUND})
    text = render(summarize(spec, [over(1, 0.7, 10), over(2, 0.9, 30, 0.1)], total_trials=5))
    assert "allowed are only trials with latency_ms <= 20" in text
    assert "Best 0.7 in trial 1" in text
    assert "not allowed (latency_ms <= 20, got 30)" in text
    weighted = task(params).model_copy(update={"objective": BOTH})
    assert "weighted_score, which is 1 x val_accuracy - 0.01 x latency_ms" in render(
        summarize(weighted, [], total_trials=5)
    )


# -- trade-offs ---------------------------------------------------------------------------------------------


def test_the_front_holds_what_nothing_beats_in_everything() -> None:
    points = [(0.9, 30.0), (0.8, 20.0), (0.7, 25.0), (0.8, 20.0), (0.6, 5.0), (0.9, 31.0)]
    assert pareto_front(points, ("maximize", "minimize")) == {0, 1, 3, 4}
    assert pareto_front(points, ("minimize", "maximize")) == {2, 4, 5}
    assert pareto_front([], ("maximize",)) == set()


def test_trade_offs_are_told_of_bounded_metrics_too() -> None:
    trials = [over(1, 0.7, 10), over(2, 0.9, 30), over(3, 0.6, 12)]
    found = trade_offs(trials, BOUND)
    assert [(t.trial.number, t.on_front) for t in found] == [(1, True), (2, True), (3, False)]
    grid = front_grid(found, BOUND)
    assert [row[:4] for row in grid.rows] == [
        ("2", "0.9", "30", "no: latency_ms <= 20, got 30"),
        ("1", "0.7", "10", "yes"),
    ]
    assert "<svg" in front_figure(found, BOUND, trials[0])
    assert trade_offs(trials, Objective(metric="val_accuracy", direction="maximize")) == []


def test_without_an_allowed_trial_the_headline_says_so() -> None:
    spec = study(task().model_copy(update={"objective": BOUND}))
    said = headline(summarize_study(spec, [over(1, 0.9, 30), over(2, 0.8, 25)]), BOUND)
    assert said == "No trial keeps latency_ms <= 20: 2 trials with a score, none of them allowed."
    assert goal(BOUND) == "maximize val_accuracy (higher is better), latency_ms <= 20"
    assert goal(BOTH) == "maximize 1 x val_accuracy - 0.01 x latency_ms"


def test_optunas_pruners_know_one_metric() -> None:
    weighted = study(task().model_copy(update={"objective": BOTH}), prune="median")
    with pytest.raises(UserError, match="val_accuracy, latency_ms decide together"):
        require_prunable(weighted)
    require_prunable(weighted.model_copy(update={"prune": "diagnosis"}))
    require_prunable(study(task().model_copy(update={"objective": BOUND}), prune="median"))


# -- the whole way ------------------------------------------------------------------------------------------

TRAIN = """
import tcs_hpt

trial = tcs_hpt.current_trial()
size = trial.params["size"]
for epoch in (1, 2):
    trial.report(epoch=epoch, val_accuracy=size / 100 * epoch / 2, latency_ms=size / 2)
trial.finish(val_accuracy=size / 100, latency_ms=size / 2)
"""
SIZE = """
schema = 1
name = "sizes"
command = ["{python}", "train.py"]
[params.size]
type = "int"
low = 2
high = 90
default = 10
"""


@pytest.mark.parametrize(
    ("second", "best", "score"),
    [("high = 20", "size", 0.4), ('direction = "minimize"\nweight = 0.05', "size", None)],
)
def test_a_study_with_two_objectives_from_manifest_to_report(
    tmp_path: Path, environment: dict[str, str], second: str, best: str, score: float | None
) -> None:
    folder = tmp_path / "sizes"
    folder.mkdir()
    (folder / "train.py").write_text(TRAIN)
    weight = "weight = 1.0" if "weight" in second else ""
    (folder / "task.toml").write_text(
        SIZE
        + f'[[objectives]]\nmetric = "val_accuracy"\ndirection = "maximize"\n{weight}\n'
        + f'[[objectives]]\nmetric = "latency_ms"\n{second}\n'
    )
    done = hpt(environment, "tune", str(folder), "--method", "grid", "--trials", "6", "--name", "s")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Trade-offs" in done.stdout
    with Store.open(environment["TCS_HPT_STORE"]) as store:
        trials, objective = store.load_trials("s"), store.get_study("s").task.objective
    top = incumbent(trials, objective)
    assert top is not None
    assert top.value is not None
    if score is None:  # a tenth of a point of accuracy costs half a millisecond: the smaller the better
        assert top.config["size"] == min(t.config["size"] for t in trials)
        assert top.value == pytest.approx(top.config["size"] * (0.01 - 0.025))  # type: ignore[operator]
        assert all("weighted_score" in e.metrics for t in trials for e in t.epochs)
    else:
        allowed = [t for t in trials if t.config["size"] <= 40]  # type: ignore[operator]
        assert 0 < len(allowed) < len(trials)
        assert top.config["size"] == max(t.config["size"] for t in allowed)
        assert "not allowed: latency_ms <= 20, got" in done.stdout
    page = (tmp_path / "home" / "studies" / "s" / "report.html").read_text()
    assert 'id="tradeoffs"' in page
