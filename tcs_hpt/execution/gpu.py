"""What GPUs did while a trial ran, or while the next one was chosen, as NVML counts it.

NVML counts by device, not by process (in a container it does not even know our processes' numbers), so whatever else runs on the same device is
counted too. With one device per trial and the model's server elsewhere, the numbers are the trial's own. Without the package `nvidia-ml-py`
(extra `gpu`), without a driver or without a device there is nothing to count, which is no error.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

MIB = 2**20
LOOK_SECONDS = 0.25


@dataclass(frozen=True)
class GpuUsage:
    """Sums over the devices."""

    seconds: float = 0.0
    """Time in which the device computed: the share of busy time that NVML reports, over the time between two looks."""
    peak_memory_mb: float = 0.0
    """Largest rise of used memory above what was used when the trial began [MiB]."""
    joules: float | None = None
    """By the devices' own energy counters; None where one has none (before Volta)."""


class GpuMeter:
    """Counts from when it is made on.

    Args:
        nvml: The module `pynvml`, initialized.
        handles: Devices.
        now: The time [s], by a monotonic clock.
    """

    def __init__(self, nvml: Any, handles: Sequence[Any], now: float) -> None:
        self._nvml = nvml
        self._handles = handles
        self._last = now
        self._seconds = 0.0
        self._peak = 0.0
        self._used = self._read("nvmlDeviceGetMemoryInfo", "used")
        self._energy = self._energies()

    def sample(self, now: float) -> None:
        """Look at the devices; the time since the last look is taken to have gone on as now."""
        busy = self._read("nvmlDeviceGetUtilizationRates", "gpu")
        self._seconds += sum(busy) / 100 * max(now - self._last, 0.0)
        self._last = now
        used = self._read("nvmlDeviceGetMemoryInfo", "used")
        self._peak = max(self._peak, (sum(used) - sum(self._used)) / MIB)

    def usage(self) -> GpuUsage:
        """What was counted so far."""
        before, after = self._energy, self._energies()
        joules = None if before is None or after is None else (sum(after) - sum(before)) / 1000
        return GpuUsage(self._seconds, self._peak, joules)

    @contextmanager
    def looking(self, seconds: float = LOOK_SECONDS) -> Iterator[None]:
        """Look at the devices this often [s], in a thread of its own, until the block is left."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(seconds):
                self.sample(time.monotonic())

        thread = threading.Thread(target=look, name="gpu meter", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
            self.sample(time.monotonic())

    def _read(self, question: str, field: str) -> list[float]:
        """A number of each device; 0 of one that cannot be asked, e.g. a part of a divided device."""
        found = []
        for handle in self._handles:
            try:
                found.append(float(getattr(getattr(self._nvml, question)(handle), field)))
            except self._nvml.NVMLError:
                found.append(0.0)
        return found

    def _energies(self) -> list[float] | None:
        """Millijoules since the driver was loaded."""
        try:
            return [float(self._nvml.nvmlDeviceGetTotalEnergyConsumption(h)) for h in self._handles]
        except self._nvml.NVMLError:
            return None


class Gpus:
    """The GPUs of this machine, if it has any that can be asked.

    Args:
        nvml: The module `pynvml`; by default the installed one.
    """

    def __init__(self, nvml: Any = None) -> None:
        self._nvml = nvml if nvml is not None else _installed()
        if self._nvml is not None:
            try:
                self._nvml.nvmlInit()
            except self._nvml.NVMLError:  # no driver
                self._nvml = None

    def meter(self, devices: str, now: float, environment: Mapping[str, str] = os.environ) -> GpuMeter | None:
        """A meter for the devices of a trial; None when there is nothing to count.

        Args:
            devices: As `CUDA_VISIBLE_DEVICES` takes them; empty for those that this process may see.
            now: The time [s], by a monotonic clock.
            environment: Where `CUDA_VISIBLE_DEVICES` of this process is.
        """
        if self._nvml is None:
            return None
        try:
            handles = self._handles(devices or environment.get("CUDA_VISIBLE_DEVICES"))
        except self._nvml.NVMLError:  # a device that is not there: the script will say so
            return None
        return GpuMeter(self._nvml, handles, now) if handles else None

    def _handles(self, devices: str | None) -> list[Any]:
        nvml = self._nvml
        if devices is None:
            return [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
        names = [name.strip() for name in devices.split(",") if name.strip()]
        handles = []
        for name in names:
            if name == "-1":  # as CUDA reads it, nothing after it counts
                break
            by_number = name.isdigit()
            handles.append(
                nvml.nvmlDeviceGetHandleByIndex(int(name))
                if by_number
                else nvml.nvmlDeviceGetHandleByUUID(name)
            )
        return handles


def _installed() -> Any:
    try:
        import pynvml
    except ImportError:
        return None
    return pynvml
