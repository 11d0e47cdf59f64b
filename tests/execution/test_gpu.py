from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tcs_hpt.execution.gpu import MIB, Gpus, GpuUsage
from tests.execution.fake_scripts import CLIENT, executor, make_job
from tests.fake_nvml import Device, FakeNvml


def test_busy_time_and_the_rise_of_memory_and_energy_are_counted() -> None:
    first, second = Device(), Device()
    meter = Gpus(FakeNvml([first, second])).meter("0,1", now=10.0)
    assert meter is not None
    first.busy, second.busy, first.used = 50.0, 100.0, 1300 * MIB
    meter.sample(12.0)
    first.busy, second.busy, first.used = 0.0, 25.0, 1100 * MIB
    meter.sample(16.0)
    first.joules, second.joules = 80.0, 50.5
    usage = meter.usage()
    assert usage.joules == pytest.approx(30.5)
    assert replace(usage, joules=None) == GpuUsage(seconds=2 * 0.5 + 2 * 1.0 + 4 * 0.25, peak_memory_mb=300.0)


def test_devices_are_looked_at_in_the_background() -> None:
    device = Device(busy=100.0)
    meter = Gpus(FakeNvml([device])).meter("0", now=time.monotonic())
    assert meter is not None
    with meter.looking(0.01):
        time.sleep(0.2)
        device.busy = 0.0
        time.sleep(0.1)
    assert 0.1 < meter.usage().seconds < 0.3
    with pytest.raises(KeyError), meter.looking(10.0):
        raise KeyError
    assert not [t for t in threading.enumerate() if t.name == "gpu meter"]


def test_what_a_device_cannot_tell_is_left_out() -> None:
    meter = Gpus(FakeNvml([Device(busy=-1.0, joules=None)])).meter("0", now=0.0)
    assert meter is not None
    meter.sample(5.0)
    assert meter.usage() == GpuUsage(0.0, 0.0, None)


@pytest.mark.parametrize(
    ("devices", "environment", "asked"),
    [
        ("", {}, [0, 1]),
        ("1", {"CUDA_VISIBLE_DEVICES": "0"}, [1]),
        ("", {"CUDA_VISIBLE_DEVICES": "0"}, [0]),
        ("GPU-5ab2", {}, ["GPU-5ab2"]),
        ("", {"CUDA_VISIBLE_DEVICES": "1,-1,0"}, [1]),
    ],
)
def test_the_devices_of_the_trial_are_asked(
    devices: str, environment: dict[str, str], asked: list[int | str]
) -> None:
    nvml = FakeNvml([Device(), Device()])
    assert Gpus(nvml).meter(devices, 0.0, environment) is not None
    assert nvml.asked == asked


@pytest.mark.parametrize(
    ("nvml", "devices"),
    [
        (FakeNvml([Device()], driver=False), "0"),
        (FakeNvml([]), ""),
        (FakeNvml([Device()]), "7"),
        (FakeNvml([Device()]), "-1"),
    ],
)
def test_nothing_to_count_is_no_error(nvml: FakeNvml, devices: str) -> None:
    assert Gpus(nvml).meter(devices, 0.0, {}) is None


def test_a_hidden_device_is_not_counted() -> None:
    assert Gpus(FakeNvml([Device()])).meter("", 0.0, {"CUDA_VISIBLE_DEVICES": ""}) is None


def test_a_trial_records_what_its_devices_did(tmp_path: Path) -> None:
    script = CLIENT + "import time\ntime.sleep(0.3)\ntrial.finish(val_accuracy=0.5)\n"
    gpus = Gpus(FakeNvml([Device(busy=100.0), Device()]))
    job = make_job(tmp_path, script, devices="0")
    result = executor(gpus=gpus, watch_seconds=0.01).run(job, lambda epoch: None)
    assert result.state == "finished"
    assert 0.1 < result.usage.gpu_seconds <= result.usage.wall_seconds
    assert result.usage.gpu_joules == 0.0
