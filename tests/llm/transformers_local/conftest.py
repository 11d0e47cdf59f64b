"""A tiny model, on one thread."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tcs_hpt.llm.transformers_local import TransformersModel


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """So small a model only loses time when threads wait for each other on a busy machine."""
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.llm.transformers_local.models import save_random_model  # skips without its packages

    return save_random_model(tmp_path_factory.mktemp("random"))


@pytest.fixture(scope="module")
def model(folder: Path) -> Iterator[TransformersModel]:
    model = TransformersModel(str(folder), name="transformers:tiny", device="cpu")
    yield model
    model.close()
