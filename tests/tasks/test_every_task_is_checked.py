"""No built-in task without a contract, and each passes `tcs-hpt tasks check` as a user's own folder would."""

from __future__ import annotations

import ast
import os
import shutil
from pathlib import Path

import pytest

from tcs_hpt.catalog import list_tasks, load_task
from tcs_hpt.experiments.task_check import CheckOptions, check_task
from tcs_hpt.experiments.task_folder import needed_extra
from tcs_hpt.testing.tasks import PROFILE, prepared_data


def contracts() -> dict[str, str | None]:
    """Task -> the data it needs, from every class here that inherits the contract; read, because to import is slow."""
    found: dict[str, str | None] = {}
    for path in Path(__file__).parent.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and "TaskContract" in map(ast.unparse, node.bases):
                said = _attributes(node)
                if isinstance(task := said.get("task"), str):
                    needs = said.get("needs")
                    found[task] = needs if isinstance(needs, str) else None
    return found


def _attributes(node: ast.ClassDef) -> dict[str, object]:
    """What a class sets to a constant, with or without an annotation."""
    said: dict[str, object] = {}
    for line in node.body:
        targets = line.targets if isinstance(line, ast.Assign) else [getattr(line, "target", None)]
        value = getattr(line, "value", None)
        if isinstance(value, ast.Constant):
            said.update({t.id: value.value for t in targets if isinstance(t, ast.Name)})
    return said


def test_every_built_in_task_is_under_contract() -> None:
    assert set(list_tasks()) - set(contracts()) == set()


def test_no_contract_is_for_a_task_that_is_gone() -> None:
    assert set(contracts()) - set(list_tasks()) == set()


@pytest.mark.parametrize("name", list_tasks())
def test_a_copy_elsewhere_passes_the_check(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = contracts().get(name)
    data = None if needs is None else prepared_data(needs)
    monkeypatch.delenv("TCS_HPT_DATA_DIR", raising=False)
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    copy = tmp_path / "elsewhere" / name
    shutil.copytree(load_task(name).folder, copy, ignore=shutil.ignore_patterns("__pycache__"))
    home = tmp_path / "home"
    home.mkdir()
    # One run: the contract looks at seeds and parameters, and pays for the imports once.
    options = CheckOptions(profile=PROFILE, once=True, data_dir=data, trial_seconds=600)  # machines are busy
    done = check_task(copy, home, options)
    extra = needed_extra(load_task(copy))
    not_ok = [str(c) for c in done.checks if c.status != "ok"]
    if extra and any(f"tcs-hpt[{extra}]" in text for text in not_ok) and not _in_ci():
        pytest.skip(f"needs pip install 'tcs-hpt[{extra}]'")
    assert not_ok == []
    assert Path(done.folder) == copy.resolve()
    assert done.seconds is not None


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() not in ("", "0", "false")
