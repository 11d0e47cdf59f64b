"""A seeded ten of the kills that benchmarks/kill_storm.py does by the hundred."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def kill_storm() -> ModuleType:
    path = Path(__file__).parent.parent / "benchmarks" / "kill_storm.py"
    spec = importlib.util.spec_from_file_location("kill_storm", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["kill_storm"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_one_job_loses_nothing_and_goes_on_as_an_unbroken_study(
    kill_storm: ModuleType, tmp_path: Path
) -> None:
    kill_storm.make_task(tmp_path)
    outcome = kill_storm.storm(tmp_path, method="random", seed=7, jobs=1, kills=5, trials=16)
    assert outcome.problems == []
    assert sum(outcome.kills.values()) >= 3  # on a fast machine the study may end before the fifth
    assert kill_storm.same_as_unbroken(tmp_path, "random", 7, 16)


def test_three_jobs_lose_nothing(kill_storm: ModuleType, tmp_path: Path) -> None:
    kill_storm.make_task(tmp_path)
    outcome = kill_storm.storm(tmp_path, method="coin", seed=7, jobs=3, kills=5, trials=60)
    assert outcome.problems == []
    assert sum(outcome.kills.values()) >= 3  # on a fast machine the study may end before the fifth
