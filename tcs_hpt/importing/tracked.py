"""Metrics that a script hands to an experiment tracker.

Weights & Biases prints a summary of each run when it ends, which can be read; what goes to MLflow or TensorBoard alone cannot.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tcs_hpt.importing import goals, written
from tcs_hpt.importing.found import identifier
from tcs_hpt.importing.metric_found import MetricFound, Place
from tcs_hpt.importing.printed import NUMBER
from tcs_hpt.importing.script import Script, called, dotted

_SUMMARY = Place("stderr", "pattern")
_DOUBT = (
    "read from the summary that wandb prints when a run ends, to five decimals and without a curve; print the metric each epoch to have one, and without a login "
    'add WANDB_MODE = "offline" to [env]'
)
_ELSEWHERE = {
    "log_metric": "MLflow",
    "log_metrics": "MLflow",
    "add_scalar": "TensorBoard",
    "scalar": "TensorBoard",
}


def find(script: Script) -> list[MetricFound]:
    """Every metric of `wandb.log({...})` and `run.log({...})`, and of `run.summary["..."] = ...`."""
    if "wandb" not in script.imported:
        return []
    found: list[MetricFound] = []
    for key, line in _logged(script):
        if goals.measure(key) is not None:
            name = identifier(key)
            pattern = rf"^wandb:\s+{re.escape(key)}\s+(?P<{name}>{NUMBER})\s*$"
            found.append(MetricFound(name, _SUMMARY, line, pattern=pattern, doubt=_DOUBT))
    return found


def _logged(script: Script) -> Iterator[tuple[str, int]]:
    runs = {"wandb", "wandb.run", "self.run"} | {
        dotted(target)
        for node in script.nodes
        if isinstance(node, ast.Assign) and dotted(getattr(node.value, "func", node.value)) == "wandb.init"
        for target in node.targets
    }
    runs |= {
        dotted(item.optional_vars)
        for node in script.nodes
        if isinstance(node, ast.With)
        for item in node.items
        if item.optional_vars is not None and called(item.context_expr) == "init"
    }
    for node in script.nodes:
        if isinstance(node, ast.Call) and called(node) == "log" and isinstance(node.func, ast.Attribute):
            if dotted(node.func.value) in runs and node.args:
                yield from written.keys(script, node.args[0]).items()
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Subscript) and dotted(target.value).endswith(".summary"):
                    key = script.value(target.slice)
                    if isinstance(key, str) and dotted(target.value).removesuffix(".summary") in runs:
                        yield key, node.lineno


def sent_elsewhere(script: Script) -> dict[str, str]:
    """Metrics that go to a tracker whose numbers cannot be read, and which one."""
    found: dict[str, str] = {}
    for call in script.calls:
        tracker = _ELSEWHERE.get(called(call), "")
        if not tracker or not isinstance(call.func, ast.Attribute) or not call.args:
            continue
        value = script.value(call.args[0])
        names = [value] if isinstance(value, str) else list(written.keys(script, call.args[0]))
        found |= {name: tracker for name in names if goals.measure(name) is not None}
    return found
