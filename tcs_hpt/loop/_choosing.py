"""What choosing a configuration takes of the machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext

from tcs_hpt.execution.gpu import Gpus, GpuUsage
from tcs_hpt.records import Proposal


def measured(
    propose: Callable[[], Proposal | None], gpus: Gpus | None, devices: Sequence[str]
) -> Proposal | None:
    """The proposal, with the time, the processor time of this process and the use of GPUs that it took.

    Args:
        propose: Works it out; None when there is nothing to propose.
        gpus: That nothing else uses meanwhile; None counts none.
        devices: Which of them; empty for those that this process may see.
    """
    began, computed = time.perf_counter(), time.process_time()
    meter = None if gpus is None else gpus.meter(",".join(devices), time.monotonic())
    with nullcontext() if meter is None else meter.looking():
        proposal = propose()
    if proposal is None:
        return None
    gpu = GpuUsage() if meter is None else meter.usage()
    return proposal.model_copy(
        update={
            "seconds": time.perf_counter() - began,
            "cpu_seconds": time.process_time() - computed,
            "gpu_seconds": gpu.seconds,
            "gpu_joules": gpu.joules,
        }
    )
