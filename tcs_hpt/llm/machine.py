"""What this machine has for running language models: memory, GPUs, engines, an Ollama server.

Everything here only looks; nothing is loaded, started or fetched. NVIDIA GPUs are found with `nvidia-smi`, Apple's by
the kind of processor; others are not looked for.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from tcs_hpt.errors import ModelError
from tcs_hpt.llm._cgroups import ROOT, memory_limits, processor_limit
from tcs_hpt.llm.models import full_tag, library_model

if TYPE_CHECKING:
    from tcs_hpt.llm.ollama import InstalledModel

ENGINES = ("xllamacpp", "ollama", "httpx", "transformers", "torch")
"""Python packages that run models, or speak to what runs them."""

LISTING_SECONDS = 10.0
SMI_SECONDS = 20.0
"""A driver that has to wake its GPUs takes seconds."""
BYTES_PER_CORE = 750_000_000
"""Weights that one CPU core can serve at a tolerable pace. Two cores were measured to read 75 tokens a second with a model
of 1.1 GB, so that a prompt of 2,000 tokens costs half a minute; twice the weights would cost twice that."""
MOST_ON_CPU = 6_000_000_000
"""Weights beyond which more cores do not help: every token written reads all of them from memory."""
IGNORE_MEMORY_VARIABLE = "TCS_HPT_IGNORE_MEMORY"
"""Set to anything but 0, models are loaded even if they seem too large."""
SHORTAGE_HINT = f"or set {IGNORE_MEMORY_VARIABLE}=1 to load it anyway"

UNIFIED_SHARE = 2 / 3
"""Of a memory shared with the GPU, what Apple's systems let the GPU use."""


@dataclass(frozen=True)
class Gpu:
    """A graphics processor with memory of its own."""

    name: str
    memory_total: int
    """[bytes]"""
    memory_free: int
    """[bytes]"""


@dataclass(frozen=True)
class Machine:
    """Processor and memory, at one moment."""

    cores: int
    """Physical cores that this process may use."""
    memory_total: int
    """[bytes]; a container's or job's limit, where that is smaller than the machine's."""
    memory_available: int
    """[bytes]; without swapping."""
    gpus: tuple[Gpu, ...] = ()
    unified: bool = False
    """Whether the GPU shares the main memory (Apple silicon)."""

    @property
    def gpu_memory_free(self) -> int:
        """Over all GPUs, since engines spread a model over several [bytes]."""
        if self.unified:
            return min(self.memory_available, int(self.memory_total * UNIFIED_SHARE))
        return sum(gpu.memory_free for gpu in self.gpus)

    def fits(self, memory: int) -> bool:
        """Whether a model that needs this much [bytes] can be loaded now, on the GPUs or in the main memory."""
        return memory <= max(self.memory_available, self.gpu_memory_free)

    def is_quick(self, memory: int, weights: int) -> bool:
        """Whether such a model would also answer within about a minute: on a GPU, or small enough for the cores."""
        return memory <= self.gpu_memory_free or weights <= min(self.cores * BYTES_PER_CORE, MOST_ON_CPU)


@dataclass(frozen=True)
class OllamaState:
    """An Ollama server that answers."""

    version: str
    models: tuple[InstalledModel, ...] = ()
    loaded: tuple[str, ...] = ()
    """Names of the models that it holds in memory now."""
    local: bool = True
    """Whether it is on this machine, whose memory it then shares."""
    problem: str = ""
    """Why it cannot be used though it answers; empty when it can."""

    def tag_of(self, name: str) -> str | None:
        """The tag under which the server has a model: its own, else another one of the same weights; None for neither."""
        tags = {full_tag(model.name): model.name for model in self.models}
        known = library_model(name)
        same = (name, known.name, *known.also) if known else (name,)
        return next((tags[tag] for tag in map(full_tag, same) if tag in tags), None)


def look(*, smi: str = "nvidia-smi", cgroups: Path = ROOT) -> Machine:
    """Measure this machine.

    Args:
        smi: The program that lists NVIDIA GPUs.
        cgroups: Where Linux keeps the limits of containers and jobs.
    """
    total, available = main_memory(cgroups)
    return Machine(
        cores=usable_cores(cgroups),
        memory_total=total,
        memory_available=available,
        gpus=_gpus(smi),
        unified=platform.system() == "Darwin" and platform.machine() == "arm64",
    )


def main_memory(cgroups: Path = ROOT) -> tuple[int, int]:
    """In total and free without swapping [bytes]: the machine's, or what its container or job leaves of that."""
    memory = psutil.virtual_memory()
    limits = memory_limits(cgroups)
    return (
        min([memory.total, *(limit.limit for limit in limits)]),
        min([memory.available, *(limit.left for limit in limits)]),
    )


def usable_cores(cgroups: Path = ROOT) -> int:
    """Physical cores that this process may use; at least 1.

    A container's quota of processor time counts as so many whole cores: with more threads than that, all of them would
    be stopped together for a part of every tenth of a second.
    """
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = processor_limit(cgroups)
    most = usable if quota is None else int(quota)
    return max(1, min(usable, most, psutil.cpu_count(logical=False) or usable))


def ignores_memory() -> bool:
    """Whether the person at the keyboard wants models loaded even if they seem too large."""
    return os.environ.get(IGNORE_MEMORY_VARIABLE, "0").strip() not in ("", "0")


def ollama_state(host: str | None = None, *, timeout: float = LISTING_SECONDS) -> OllamaState | None:
    """The Ollama server at `host` (by default OLLAMA_HOST, else this machine); None when none answers.

    Args:
        host: Where it is.
        timeout: Seconds that it may be silent when it is asked for its models.

    Raises:
        UserError: `host`, or OLLAMA_HOST, is not an address.
    """
    from tcs_hpt.llm import ollama
    from tcs_hpt.llm._ollama_address import is_local
    from tcs_hpt.llm._ollama_server import Server

    version = ollama.is_running(host)
    if version is None:
        return None
    try:
        with Server(host, brief_timeout=timeout) as server:
            return OllamaState(
                version=version,
                models=server.installed(),
                loaded=tuple(model.name for model in server.loaded()),
                local=is_local(server.address),
            )
    except ModelError as error:
        return OllamaState(version=version, problem=f"{error.message}. {error.hint}".strip())


def engines() -> dict[str, str | None]:
    """Version of each package of `ENGINES`, None for one that is not installed; none of them is imported."""
    return {name: package_version(name) for name in ENGINES}


def package_version(name: str) -> str | None:
    """Version of an installed Python package; None when it is missing."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _gpus(smi: str) -> tuple[Gpu, ...]:
    command = [smi, "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=SMI_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return ()  # no driver, or one that does not work: then there is no GPU to use
    found = []
    for line in listed.stdout.splitlines():
        name, *figures = (part.strip() for part in line.rsplit(",", 2))
        # GPUs that share the main memory say [N/A].
        if len(figures) == 2 and all(figure.isdigit() for figure in figures):
            total, free = (int(figure) * 2**20 for figure in figures)
            found.append(Gpu(name, total, free))
    return tuple(found)
