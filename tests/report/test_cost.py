from __future__ import annotations

from typing import Any

import pytest

from tcs_hpt.report.cost import Cores, choosing_core_seconds, choosing_wh, cost_grid, energy_wh, training_wh

from .test_comparison import make_row


def test_energy_is_watts_times_hours() -> None:
    assert energy_wh(3600) == pytest.approx(12.0)  # one core for an hour
    assert energy_wh(0, seconds=3600, memory_mb=1e9 / 2**20) == pytest.approx(0.3725)  # one GB for an hour
    assert energy_wh(7200, seconds=3600, memory_mb=8e9 / 2**20) == pytest.approx(24 + 2.98)


def test_all_cores_count_while_a_model_answers() -> None:
    row = make_row("tcs", 0, 0.5, thinking_seconds=100.0, model_seconds=90.0)
    assert choosing_wh(row, Cores(4, 4)) == pytest.approx(energy_wh(90 * 4 + 10))
    longer = row.model_copy(update={"model_seconds": 200.0})
    assert choosing_wh(longer, Cores(1, 1)) == pytest.approx(energy_wh(100))


def test_an_embedded_model_has_its_share_of_the_cores() -> None:
    row = make_row("tcs", 0, 0.5, thinking_seconds=100.0, model_seconds=90.0)
    embedded = row.model_copy(update={"optimizer_model": "embedded:smollm2-135m"})
    assert Cores.among(4, 3) == (4, 1)
    assert choosing_wh(embedded, Cores.among(4, 2)) == pytest.approx(energy_wh(90 * 2 + 10))
    assert choosing_wh(row, Cores.among(4, 2)) == pytest.approx(energy_wh(90 * 4 + 10))  # a server has all


def test_what_the_process_computed_counts_where_the_model_is_in_it() -> None:
    used: dict[str, Any] = {"thinking_seconds": 100.0, "model_seconds": 90.0, "thinking_cpu_seconds": 120.0}
    row = make_row("tcs", 0, 0.5, **used)
    here = row.model_copy(update={"analysis_model": "embedded:a", "optimizer_model": "transformers:b"})
    assert choosing_core_seconds(here, Cores(4, 4)) == 120.0
    assert choosing_core_seconds(here, Cores(1, 1)) == 100.0  # the rest is another study's
    elsewhere = row.model_copy(update={"analysis_model": "ollama:a", "optimizer_model": "embedded:b"})
    assert choosing_core_seconds(elsewhere, Cores(4, 2)) == 90 * 4 + 120
    nobody = make_row("gp", 0, 0.5, thinking_seconds=3.0, thinking_cpu_seconds=5.5)
    assert choosing_core_seconds(nobody, Cores(4, 4)) == 5.5


def test_the_model_s_memory_is_shown_and_costs_energy() -> None:
    held: dict[str, Any] = {"thinking_seconds": 3600.0, "thinking_cpu_seconds": 0.0}
    rows = [
        make_row("tcs", 0, 0.5, model_memory_mb=1e9 / 2**20, **held),
        make_row("tcs", 1, 0.5, model_memory_mb=None, **held),
    ]
    rows = [
        r.model_copy(update={"optimizer_model": "embedded:a", "analysis_model": "embedded:a"}) for r in rows
    ]
    grid = cost_grid({"tcs": rows}, Cores(2, 2))
    assert grid.rows[0][grid.columns.index("peak MiB of a model")] == "954"
    assert choosing_wh(rows[0], Cores(2, 2)) == pytest.approx(0.3725)
    assert choosing_wh(rows[1], Cores(2, 2)) == 0


def test_gpus_of_choosing_are_shown_where_somebody_counted() -> None:
    used: dict[str, Any] = {"thinking_seconds": 10.0, "thinking_cpu_seconds": 0.0}
    plain = make_row("random", 0, 0.5, **used)
    assert "choosing GPU s" not in cost_grid({"random": [plain]}, Cores(1, 1)).columns
    on_gpu = make_row("tcs", 0, 0.5, thinking_gpu_seconds=8.0, thinking_gpu_joules=7200.0, **used)
    assert choosing_wh(on_gpu, Cores(1, 1)) == pytest.approx(2.0)
    grid = cost_grid({"random": [plain], "tcs": [on_gpu]}, Cores(1, 1))
    assert [row[grid.columns.index("choosing GPU s")] for row in grid.rows] == ["0.0", "8.0"]
    silent = on_gpu.model_copy(update={"thinking_gpu_joules": 0.0})
    grid = cost_grid({"tcs": [silent]}, Cores(1, 1))
    assert grid.rows[0][grid.columns.index("choosing Wh")] == "-"


def test_a_method_costs_the_mean_of_its_studies() -> None:
    used: dict[str, Any] = {"training_seconds": 30.0, "peak_memory_mb": 500.0}
    rows = [
        make_row("random", seed, 0.5, training_cpu_seconds=cpu, **used)
        for seed, cpu in enumerate((40.0, 60.0))
    ]
    grid = cost_grid({"random": rows, "nobody": []}, Cores(2, 2))
    first, second = map(training_wh, rows)
    assert first is not None
    assert second is not None
    assert grid.rows == (("random", "50.0", "500", "0.0", "-", "0.000", f"{(first + second) / 2:.3f}"),)
    assert cost_grid({"random": rows}, Cores.among(0, 1)).rows[0][3:6] == ("-", "-", "-")
    asked = make_row("tcs", 0, 0.5, thinking_seconds=100.0, model_seconds=90.0)
    assert cost_grid({"tcs": [asked]}, Cores(4, 4)).rows[0][3] == f"{90 * 4 + 10:.1f}"


def test_gpus_are_shown_where_somebody_counted() -> None:
    used: dict[str, Any] = {"training_seconds": 30.0, "training_cpu_seconds": 10.0}
    plain = make_row("random", 0, 0.5, **used)
    on_gpu = make_row("tcs", 0, 0.5, training_gpu_seconds=25.0, training_gpu_joules=7200.0, **used)
    assert training_wh(on_gpu) == pytest.approx((training_wh(plain) or 0) + 2.0)
    assert "training GPU s" not in cost_grid({"random": [plain]}, Cores(1, 1)).columns
    grid = cost_grid({"random": [plain], "tcs": [on_gpu]}, Cores(1, 1))
    assert [row[grid.columns.index("training GPU s")] for row in grid.rows] == ["0.0", "25.0"]


def test_a_gpu_that_counts_no_energy_leaves_it_unknown() -> None:
    silent = make_row("tcs", 0, 0.5, training_seconds=30.0, training_gpu_seconds=25.0)
    assert training_wh(silent) is None
    assert cost_grid({"tcs": [silent]}, Cores(1, 1)).rows[0][-1] == "-"
