"""What a script says about itself: its docstring, and the libraries and models that it names."""

from __future__ import annotations

import ast
import re

from tcs_hpt.importing.script import Script, called, scripts_run

_LIBRARIES = {
    "torch": "PyTorch",
    "lightning": "Lightning",
    "pytorch_lightning": "Lightning",
    "transformers": "Transformers",
    "keras": "Keras",
    "tensorflow": "TensorFlow",
    "jax": "JAX",
    "xgboost": "XGBoost",
    "lightgbm": "LightGBM",
    "catboost": "CatBoost",
    "sklearn": "scikit-learn",
    "peft": "PEFT",
    "torch_geometric": "graph neural networks of PyTorch Geometric",
}
_MODELS = re.compile(
    r"^([A-Z]\w*(Classifier|Regressor|Regression|SVC|SVR|Ridge|Lasso|ElasticNet|Perceptron)|Adam|AdamW|SGD|RMSprop|Adagrad|LSTM|GRU"
    r"|([Rr]es[Nn]et|[Vv][Gg][Gg]|[Ee]fficient[Nn]et|[Mm]obile[Nn]et|[Dd]ense[Nn]et|[Cc]onv[Nn]e[Xx]t|vit)\w*|\w*(Bert|GPT|T5|Roberta)\w*|LoraConfig|GCNConv|GATConv)$"
)
_MOST = 6


def docstring(script: Script) -> str:
    """The text at the top of a script; of a shell script its first comment; empty without one."""
    if script.kind == "shell":
        lines = [
            t[1:].strip() for t in script.text.splitlines() if t.startswith("#") and not t.startswith("#!")
        ]
        return lines[0] if lines else ""
    text = ast.get_docstring(script.tree) or ""
    return "" if text.lower().startswith(("usage", "copyright", "licensed")) else text


def describe(script: Script) -> str:
    """One or two sentences for the prompts, which also tell the kind of model."""
    said = " ".join(docstring(script).split("\n\n", 1)[0].split())[:300].strip()
    scripts = scripts_run(script)
    imported = {m for s in scripts for m in s.imported}
    calls = [c for s in scripts for c in s.calls]
    libraries = [n for m, n in _LIBRARIES.items() if m in imported]
    models = [called(c) for c in calls if _MODELS.match(called(c))]
    models += [
        v
        for c in calls
        if called(c) == "from_pretrained" and c.args and isinstance(v := script.value(c.args[0]), str)
    ]
    if any(called(c) == "Conv2d" for c in calls):
        models.append("convolutional network")
    uses = ", ".join(dict.fromkeys([*libraries, *models][: _MOST + len(libraries)]))
    parts = [
        said if not said or said.endswith((".", "!", "?")) else f"{said}.",
        f"Uses {uses}." if uses else "",
    ]
    return " ".join(p for p in parts if p)
