"""Parameters of a script that knows this package: `trial.params["lr"]`."""

from __future__ import annotations

import ast

from tcs_hpt.importing.found import Found, Route, kind_of
from tcs_hpt.importing.literals import UNKNOWN
from tcs_hpt.importing.script import Script, called, dotted


def find(script: Script) -> tuple[Found, ...]:
    """Each key once, with the default of `.get` if there is one; nothing when the script does not import the package."""
    if "tcs_hpt" not in script.imported:
        return ()
    holders = {"trial.params"}
    for node in script.nodes:
        if isinstance(node, ast.Assign) and dotted(node.value).endswith(".params"):
            holders |= {t.id for t in node.targets if isinstance(t, ast.Name)}
    found: dict[str, Found] = {}
    for node in script.nodes:
        if isinstance(node, ast.Subscript) and dotted(node.value) in holders:
            key = script.value(node.slice)
            if isinstance(key, str):
                found.setdefault(key, Found(key, None, Route("report", key), node.lineno))
        elif isinstance(node, ast.Call) and called(node) == "get" and isinstance(node.func, ast.Attribute):
            key = script.value(node.args[0]) if node.args else UNKNOWN
            if dotted(node.func.value) in holders and isinstance(key, str):
                default = script.value(node.args[1]) if len(node.args) > 1 else None
                number = default if isinstance(default, int | float) else None
                kind = kind_of(number) if number is not None else "unknown"
                found[key] = Found(key, number, Route("report", key), node.lineno, kind)
    return tuple(found.values())
