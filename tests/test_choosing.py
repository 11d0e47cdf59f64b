"""What choosing takes of the machine, as the records have it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from tcs_hpt.execution import Job, RunResult
from tcs_hpt.execution.gpu import Gpus
from tcs_hpt.proposers import ProposalContext, RandomProposer
from tcs_hpt.records import EpochRecord, Proposal
from tcs_hpt.store import Store
from tests.fake_nvml import Device, FakeNvml
from tests.test_loop import FakeExecutor, make, store

__all__ = ["store"]


def test_what_choosing_takes_of_the_machine_is_recorded(store: Store, tmp_path: Path) -> None:
    """The processor of the engine's process, and GPUs where the study says that nobody else uses them."""
    device = Device(busy=100.0)

    class Thinker(RandomProposer):
        def propose(self, context: ProposalContext) -> Proposal | None:
            began = time.process_time()
            while time.process_time() < began + 0.1:
                pass
            device.joules = (device.joules or 0) + 5
            return super().propose(context)

    study = make(store, tmp_path, Thinker(), trials=2)
    study.gpus = Gpus(FakeNvml([device]))
    study.run()
    for proposal in [t.proposal for t in study.trials]:
        assert proposal.cpu_seconds is not None
        assert 0.1 <= proposal.cpu_seconds < proposal.seconds * (os.cpu_count() or 1) + 0.1
        assert 0 < proposal.gpu_seconds <= proposal.seconds
        assert proposal.gpu_joules == 5


def test_gpus_are_not_counted_while_a_trial_of_the_study_uses_them(store: Store, tmp_path: Path) -> None:
    class Slow(FakeExecutor):
        def run(self, job: Job, on_epoch: Callable[[EpochRecord], None]) -> RunResult:
            time.sleep(0.3)
            return super().run(job, on_epoch)

    study = make(store, tmp_path, RandomProposer(), Slow(), trials=2)
    study.jobs, study.gpus = 2, Gpus(FakeNvml([Device(busy=100.0)]))
    study.run()
    first, second = (t.proposal for t in study.trials)
    assert first.gpu_joules == 0
    assert (second.gpu_seconds, second.gpu_joules) == (0, None)
