from __future__ import annotations

import subprocess
import sys

import pytest

import tcs_hpt


def test_all_is_sorted_and_every_name_resolves() -> None:
    assert tcs_hpt.__all__ == sorted(tcs_hpt.__all__)
    for name in tcs_hpt.__all__:
        assert getattr(tcs_hpt, name) is not None
    assert dir(tcs_hpt) == tcs_hpt.__all__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        tcs_hpt.nothing  # noqa: B018


def test_a_training_script_imports_nothing_heavy() -> None:
    code = "import sys, tcs_hpt; tcs_hpt.current_trial; print(*sorted(m.split('.')[0] for m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert not loaded & {
        "pydantic",
        "numpy",
        "optuna",
        "sqlalchemy",
        "sklearn",
        "rich",
        "typer",
        "jinja2",
        "psutil",
    }
