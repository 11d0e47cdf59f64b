"""Search spaces that are known from papers and benchmarks."""

from __future__ import annotations

from typing import Any

from tcs_hpt.spec import TaskSpec
from tests.build import task


def real(low: float, high: float, *, log: bool = False, **more: Any) -> dict[str, Any]:
    return {"type": "float", "low": low, "high": high, "log": log} | more


def whole(low: int, high: int, *, log: bool = False, **more: Any) -> dict[str, Any]:
    return {"type": "int", "low": low, "high": high, "log": log} | more


def pick(*choices: Any, **more: Any) -> dict[str, Any]:
    return {"type": "categorical", "choices": list(choices)} | more


def plain_task(params: dict[str, Any], title: str = "", metric: str = "score", **more: Any) -> TaskSpec:
    """A task that says nothing of its model but what the arguments say."""
    objective = {"metric": metric, "direction": "maximize"}
    return task(params, name="t", title=title, description="", objective=objective, **more)


_WIDTHS = (16, 32, 64, 128, 256, 512)

SPACES: dict[str, tuple[str, dict[str, Any]]] = {
    # Table 3 of the TCS-HPT paper
    "resnet": (
        "ResNet-18 on CIFAR-10",
        {
            "lr": real(1e-5, 1e-1, log=True),
            "optimizer": pick("adam", "sgd"),
            "epochs": whole(25, 200),
            "weight_decay": real(1e-6, 1e-1, log=True),
            "dropout": real(0, 0.5),
            "momentum": real(0.5, 0.99, when={"optimizer": ["sgd"]}),
            "batch_size": pick(32, 64, 128, 256),
        },
    ),
    "distilbert": (
        "DistilBERT on SST-2",
        {
            "lr": real(1e-6, 1e-2, log=True),
            "epochs": whole(1, 4),
            "dropout": real(0, 0.5),
            "attention_dropout": real(0, 0.5),
            "classifier_dropout": real(0, 0.5),
            "batch_size": pick(8, 16, 32, 64, 128),
            "activation": pick("gelu", "relu", "silu"),
            "weight_decay": real(1e-6, 0.1, log=True),
        },
    ),
    "deepfm": (
        "DeepFM on MovieLens",
        {
            "lr": real(1e-5, 1e-1, log=True),
            "embed_size": pick(8, 16, 32, 64),
            "optimizer": pick("adam", "sgd"),
            "reg_weight": real(1e-6, 1e-1, log=True),
            "dropout": real(0, 0.5),
            "batch_size": whole(256, 2048),
            "mlp_hidden": whole(32, 512),
            "mlp_layers": whole(1, 4),
        },
    ),
    "xgboost": (
        "XGBoost on house prices",
        {
            "lr": real(1e-3, 1, log=True),
            "max_depth": whole(3, 11),
            "min_child_weight": whole(1, 10),
            "subsample": real(0.5, 1),
            "colsample_bytree": real(0.5, 1),
            "n_estimators": whole(100, 500),
            "gamma": real(0, 0.5),
            "reg_alpha": real(0, 1),
            "reg_lambda": real(0, 1),
        },
    ),
    "gcn": (
        "GCN on Cora",
        {
            "layers": whole(1, 5),
            "lr": real(1e-6, 1e-1, log=True),
            "optimizer": pick("adam", "sgd"),
            "epochs": whole(1, 200),
            "hidden_size": whole(8, 64),
            "activation": pick("relu", "elu", "silu"),
            "weight_decay": real(1e-6, 1e-1, log=True),
            "dropout": real(0, 0.5),
        },
    ),
    # The chromosome of the AutoLLM paper
    "qlora": (
        "QLoRA summarizes news",
        {
            "r": pick(8, 12, 16),
            "lora_alpha": pick(16, 32, 48, 64),
            "lora_dropout": pick(0.0, 0.1, 0.2, 0.3),
            **{f"{p}_proj": pick(True, False) for p in ("q", "k", "v", "o", "gate")},
        },
    ),
    # Published benchmarks, which say nothing but names
    "hpobench": (
        "",
        {
            "alpha": real(1e-8, 1, log=True),
            "batch_size": whole(4, 256, log=True),
            "depth": whole(1, 3),
            "learning_rate_init": real(1e-5, 1, log=True),
            "width": whole(16, 1024, log=True),
        },
    ),
    "hpolib": (
        "",
        {
            "activation_fn_1": pick("relu", "tanh"),
            "activation_fn_2": pick("relu", "tanh"),
            "batch_size": pick(8, 16, 32, 64),
            "dropout_1": pick(0.0, 0.3, 0.6),
            "dropout_2": pick(0.0, 0.3, 0.6),
            "init_lr": pick(5e-4, 1e-3, 5e-3, 1e-2, 5e-2, 0.1),
            "lr_schedule": pick("const", "cosine"),
            "n_units_1": pick(*_WIDTHS),
            "n_units_2": pick(*_WIDTHS),
        },
    ),
    "lcbench": (
        "",
        {
            "batch_size": whole(16, 512, log=True),
            "learning_rate": real(1e-4, 0.1, log=True),
            "momentum": real(0.1, 0.99),
            "weight_decay": real(1e-5, 0.1),
            "num_layers": whole(1, 5),
            "max_units": whole(64, 1024, log=True),
            "max_dropout": real(0, 1),
        },
    ),
    "lightgbm": (
        "",
        {
            "num_leaves": whole(2, 256, log=True),
            "learning_rate": real(1e-3, 1, log=True),
            "lambda_l2": real(1e-8, 10, log=True),
            "feature_fraction": real(0.4, 1),
            "bagging_fraction": real(0.4, 1),
            "bagging_freq": whole(1, 7),
            "min_child_samples": whole(5, 100),
        },
    ),
    "svm": ("", {"C": real(2**-10, 2**10, log=True), "gamma": real(2**-10, 2**10, log=True)}),
    "forest": (
        "random forest",
        {
            "n_estimators": whole(10, 1000),
            "max_depth": whole(1, 50, log=True),
            "max_features": real(0.05, 1),
            "min_samples_leaf": whole(1, 20),
            "min_samples_split": whole(2, 128, log=True),
        },
    ),
    "knn": ("", {"n_neighbors": whole(1, 50), "weights": pick("uniform", "distance"), "p": whole(1, 2)}),
}  # fmt: skip
