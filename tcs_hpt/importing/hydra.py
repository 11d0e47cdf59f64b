"""Hydra: the composed YAML of `@hydra.main`, or the dataclass that its config store holds, as overrides."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tcs_hpt.importing import config_files, dataclass_flags
from tcs_hpt.importing.found import Found, Route, Settable
from tcs_hpt.importing.script import Script, called, dotted, keyword

_DEEPEST = 8


def find(script: Script) -> Settable:
    """Every single value of the composed configuration; nothing when the script does not use Hydra."""
    if "hydra" not in script.imported:
        return Settable()
    decorator = next((d for f in script.functions() for d in f.decorator_list if _is_main(d)), None)
    if not isinstance(decorator, ast.Call):
        return Settable()
    name = script.value(keyword(decorator, "config_name"))
    where = script.value(keyword(decorator, "config_path"))
    if not isinstance(name, str):
        return Settable()
    folder = script.folder / where if isinstance(where, str) else script.folder
    file = folder / (name if name.endswith((".yaml", ".yml")) else f"{name}.yaml")
    if file.is_file():
        lines = file.read_text(encoding="utf-8").splitlines()
        return Settable(tuple(config_files.settings(_composed(folder, file, 0), "override", lines)))
    return Settable(tuple(_stored(script, name)))


def _is_main(decorator: ast.expr) -> bool:
    return isinstance(decorator, ast.Call) and dotted(decorator.func) in ("hydra.main", "main")


def _composed(folder: Path, file: Path, depth: int) -> dict[str, Any]:
    """A file with the groups of its defaults list underneath, as Hydra composes them.

    Not followed: packages (`@package`), optional and interpolated groups; what they hold is then not found.
    """
    own = dict(config_files.load(file, "yaml"))
    defaults = own.pop("defaults", [])
    own.pop("hydra", None)
    merged: dict[str, Any] = {}
    if not isinstance(defaults, list) or depth > _DEEPEST:
        return own
    for entry in defaults:
        if isinstance(entry, str) and entry != "_self_":
            _under(merged, folder, entry, "", depth)
        elif isinstance(entry, dict):
            for group, choice in entry.items():
                if isinstance(choice, str) and not str(group).startswith(("override", "optional")):
                    _under(merged, folder, f"{group}/{choice}", str(group).replace("/", "."), depth)
    return _merge(merged, own)


def _under(merged: dict[str, Any], folder: Path, name: str, package: str, depth: int) -> None:
    file = folder / f"{name.lstrip('/')}.yaml"
    if not file.is_file():
        return
    values = _composed(folder, file, depth + 1)
    for part in reversed(package.split(".") if package else []):
        values = {part: values}
    merged.update(_merge(merged, values))


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(below)
    for key, value in above.items():
        old = result.get(key)
        result[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result


def _stored(script: Script, name: str) -> list[Found]:
    """Fields of the dataclass that `ConfigStore.store(name=..., node=...)` registers, nested ones with dots."""
    for call in script.calls:
        if called(call) != "store" or script.value(keyword(call, "name")) != name:
            continue
        node = keyword(call, "node")
        if node is not None:
            return _overrides(script, called(node), "", 0)
    return []


def _overrides(script: Script, name: str, prefix: str, depth: int) -> list[Found]:
    if depth > _DEEPEST:
        return []
    kinds = {c.name for c in script.classes()}
    nested = {
        s.target.id: called(s.annotation)
        for c in script.classes()
        if c.name == name
        for s in c.body
        if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)
    }
    found: list[Found] = []
    for field in dataclass_flags.fields(script, name):
        key = f"{prefix}{field.name}"
        if nested.get(field.name) in kinds:
            found += _overrides(script, nested[field.name], f"{key}.", depth + 1)
        else:
            found.append(field.found(Route("override", key)))
    return found
