from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from tcs_hpt.pruning import DiagnosisPruner, OptunaPruner, Pruner, make_pruner
from tcs_hpt.pruning._base import planned_epochs
from tcs_hpt.records import EpochRecord, Proposal, Trial
from tests.build import study, task

CONFIG = {"lr": 0.01, "epochs": 20}


def line(start: float, end: float, count: int = 20, of: int = 20) -> tuple[EpochRecord, ...]:
    """The first epochs of a curve that rises towards its end and flattens."""
    values = [start + (end - start) * (1 - 0.7**i) for i in range(1, of + 1)][:count]
    return tuple(
        EpochRecord(epoch=i, metrics={"train_loss": 1 - v, "val_accuracy": v})
        for i, v in enumerate(values, 1)
    )


def over(number: int, epochs: tuple[EpochRecord, ...]) -> Trial:
    value = max(e.metrics["val_accuracy"] or 0.0 for e in epochs)
    return Trial(
        number=number,
        config=CONFIG,
        state="finished",
        value=value,
        metrics={"val_accuracy": value},
        epochs=epochs,
        proposal=Proposal(config=CONFIG, source="random"),
    )


def running(number: int) -> Trial:
    return Trial(
        number=number, config=CONFIG, state="running", proposal=Proposal(config=CONFIG, source="random")
    )


def stopped_at(
    pruner: Pruner, trial: Trial, curve: Sequence[EpochRecord], others: Sequence[Trial]
) -> tuple[int, str]:
    """The epoch after which it is asked to stop, and why; 0 when it never is."""
    for count in range(1, len(curve) + 1):
        if reason := pruner.look(trial, curve[:count], [*others, trial]):
            return count, reason
    return 0, ""


GOOD = [over(1, line(0.5, 0.95)), over(2, line(0.5, 0.93)), over(3, line(0.5, 0.94)), over(4, line(0.4, 0.9))]


def test_nobody_looks_unless_asked() -> None:
    assert make_pruner(study()) is None
    assert isinstance(make_pruner(study(prune="diagnosis")), DiagnosisPruner)
    assert isinstance(make_pruner(study(prune="median")), OptunaPruner)


def test_a_hopeless_trial_is_stopped_before_its_end_and_a_good_one_never() -> None:
    pruner = DiagnosisPruner(task())
    epoch, reason = stopped_at(pruner, running(5), line(0.2, 0.4), GOOD)
    assert 5 <= epoch < 20
    assert "can hardly become the best" in reason
    assert "trial 1 reached" in reason
    assert stopped_at(pruner, running(5), line(0.5, 0.97), GOOD) == (0, "")
    assert stopped_at(pruner, running(5), line(0.2, 0.4), []) == (0, "")


def test_a_trial_that_diverged_is_stopped_at_once() -> None:
    losses = [0.9, 0.8, 40.0, 4000.0, 4e6]
    curve = [
        EpochRecord(epoch=i, metrics={"train_loss": loss, "val_accuracy": 0.1})
        for i, loss in enumerate(losses, 1)
    ]
    epoch, reason = stopped_at(DiagnosisPruner(task()), running(1), curve, [])
    assert 3 <= epoch <= 5
    assert reason == "its curves diverged"


def test_nothing_is_foreseen_where_no_parameter_counts_the_epochs() -> None:
    bare = task({"lr": {"type": "float", "low": 0.001, "high": 1.0}})
    trial = running(5).model_copy(update={"config": {"lr": 0.01}})
    assert stopped_at(DiagnosisPruner(bare), trial, line(0.2, 0.4), GOOD) == (0, "")
    fixed = task({"lr": {"type": "float", "low": 0.001, "high": 1.0}}, fixed={"epochs": 20})
    assert stopped_at(DiagnosisPruner(fixed), trial, line(0.2, 0.4), GOOD)[0] > 0


def test_epochs_are_counted_by_name() -> None:
    assert planned_epochs({"lr": 0.1, "epochs": 7}, {}) == 7
    assert planned_epochs({"lr": 0.1}, {"n_estimators": 300}) == 300
    assert planned_epochs({"lr": 0.1, "warmup_epochs": 3}, {"verbose": True}) is None


def test_the_median_rule_is_optunas() -> None:
    pruner = OptunaPruner("median", task())
    epoch, reason = stopped_at(pruner, running(5), line(0.2, 0.4), GOOD)
    assert epoch == 2  # the first that counts
    assert reason == "its best by epoch 2 is worse than the median of earlier trials at that epoch"
    assert stopped_at(pruner, running(6), line(0.5, 0.97), GOOD) == (0, "")
    assert stopped_at(OptunaPruner("median", task()), running(3), line(0.2, 0.4), GOOD[:2]) == (0, "")


@pytest.mark.parametrize("rule", ["median", "hyperband"])
def test_a_resumed_study_judges_as_an_unbroken_one(rule: str) -> None:
    """Whoever has seen every epoch live and whoever reads the records afterwards say the same of the next trial."""
    curves = [line(0.3 + 0.02 * i, 0.5 + 0.04 * ((7 * i) % 9)) for i in range(9)]
    live = OptunaPruner(rule, task(), seed=3)  # type: ignore[arg-type]
    done: list[Trial] = []
    for number, curve in enumerate(curves, 1):
        at, _ = stopped_at(live, running(number), curve, done)
        resumed = OptunaPruner(rule, task(), seed=3)  # type: ignore[arg-type]
        assert stopped_at(resumed, running(number), curve, done)[0] == at
        done.append(over(number, curve[: at or len(curve)]))
    stopped = [len(t.epochs) < 20 for t in done]
    assert any(stopped)
    assert not all(stopped)


def test_a_trial_without_the_objective_in_its_epochs_goes_on() -> None:
    curve = [EpochRecord(epoch=i, metrics={"train_loss": 1.0}) for i in range(1, 21)]
    for rule in ("diagnosis", "median", "hyperband"):
        pruner = make_pruner(study(prune=rule))
        assert pruner is not None
        assert stopped_at(pruner, running(5), curve, GOOD) == (0, "")


def test_trials_side_by_side_are_kept_apart() -> None:
    pruner = OptunaPruner("median", task())
    bad, good = line(0.2, 0.4), line(0.5, 0.97)
    asked = {5: 0, 6: 0}
    for count, (number, curve) in itertools.product(range(1, 21), ((5, bad), (6, good))):
        if not asked[number] and pruner.look(running(number), curve[:count], GOOD):
            asked[number] = count
    assert asked == {5: 2, 6: 0}
