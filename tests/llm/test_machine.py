from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tcs_hpt.errors import UserError
from tcs_hpt.llm import machine as machines
from tcs_hpt.llm._cgroups import MemoryLimit, memory_limits, processor_limit
from tcs_hpt.llm.machine import Gpu, Machine, OllamaState, look, ollama_state, usable_cores
from tcs_hpt.llm.ollama import InstalledModel
from tcs_hpt.testing.ollama_server import OllamaServer, StubModel

MIB = 2**20


def smi(folder: Path, *lines: str, status: int = 0) -> str:
    """A program that answers as `nvidia-smi` does."""
    program = folder / "fake-smi"
    program.write_text(
        f"#!{sys.executable}\nimport sys\nassert 'memory.free' in sys.argv[1]\n"
        f"print({chr(10).join(lines)!r})\nsys.exit({status})\n"
    )
    program.chmod(0o755)
    return str(program)


def test_this_machine_has_processors_and_memory() -> None:
    machine = look(smi="no-such-program-anywhere")
    assert machine.cores >= 1
    assert 0 < machine.memory_available <= machine.memory_total
    assert machine.gpus == ()


def test_gpus_are_read_from_nvidia_smi(tmp_path: Path) -> None:
    machine = look(smi=smi(tmp_path, "NVIDIA H200, 143771, 143000", "Odd, with comma, 8192, 100"))
    assert machine.gpus == (
        Gpu("NVIDIA H200", 143771 * MIB, 143000 * MIB),
        Gpu("Odd, with comma", 8192 * MIB, 100 * MIB),
    )
    assert machine.gpu_memory_free == 143100 * MIB


@pytest.mark.parametrize("line", ["", "NVIDIA GB10, [N/A], [N/A]", "No devices were found"])
def test_what_is_no_gpu_with_memory_of_its_own_is_left_out(tmp_path: Path, line: str) -> None:
    assert look(smi=smi(tmp_path, line)).gpus == ()


def test_a_driver_that_fails_is_no_gpu(tmp_path: Path) -> None:
    assert look(smi=smi(tmp_path, "NVIDIA H200, 143771, 143000", status=9)).gpus == ()


@pytest.mark.skipif(not Path("/proc/self/cgroup").exists(), reason="limits of groups are a thing of Linux")
def test_the_limit_of_a_container_counts(tmp_path: Path) -> None:
    for name, text in {
        "memory.max": f"{512 * MIB}\n",
        "memory.current": f"{400 * MIB}\n",
        "memory.stat": f"anon {100 * MIB}\ninactive_file {300 * MIB}\n",
    }.items():
        (tmp_path / name).write_text(text)
    limited = look(smi="none", cgroups=tmp_path)
    assert limited.memory_total == 512 * MIB
    assert limited.memory_available == 412 * MIB
    (tmp_path / "memory.max").write_text("max\n")
    assert look(smi="none", cgroups=tmp_path).memory_total > 512 * MIB


