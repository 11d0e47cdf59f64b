from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcs_hpt.records import EpochRecord, Failure, Trial
from tcs_hpt.spec import Objective
from tcs_hpt.trajectory import Diagnosis, diagnose, lower_is_better
from tests.build import epochs, trial

ACCURACY = Objective(metric="val_accuracy", direction="maximize", target=0.97)
LOSS = Objective(metric="val_loss", direction="minimize")


def records(**series: list[Any]) -> tuple[EpochRecord, ...]:
    count = len(next(iter(series.values())))
    return tuple(
        EpochRecord(
            epoch=i + 1,
            metrics={n: None if v[i] is None else float(v[i]) for n, v in series.items()},
            non_finite=tuple(n for n, v in series.items() if v[i] is None),
        )
        for i in range(count)
    )


def seen(curve: tuple[EpochRecord, ...], objective: Objective = ACCURACY, **kwargs: Any) -> Diagnosis:
    return diagnose(trial(1, {}, 0.9, curve=curve), objective, **kwargs)


RISING = [0.5, 0.6, 0.7, 0.78, 0.84, 0.88, 0.91, 0.94]
FLAT = [0.5, 0.8, 0.9, 0.93, 0.93, 0.93, 0.93, 0.93, 0.93, 0.93]


def test_a_rising_curve_is_still_improving() -> None:
    assert seen(records(val_accuracy=RISING)).labels == ("still improving",)


def test_a_flat_end_is_a_plateau_with_its_epoch() -> None:
    found = seen(records(val_accuracy=FLAT))
    assert found.labels == ("plateaued",)
    assert found.plateau_since == 4
    assert found.sentence() == "plateaued since epoch 4"


def test_validation_loss_that_turns_while_training_goes_on_is_overfitting_from_there() -> None:
    found = seen(
        records(
            train_loss=[2.0, 1.5, 1.0, 0.6, 0.3, 0.2, 0.1, 0.05],
            val_loss=[2.0, 1.6, 1.2, 1.0, 1.1, 1.2, 1.35, 1.5],
            val_accuracy=[0.5, 0.6, 0.7, 0.75, 0.74, 0.75, 0.74, 0.75],
        )
    )
    assert found.main == "overfitting"
    assert found.onset_epoch == 5
    assert "overfitting from epoch 5" in found.sentence()


def test_fine_tuning_that_overfits_has_not_diverged() -> None:
    found = seen(
        records(
            train_loss=[0.30, 0.16, 0.08, 0.05, 0.03],
            val_loss=[0.28, 0.31, 0.42, 0.52, 0.60],
            val_accuracy=[0.90, 0.905, 0.902, 0.90, 0.90],
        )
    )
    assert found.main == "overfitting"
    assert "diverged" not in found.labels


def test_a_rising_loss_beside_a_score_that_still_gains_is_not_yet_overfitting() -> None:
    found = seen(
        records(
            train_loss=[0.5, 0.3, 0.2, 0.12, 0.08, 0.05],
            val_loss=[0.4, 0.35, 0.36, 0.38, 0.41, 0.45],
            val_accuracy=[0.80, 0.84, 0.86, 0.875, 0.885, 0.895],
        )
    )
    assert found.labels == ("still improving",)


def test_a_small_fall_of_a_ctr_loss_is_not_underfitting() -> None:
    found = seen(
        records(
            train_loss=[0.60, 0.56, 0.54, 0.53, 0.525, 0.52, 0.52, 0.52],
            val_accuracy=[0.74, 0.79, 0.81, 0.82, 0.82, 0.82, 0.82, 0.82],
        )
    )
    assert found.labels == ("plateaued",)


def test_training_behind_validation_is_judged_by_the_better_of_the_two() -> None:
    curve = records(
        train_accuracy=[0.5, 0.7, 0.8, 0.84, 0.86, 0.86, 0.86],
        val_accuracy=[0.5, 0.8, 0.88, 0.9, 0.9, 0.9, 0.9],
    )
    assert "underfitting" not in seen(curve, reference=0.9).labels
    assert "underfitting" in seen(curve, reference=0.99).labels


def test_noise_on_a_small_validation_set_is_rarely_called_overfitting() -> None:
    generator = random.Random(0)
    wrong = 0
    for _ in range(200):
        scores = [0.9 + 0.02 * i / 10 + generator.gauss(0, 0.015) for i in range(10)]
        wrong += "overfitting" in seen(records(val_accuracy=scores)).labels
    assert wrong < 20


def test_the_validation_loss_stands_in_for_an_objective_without_a_curve() -> None:
    curve = records(train_loss=[2, 1, 0.5, 0.2, 0.1, 0.05], val_loss=[2, 1.2, 1.0, 1.3, 1.6, 1.9])
    assert seen(curve).main == "overfitting"
    assert seen(records(train_loss=[2.0, 1.0, 0.5])).sentence() == "no validation curve"


def test_a_run_that_loses_all_it_had_learned_is_unstable() -> None:
    assert seen(records(val_accuracy=[0.5, 0.8, 0.9, 0.3, 0.3])).main == "unstable"


