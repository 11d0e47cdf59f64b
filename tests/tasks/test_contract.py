"""The contract for every built-in task; a task without a class here fails."""

from __future__ import annotations

from tcs_hpt.testing.tasks import TaskContract


class TestFunction2d(TaskContract):
    task = "function_2d"
    test_score = None  # nothing is learned from data, so there is nothing to hold out
    seeded = False


class TestGcnCora(TaskContract):
    task = "gcn_cora"
    test_score = "test_accuracy"
    needs = "cora"


class TestMlpDigits(TaskContract):
    task = "mlp_digits"
    test_score = "test_accuracy"
