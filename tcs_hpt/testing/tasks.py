"""What every built-in task must do, as a test class to inherit.

    class TestGcnCora(TaskContract):
        task = "gcn_cora"
        test_score = "test_accuracy"
        needs = "cora"

Needs pytest. The script runs at the profile `smoke`, never in the process of the tests: once by hand, and once for all
the trials that are compared, so that what a script imports is paid for twice.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest

from tcs_hpt import bundled
from tcs_hpt.catalog import LoadedTask, load_task
from tcs_hpt.execution import Job
from tcs_hpt.execution.folder import prepare
from tcs_hpt.experiments.task_changes import Reported, another_value, differing, single_changes
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import CategoricalParameter, Config, ParameterSpec

__all__ = ["PROFILE", "TaskContract", "TrialFiles", "another_value", "prepared_data", "run_trials"]

PROFILE = "smoke"

_RUN_EACH = """
import os, runpy, sys
script, *folders = sys.argv[1:]
sys.argv, sys.path[0] = [script], os.path.dirname(script)
for folder in folders:
    os.environ["TCS_HPT_TRIAL_DIR"] = folder
    os.chdir(folder)
    runpy.run_path(script, run_name="__main__")
"""


def prepared_data(name: str) -> Path:
    """The data folder of this machine: `TCS_HPT_DATA_DIR`, else `shared/data` beside the checkout.

    Without `name` in it the test is skipped; under CI it fails, because CI prepares its data.
    """
    named = os.environ.get("TCS_HPT_DATA_DIR")
    beside = bundled.folder("tasks").parent.parent / "shared" / "data"
    for place in ([Path(named)] if named else []) + [beside]:
        if (place / name).exists():
            return place.absolute()
    message = f"no data folder with {name!r} in it; set TCS_HPT_DATA_DIR"
    if os.environ.get("CI", "").lower() in ("", "0", "false"):
        pytest.skip(message)
    pytest.fail(message)


TrialFiles = Reported
"""What a script left in its trial's folder; its epochs without `seconds`, which no two runs have in common."""


