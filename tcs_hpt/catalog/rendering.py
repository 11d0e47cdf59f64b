"""Puts values into a file of settings: JSON, YAML or TOML, with or without a template. Pure text.

What the template holds stays as it is: in YAML every scalar as it is spelled, also what YAML 1.1 and 1.2 read differently, with
anchors, merges and tags; in JSON and TOML every value. Comments are lost.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from tcs_hpt.catalog import _toml_text, _yaml_text
from tcs_hpt.spec import ConfigFormat, Scalar


def render(template: str, format: ConfigFormat, values: Mapping[str, Scalar]) -> str:
    """The template with values in their places; tables that are missing are made.

    A number in a path is a place in a list. A key of the template that holds dots itself is found too.

    Args:
        template: A text in the format; empty for none.
        format: How it is written.
        values: By dotted path.

    Raises:
        ValueError: The template is not of the format, or a path goes through a single value or ends at a table or list.
    """
    if format == "yaml":
        return _yaml_text.render(template, values)
    tree = _read(template, format)
    for path, value in values.items():
        _put(tree, path, value)
    if format == "json":
        return json.dumps(tree, indent=2, ensure_ascii=False) + "\n"
    return _toml_text.dump(tree)


def paths(template: str, format: ConfigFormat) -> list[str]:
    """The dotted paths of all single values in a template.

    Raises:
        ValueError: It is not of the format.
    """
    if format == "yaml":
        return _yaml_text.paths(template)
    return list(_leaves(_read(template, format), ""))


def _read(text: str, format: ConfigFormat) -> dict[str, Any]:
    try:
        tree = (json.loads(text) if format == "json" else tomllib.loads(text)) if text.strip() else {}
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(tree, dict):
        raise ValueError("at its top is no object with keys")
    return tree


def _put(tree: dict[str, Any], path: str, value: Scalar) -> None:
    place: Any = tree
    parts = path.split(".")
    for i, part in enumerate(parts):
        rest = ".".join(parts[i:])
        key = _key(place, rest) if isinstance(place, dict) and rest in place else _key(place, part)
        if key is None:
            raise ValueError(f"`{'.'.join(parts[:i])}` is {_what(place)}, so `{path}` has no place in it")
        if key == rest or i == len(parts) - 1:
            old = place.get(key) if isinstance(place, dict) else place[key]
            if isinstance(old, dict | list):
                raise ValueError(f"`{path}` is {_what(old)}, not a single value")
            place[key] = value
            return
        if isinstance(place, dict) and place.get(key) is None:
            place[key] = {}
        place = place[key]


def _key(place: Any, part: str) -> str | int | None:
    """The part of a path as a key of this place; None if there can be none."""
    if isinstance(place, dict):
        return part
    if isinstance(place, list) and part.isdecimal() and int(part) < len(place):
        return int(part)
    return None


def _what(value: object) -> str:
    """What kind of thing a value is, for people."""
    if isinstance(value, dict):
        return "a table"
    return f"a list of {len(value)}" if isinstance(value, list) else "a single value"


def _leaves(tree: Any, path: str) -> Iterator[str]:
    if isinstance(tree, dict | list):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        for key, value in items:
            yield from _leaves(value, f"{path}.{key}" if path else str(key))
    else:
        yield path
