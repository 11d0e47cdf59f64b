"""All entries by family."""

from __future__ import annotations

from collections.abc import Mapping

from tcs_hpt.evidence.knowledge import _classical, _networks, _neural, _trees
from tcs_hpt.evidence.knowledge._entry import Entry, Family, Interaction

TABLES: Mapping[Family, tuple[Entry, ...]] = {
    "neural": _neural.NEURAL,
    "vision": _neural.VISION,
    "finetuning": _networks.FINETUNING,
    "lora": _networks.LORA,
    "graph": _networks.GRAPH,
    "recommender": _networks.RECOMMENDER,
    "sklearn_mlp": _networks.SKLEARN_MLP,
    "boosting": _trees.BOOSTING,
    "xgboost": _trees.XGBOOST,
    "lightgbm": _trees.LIGHTGBM,
    "catboost": _trees.CATBOOST,
    "gbm": _trees.GBM,
    "hist_gbm": _trees.HIST_GBM,
    "forest": _trees.FOREST,
    "svm": _classical.SVM,
    "linear": _classical.LINEAR,
    "logistic": _classical.LOGISTIC,
    "ridge": _classical.RIDGE,
    "lasso": _classical.LASSO,
    "sgd_linear": _classical.SGD_LINEAR,
    "knn": _classical.KNN,
}

INTERACTIONS: tuple[Interaction, ...] = (
    *_neural.INTERACTIONS,
    *_networks.INTERACTIONS,
    *_trees.INTERACTIONS,
    *_classical.INTERACTIONS,
)

NAMES: Mapping[Family, Mapping[str, tuple[Entry, ...]]] = {
    family: {name: tuple(e for e in table if name in e.names) for entry in table for name in entry.names}
    for family, table in TABLES.items()
}
"""Entries by family and name; several where they hold under different conditions."""
