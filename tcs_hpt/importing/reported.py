"""Metrics that training libraries print or write by themselves, told from how the script calls them.

Transformers' `Trainer`, Lightning, XGBoost, LightGBM, scikit-learn, Keras, and this package's own reports.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator

from tcs_hpt.importing import goals, lightning_cli
from tcs_hpt.importing.found import identifier
from tcs_hpt.importing.metric_found import MetricFound, Place
from tcs_hpt.importing.printed import NUMBER
from tcs_hpt.importing.script import Script, called, dotted, keyword

_STDOUT = Place("stdout", "pattern")
_XGB_DEFAULTS = (
    ("reg:squaredlogerror", "rmsle"),
    ("reg:absoluteerror", "mae"),
    ("reg:", "rmse"),
    ("binary:", "logloss"),
    ("multi:", "mlogloss"),
    ("rank:", "ndcg"),
)


def find(script: Script) -> list[MetricFound]:
    """Every metric that a library reports for the script."""
    found: list[MetricFound] = []
    for package, read in _READERS:
        if package in script.imported:
            found += read(script)
    return found


def _group(name: str) -> str:
    return f"(?P<{identifier(name)}>{NUMBER})"


# -- Transformers ---------------------------------------------------------------------------------------------


def _trainer(script: Script) -> Iterator[MetricFound]:
    """Its `Trainer` prints each log as a Python dictionary: `{'eval_loss': '0.69', 'epoch': '1'}`."""
    call = next((c for c in script.calls if called(c).endswith("Trainer") and keyword(c, "args")), None)
    if call is None:
        return
    names = ["loss", *_computed(script, keyword(call, "compute_metrics"))]
    for name in names:
        key = name if name.startswith("eval_") else f"eval_{name}"
        pattern = rf"'{re.escape(key)}': '?{_group(key)}.*'epoch': '?(?P<epoch>\d+)"
        yield MetricFound(key, _STDOUT, call.lineno, pattern=pattern, per_epoch=True)
    # Only a line that is nothing but a training log begins with the loss.
    yield MetricFound(
        "train_loss", _STDOUT, call.lineno, pattern=rf"\{{'loss': '?{_group('train_loss')}", inner=True
    )


def _computed(script: Script, node: ast.expr | None) -> list[str]:
    """The keys that a function of metrics returns; the names of metrics that the script loads."""
    functions = {f.name: f for f in script.functions()}
    names: dict[str, None] = {}
    function = functions.get(called(node)) if node is not None else None
    if function is not None:
        for statement in ast.walk(function):
            if isinstance(statement, ast.Return) and isinstance(statement.value, ast.Dict):
                names.update(
                    dict.fromkeys(k for k in map(script.value, statement.value.keys) if isinstance(k, str))
                )
    if node is not None:
        for call in script.calls:
            if called(call) in ("load", "load_metric", "combine") and dotted(call.func).startswith(
                ("evaluate", "load")
            ):
                value = script.value(call.args[0]) if call.args else None
                values: Iterable[object] = value if isinstance(value, tuple) else (value,)
                names.update(dict.fromkeys(v for v in values if isinstance(v, str) and "/" not in v))
    return [n for n in names if goals.measure(n) is not None]


# -- Lightning ------------------------------------------------------------------------------------------------


def _lightning(script: Script) -> Iterator[MetricFound]:
    """`self.log` goes to the trainer's logger: a CSV file when the script says so, else the progress bar and the table of `validate`."""
    place = _csv_logger(script) or (lightning_cli.LOGGED if lightning_cli.logs_to_csv(script) else None)
    validates = any(called(c) == "validate" for c in script.calls)
    for call in (c for one in (script, *lightning_cli.modules(script)) for c in one.calls):
        if called(call) == "log" and isinstance(call.func, ast.Attribute) and call.args:
            names = [script.value(call.args[0])]
        elif called(call) == "log_dict" and call.args and isinstance(call.args[0], ast.Dict):
            names = [script.value(k) for k in call.args[0].keys]
        else:
            continue
        bar = script.value(keyword(call, "prog_bar")) is True
        for name in names:
            if not isinstance(name, str) or goals.measure(name) is None:
                continue
            plain = identifier(name)
            written = "" if plain == name else name
            if place is not None:
                yield MetricFound(plain, place, call.lineno, written_name=written, per_epoch=True)
            elif bar:
                pattern = rf"Epoch (?P<epoch>\d+): 100%.*\b{re.escape(name)}={_group(name)}"
                yield MetricFound(
                    plain,
                    _STDOUT,
                    call.lineno,
                    pattern=pattern,
                    per_epoch=True,
                    doubt="read from the progress bar, which rounds; `logger=CSVLogger(...)` in the Trainer is more exact",
                )
            elif validates and goals.split(name) == "validation":
                pattern = rf"^\W*{re.escape(name)}\W+{_group(name)}"
                yield MetricFound(plain, _STDOUT, call.lineno, pattern=pattern)


