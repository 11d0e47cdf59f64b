"""One device per trial when there are several."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager


def visible_devices(environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """The CUDA devices a trial may use: `CUDA_VISIBLE_DEVICES`, else what `nvidia-smi` lists; none without either."""
    environment = os.environ if environment is None else environment
    given = environment.get("CUDA_VISIBLE_DEVICES")
    if given is not None:
        return tuple(d.strip() for d in given.split(",") if d.strip() and d.strip() != "-1")
    try:
        listed = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in listed.stdout.splitlines() if line.strip())


class DevicePool:
    """Hands out devices, each time the one with the fewest trials on it.

    Args:
        devices: Names as `CUDA_VISIBLE_DEVICES` takes them; none when trials shall see whatever there is.
    """

    def __init__(self, devices: tuple[str, ...]) -> None:
        self._trials = dict.fromkeys(devices, 0)
        self._lock = threading.Lock()

    @contextmanager
    def one(self) -> Iterator[str]:
        """A device for one trial; empty when there are none to hand out."""
        if not self._trials:
            yield ""
            return
        with self._lock:
            device = min(self._trials, key=lambda name: self._trials[name])
            self._trials[device] += 1
        try:
            yield device
        finally:
            with self._lock:
                self._trials[device] -= 1
