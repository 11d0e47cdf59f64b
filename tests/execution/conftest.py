from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tcs_hpt.execution import RunResult
from tcs_hpt.records import EpochRecord
from tests.execution.fake_scripts import HEADER, Run, executor, make_job


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(script: str, **changes: Any) -> RunResult:
        seen: list[EpochRecord] = []
        result = executor().run(make_job(tmp_path, HEADER + script, **changes), seen.append)
        assert tuple(seen) == result.epochs
        assert (result.state == "finished") == (result.failure is None) == (result.value is not None)
        return result

    return run
