from __future__ import annotations

from typing import Any

import pytest

from tcs_hpt.catalog import list_tasks, load_task
from tcs_hpt.evidence.knowledge import Advice, Knowledge, knowledge
from tcs_hpt.evidence.roles import role_of
from tcs_hpt.space import SearchSpace
from tests.build import task
from tests.evidence.known import known, start
from tests.evidence.spaces import SPACES, pick, plain_task, real, whole

# -- first values -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "family", "expected"),
    [
        ("resnet", "convolutional network", {"lr": 0.1, "optimizer": "sgd", "momentum": 0.9, "batch_size": 128, "weight_decay": 5e-4}),
        ("distilbert", "fine-tuned transformer", {"lr": 3e-5, "epochs": 3, "batch_size": 32, "activation": "gelu", "dropout": 0.1}),
        ("deepfm", "click prediction network", {"lr": 1e-3, "embed_size": 16, "optimizer": "adam", "mlp_hidden": 128, "mlp_layers": 3}),
        ("xgboost", "XGBoost", {"lr": 0.082, "max_depth": 6, "subsample": 0.8, "n_estimators": 300, "gamma": 0.0, "reg_alpha": 0.0, "reg_lambda": 1.0}),
        ("gcn", "graph network", {"lr": 0.01, "layers": 2, "hidden_size": 16, "dropout": 0.5, "weight_decay": 5e-4, "epochs": 200, "optimizer": "adam"}),
        ("qlora", "LoRA", {"r": 16, "lora_alpha": 32, "lora_dropout": 0.1, "q_proj": True, "gate_proj": True}),
        ("hpobench", "scikit-learn MLP", {"learning_rate_init": 1e-3, "alpha": 1e-4, "batch_size": 64, "depth": 2, "width": 256}),
        ("hpolib", "neural network", {"init_lr": 5e-3, "activation_fn_1": "relu", "activation_fn_2": "relu", "lr_schedule": "cosine", "n_units_1": 256, "n_units_2": 256, "batch_size": 64}),
        ("lcbench", "neural network", {"learning_rate": 0.03, "momentum": 0.9, "weight_decay": 1e-4, "batch_size": 64, "max_dropout": 0.2, "max_units": 256}),
        ("lightgbm", "LightGBM", {"num_leaves": 31, "learning_rate": 0.1, "feature_fraction": 0.8, "min_child_samples": 20, "bagging_freq": 1}),
        ("svm", "SVM", {"C": 10.0, "gamma": 0.016}),
        ("forest", "random forest", {"n_estimators": 300, "min_samples_leaf": 1, "min_samples_split": 2, "max_depth": 20}),
        ("knn", "nearest neighbours", {"n_neighbors": 5, "weights": "distance", "p": 2}),
    ],
)  # fmt: skip
def test_first_values_of_well_known_spaces(name: str, family: str, expected: dict[str, Any]) -> None:
    spec, found = known(name)
    assert found.family == family
    config, reasons = found.start(SearchSpace(spec.params))
    assert {n: config[n] for n in expected} == expected
    assert set(reasons) == set(config)
    assert all(r.startswith("knowledge: ") for r in reasons.values()), reasons
    assert found.silent == {}


def test_the_fifteen_lines_still_hold() -> None:
    # The values that lowered the regret from 0.32 to 0.13, or what is usual for the exact model instead of them.
    network = plain_task(
        {
            "lr": real(1e-6, 1, log=True),
            "momentum": real(0, 0.999, when={"kind": ["x"]}),
            "kind": pick("x", "y"),
            "weight_decay": real(1e-8, 1, log=True),
            "dropout": real(0, 0.9),
            "batch_size": whole(1, 1024, log=True),
            "hidden_size": whole(4, 4096, log=True),
        },
        "A neural network",
    )
    assert start(network) == {
        "lr": 0.003, "momentum": 0.9, "kind": "x", "weight_decay": 1e-4, "dropout": 0.2, "batch_size": 64, "hidden_size": 256,
    }  # fmt: skip
    trees = plain_task(
        {"eta": real(1e-4, 1, log=True), "max_depth": whole(1, 20), "subsample": real(0.1, 1)},
        "Boosted trees",
    )
    assert start(trees) == {"eta": 0.1, "max_depth": 6, "subsample": 0.8}


