from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tcs_hpt.catalog import list_tasks, load_task
from tcs_hpt.errors import UserError
from tcs_hpt.experiments.task_changes import Reported, another_value, differing, single_changes
from tcs_hpt.experiments.task_check import CheckOptions, check_task
from tcs_hpt.experiments.task_folder import needed_extra
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import TaskSpec
from tests.experiments.checking import GOOD, HEAD, MANIFEST, check, found, my_task, statuses


def test_a_good_task_passes_everything(tmp_path: Path) -> None:
    asked: list[str] = []
    (tmp_path / "home").mkdir()
    done = check_task(
        my_task(tmp_path, GOOD), tmp_path / "home", CheckOptions(thorough=True, seed=3), on_run=asked.append
    )
    assert [c.name for c in done.checks] == [
        *("manifest", "defaults", "time limit", "run", "metric", "curve", "test scores", "same seed"),
        *("stopping", "parameters", "folder"),
    ]
    assert [c for c in done.checks if c.status != "ok" or c.hint] == []
    assert (done.task, done.profile, done.seed) == ("mine", "smoke", 3)
    assert found(done, "curve").text.startswith("2 epochs with")
    assert found(done, "test scores").text.startswith("test_accuracy:")
    assert found(done, "parameters").text == "all 3 change what is reported."
    assert [what.partition("=")[0] for what in asked] == [
        *("with the defaults", "once more with the same seed", "until it is told to end"),
        *("with lr", "with optimizer", "to compare momentum with", "with momentum"),
    ]
    assert done.seconds is not None
    assert done.study_seconds == 10 * done.seconds
    assert done.peak_memory_mb is not None
    assert done.peak_memory_mb > 1


@pytest.mark.parametrize(("profile", "epochs"), [(None, 2), ("long", 4)])
def test_the_size_is_smoke_unless_another_is_named(tmp_path: Path, profile: str | None, epochs: int) -> None:
    manifest = MANIFEST + "[profiles.long]\nfixed = { epochs = 4 }\n"
    done = check(tmp_path, GOOD, CheckOptions(profile=profile, once=True), manifest)
    assert found(done, "curve").text.startswith(f"{epochs} epochs")
    assert done.profile == (profile or "smoke")


def test_without_smoke_the_bare_manifest_is_run(tmp_path: Path) -> None:
    done = check(tmp_path, GOOD, manifest=MANIFEST.partition("[profiles.smoke]")[0])
    assert found(done, "curve").text.startswith("3 epochs")
    assert done.profile == ""


def test_another_metric_name_is_guessed(tmp_path: Path) -> None:
    done = check(tmp_path, GOOD.replace("val_accuracy", "val_acuracy"))
    assert statuses(done)["run"] == "ok"
    metric = found(done, "metric")
    assert metric.status == "failed"
    assert metric.text == (
        "val_accuracy was never reported; what was: val_acuracy, lr, seconds, test_accuracy."
    )
    assert metric.hint.startswith("Did you mean `val_acuracy`? Call trial.finish(val_accuracy=...)")
    assert "val_accuracy" in found(done, "curve").text
    assert done.seconds is None


def test_a_score_that_is_not_finite_names_the_first_epoch(tmp_path: Path) -> None:
    script = HEAD + (
        "trial.report(epoch=1, val_accuracy=0.5)\n"
        "trial.report(epoch=2, val_accuracy=float('nan'))\n"
        "trial.finish(val_accuracy=float('nan'))\n"
    )
    metric = found(check(tmp_path, script), "metric")
    assert metric.status == "failed"
    assert "not a finite number, from epoch 2 on" in metric.text


def test_no_epochs_are_a_warning_with_a_hint(tmp_path: Path) -> None:
    done = check(tmp_path, HEAD + "trial.finish(val_accuracy=p['lr'])")
    assert done.ok
    assert found(done, "curve").status == "warning"
    assert "trial.report(epoch=..., val_accuracy=...)" in found(done, "curve").hint


@pytest.mark.parametrize(
    ("numbers", "text"), [((1, 1), "do not rise"), ((3, 2), "do not rise"), ((0, 1), "2 epochs with")]
)
def test_epochs_rise(tmp_path: Path, numbers: tuple[int, int], text: str) -> None:
    reports = "".join(f"trial.report(epoch={n}, val_accuracy=0.5)\n" for n in numbers)
    assert text in found(check(tmp_path, HEAD + reports), "curve").text