def limits(folder: Path, own: str, **files: str) -> tuple[Path, Path]:
    """Control groups as files, and the file that says which of them is the own one."""
    for name, text in files.items():
        file = folder / "groups" / name.replace("__", "/").replace("_DOT_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (folder / "own").write_text(own)
    return folder / "groups", folder / "own"


@pytest.mark.parametrize(
    ("own", "files", "cores"),
    [
        ("0::/", {"cpu_DOT_max": "150000 100000\n"}, 1.5),
        ("0::/", {"cpu_DOT_max": "max 100000\n"}, None),
        ("0::/a/b", {"a__b__cpu_DOT_max": "max 100000\n", "a__cpu_DOT_max": "50000 100000\n"}, 0.5),
        ("0::/not/seen/from/inside", {"cpu_DOT_max": "400000 100000\n"}, 4.0),
        (
            "3:cpu,cpuacct:/job\n1:name=systemd:/\n0::/",
            {"cpu__job__cpu_DOT_cfs_quota_us": "200000", "cpu__job__cpu_DOT_cfs_period_us": "100000"},
            2.0,
        ),
        ("3:cpu:/", {"cpu__cpu_DOT_cfs_quota_us": "-1", "cpu__cpu_DOT_cfs_period_us": "100000"}, None),
        ("0::/", {"cpu_DOT_max": "broken"}, None),
        ("", {}, None),
    ],
)
def test_the_processor_time_of_a_container_counts(
    tmp_path: Path, own: str, files: dict[str, str], cores: float | None
) -> None:
    assert processor_limit(*limits(tmp_path, own, **files)) == cores


def test_a_quota_bounds_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    monkeypatch.setattr(psutil, "cpu_count", lambda logical: 32)
    for quota, cores in ((None, 32), (2.9, 2), (0.5, 1), (100.0, 32)):
        monkeypatch.setattr(machines, "processor_limit", lambda _, quota=quota: quota)
        assert usable_cores() == look(smi="none").cores == cores


def test_the_memory_of_a_group_of_version_1_counts(tmp_path: Path) -> None:
    files = {
        "memory__job__memory_DOT_limit_in_bytes": f"{512 * MIB}",
        "memory__job__memory_DOT_usage_in_bytes": f"{400 * MIB}",
        "memory__job__memory_DOT_stat": f"inactive_file 1\ntotal_inactive_file {300 * MIB}\n",
        "memory__memory_DOT_limit_in_bytes": "9223372036854771712",  # none
        "memory__memory_DOT_usage_in_bytes": f"{900 * MIB}",
    }
    found = memory_limits(*limits(tmp_path, "4:memory:/job\n0::/", **files))
    assert found == (MemoryLimit(512 * MIB, 100 * MIB),)
    assert found[0].left == 412 * MIB


def test_fitting_is_into_the_larger_of_the_two_memories() -> None:
    machine = Machine(4, 100, 40, gpus=(Gpu("a", 50, 30), Gpu("b", 50, 30)))
    assert machine.fits(60)
    assert not machine.fits(61)
    assert not Machine(4, 100, 40).fits(41)


def test_what_is_quick_depends_on_gpu_and_cores() -> None:
    gb = 10**9
    on_gpu = Machine(2, 64 * gb, 64 * gb, gpus=(Gpu("a", 24 * gb, 20 * gb),))
    assert on_gpu.is_quick(memory=20 * gb, weights=18 * gb)
    assert not on_gpu.is_quick(memory=21 * gb, weights=18 * gb)
    assert Machine(2, 64 * gb, 64 * gb).is_quick(memory=2 * gb, weights=1 * gb)
    assert not Machine(2, 64 * gb, 64 * gb).is_quick(memory=6 * gb, weights=5 * gb)
    assert Machine(8, 64 * gb, 64 * gb).is_quick(memory=6 * gb, weights=5 * gb)
    # reading the weights from memory is what limits a large processor
    assert not Machine(64, 64 * gb, 64 * gb).is_quick(memory=12 * gb, weights=11 * gb)
    assert Machine(8, 24 * gb, 20 * gb, unified=True).is_quick(memory=15 * gb, weights=14 * gb)
    assert not Machine(8, 24 * gb, 20 * gb, unified=True).is_quick(memory=17 * gb, weights=14 * gb)


def test_packages_are_found_without_importing_them() -> None:
    found = machines.engines()
    assert set(found) == set(machines.ENGINES)
    assert found["httpx"] == machines.package_version("httpx") is not None
    assert machines.package_version("no-such-package") is None


def test_the_state_of_a_server() -> None:
    models = (StubModel("qwen2.5-coder:1.5b", size=986_062_089), StubModel("mistral"))
    with OllamaServer(*models, version="0.99") as server:
        server.load(models[0], {})
        state = ollama_state(server.host)
    assert state is not None
    assert state.version == "0.99"
    assert [(m.name, m.size) for m in state.models] == [
        ("qwen2.5-coder:1.5b", 986_062_089),
        ("mistral:latest", 1_000_000),
    ]
    assert state.loaded == ("qwen2.5-coder:1.5b",)
    assert state.local
    assert not state.problem


def test_no_server_is_no_state() -> None:
    assert ollama_state("127.0.0.1:9") is None
    with OllamaServer(html=True) as server:
        assert ollama_state(server.host) is None


def test_a_server_without_the_package_for_it_has_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    with OllamaServer() as server:
        monkeypatch.setitem(sys.modules, "ollama", None)
        state = ollama_state(server.host)
    assert state is not None
    assert "cannot be imported" in state.problem
    assert "pip install" in state.problem


def test_an_address_that_is_none_is_the_users_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://no port:x")
    with pytest.raises(UserError, match="not the address"):
        ollama_state()


def test_a_model_is_found_under_any_of_its_tags() -> None:
    def having(*names: str) -> OllamaState:
        return OllamaState("1", tuple(InstalledModel(name, 1, "", "") for name in names))

    assert having("phi4-mini:latest").tag_of("phi4-mini:3.8b") == "phi4-mini:latest"
    assert having("phi4-mini:3.8b").tag_of("phi4-mini") == "phi4-mini:3.8b"
    assert having("mistral:latest").tag_of("mistral") == "mistral:latest"
    assert having("mistral:latest").tag_of("mistral:7b") is None
    both = having("phi4-mini:latest", "phi4-mini:3.8b")
    assert both.tag_of("phi4-mini:3.8b") == "phi4-mini:3.8b"
    assert both.tag_of("phi4-mini:latest") == "phi4-mini:latest"


def test_nothing_heavy_is_imported_to_look() -> None:
    code = (
        "import sys\nfrom tcs_hpt.llm import machine\nmachine.look(); machine.engines()\n"
        "print(*(m for m in ('torch', 'transformers', 'xllamacpp', 'ollama') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
