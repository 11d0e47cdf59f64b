"""The script of distilbert_sst2 as a module, and nothing to read but what a test gives it."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tcs_hpt.catalog import load_task

TASK = load_task("distilbert_sst2")


@contextmanager
def offline(home: Path) -> Iterator[Path]:
    """An empty folder as the cache, for the scripts in processes of their own too, and no network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(home))
        patch.setenv("TCS_HPT_CACHE_DIR", str(home / "tcs-hpt"))
        patch.setenv("HF_HOME", str(home / "huggingface"))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        yield home / "tcs-hpt" / "data"


@contextmanager
def loaded() -> Iterator[Any]:
    """The task's script as a module."""
    spec = importlib.util.spec_from_file_location("distilbert_sst2_train", TASK.folder / "train.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(TASK.folder))
        patch.setattr(sys, "dont_write_bytecode", True)
        spec.loader.exec_module(module)
        threads = module.torch.get_num_threads()
        yield module
        module.torch.set_num_threads(threads)
        module.torch.use_deterministic_algorithms(False)
        del sys.modules["sst2"]