def run_trials(
    task: LoadedTask, configs: list[tuple[Config, int]], home: Path, data_dir: Path | None
) -> list[TrialFiles]:
    """Run the script for each configuration and seed, one after another, in a process of their own.

    Args:
        task: The task, at the profile `smoke`.
        configs: Complete configurations, each with the training seed.
        home: An empty folder for the trials' folders.
        data_dir: Handed to the script.
    """
    spec = task.spec.with_profile(PROFILE)
    folders = [home / str(number) for number in range(1, len(configs) + 1)]
    for number, (folder, (config, seed)) in enumerate(zip(folders, configs, strict=True), start=1):
        prepare(Job(number, spec, task.folder, folder, config, seed, PROFILE, data_dir), folder)
    done = subprocess.run(
        [sys.executable, "-c", _RUN_EACH, str(task.folder / "train.py"), *map(str, folders)],
        env=_environment(data_dir),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [_read(folder) for folder in folders]


def _environment(data_dir: Path | None) -> dict[str, str]:
    """Of this process, without what an engine or a person may have set for a trial."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith("TCS_HPT_")}
    ours |= {"PYTHONDONTWRITEBYTECODE": "1"}
    return ours if data_dir is None else ours | {"TCS_HPT_DATA_DIR": str(data_dir)}


def _read(folder: Path) -> TrialFiles:
    epochs = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    result = json.loads((folder / "result.json").read_text())
    return TrialFiles(tuple({k: v for k, v in e.items() if k != "seconds"} for e in epochs), result)


def _files(folder: Path) -> set[Path]:
    return {p for p in folder.rglob("*") if "__pycache__" not in p.parts}


class TaskContract:
    """Inherit it and set the attributes."""

    task: ClassVar[str]
    """Name of the built-in task."""
    test_score: ClassVar[str | None]
    """Name of the score on held-out data in the result. Say None for a task that holds nothing out."""
    seeded: ClassVar[bool] = True
    """Whether the training seed makes a difference."""
    needs: ClassVar[str | None] = None
    """The part of a prepared data folder without which the task cannot run; None for a task that brings its data."""

    @pytest.fixture
    def loaded(self) -> LoadedTask:
        """The task, as the catalogue reads it; a problem of the manifest is an error here."""
        return load_task(self.task)

    @pytest.fixture
    def data_dir(self) -> Path | None:
        """Where the data is; skips the test, and fails it in CI, when it is not."""
        return None if self.needs is None else prepared_data(self.needs)

    @pytest.fixture(scope="class")
    @classmethod
    def trials(cls, tmp_path_factory: pytest.TempPathFactory) -> dict[str, TrialFiles]:
        """The defaults (`defaults`, `again`, `seed 1`), and under the name of each parameter: the same, with it changed.

        `before NAME` is there for a parameter that the defaults do not switch on.
        """
        task = load_task(cls.task)
        space = SearchSpace(task.spec.with_profile(PROFILE).params)
        wanted = {n: (space.defaults(), 0) for n in ("defaults", "again")}
        wanted |= {"seed 1": (space.defaults(), 1)}
        for change in single_changes(space):
            wanted[change.name] = (change.config, 0)
            if change.base != space.defaults():  # another parameter had to be set, to switch this one on
                wanted[f"before {change.name}"] = (change.base, 0)
        data_dir = None if cls.needs is None else prepared_data(cls.needs)
        found = run_trials(task, list(wanted.values()), tmp_path_factory.mktemp(cls.task), data_dir)
        return dict(zip(wanted, found, strict=True))

    def test_the_manifest_is_complete(self, loaded: LoadedTask) -> None:
        """It has a title, a description, a target, a time limit, and the sizes that every built-in task has."""
        spec = loaded.spec
        assert spec.name == self.task == loaded.folder.name
        assert spec.command == ("{python}", "train.py")
        assert spec.title
        assert spec.description.endswith(".")
        assert spec.objective.target is not None
        assert spec.params
        assert {PROFILE, "quick"} <= set(spec.profiles)
        for profile in (None, *spec.profiles):
            assert spec.with_profile(profile).limits.trial_seconds, profile

    def test_defaults_are_declared_and_inside_the_space(self, loaded: LoadedTask) -> None:
        """At every size."""
        for profile in (None, *loaded.spec.profiles):
            space = SearchSpace(loaded.spec.with_profile(profile).params)
            assert [n for n, p in space.params.items() if p.default is None] == []
            assert [str(v) for v in space.violations(space.defaults())] == []

    def test_every_parameter_is_described(self, loaded: LoadedTask) -> None:
        """By a sentence, which people and models read."""
        undescribed = [n for n, p in loaded.spec.params.items() if not re.search(r"\w.*\.$", p.description)]
        assert undescribed == []

    def test_the_readme_tells_what_one_must_know(self, loaded: LoadedTask) -> None:
        """Model, data and their licence, score, profiles, and what the defaults score."""
        text = (loaded.folder / "README.md").read_text(encoding="utf-8")
        for part in ("Model", "Data", "Score", "Profiles", "What the defaults score"):
            assert f"**{part}.**" in text, part
        assert re.search(r"licen[cs]e", text, re.IGNORECASE)
        assert re.search(r"^\| defaults \| -?[\d.]+", text, re.MULTILINE)
        for profile in loaded.spec.profiles:
            assert f"`{profile}`" in text

    def test_the_readme_tells_the_ranges_of_the_manifest(self, loaded: LoadedTask) -> None:
        """One row of its table for each parameter: name, range, default."""
        text = (loaded.folder / "README.md").read_text(encoding="utf-8")
        table = text.partition("| parameter | range | default |")[2].partition("\n\n")[0]
        rows = re.findall(r"^\| `([^`]+)`[^|]*\| ([^|]+) \| ([^|]+) \|", table, re.MULTILINE)
        assert [name for name, _, _ in rows] == list(loaded.spec.params)
        for name, values, default in rows:
            assert _as_told(loaded.spec.params[name], values, default), (name, values, default)

    def test_it_runs_by_hand(self, loaded: LoadedTask, data_dir: Path | None, tmp_path: Path) -> None:
        """From any folder, without an engine; it writes neither there nor beside the script nor into the data."""
        watched = [loaded.folder, tmp_path] + ([data_dir / self.needs] if data_dir and self.needs else [])
        before = [_files(folder) for folder in watched]
        done = subprocess.run(
            [sys.executable, str(loaded.folder / "train.py")],
            cwd=tmp_path,
            env=_environment(data_dir) | {"TCS_HPT_PROFILE": PROFILE},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        *epochs, last = done.stdout.splitlines()
        assert any(line.startswith("epoch ") for line in epochs)
        assert re.search(rf"^finished .*\b{re.escape(loaded.spec.objective.metric)} -?\d", last)
        assert [_files(folder) for folder in watched] == before

    def test_every_epoch_has_the_objective(self, loaded: LoadedTask, trials: dict[str, TrialFiles]) -> None:
        """Finite, under rising numbers, so that there is a trajectory to read; the result has it too."""
        metric = loaded.spec.objective.metric
        for name, trial in trials.items():
            numbers = [epoch["epoch"] for epoch in trial.epochs]
            assert numbers == list(range(1, len(numbers) + 1)), name
            assert numbers, name
            assert all(isinstance(epoch[metric], float) for epoch in trial.epochs), name
            assert isinstance(trial.result[metric], float), name

    def test_the_test_score_is_kept_apart(self, trials: dict[str, TrialFiles]) -> None:
        """In the result only, and under a name that no proposer is shown."""
        expected = set() if self.test_score is None else {self.test_score}
        assert all(name.startswith("test_") for name in expected)
        for trial in trials.values():
            assert {n for n in trial.result if n.startswith("test_")} == expected
            assert not [n for epoch in trial.epochs for n in epoch if n.startswith("test_")]
            assert all(isinstance(trial.result[name], float) for name in expected)

    def test_the_same_seed_gives_the_same_result(self, trials: dict[str, TrialFiles]) -> None:
        """To the last digit."""
        assert trials["defaults"] == trials["again"]

    def test_the_seed_reaches_the_training(self, trials: dict[str, TrialFiles]) -> None:
        """Or the task says that it has no use for one."""
        assert (trials["defaults"] != trials["seed 1"]) == self.seeded

    def test_every_parameter_changes_the_training(
        self, loaded: LoadedTask, trials: dict[str, TrialFiles]
    ) -> None:
        """A value that never reaches the model would be tuned in vain; that a script reports it proves nothing."""
        never_on = [n for n in loaded.spec.params if n not in trials]
        assert never_on == []
        bases = {n: trials.get(f"before {n}", trials["defaults"]) for n in loaded.spec.params}
        idle = [n for n, base in bases.items() if not differing(trials[n], base) - {n}]
        assert idle == []


def _as_told(parameter: ParameterSpec, values: str, default: str) -> bool:
    """Whether a README's row says what the manifest says."""
    if isinstance(parameter, CategoricalParameter):
        return (values, default) == (", ".join(map(str, parameter.choices)), str(parameter.default))
    found = re.fullmatch(r"(\S+) to ([^\s,]+)(, log)?", values)
    if found is None or parameter.default is None:
        return False
    told = (float(found[1]), float(found[2]), bool(found[3]), float(default))
    return told == (parameter.low, parameter.high, parameter.log, parameter.default)
