"""Which ranges are proposed, and what is no hyperparameter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcs_hpt.importing.found import Found, Route, Way, kind_of
from tcs_hpt.importing.hyperparameters import reason_against
from tcs_hpt.importing.ranges import Proposal, propose
from tcs_hpt.spec import CategoricalParameter, FloatParameter, IntParameter, Objective, Scalar

OBJECTIVE = Objective(metric="val_acc", direction="maximize")


def flag(name: str, default: Scalar | None, way: Way = "flag", **more: object) -> Found:
    return Found(name, default, Route(way, f"--{name}"), 1, **({"kind": kind_of(default)} | more))  # type: ignore[arg-type]


def proposed(*found: Found, words: str = "Uses PyTorch.") -> dict[str, Proposal]:
    return {p.found.name: p for p in propose(found, words, OBJECTIVE)[0]}


def test_what_is_known_by_name_is_widened_to_the_script_s_own_value() -> None:
    items = proposed(flag("lr", 1e-3), flag("dropout", 0.6), flag("batch_size", 64), flag("epochs", 3))
    lr, dropout, batch, epochs = (items[n].spec for n in ("lr", "dropout", "batch_size", "epochs"))
    assert isinstance(lr, FloatParameter)
    assert lr.log
    assert lr.low <= 3e-4 < lr.default <= 1e-2 <= lr.high  # type: ignore[operator]
    assert (dropout.low, dropout.high, dropout.default) == (0.0, 0.6, 0.6)  # type: ignore[union-attr]
    assert (batch.low, batch.high) == (8, 256)  # type: ignore[union-attr]
    assert isinstance(epochs, IntParameter)
    assert epochs.high <= 6  # more epochs than twice the script's own would cost more than the user expects
    assert not any(p.check for p in items.values())


def test_zero_on_a_logarithmic_scale_is_a_choice_of_its_own() -> None:
    spec = proposed(flag("weight_decay", 0.0))["weight_decay"].spec
    assert isinstance(spec, CategoricalParameter)
    assert spec.default == 0.0
    assert spec.ordered
    assert len(spec.choices) >= 4


def test_the_kind_of_model_decides() -> None:
    forest = proposed(flag("max_depth", 20), words="Uses RandomForestClassifier.")["max_depth"]
    boosted = proposed(flag("max_depth", 6), words="Uses XGBoost.")["max_depth"]
    assert forest.spec.high > boosted.spec.high  # type: ignore[union-attr]
    unclear = proposed(flag("lr", 1e-3), words="")["lr"]
    assert "nothing tells what is trained" in unclear.check


@pytest.mark.parametrize(
    ("default", "low", "high", "log"),
    [(2.0, 0.2, 20.0, True), (0.5, 0.05, 1.0, False), (7, 1, 30, False), (100, 20, 500, True)],
)
def test_around_the_default_of_an_unknown_name(default: float, low: float, high: float, log: bool) -> None:
    made = proposed(flag("sharpness", default))["sharpness"]
    assert not isinstance(made.spec, CategoricalParameter)
    assert (made.spec.low, made.spec.high, made.spec.log) == (low, high, log)
    assert "guess" in made.check


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (flag("sharpness", 0.0), "tells no range"),
        (flag("sharpness", -1), "tells no range"),
        (flag("sharpness", None), "unknown name"),
        (flag("sharpness", 0.5, needs_knowledge=True), "a literal of an unknown name"),
        (flag("weight_decay", -1.0), "a meaning of its own"),
    ],
)
def test_what_tells_no_range_is_left_out(found: Found, reason: str) -> None:
    made, against = propose([found], "Uses PyTorch.", OBJECTIVE)
    assert made == ()
    assert reason in against[found.name]


def test_a_known_name_without_a_default_starts_at_a_usual_value() -> None:
    made = proposed(flag("lr", None, kind="float"))["lr"]
    assert made.spec.default is not None
    assert "no default" in made.check


def test_widths_of_models_with_heads_stay_multiples() -> None:
    spec = proposed(flag("hidden_size", 64), flag("num_heads", 4))["hidden_size"].spec
    assert isinstance(spec, CategoricalParameter)
    assert all(isinstance(c, int) and c % 8 == 0 for c in spec.choices)


NAMES = st.sampled_from(["lr", "batch_size", "dropout", "weight_decay", "momentum", "gamma", "epochs", "sharpness", "hidden_size", "max_depth", "warmup_ratio", "C"])  # fmt: skip
DEFAULTS = st.one_of(
    st.none(),
    st.integers(-5, 100_000),
    st.floats(-2, 1e6, allow_nan=False, allow_subnormal=False),
    st.sampled_from([0.0, 1e-8, 1.0]),
)


@given(
    st.dictionaries(NAMES, DEFAULTS, max_size=5),
    st.sampled_from(["Uses PyTorch.", "Uses XGBoost.", "", "Uses SVC."]),
)
def test_every_proposal_is_a_sound_parameter_that_holds_the_script_s_own_value(
    defaults: dict[str, Scalar | None], words: str
) -> None:
    found = [flag(n, d) for n, d in defaults.items()]
    made, against = propose(found, words, OBJECTIVE)
    assert {p.found.name for p in made} | against.keys() == defaults.keys()
    for proposal in made:
        if proposal.found.default is not None:
            assert proposal.spec.default == proposal.found.default


@pytest.mark.parametrize(
    ("name", "default"),
    [
        *(("seed", 1), ("random_state", 42), ("data_dir", "x"), ("output_path", "x"), ("device", "cpu")),
        *(("gpu_id", 0), ("num_workers", 4), ("n_jobs", -1), ("log_interval", 10), ("verbose", 1), ("run_name", "a")),
        *(("resume", "x"), ("save_every", 5), ("eval_batch_size", 64), ("test_size", 0.2), ("num_classes", 10)),
        *(("n_samples", 100), ("vocab_size", 100), ("max_seq_length", 128), ("early_stopping_patience", 3)),
        *(("wandb_project", "x"), ("fp16", False), ("model", "resnet"), ("dataset", "cifar"), ("eval_steps", 10)),
        *(("in_channels", 3), ("n_splits", 5), ("logging_steps", 10), ("save_total_limit", 2), ("debug", False)),
    ],
)  # fmt: skip
def test_what_is_no_hyperparameter(name: str, default: Scalar) -> None:
    assert reason_against(flag(name, default)) != ""


@pytest.mark.parametrize(
    ("name", "default"),
    [
        *(("lr", 0.1), ("learning-rate", 0.1), ("train_batch_size", 8), ("per_device_train_batch_size", 8), ("n_estimators", 10)),
        *(("max_features", 0.5), ("max_samples", 0.5), ("min_samples_leaf", 1), ("hidden_dim", 8), ("warmup_steps", 10)),
        *(("label_smoothing", 0.1), ("grad_clip", 1.0), ("lora_rank", 8), ("temperature", 0.5), ("embedding_dim", 8)),
        *(("bagging_freq", 1), ("num_leaves", 31), ("weight_decay", 0.0), ("num_layers", 2), ("gamma", 0.1)),
    ],
)  # fmt: skip
def test_what_may_be_a_hyperparameter(name: str, default: Scalar) -> None:
    assert reason_against(flag(name, default)) == ""
