"""What an expression is worth when only literals and a module's constants are in it. Runs no code of the script."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final


class _Unknown:
    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = _Unknown()
"""The value of an expression that would have to be run."""

_OPERATIONS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
}
_LARGEST = 1e15
_CONVERSIONS = frozenset(("float", "int", "str", "bool"))


def evaluate(node: ast.expr, names: Mapping[str, object] | None = None) -> object:
    """The value of a literal, arithmetic on literals, or a name in `names`; `UNKNOWN` for the rest.

    Lists and tuples come as tuples. Large powers are not computed.
    """
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, bool | int | float | str | None) else UNKNOWN
    if isinstance(node, ast.Name):
        return (names or {}).get(node.id, UNKNOWN)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = evaluate(node.operand, names)
        if not _is_number(value):
            return UNKNOWN
        return -value if isinstance(node.op, ast.USub) else value  # type: ignore[operator]
    if isinstance(node, ast.BinOp):
        return _arithmetic(node, names)
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        items = tuple(evaluate(item, names) for item in node.elts)
        return UNKNOWN if UNKNOWN in items else items
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1:
        # `float("1e-3")`, `Path("data")`: what the text says counts here.
        inner = evaluate(node.args[0], names)
        if node.func.id in ("Path", "str"):
            return inner if isinstance(inner, str) else UNKNOWN
        if node.func.id in _CONVERSIONS:
            return number(inner)
    return UNKNOWN


def number(value: object) -> object:
    """A number, also one that is written as text (`"1e-3"`); `UNKNOWN` for anything else."""
    if _is_number(value):
        return value
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            pass
        try:
            found = float(value)
        except ValueError:
            return UNKNOWN
        return found if math.isfinite(found) else UNKNOWN
    return UNKNOWN


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _arithmetic(node: ast.BinOp, names: Mapping[str, object] | None) -> object:
    left, right = evaluate(node.left, names), evaluate(node.right, names)
    operation = _OPERATIONS.get(type(node.op))
    if operation is None or not (_is_number(left) and _is_number(right)):
        return UNKNOWN
    if isinstance(node.op, ast.Pow) and abs(right) > 64:  # type: ignore[arg-type]
        return UNKNOWN
    try:
        value = operation(left, right)
    except (ZeroDivisionError, OverflowError, ValueError):
        return UNKNOWN
    if isinstance(value, complex) or not math.isfinite(value) or abs(value) > _LARGEST:
        return UNKNOWN
    return value
