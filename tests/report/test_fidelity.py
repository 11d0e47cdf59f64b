from __future__ import annotations

import pytest

from tcs_hpt.records import EpochRecord, Trial
from tcs_hpt.report.fidelity import fidelity_sentence, rank_agreements
from tests.build import task, trial

OBJECTIVE = task().objective


def line(number: int, values: list[float], **more: object) -> Trial:
    epochs = tuple(EpochRecord(epoch=i, metrics={"val_accuracy": v}) for i, v in enumerate(values, 1))
    return trial(number, {"lr": 0.01}, max(values)).model_copy(update={"epochs": epochs, **more})


def parallel(tops: list[float]) -> list[Trial]:
    """Curves that never cross."""
    return [line(i, [top * share for share in (0.4, 0.6, 0.8, 1.0)]) for i, top in enumerate(tops, 1)]


def test_curves_that_never_cross_agree_and_those_that_all_cross_do_not() -> None:
    tops = [0.5, 0.9, 0.7, 0.6, 0.8]
    found = rank_agreements(parallel(tops), OBJECTIVE)
    assert [(a.share, a.trials) for a in found] == [(0.25, 5), (0.5, 5)]
    assert [a.tau for a in found] == pytest.approx([1.0, 1.0])
    crossing = [line(i, [1 - top, 1 - top, top, 2.0 + top]) for i, top in enumerate(tops, 1)]
    assert [a.tau for a in rank_agreements(crossing, OBJECTIVE)] == [pytest.approx(-1.0)] * 2


def test_a_loss_is_ranked_from_below() -> None:
    spec = task(objective={"metric": "val_accuracy", "direction": "minimize"})
    falling = [
        line(i, [top + 0.3, top + 0.2, top + 0.1, top]) for i, top in enumerate([0.5, 0.9, 0.7, 0.6, 0.8], 1)
    ]
    falling = [
        t.model_copy(update={"value": min(e.metrics["val_accuracy"] or 9 for e in t.epochs)}) for t in falling
    ]
    assert [a.tau for a in rank_agreements(falling, spec.objective)] == [pytest.approx(1.0)] * 2


def test_nothing_is_said_of_few_short_stopped_or_equal_trials() -> None:
    assert rank_agreements(parallel([0.5, 0.9, 0.7, 0.6]), OBJECTIVE) == []
    assert rank_agreements([line(i, [0.1 * i, 0.2 * i]) for i in range(1, 8)], OBJECTIVE) == []
    assert rank_agreements([line(i, [0.1, 0.2, 0.3, 0.4]) for i in range(1, 8)], OBJECTIVE) == []
    stopped = [t.model_copy(update={"stopped_early": "why"}) for t in parallel([0.5, 0.9, 0.7, 0.6, 0.8])]
    assert rank_agreements(stopped, OBJECTIVE) == []
    assert fidelity_sentence(stopped, OBJECTIVE) == ""


def test_the_sentence_names_the_measure() -> None:
    said = fidelity_sentence(parallel([0.5, 0.9, 0.7, 0.6, 0.8]), OBJECTIVE)
    assert said.startswith(
        "The order of 5 trials agreed with their order at the end by 1.00 after a quarter of the epochs and 1.00 after half of the epochs"
    )
    assert "Kendall's tau" in said