def test_a_single_bad_last_epoch_is_not_overfitting() -> None:
    found = seen(
        records(
            train_loss=[2.0, 1.5, 1.0, 0.6],
            val_loss=[2.0, 1.6, 1.2, 1.4],
            val_accuracy=[0.5, 0.6, 0.7, 0.69],
        )
    )
    assert "overfitting" not in found.labels


def test_a_wide_lasting_gap_is_overfitting_even_without_a_turn() -> None:
    found = seen(
        records(
            train_accuracy=[0.5, 0.8, 0.95, 0.99, 1.0, 1.0],
            val_accuracy=[0.5, 0.75, 0.82, 0.83, 0.83, 0.835],
        )
    )
    assert found.main == "overfitting"
    assert found.onset_epoch == 2
    assert found.gap == pytest.approx(0.165)


def test_a_gap_while_validation_still_gains_is_not_overfitting() -> None:
    rising = [0.3, 0.5, 0.62, 0.7, 0.76, 0.8, 0.83, 0.85]
    curve = records(train_accuracy=[v + 0.055 for v in rising], val_accuracy=rising)
    assert seen(curve, reference=0.965).labels == ("underfitting", "still improving")


def test_training_below_the_reference_is_underfitting() -> None:
    curve = records(train_accuracy=[0.5, 0.6, 0.65, 0.68], val_accuracy=[0.5, 0.6, 0.64, 0.67])
    assert "underfitting" in seen(curve, reference=0.95).labels
    assert "underfitting" not in seen(curve, reference=0.66).labels


def test_a_training_loss_that_hardly_falls_is_underfitting_without_any_reference() -> None:
    curve = records(train_loss=[2.30, 2.29, 2.28, 2.27], val_accuracy=[0.1, 0.11, 0.1, 0.12])
    assert "underfitting" in seen(curve).labels


def test_jumping_up_and_down_is_unstable() -> None:
    curve = records(val_accuracy=[0.5, 0.8, 0.6, 0.85, 0.55, 0.9, 0.6, 0.88])
    assert seen(curve).main == "unstable"


def test_small_wiggles_are_not_unstable() -> None:
    curve = records(val_accuracy=[0.5, 0.8, 0.9, 0.901, 0.899, 0.9, 0.902, 0.9])
    assert "unstable" not in seen(curve).labels


@pytest.mark.parametrize(
    "curve",
    [
        records(train_loss=[1.0, None, None], val_accuracy=[0.5, 0.4, 0.1]),
        records(train_loss=[1.0, 5.0, 9.0], val_accuracy=[0.5, 0.4, 0.1]),
        records(val_accuracy=[0.5, None, None]),
    ],
)
def test_losses_that_explode_have_diverged(curve: tuple[EpochRecord, ...]) -> None:
    assert seen(curve).main == "diverged"


def test_a_diverged_failure_needs_no_curve() -> None:
    failed = Trial.model_validate(
        trial(1, {}, None).model_dump() | {"failure": Failure(kind="diverged", message="not finite")}
    )
    assert diagnose(failed, ACCURACY).labels == ("diverged",)


@pytest.mark.parametrize(
    ("curve", "sentence"),
    [((), "no curve"), (records(val_accuracy=[0.9]), "too few epochs to judge")],
)
def test_too_little_to_judge_says_so(curve: tuple[EpochRecord, ...], sentence: str) -> None:
    assert seen(curve).sentence() == sentence


def test_a_minimized_objective_is_read_the_other_way_round() -> None:
    assert seen(records(val_loss=[2.0, 1.5, 1.2, 1.0, 0.8, 0.6]), LOSS).labels == ("still improving",)


@pytest.mark.parametrize(
    ("metric", "lower"),
    [
        ("train_loss", True),
        ("val_rmse", True),
        ("val_error_rate", True),
        ("val_f1", False),
        ("train_accuracy", False),
    ],
)
def test_metric_names_tell_their_direction(metric: str, lower: bool) -> None:
    assert lower_is_better(metric, ACCURACY) is lower


def test_the_objective_decides_for_its_own_suffix() -> None:
    assert lower_is_better("train_cost", Objective(metric="val_cost", direction="maximize")) is False


def test_realistic_curves() -> None:
    assert seen(epochs(30, 0.95, overfit_from=14)).onset_epoch is not None
    assert "still improving" in seen(epochs(6, 0.95, speed=6)).labels


@given(
    st.lists(
        st.one_of(st.none(), st.floats(-1e300, 1e300)),
        max_size=30,
    ),
    st.lists(
        st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)), min_size=30, max_size=30
    ),
    st.sampled_from([ACCURACY, LOSS]),
)
def test_any_curve_gets_a_diagnosis(
    main: list[float | None], other: list[float | None], objective: Objective
) -> None:
    curve = records(**{objective.metric: main, "train_loss": other[: len(main)]}) if main else ()
    found = seen(curve, objective, reference=0.5)
    assert found.labels
    assert found.sentence()
    assert found.gap is None or not math.isnan(found.gap)
