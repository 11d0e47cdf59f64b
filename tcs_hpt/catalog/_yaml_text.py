"""Changes values of a YAML text as nodes, before YAML's types: what is not changed is written as it was read."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, cast

import yaml

from tcs_hpt.spec import Scalar

_TEXT, _NULL, _MAP = (f"tag:yaml.org,2002:{kind}" for kind in ("str", "null", "map"))


def render(template: str, values: Mapping[str, Scalar]) -> str:
    """See `rendering.render`."""
    root = _compose(template)
    for path, value in values.items():
        root = _put(root, path.split("."), _leaf(value), path)
    text: str = yaml.serialize(root, Dumper=yaml.SafeDumper, allow_unicode=True, width=10_000)
    return text


def paths(template: str) -> list[str]:
    """See `rendering.paths`."""
    return list(_leaves(_compose(template), "", ()))


def _compose(text: str) -> yaml.Node:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark is not None else ""
        raise ValueError(f"{getattr(error, 'problem', None) or type(error).__name__}{line}") from error
    if root is None:
        return yaml.MappingNode(_MAP, [], flow_style=False)
    if not isinstance(root, yaml.MappingNode):
        raise ValueError("at its top is no mapping with keys")
    return root


def _put(node: yaml.Node, parts: list[str], leaf: yaml.Node, path: str) -> yaml.Node:
    """The node with a value in its place: a copy, so that what else refers to it by an alias stays as it is."""
    if not parts:
        if isinstance(node, yaml.CollectionNode):
            raise ValueError(f"`{path}` is {_what(node)}, not a single value")
        return leaf
    if node.tag == _NULL:  # `key:` with nothing behind it, or a key that is not there yet
        node = yaml.MappingNode(_MAP, [], flow_style=False)
    if isinstance(node, yaml.MappingNode):
        pairs = list(node.value)
        places = {k.value: i for i, (k, _) in enumerate(pairs) if isinstance(k, yaml.ScalarNode)}
        whole = ".".join(parts)
        key, rest = (whole, []) if whole in places else (parts[0], parts[1:])
        if key in places:
            name, old = pairs[places[key]]
            pairs[places[key]] = (name, _put(copy.deepcopy(old), rest, leaf, path))
        else:
            nothing = yaml.ScalarNode(_NULL, "")
            pairs.append((yaml.ScalarNode(_TEXT, key), _put(nothing, rest, leaf, path)))
        return yaml.MappingNode(node.tag, pairs, flow_style=node.flow_style)
    if isinstance(node, yaml.SequenceNode) and parts[0].isdecimal() and int(parts[0]) < len(node.value):
        items = list(node.value)
        items[int(parts[0])] = _put(copy.deepcopy(items[int(parts[0])]), parts[1:], leaf, path)
        return yaml.SequenceNode(node.tag, items, flow_style=node.flow_style)
    above = path.removesuffix("." + ".".join(parts))
    raise ValueError(f"`{above}` is {_what(node)}, so `{path}` has no place in it")


def _leaf(value: Scalar) -> yaml.Node:
    if isinstance(value, str):
        # `1e-3` is text in YAML 1.1 and a number in YAML 1.2; in quotes it is text in both.
        return yaml.ScalarNode(_TEXT, value, style="'" if _like_a_number(value) else None)
    text = yaml.safe_dump(value)  # 1.0e-05, not 1e-05
    return cast(yaml.Node, yaml.compose(text, Loader=yaml.SafeLoader))


def _like_a_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _what(node: yaml.Node) -> str:
    if isinstance(node, yaml.MappingNode):
        return "a table"
    return f"a list of {len(node.value)}" if isinstance(node, yaml.SequenceNode) else "a single value"


def _leaves(node: yaml.Node, path: str, above: tuple[Any, ...]) -> Iterator[str]:
    if not isinstance(node, yaml.CollectionNode):
        yield path
        return
    if any(node is other for other in above):  # an alias of what it is in
        return
    inside = (
        [(k.value, v) for k, v in node.value if isinstance(k, yaml.ScalarNode)]
        if isinstance(node, yaml.MappingNode)
        else enumerate(node.value)
    )
    for key, value in inside:
        yield from _leaves(value, f"{path}.{key}" if path else str(key), (*above, node))