def _csv_logger(script: Script) -> Place | None:
    for call in script.calls:
        if called(call) == "CSVLogger":
            folder = script.value(call.args[0] if call.args else keyword(call, "save_dir"))
            name_node = call.args[1] if len(call.args) > 1 else keyword(call, "name")
            name = script.value(name_node) if name_node is not None else "lightning_logs"
            version_node = call.args[2] if len(call.args) > 2 else keyword(call, "version")
            version = script.value(version_node) if version_node is not None else "version_*"
            last = version if isinstance(version, str) else f"version_{version}"
            if isinstance(folder, str) and isinstance(name, str):
                parts = [p for p in (folder.rstrip("/"), name, last) if p and p != "."]
                return Place("/".join([*parts, "metrics.csv"]), "csv")
    return None


# -- boosting -------------------------------------------------------------------------------------------------


def _xgboost(script: Script) -> Iterator[MetricFound]:
    r"""`[10]\tvalidation-auc:0.83`, of `xgb.train(..., evals=[(dval, "validation")])` or of `fit(eval_set=...)`."""
    for call in script.calls:
        evals = keyword(call, "evals") if called(call) == "train" else None
        sets = keyword(call, "eval_set") if called(call) == "fit" else None
        loud = script.value(keyword(call, "verbose_eval") or keyword(call, "verbose"))
        if loud is False or (evals is None and sets is None):
            continue
        names = _watched(script, evals) if evals is not None else _numbered(sets)
        for metric in _eval_metrics(script, _xgb_default(script)):
            for name in names:
                key = f"{name}-{metric}"
                plain = identifier(key).lower()
                pattern = rf"^\[(?P<epoch>\d+)\].*\b{re.escape(key)}:(?P<{plain}>{NUMBER})".replace(
                    r"\-", "-"
                )
                yield MetricFound(plain, _STDOUT, call.lineno, pattern=pattern, per_epoch=True)


def _watched(script: Script, node: ast.expr) -> list[str]:
    """The names in `[(dtrain, "train"), (dval, "validation")]`, also behind a variable."""
    if isinstance(node, ast.Name):
        for other in script.nodes:
            if isinstance(other, ast.Assign) and any(dotted(t) == node.id for t in other.targets):
                return _watched(script, other.value)
    if not isinstance(node, ast.List | ast.Tuple):
        return []
    pairs = [e for e in node.elts if isinstance(e, ast.Tuple) and len(e.elts) == 2]
    return [n for n in (script.value(p.elts[1]) for p in pairs) if isinstance(n, str)]


def _numbered(node: ast.expr | None) -> list[str]:
    """scikit-learn's interface numbers the sets; the last one is what people watch."""
    count = len(node.elts) if isinstance(node, ast.List | ast.Tuple) else 1
    return [f"validation_{count - 1}"]


def _eval_metrics(script: Script, default: str) -> list[str]:
    for value in _said(script, "eval_metric"):
        if isinstance(value, str):
            return [value]
        if isinstance(value, tuple):
            return [v for v in value if isinstance(v, str)]
    return [default] if default else []


def _said(script: Script, key: str) -> Iterator[object]:
    """What the script gives a keyword or a key of a dictionary anywhere."""
    for node in script.nodes:
        if isinstance(node, ast.keyword) and node.arg == key:
            yield script.value(node.value)
        elif isinstance(node, ast.Dict):
            for k, v in zip(node.keys, node.values, strict=True):
                if script.value(k) == key:
                    yield script.value(v)


