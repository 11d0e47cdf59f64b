from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tcs_hpt.llm import download
from tcs_hpt.llm.llama_cpp import LlamaCppModel
from tcs_hpt.llm.models import CATALOGUE, DEFAULT_EMBEDDED, models_dir

settings.register_profile("tcs-hpt", deadline=None, print_blob=True)  # the machines are shared and noisy
settings.load_profile("tcs-hpt")


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """The embedded default model's file; fetched when it is missing, for tests marked `embedded`."""
    return download.fetch(CATALOGUE[DEFAULT_EMBEDDED], models_dir())


@pytest.fixture(scope="session")
def embedded(smollm2: Path) -> Iterator[LlamaCppModel]:
    model = LlamaCppModel(smollm2, name="embedded:smollm2-135m", context=1024)
    yield model
    model.close()
