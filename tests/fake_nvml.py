"""What `pynvml` says of devices that are set by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from tcs_hpt.execution.gpu import MIB


class Unavailable(Exception):
    pass


@dataclass
class Device:
    busy: float = 0.0
    used: float = 1000 * MIB
    joules: float | None = 50.0


@dataclass
class FakeNvml:
    """What `pynvml` says of devices that are set by hand."""

    devices: list[Device]
    driver: bool = True
    asked: list[int | str] = field(default_factory=list)
    NVMLError = Unavailable

    def nvmlInit(self) -> None:
        if not self.driver:
            raise Unavailable

    def nvmlDeviceGetCount(self) -> int:
        return len(self.devices)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Device:
        self.asked.append(index)
        if index >= len(self.devices):
            raise Unavailable
        return self.devices[index]

    def nvmlDeviceGetHandleByUUID(self, name: str) -> Device:
        self.asked.append(name)
        return self.devices[0]

    def nvmlDeviceGetUtilizationRates(self, device: Device) -> Any:
        if device.busy < 0:
            raise Unavailable
        return SimpleNamespace(gpu=device.busy)

    def nvmlDeviceGetMemoryInfo(self, device: Device) -> Any:
        return SimpleNamespace(used=device.used)

    def nvmlDeviceGetTotalEnergyConsumption(self, device: Device) -> int:
        if device.joules is None:
            raise Unavailable
        return round(1000 * device.joules)