def _xgb_default(script: Script) -> str:
    for objective in _said(script, "objective"):
        if isinstance(objective, str):
            return next((m for start, m in _XGB_DEFAULTS if objective.startswith(start)), "")
    names = {called(c) for c in script.calls}
    if "XGBClassifier" in names:
        return "logloss"
    return "rmse" if names & {"XGBRegressor", "train"} else ""


def _lightgbm(script: Script) -> Iterator[MetricFound]:
    r"""`[10]\tvalid_0's auc: 0.83`, when the script asks for it with `log_evaluation`."""
    call = next((c for c in script.calls if called(c) == "log_evaluation"), None)
    if call is None:
        return
    names = [n for v in _said(script, "valid_names") if isinstance(v, tuple) for n in v if isinstance(n, str)]
    metrics = [
        m
        for v in _said(script, "metric")
        for m in (v if isinstance(v, tuple) else (v,))
        if isinstance(m, str)
    ]
    for metric in dict.fromkeys(metrics):
        for name in names or ["valid_0"]:
            plain = identifier(f"{name}_{metric}").lower()
            pattern = rf"\[(?P<epoch>\d+)\].*\b{re.escape(name)}'s {re.escape(metric)}: (?P<{plain}>{NUMBER})"
            yield MetricFound(plain, _STDOUT, call.lineno, pattern=pattern, per_epoch=True)


# -- scikit-learn ---------------------------------------------------------------------------------------------


def _sklearn(script: Script) -> Iterator[MetricFound]:
    """The table of `print(classification_report(y_val, predicted))`; the data is the one that its arguments name."""
    for call in script.calls:
        if called(call) != "classification_report" or keyword(call, "output_dict") is not None:
            continue
        data = goals.split("_".join(re.findall(r"\w+", ast.unparse(call))))
        before = {"validation": "val_", "train": "train_", "test": "test_", "": ""}[data]
        accuracy, f1 = f"{before}accuracy", f"{before}macro_f1"
        yield MetricFound(accuracy, _STDOUT, call.lineno, pattern=rf"^\s+accuracy\s+{_group(accuracy)}")
        columns = r"\S+\s+\S+"
        yield MetricFound(f1, _STDOUT, call.lineno, pattern=rf"^\s*macro avg\s+{columns}\s+{_group(f1)}")


# -- Keras ----------------------------------------------------------------------------------------------------


def _keras(script: Script) -> Iterator[MetricFound]:
    """`loss: 0.3 - val_accuracy: 0.9` at the end of an epoch of `model.fit(..., validation_data=...)`."""
    fit = next((c for c in script.calls if called(c) == "fit"), None)
    if fit is None or script.value(keyword(fit, "verbose")) == 0:
        return
    validated = keyword(fit, "validation_data") is not None or keyword(fit, "validation_split") is not None
    listed = [v for v in _said(script, "metrics") if isinstance(v, tuple)]
    names = ["loss", *dict.fromkeys(n for v in listed for n in v if isinstance(n, str))]
    for name in names:
        plain = {"acc": "accuracy"}.get(name, name)
        key = f"val_{plain}" if validated else plain
        pattern = rf"(?<![\w]){re.escape(key)}: {_group(key)}"
        yield MetricFound(
            identifier(key), _STDOUT, fit.lineno, pattern=pattern, per_epoch=True, inner=not validated
        )


# -- this package ---------------------------------------------------------------------------------------------


def _own(script: Script) -> Iterator[MetricFound]:
    for call in script.calls:
        if called(call) in ("report", "finish") and isinstance(call.func, ast.Attribute):
            for item in call.keywords:
                if item.arg and item.arg != "epoch" and goals.measure(item.arg) is not None:
                    yield MetricFound(
                        item.arg, Place("", "report"), call.lineno, per_epoch=called(call) == "report"
                    )


_READERS = (
    ("tcs_hpt", _own),
    ("transformers", _trainer),
    ("lightning", _lightning),
    ("pytorch_lightning", _lightning),
    ("xgboost", _xgboost),
    ("lightgbm", _lightgbm),
    ("sklearn", _sklearn),
    ("keras", _keras),
    ("tensorflow", _keras),
)
