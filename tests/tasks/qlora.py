"""The script of qlora_summarization as a module, and the sizes that its tests run it at."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tcs_hpt.catalog import load_task
from tcs_hpt.space import SearchSpace
from tcs_hpt.spec import Config

WARNINGS = [
    # peft 0.21 asks Transformers 5.23 for what that calls deprecated.
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    # And it says of prompt tuning that only the distances between tokens count, as they do in training.
    pytest.mark.filterwarnings("ignore:Position ids are not supported:UserWarning"),
]

TASK = load_task("qlora_summarization")
SMOKE = TASK.spec.with_profile("smoke")
SPACE = SearchSpace(TASK.spec.params)
LAYERS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj")
NO_LAYERS: Config = dict.fromkeys(LAYERS, False)


@contextmanager
def loaded(home: Path) -> Iterator[Any]:
    """The script as a module, from a copy of the task's folder, without data and with an empty cache."""
    folder = shutil.copytree(TASK.folder, home / "mine")
    spec = importlib.util.spec_from_file_location("qlora_train", folder / "train.py")
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        for name in ("GOMP_SPINCOUNT", "CUBLAS_WORKSPACE_CONFIG", "TOKENIZERS_PARALLELISM"):
            patch.setenv(name, "false" if name.startswith("TOK") else os.environ.get(name, "0"))
        patch.setenv("TCS_HPT_CACHE_DIR", str(home / "cache"))
        patch.delenv("TCS_HPT_DATA_DIR", raising=False)
        spec.loader.exec_module(module)
        threads = module.torch.get_num_threads()
        yield module
        module.torch.use_deterministic_algorithms(False)
        module.torch.set_num_threads(threads)
        for name in ("articles", "language_models", "scores"):
            del sys.modules[name]