@pytest.mark.parametrize(("size", "status"), [(1.0, "failed"), (1e-6, "warning")])
def test_another_score_with_the_same_seed_is_told(tmp_path: Path, size: float, status: str) -> None:
    script = GOOD.replace("random.seed(trial.seed)", "random.seed(0)").replace(
        "score = ", f"score = {size} * int.from_bytes(os.urandom(4), 'big') / 2**32 + "
    )
    done = check(tmp_path, script, CheckOptions(thorough=True))
    same = found(done, "same seed")
    assert same.status == status
    assert ("trial.seed" in same.hint) == (status == "failed")
    assert "cannot be told" in found(done, "parameters").text


@pytest.mark.parametrize("echo", ["", "trial.report(epoch=9, momentum=p.get('momentum', 0))\n"])
def test_a_parameter_that_does_nothing_is_found(tmp_path: Path, echo: str) -> None:
    script = GOOD.replace('p.get("momentum", 3.0)', "3.0").replace("trial.finish", f"{echo}trial.finish")
    parameters = found(check(tmp_path, script, CheckOptions(thorough=True)), "parameters")
    assert parameters.status == "failed"
    assert parameters.text == "`momentum` changed nothing."


def test_a_value_that_crashes_is_found(tmp_path: Path) -> None:
    script = GOOD.replace("random.seed", "assert p['optimizer'] == 'sgd', 'no such thing'\nrandom.seed")
    parameters = found(check(tmp_path, script, CheckOptions(thorough=True)), "parameters")
    assert parameters.status == "failed"
    assert "optimizer=adam" in parameters.text
    assert "no such thing" in parameters.text
    assert parameters.details[-1] == "AssertionError: no such thing"


def test_a_parameter_that_is_named_nowhere_is_seen_without_a_run(tmp_path: Path) -> None:
    options = CheckOptions(manifest_only=True)
    parameters = found(
        check(tmp_path, GOOD.replace('"lr"', '"rate"').replace("lr=", "rate="), options), "parameters"
    )
    assert parameters.status == "warning"
    assert parameters.text.endswith("folder: lr.")
    assert 'trial.params["lr"]' in parameters.hint


@pytest.mark.parametrize(
    ("script", "command"),
    [("train(**trial.params)", ""), ("print('other')", ', "--lr={lr}", "{optimizer}{momentum}"')],
)
def test_handed_over_together_or_by_the_command_they_are_all_named(
    tmp_path: Path, script: str, command: str
) -> None:
    manifest = MANIFEST.replace('"train.py"', f'"train.py"{command}')
    done = check(tmp_path, script, CheckOptions(manifest_only=True), manifest)
    assert statuses(done) == dict.fromkeys(("manifest", "defaults", "time limit", "parameters"), "ok")


def test_what_is_written_beside_the_script_is_told(tmp_path: Path) -> None:
    script = GOOD + (
        "here = os.path.dirname(os.path.abspath(__file__))\n"
        "open(os.path.join(here, 'last.pt'), 'w').close()\nopen('mine.txt', 'w').close()\n"
    )
    folder = found(check(tmp_path, script), "folder")
    assert folder.status == "warning"
    assert folder.text == "the runs wrote beside the script: last.pt."


def test_a_test_score_under_another_name_is_told(tmp_path: Path) -> None:
    scores = found(check(tmp_path, GOOD.replace("test_accuracy", "accuracy_test")), "test scores")
    assert scores.status == "warning"
    assert "accuracy_test" in scores.text
    assert "test_accuracy" in scores.hint


