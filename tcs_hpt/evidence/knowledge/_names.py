"""The spellings under which a parameter's name may be known."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tcs_hpt.evidence.knowledge._entry import Family
from tcs_hpt.evidence.roles import snake_case

_SEPARATOR = re.compile(r"\.|__+|/|:")
_INDEX = re.compile(r"_?(l|layer|layer_)?\d+$")
_COMPONENTS = frozenset(
    (
        *("model", "optim", "optimizer", "opt", "train", "training", "trainer", "clf", "classifier", "reg", "regressor"),
        *("estimator", "hp", "param", "params", "config", "cfg", "args", "hparams", "net", "network", "module"),
        *("encoder", "decoder", "head", "nn", "mlp", "dnn", "fc", "gnn", "backbone", "est", "algo", "adam", "adamw", "sgd"),
    )
)  # fmt: skip
"""First words that only say which part of a program a value goes to."""

OWNERS: Mapping[str, Family] = {
    "xgb": "xgboost",
    "xgboost": "xgboost",
    "lgb": "lightgbm",
    "lgbm": "lightgbm",
    "lightgbm": "lightgbm",
    "cat": "catboost",
    "cb": "catboost",
    "catboost": "catboost",
    "gbm": "gbm",
    "gb": "gbm",
    "hgb": "hist_gbm",
    "rf": "forest",
    "forest": "forest",
    "et": "forest",
    "svm": "svm",
    "svc": "svm",
    "svr": "svm",
    "knn": "knn",
    "ridge": "ridge",
    "lasso": "lasso",
    "enet": "lasso",
    "elasticnet": "lasso",
    "logreg": "logistic",
    "logistic": "logistic",
    "gcn": "graph",
    "gat": "graph",
    "gnn": "graph",
    "lora": "lora",
    "bert": "finetuning",
    "resnet": "vision",
    "cnn": "vision",
    "mlp": "neural",
    "nn": "neural",
    "dnn": "neural",
}
"""First words that say of which model a parameter is."""


def owner(name: str) -> Family | None:
    """The family that a prefix names: `rf_n_estimators`, `xgb__eta`; None without one."""
    words = _words(name)
    return OWNERS.get(words[0]) if len(words) > 1 else None


def spellings(name: str) -> tuple[str, ...]:
    """How the name may be listed, most literal first: whole, without prefixes, without a trailing index.

    `model__clf.learningRate`, `optim.lr`, `--lr`, `n_units_1` and `dropout_l2` become what documentation calls them.
    """
    segments = [snake_case(s) for s in _SEPARATOR.split(name.strip("-")) if s]
    found: dict[str, None] = {}
    for start in range(len(segments)):
        whole = "_".join(segments[start:])
        for spelling in (whole, _INDEX.sub("", whole)):
            words = spelling.split("_")
            while words and "_".join(words):
                found.setdefault("_".join(words))
                if len(words) == 1 or not (words[0] in _COMPONENTS or words[0] in OWNERS):
                    break
                words = words[1:]
    return tuple(found)


def _words(name: str) -> list[str]:
    return [w for s in _SEPARATOR.split(name.strip("-")) for w in snake_case(s).split("_") if w]


def plain(choice: object) -> str:
    """A choice as the tables list it: lower case letters and digits; on and off are `true` and `false`."""
    if isinstance(choice, bool):
        return str(choice).lower()
    text = re.sub(
        r"[^a-z0-9]+", "", str(choice).lower().rsplit(".", 1)[-1] if isinstance(choice, str) else str(choice)
    )
    return {"on": "true", "yes": "true", "off": "false", "no": "false"}.get(text, text)


def optimizer(choice: object) -> str:
    """The optimizer that a choice names, however it is decorated: `torch.optim.AdamW`, `sgd_momentum`, `paged_adamw_8bit`."""
    text = plain(choice)
    known = (
        "adamw",
        "nadam",
        "radam",
        "adamax",
        "adagrad",
        "adadelta",
        "adam",
        "rmsprop",
        "lbfgs",
        "lion",
        "sgd",
    )
    return next((o for o in known if o in text), text)
