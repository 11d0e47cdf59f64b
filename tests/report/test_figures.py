from __future__ import annotations

import re
import sys
from subprocess import run
from xml.etree import ElementTree

import pytest

from tcs_hpt.records import EpochRecord, Trial
from tcs_hpt.report import figures
from tcs_hpt.spec import (
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    Objective,
    ParameterSpec,
    StudySpec,
)

from .sample import make_study, make_task, make_trial, make_trials

STUDY = make_study()
NARROW = make_study(task=make_task().narrowed(only=("lr", "optimizer")))
"""Fewer parameters, fewer figures."""


def draw_all(study: StudySpec, trials: list[Trial]) -> list[str]:
    drawn = [figures.history(study, trials), figures.learning_curves(study, trials)]
    drawn += figures.parameter_effects(study, trials).values()
    drawn += [svg for t in trials if (svg := figures.trial_curves(study, t))]
    return drawn


def text_of(svg: str) -> str:
    return " ".join("".join(ElementTree.fromstring(svg).itertext()).split())


ODD: dict[str, list[Trial]] = {
    "none": [],
    "one": [make_trial(1, source="start")],
    "all failed": [make_trial(n, failure="crashed") for n in (1, 2, 3)],
    "still running": [make_trial(1, None, state="running")],
    "no epochs": [make_trial(1, epochs=0), make_trial(2, epochs=0)],
    "equal scores": [make_trial(n, 0.5) for n in (1, 2)],
    "losses not finite": [make_trial(1, breaks_at=1), make_trial(2, breaks_at=5)],
    "huge": [make_trial(1, -1e300), make_trial(2, 1e300)],
    "largest": [make_trial(1, -1.7e308), make_trial(2, 1.7e308)],
    "smallest": [make_trial(1, 0.0), make_trial(2, 5e-324)],
    "strange names": [make_trial(1, source="_hidden"), make_trial(2, source="数 <b>$x^2$</b> & 🚀" * 5)],
}


@pytest.mark.parametrize("name", list(ODD))
def test_odd_studies_draw_without_a_warning(name: str) -> None:
    drawn = draw_all(NARROW, ODD[name])
    assert drawn
    for svg in drawn:
        root = ElementTree.fromstring(svg)
        assert root.tag.endswith("svg")
        assert "nan" not in root.get("viewBox", "nan")


def test_a_study_draws_the_same_twice_and_its_ids_are_its_own() -> None:
    trials = make_trials()[7:10]
    first, second = draw_all(NARROW, trials), draw_all(NARROW, trials)
    assert first == second
    ids = [i for svg in first for i in re.findall(r'\bid="([^"]+)"', svg)]
    assert len(ids) == len(set(ids))
    for svg in first:
        used = re.findall(r'href="#([^"]+)"', svg) + re.findall(r"url\(#([^)]+)\)", svg)
        assert set(used) <= set(re.findall(r'\bid="([^"]+)"', svg))


def test_history_shows_sources_failures_and_target() -> None:
    text = text_of(figures.history(STUDY, make_trials()))
    for label in ("best so far", "agents", "expert", "start", "failed", "target", "val_accuracy"):
        assert label in text
    without = make_study(task=make_task(target=None))
    assert "target" not in text_of(figures.history(without, make_trials()))
    assert "no trial has a score" in text_of(figures.history(STUDY, ODD["all failed"]))


def test_best_is_the_lowest_when_minimizing() -> None:
    study = make_study(task=make_task("minimize"))
    trials = [make_trial(1, 0.2), make_trial(2, 0.1), make_trial(3, 0.4)]
    xs, ys = figures._best_so_far(trials, study.task.objective)
    assert (xs, ys) == ([1, 2, 3.5], [0.2, 0.1, 0.1])


def test_each_parameter_gets_its_own_figure_and_scale() -> None:
    effects = figures.parameter_effects(STUDY, make_trials())
    assert list(effects) == list(STUDY.task.params)
    assert "1e-5" in text_of(effects["lr"])
    assert "sgd" in text_of(effects["optimizer"])
    assert "256" in text_of(effects["batch_size"])
    assert "momentum" not in figures.parameter_effects(STUDY, make_trials()[:3])


def test_thirty_parameters_with_long_names_and_many_choices() -> None:
    params: dict[str, ParameterSpec] = {}
    for i in range(10):
        params[f"a_really_long_parameter_name_that_goes_on_and_on_{i}"] = FloatParameter(low=-1e9, high=1e9)
        params[f"i{i}"] = IntParameter(low=1, high=2**40, log=True)
        params[f"c{i}"] = CategoricalParameter(choices=tuple(f"größe-数-{j}" + "x" * 40 for j in range(40)))
    task = make_task().model_copy(update={"params": params})
    config = {n: (p.choices[3] if isinstance(p, CategoricalParameter) else p.high) for n, p in params.items()}
    trials = [make_trial(1, 0.4, config=config), make_trial(2, 0.6, config=config)]
    effects = figures.parameter_effects(make_study(task=task), trials)
    assert len(effects) == 30


def test_a_value_outside_the_range_is_drawn_too() -> None:
    wild = make_trial(1, config={"lr": 5.0, "batch_size": 48, "dropout": -1.0})
    assert set(figures.parameter_effects(STUDY, [wild])) == {"lr", "batch_size", "dropout"}


def test_long_curves_are_thinned_and_keep_their_ends() -> None:
    epochs = tuple(EpochRecord(epoch=e, metrics={"val_accuracy": e / 5000}) for e in range(1, 5001))
    long = make_trial(1).model_copy(update={"epochs": epochs})
    xs, ys = figures._curve(long, "val_accuracy")
    assert len(xs) <= figures.MAX_POINTS + 1
    assert (xs[0], xs[-1], ys[-1]) == (1, 5000, 1.0)


def test_test_metrics_are_never_drawn() -> None:
    epochs = (
        EpochRecord(epoch=1, metrics={"test_loss": 0.3, "val_loss": 0.4, "val_accuracy": 0.5}),
        EpochRecord(epoch=2, metrics={"test_loss": 0.2, "val_loss": 0.3, "val_accuracy": 0.6}),
    )
    text = text_of(figures.trial_curves(STUDY, make_trial(1).model_copy(update={"epochs": epochs})))
    assert "val_loss" in text
    assert "test" not in text


def test_colours_follow_the_page() -> None:
    svg = figures.history(STUDY, make_trials())
    assert svg.startswith("<svg ")
    assert "var(--ink, #59636f)" in svg
    assert "<style" not in svg
    assert "font-family: var(--font, sans-serif)" in svg


def test_the_objective_may_be_a_loss() -> None:
    task = make_task().model_copy(update={"objective": Objective(metric="val_loss", direction="minimize")})
    assert figures.trial_curves(STUDY, make_trial(1)).count(">epoch<") == 2
    one_panel = figures.trial_curves(make_study(task=task), make_trial(1))
    assert one_panel.count(">epoch<") == 1
    assert figures.GREEN in one_panel


def test_matplotlib_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, tcs_hpt.report.figures, tcs_hpt.report.html; sys.exit('matplotlib' in sys.modules)"
    assert run([sys.executable, "-c", code], check=False).returncode == 0
