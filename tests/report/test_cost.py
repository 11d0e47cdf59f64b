from __future__ import annotations

from typing import Any

import pytest

from tcs_hpt.report.cost import Cores, choosing_wh, cost_grid, energy_wh, training_wh

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
    assert grid.rows == (("random", "50.0", "500", "0.0", "0.000", f"{(first + second) / 2:.3f}"),)
    assert cost_grid({"random": rows}, Cores.among(0, 1)).rows[0][3:5] == ("-", "-")
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
