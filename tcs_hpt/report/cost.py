"""What choosing and training used of a machine, and an estimate of the energy. Pure.

The estimate is that of Green Algorithms (Lannelongue, Grealey and Inouye, Advanced Science 2021, doi 10.1002/advs.202100707):

    energy = (core seconds x watts of a core + seconds x GB of memory x watts of a GB) / 3600      [Wh]

with their 12 W for a core of an unknown processor and 0.3725 W for a GB of memory. Ours differs in that nothing is added for cooling (their
factor for a data centre is 1.67), a core counts for the time that it computed, and the energy of GPUs is not estimated but read from
their own counters. While a configuration is chosen they are read where nothing else of this command uses them; what the GPU of a
server on another machine does is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from tcs_hpt.report import words
from tcs_hpt.report.comparison.rows import Row
from tcs_hpt.report.sections import Grid

CORE_WATTS = 12.0
MEMORY_WATTS = 0.3725
"""Of a GB."""
IN_PROCESS = ("embedded:", "transformers:")
"""What the names of models begin with that compute in the process that asks them."""


def energy_wh(core_seconds: float, seconds: float = 0.0, memory_mb: float = 0.0) -> float:
    """Energy of a computation [Wh].

    Args:
        core_seconds: Time that cores computed, added up over cores.
        seconds: Wall-clock time for which the memory was held.
        memory_mb: Held memory [MiB].
    """
    gigabytes = memory_mb * 2**20 / 1e9
    return (core_seconds * CORE_WATTS + seconds * gigabytes * MEMORY_WATTS) / 3600


class Cores(NamedTuple):
    """Of the machine that studies ran on; 0 where nobody wrote them down."""

    machine: int
    share: int
    """That an embedded engine computes with, beside the studies that ran at the same time."""

    @classmethod
    def among(cls, machine: int, jobs: int) -> Cores:
        """Of a machine on which so many studies ran side by side."""
        return cls(machine, max(1, machine // jobs) if machine else 0)


def choosing_core_seconds(row: Row, cores: Cores) -> float:
    """The most core seconds that a study's choosing can have taken.

    What its process computed meanwhile, which may be for other studies too, and all cores while a server answers. Where that was not
    counted, or a model in the process cannot have had so much: all cores that the model has while it answers, one for the rest.
    """
    models = [name for name in (row.analysis_model, row.optimizer_model) if name]
    here = all(name.startswith(IN_PROCESS) for name in models)
    embedded = bool(models) and all(name.startswith("embedded:") for name in models)
    answering = min(row.model_seconds, row.thinking_seconds)
    computing = answering * (cores.share if embedded else cores.machine)
    bound = computing + row.thinking_seconds - answering
    if row.thinking_cpu_seconds is None:
        return bound
    if not here:
        return computing + row.thinking_cpu_seconds
    return min(row.thinking_cpu_seconds, bound) if models else row.thinking_cpu_seconds


def choosing_wh(row: Row, cores: Cores) -> float | None:
    """Energy of a study's choosing [Wh]; the model is taken to have held its memory for that long.

    None where it used a GPU without a counter of its energy.
    """
    if row.thinking_gpu_seconds and not row.thinking_gpu_joules:
        return None
    of_cores = energy_wh(choosing_core_seconds(row, cores), row.thinking_seconds, row.model_memory_mb or 0.0)
    return of_cores + row.thinking_gpu_joules / 3600


def training_wh(row: Row) -> float | None:
    """Energy of a study's trials [Wh]; each is taken to have held the largest trial's memory.

    None where they used a GPU without a counter of its energy.
    """
    if row.training_gpu_seconds and not row.training_gpu_joules:
        return None
    of_cores = energy_wh(row.training_cpu_seconds, row.training_seconds, row.peak_memory_mb)
    return of_cores + row.training_gpu_joules / 3600


def cost_grid(rows: Mapping[str, Sequence[Row]], cores: Cores) -> Grid:
    """Means of a study, by method.

    Args:
        rows: The studies of each method that ran at least one trial.
        cores: Of the machine.
    """
    on_gpus = any(r.training_gpu_seconds for found in rows.values() for r in found)
    chosen_on_gpus = any(r.thinking_gpu_seconds for found in rows.values() for r in found)
    return Grid(
        title="What the machine did; means of a study, energy estimated",
        columns=(
            "method",
            "training CPU s",
            *(("training GPU s",) if on_gpus else ()),
            "peak MiB of a trial",
            "choosing core s, at most",
            *(("choosing GPU s",) if chosen_on_gpus else ()),
            "peak MiB of a model",
            "choosing Wh",
            "training Wh",
        ),
        rows=tuple(
            (
                label,
                f"{fmean(r.training_cpu_seconds for r in found):,.1f}",
                *((f"{fmean(r.training_gpu_seconds for r in found):,.1f}",) if on_gpus else ()),
                f"{max(r.peak_memory_mb for r in found):,.0f}",
                f"{fmean(choosing_core_seconds(r, cores) for r in found):,.1f}"
                if cores.machine
                else words.MISSING,
                *((f"{fmean(r.thinking_gpu_seconds for r in found):,.1f}",) if chosen_on_gpus else ()),
                _largest([r.model_memory_mb for r in found]),
                _mean([choosing_wh(r, cores) for r in found]) if cores.machine else words.MISSING,
                _mean([training_wh(r) for r in found]),
            )
            for label, found in rows.items()
            if found
        ),
    )


def _largest(memory: Sequence[float | None]) -> str:
    known = [size for size in memory if size is not None]
    return f"{max(known):,.0f}" if known else words.MISSING


def _mean(energies: Sequence[float | None]) -> str:
    known = [energy for energy in energies if energy is not None]
    return f"{fmean(known):.3f}" if len(known) == len(energies) else words.MISSING


NOTE = (
    f"Energy is estimated, not measured: {CORE_WATTS:.0f} W for each core that computes and {MEMORY_WATTS} W for each GB of memory (Green Algorithms, "
    "2021), without cooling. In choosing, what the process computed counts, for other studies too; where that is not known, and while a server answers, all cores count that the model may use. "
    "GPUs count by their own energy counters, in choosing only where one study ran at a time. The memory of a model is what its server names or what the process took for it; - where nobody knows."
)
"""Belongs below every such table."""
