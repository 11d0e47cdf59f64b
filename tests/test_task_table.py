from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import task_table
from tcs_hpt.records import Usage
from tcs_hpt.space import SearchSpace
from tcs_hpt.store import Store
from tests.build import study, task, trial

SPEC = task()
SPEC_DEFAULTS = SearchSpace(SPEC.params).defaults()
START = SPEC_DEFAULTS


def test_a_task_shows_its_defaults_beside_random_configurations() -> None:
    used = [Usage(wall_seconds=s, peak_memory_mb=m) for s, m in ((10, 300), (12, 420), (2, 100), (14, 310))]
    trials = [
        trial(1, START, 0.8, usage=used[0]),
        trial(2, START, 0.9, usage=used[1]),
        trial(3, START, None, kind="diverged", usage=used[2]),
        trial(4, START, 0.3, usage=used[3]),
        trial(5, START, 0.5, usage=used[3]),
    ]
    cells = dict(zip(task_table.HEAD, task_table.line(study(SPEC), trials), strict=True))
    assert cells == {
        "task": f"`{SPEC.name}`",
        "metric": f"{SPEC.objective.metric} (higher is better)",
        "defaults": "0.8",
        "best": "0.9",
        "median": "0.5",
        "worst": "0.3",
        "random configurations": "4",
        "failed": "1",
        "seconds a trial": "12",
        "longest": "14",
        "peak memory": "420 MB",
    }


def test_defaults_that_fail_are_said_to() -> None:
    cells = task_table.line(study(SPEC), [trial(1, START, None, kind="crashed")])
    assert cells[2:8] == ("failed", "", "", "", "0", "0")


def test_the_table_is_that_of_a_comparison(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    url = str(tmp_path / "studies.db")
    with Store.open(url) as store:
        for name, comparison in (("in", "tasks"), ("out", "")):
            store.create_study(study(SPEC, name=name, comparison=comparison, method="random"))
            store.save_trial(name, trial(1, SPEC_DEFAULTS, 0.75))
    monkeypatch.setattr(sys, "argv", ["task_table", "tasks", "--store", url])
    task_table.main()
    assert capsys.readouterr().out.count(f"| `{SPEC.name}` |") == 1
    monkeypatch.setattr(sys, "argv", ["task_table", "others", "--store", url])
    with pytest.raises(SystemExit) as ended:
        task_table.main()
    assert ended.value.code == 1
    assert "no trial of a comparison 'others'" in capsys.readouterr().err