@pytest.mark.parametrize("folder", list_tasks())
def test_every_built_in_task_can_start(folder: str) -> None:
    spec = load_task(folder).spec
    for profile in (None, *spec.profiles):
        sized = spec.with_profile(profile)
        space = SearchSpace(sized.params)
        config, reasons = knowledge(sized).start(space)
        assert space.contains(config)
        assert set(reasons) == set(config)


def test_an_unknown_function_starts_in_the_middle() -> None:
    spec = plain_task({"x": real(-10, 10), "y": real(-10, 10)}, "A function of two variables")
    config, reasons = knowledge(spec).start(SearchSpace(spec.params))
    assert config == {"x": 0.0, "y": 0.0}
    assert set(reasons.values()) == {"middle of the scale"}
    assert knowledge(spec).notes() == ()


def test_declared_defaults_do_not_stand_in_for_the_middle() -> None:
    spec = plain_task({"x": real(-10, 10, default=7.0)})
    assert start(spec) == {"x": 0.0}


def test_the_usual_test_task_starts_well() -> None:
    assert start(task()) == {
        "lr": 1e-3,
        "optimizer": "adam",
        "hidden_size": 256,
        "batch_size": 64,
        "weight_decay": 1e-4,
        "epochs": 40,
    }


def test_a_narrower_space_than_the_task_s_is_respected() -> None:
    _, found = known("gcn")
    narrow = SearchSpace(plain_task({**SPACES["gcn"][1], "epochs": whole(1, 5)}).params)
    config, reasons = found.start(narrow)
    assert config["epochs"] == 5
    assert reasons["epochs"] == "knowledge: as long as the published GCN, cut to the range"
    assert narrow.contains(config)


# -- the user's range ---------------------------------------------------------------------------------------


def test_near_values_are_cut_to_the_range_and_far_ones_dropped() -> None:
    def lr(low: float, high: float) -> tuple[Advice | None, Knowledge]:
        found = knowledge(plain_task({"lr": real(low, high, log=True), "optimizer": pick("adam", "adamw")}))
        return found.advice.get("lr"), found

    inside, _ = lr(1e-5, 1)
    cut, _ = lr(2e-3, 1)
    near, _ = lr(0.02, 1)
    far, found = lr(1, 10)
    assert inside is not None
    assert cut is not None
    assert near is not None
    assert (inside.first, inside.low, inside.high, inside.log) == (1e-3, 3e-4, 1e-2, True)
    assert (cut.first, cut.low, cut.high) == (2e-3, 2e-3, 1e-2)
    assert (near.first, near.confidence) == (0.02, "low")
    assert far is None
    assert found.silent["lr"] == "usual values, 3e-4 to 0.01, lie outside 1 to 10"
    assert found.start(SearchSpace(plain_task({"lr": real(1, 10, log=True)}).params))[1] == {
        "lr": "middle of the scale"
    }


# -- interactions -------------------------------------------------------------------------------------------


def test_the_optimizer_decides_the_learning_rate() -> None:
    params = {"lr": real(1e-5, 1, log=True), "optimizer": pick("adam", "sgd"), "momentum": real(0, 0.99)}
    found = knowledge(plain_task(params))
    adam, sgd = {"optimizer": "adam"}, {"optimizer": "sgd"}
    assert found.prior("lr", 1e-3, adam) == found.prior("lr", 0.1, sgd) == 1
    assert found.prior("lr", 0.1, adam) < found.prior("lr", 1e-3, sgd) < 0.5
    assert found.prior("momentum", 0.9, sgd) == 1
    assert found.prior("momentum", 0.9, adam) == 0.5  # it does nothing there
    assert found.prior("momentum", 0.2, sgd) < 0.5
    spec = plain_task(params)
    assert start(spec.narrowed(fix={"optimizer": "sgd"}))["lr"] == 0.03
    assert start(plain_task({"lr": params["lr"]}, "A network trained with SGD"))["lr"] == 0.03
    assert start(plain_task({"lr": params["lr"]}, "A network trained with Adam"))["lr"] == 1e-3
    assert start(plain_task({"lr": params["lr"], "momentum": params["momentum"]}))["lr"] == 0.03