def test_data_and_interpreter_and_seed_reach_the_script(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    script = (
        GOOD
        + f"open({str(tmp_path / 'told')!r}, 'w').write(f'{{trial.data_dir}} {{trial.seed}} {{sys.executable}}')"
    )
    check(
        tmp_path, script, CheckOptions(once=True, data_dir=tmp_path / "data", seed=7, python=sys.executable)
    )
    assert (tmp_path / "told").read_text() == f"{tmp_path / 'data'} 7 {sys.executable}"


@pytest.mark.parametrize(
    ("old", "new", "name", "status", "text"),
    [
        ("trial_seconds = 100", "", "time limit", "warning", "none at the bare manifest, smoke"),
        ('description = "A curve."', "", "manifest", "warning", "without a `description`: the task."),
        ('description = "Step size."', "", "manifest", "warning", "without a `description`: lr."),
        ("default = 0.5", "", "defaults", "warning", "momentum (0.45)"),
    ],
)
def test_what_a_manifest_lacks(tmp_path: Path, old: str, new: str, name: str, status: str, text: str) -> None:
    done = check(tmp_path, GOOD, CheckOptions(manifest_only=True), MANIFEST.replace(old, new))
    assert done.ok
    assert found(done, name).status == status
    assert text in found(done, name).text


def test_a_broken_manifest_lists_every_problem(tmp_path: Path) -> None:
    broken = MANIFEST.replace("high = 1.0", "high = 1e-5").replace('"maximize"', '"up"')
    done = check(tmp_path, GOOD, manifest=broken)
    assert statuses(done) == {"manifest": "failed"}
    assert len(done.checks[0].details) == 2
    assert any("params.lr" in line for line in done.checks[0].details)


def test_nothing_to_tune_fails(tmp_path: Path) -> None:
    bare = MANIFEST.partition("[params.lr]")[0]
    assert statuses(check(tmp_path, GOOD, manifest=bare))["manifest"] == "failed"


@pytest.mark.parametrize("options", [CheckOptions(thorough=True, once=True), CheckOptions(profile="huge")])
def test_wrong_use_is_an_error(tmp_path: Path, options: CheckOptions) -> None:
    with pytest.raises(UserError):
        check_task(my_task(tmp_path, GOOD), tmp_path, options)


# -- what another value is ----------------------------------------------------------------------------------


def space_of(**params: Any) -> SearchSpace:
    raw = {
        "schema": 1,
        "name": "t",
        "command": ["x"],
        "objective": {"metric": "m", "direction": "maximize"},
        "params": params,
    }
    return SearchSpace(TaskSpec.model_validate(raw).params)


@pytest.mark.parametrize(
    "parameter",
    [
        {"type": "categorical", "choices": ["a", "b"], "default": "b"},
        {"type": "categorical", "choices": [False, True], "default": True},
        {"type": "categorical", "choices": ["a", "b", "c"], "default": "b"},
        {"type": "int", "low": 1, "high": 2, "default": 2},
        {"type": "int", "low": 1, "high": 2, "default": 1},
        {"type": "float", "low": 0.0, "high": 1.0, "step": 1.0, "default": 1.0},
        {"type": "float", "low": 1e-6, "high": 1e-1, "log": True, "default": 1e-2},
    ],
)
def test_another_value_is_never_the_default(parameter: dict[str, Any]) -> None:
    space = space_of(p=parameter)
    config = another_value(space, "p")
    assert space.contains(config)
    assert config != space.defaults()


def test_a_parameter_that_is_off_is_switched_on_first_if_it_can_be() -> None:
    layers = {"type": "int", "low": 1, "high": 3, "default": 1}
    size = {"type": "int", "low": 8, "high": 64, "default": 16, "when": {"layers": [9, 3]}}
    changes = {c.name: c for c in single_changes(space_of(layers=layers, size=size))}
    assert changes["size"].base == {"layers": 3, "size": 16}
    assert changes["size"].config["layers"] == 3
    never = size | {"when": {"layers": [9]}}
    assert [c.name for c in single_changes(space_of(layers=layers, size=never))] == ["layers"]


def test_runs_differ_in_what_they_reported() -> None:
    run = Reported(({"epoch": 1, "loss": 1.0},), {"score": 0.5})
    assert differing(run, run) == frozenset()
    assert differing(run, Reported(({"epoch": 1, "loss": 2.0},), {"score": 0.5})) == {"loss"}
    assert differing(run, Reported(run.epochs, {"score": 0.5, "more": None})) == {"more"}
    assert "epoch" in differing(run, Reported((*run.epochs, {"epoch": 2, "loss": 1.0}), run.result))


def test_the_extra_is_the_one_that_the_script_names(tmp_path: Path) -> None:
    folder = my_task(tmp_path, "sys.exit(\"pip install 'tcs-hpt[graph]'\")")
    assert needed_extra(load_task(folder)) == "graph"
    assert needed_extra(load_task("mlp_digits")) == ""
    assert "gcn_cora" in list_tasks()
    assert needed_extra(load_task("gcn_cora")) == "graph"
