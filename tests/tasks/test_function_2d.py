from __future__ import annotations

from pathlib import Path

import pytest

from tcs_hpt.catalog import load_task
from tcs_hpt.execution import Job, LocalExecutor
from tcs_hpt.records import EpochRecord
from tcs_hpt.spec import Config

TASK = load_task("function_2d")


@pytest.mark.parametrize(
    ("config", "value"),
    [
        ({"x": 2.0, "y": 3.0}, 0.0),
        ({"x": 3.0, "y": 3.0}, 1.0),
        ({"x": 2.0, "y": 1.0}, 4.0),
        ({"x": -10.0, "y": 10.0}, 193.0),
    ],
)
def test_a_trial_is_the_value_of_the_function(tmp_path: Path, config: Config, value: float) -> None:
    seen: list[EpochRecord] = []
    job = Job(1, TASK.spec, TASK.folder, tmp_path / "1", config, 0, "")
    result = LocalExecutor(poll_seconds=0.01).run(job, seen.append)
    assert result.state == "finished", result.failure
    assert result.value == value
    assert result.metrics == {"value": value}
    assert [(e.epoch, e.metrics) for e in seen] == [(1, {"value": value})]


def test_the_formula_is_not_told_to_models() -> None:
    texts = [TASK.spec.title, TASK.spec.description, *(p.description for p in TASK.spec.params.values())]
    assert not [text for text in texts if any(c.isdigit() or c in "^*=" for c in text)]