def test_values_move_with_the_parameters_they_depend_on() -> None:
    boosting = {
        "learning_rate": real(1e-4, 1, log=True),
        "n_estimators": whole(50, 5000),
        "num_leaves": whole(4, 99),
    }
    found = knowledge(plain_task(boosting))
    assert found.prior("learning_rate", 0.25, {"n_estimators": 100}) == 1
    assert found.prior("learning_rate", 0.25, {"n_estimators": 4000}) < 0.6
    few = plain_task(boosting).narrowed(fix={"n_estimators": 100})
    many = plain_task(boosting).narrowed(fix={"n_estimators": 4000})
    assert start(few)["learning_rate"] > 0.1 > start(many)["learning_rate"]
    lora = plain_task({"r": whole(4, 64), "lora_alpha": whole(4, 256), "lora_dropout": real(0, 1)})
    assert start(lora.narrowed(fix={"r": 32}))["lora_alpha"] == 64
    assert start(lora.narrowed(fix={"r": 8}))["lora_alpha"] == 16
    sgd = plain_task(
        {"lr": real(1e-4, 1, log=True), "optimizer": pick("sgd", "none"), "batch_size": whole(8, 1024)}
    )
    found = knowledge(sgd)
    small, large = ({"optimizer": "sgd", "batch_size": b} for b in (16, 1024))
    assert found.prior("lr", 0.8, large) > found.prior("lr", 0.8, small)


def test_the_goal_decides_how_many_columns_a_forest_sees() -> None:
    params = {"max_features": pick("sqrt", "log2", "none")}
    classes = knowledge(plain_task(params, "random forest", "val_accuracy"))
    numbers = knowledge(plain_task(params, "random forest", "val_r2"))
    assert classes.advice["max_features"].first == "sqrt"
    assert numbers.advice["max_features"].first == "none"


# -- prior --------------------------------------------------------------------------------------------------


def test_the_prior_is_one_inside_and_falls_outside() -> None:
    _, found = known("gcn")
    values = [found.prior("lr", 10**e, {"optimizer": "adam"}) for e in (-2, -3, -4, -5, -6)]
    assert values[0] == 1
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == len(values)
    assert values[-1] < 0.1
    assert found.prior("optimizer", "adam") > found.prior("optimizer", "sgd")
    assert found.prior("no such parameter", 1) == 0.5
    assert found.prior("lr", "high") == 0.5
    assert found.prior("lr", float("nan")) == 0.0
    assert found.prior("lr", -1.0) == 0.0


@pytest.mark.parametrize("name", SPACES)
def test_the_start_is_sensible_by_its_own_prior(name: str) -> None:
    spec, found = known(name)
    config, _ = found.start(SearchSpace(spec.params))
    assert {n: v for n, v in config.items() if found.prior(n, v, config) < 1} == {}


def test_values_worth_trying_lie_in_the_sensible_part_of_the_scale() -> None:
    spec = task()
    found = knowledge(spec)
    everywhere = [float(v) for v in SearchSpace(spec.params).values("lr", 7)]
    sensible = [float(v) for v in found.values("lr", 7)]
    advice = found.advice["lr"]
    assert advice.low is not None
    assert advice.high is not None
    assert min(everywhere) < advice.low <= min(sensible)
    assert max(sensible) <= advice.high < max(everywhere)
    assert sensible == sorted(sensible)
    assert len(sensible) >= 5
    assert found.values("optimizer", 7) == ("adam", "sgd")


# -- notes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPACES)
def test_notes_are_short_and_begin_with_what_matters(name: str) -> None:
    spec, found = known(name)
    notes = found.notes()
    assert notes
    assert all(len(n.split()) <= 15 for n in notes), [n for n in notes if len(n.split()) > 15]
    assert all("{" not in n for n in notes)
    roles = [role_of(n.split(":")[0].split(",")[0], tuple(spec.params)) for n in notes if ":" in n]
    if "learning_rate" in roles:
        assert roles[0] == "learning_rate"
    assert len(set(notes)) == len(notes)


def test_notes_tell_what_depends_on_what() -> None:
    _, resnet = known("resnet")
    assert "sgd needs 10 to 30 times the lr of adam" in resnet.notes()[:3]
    assert "momentum matters only with sgd" in resnet.notes()
    _, lora = known("qlora")
    assert "lora_alpha about twice r keeps the scale" in lora.notes()
    assert sum("proj" in n for n in lora.notes()) == 1  # five switches share one line
    _, trees = known("xgboost")
    assert "more n_estimators want a smaller lr" in trees.notes()
