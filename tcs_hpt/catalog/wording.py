"""Says what is wrong in a manifest in words of the manifest, and what to write instead."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic_core import ErrorDetails

EXAMPLES = {
    "schema": "Add `schema = 1` at the top.",
    "name": 'Add `name = "my_task"`.',
    "command": 'Write `command = ["{python}", "train.py"]`.',
    "objective": 'Add [objective] with `metric = "val_accuracy"` and `direction = "maximize"`.',
    "metric": 'Add `metric = "val_accuracy"`, the name the script reports.',
    "direction": 'Add `direction = "maximize"` or `direction = "minimize"`.',
    "source": 'Add `source = "stdout"`, `source = "stderr"` or the path of a file.',
    "format": 'Add `format = "pattern"`, `"jsonl"`, `"csv"` or `"json"`.',
    "low": "Add `low = ...`, the smallest value to try.",
    "high": "Add `high = ...`, the largest value to try.",
    "choices": 'Add `choices = ["a", "b"]`, the values to try.',
    "name_rule": "Use letters, digits, `_`, `.` and `-`, a letter or `_` first, at most 64 characters.",
}

_RULES = (
    ("on a log scale", "Raise `low` above 0, or remove `log = true`."),
    ("`step` cannot be combined", "Remove `step`, or remove `log = true`."),
    ("`step` must be", "Choose a step above 0 and at most {span}."),
    ("`default` must be between", "Set `default` between {low} and {high}, or widen the range."),
    ("`default` must be one of", "Set `default` to one of {choices}, or add it to `choices`."),
    ("`choices` must differ", "Remove the repeated choice."),
    ("a choice must be", "Shorten the choice, or remove what cannot be printed."),
    ("`format` is needed", 'Add `format = "json"`, `"yaml"` or `"toml"`.'),
    ("`format` must be pattern", 'Name the file as `source`, or write `format = "pattern"` with `patterns`.'),
    ("`patterns` belong", 'Remove `patterns`, or write `format = "pattern"`.'),
    (
        "`patterns` is missing",
        "Add `patterns = ['val_acc=(?P<val_accuracy>[-+0-9.eE]+)']`, in single quotes.",
    ),
    ("`patterns` holds no", "Correct it; in single quotes a backslash stays one."),
    (
        "`patterns` needs named",
        "Put a name where the number is, e.g. 'val_acc=(?P<val_accuracy>[-+0-9.eE]+)'.",
    ),
    ("`names` has no use", "Remove [metrics.names], and name the groups as the metrics."),
    ("gives a flag or not", "Write `choices = [true, false]` there, or hand its value over as any other."),
    ("must not be a test metric", "Name a validation metric, e.g. `val_accuracy`."),
)


def fix_rule(message: str, table: Mapping[str, Any]) -> str:
    """What to do about a rule over several keys of a table that was broken."""
    low, high = table.get("low"), table.get("high")
    if message.startswith("`low` must be below"):
        return "Make `high` larger than `low`." if low == high else f"Swap them: low = {high}, high = {low}."
    span = high - low if isinstance(low, int | float) and isinstance(high, int | float) else "high - low"
    values = {"low": low, "high": high, "span": span, "choices": toml(table.get("choices"))}
    for sign, fix in _RULES:
        if sign in message:
            return fix.format(**values) if "{" in fix else fix
    return "Change the value so that the rule holds."


def fix_value(path: list[str], value: object, detail: ErrorDetails | Literal["scalar"]) -> tuple[str, str]:
    """The message and the fix for a single value of the wrong kind."""
    name, got = path[-1], toml(value)
    if detail == "scalar":
        what = f"a value of `{path[-2]}`" if name.isdecimal() and len(path) > 1 else f"`{name}`"
        return f"{what} must be text, a finite number, true or false, got {got}", "Write a single value."
    kind, context = detail["type"], detail.get("ctx", {})
    if kind == "literal_error":
        allowed = re.findall(r"'([^']+)'|(\d+)", str(context.get("expected", "")))
        options = [a or b for a, b in allowed]
        quoted = " or ".join(f'`{name} = "{a}"`' if a else f"`{name} = {b}`" for a, b in allowed)
        near = meant(value, options) if isinstance(value, str) else ""
        return f"`{name}` must be {' or '.join(options)}, got {got}", near or f"Write {quoted}."
    if kind in ("float_type", "float_parsing"):
        return (
            f"`{name}` must be a number, got {got}",
            f"Write `{name} = {_number(value, '0.1')}`, without quotes.",
        )
    if kind.startswith("int_"):
        return (
            f"`{name}` must be a whole number, got {got}",
            f"Write `{name} = {_number(value, '1', whole=True)}`.",
        )
    if kind == "finite_number":
        return f"`{name}` must be a finite number, got {got}", f"Write a number such as `{name} = 1.0`."
    if kind.startswith("bool_") and name in ("log",):
        return f"`{name}` must be true or false, got {got}", f"Write `{name} = true` or `{name} = false`."
    if kind in ("greater_than", "greater_than_equal"):
        return f"`{name}` must be above 0, got {got}", f"Write a number above 0, or remove `{name}`."
    if kind == "too_short":
        return (
            f"`{name}` must have at least two values, got {got}",
            "Add another value, or move it to [fixed].",
        )
    if kind == "tuple_type":
        one = value if isinstance(value, str | int | float) else "a"
        return f"`{name}` must be a list, got {got}", f"Write `{name} = [{toml(one)}]`."
    if kind == "string_pattern_mismatch" or kind == "string_too_long":
        return f"`{name}` cannot be spelled everywhere, got {got}", EXAMPLES["name_rule"]
    if kind == "string_type":
        is_scalar = isinstance(value, str | int | float)
        if name in ("title", "description", "name", "metric") or not is_scalar:
            example = f'Write `{name} = "..."`, in quotes.'
            return f"`{name}` must be text, got {got}", example
    if kind in ("dict_type", "mapping_type", "model_type", "model_attributes_type"):
        return f"`{name}` must be a table, got {got}", f"Write it as `{name} = {{ ... }}`."
    return (
        f"`{name}` must be text, a finite number, true or false, got {got}",
        "Write a single value, without brackets.",
    )


def meant(word: str, known: Iterable[str], count: int = 1) -> str:
    """A sentence that names what was probably meant, at most `count` of it; empty when nothing is near."""
    near = difflib.get_close_matches(word.lower(), list(known), n=count, cutoff=0.6)
    return f"Did you mean {' or '.join(f'`{n}`' for n in near)}? " if near else ""


def _number(value: object, example: str, *, whole: bool = False) -> str:
    """What a person who wrote `value` probably meant by it, as a number."""
    try:
        number = float(str(value))
    except ValueError:
        return example
    return str(int(number)) if whole and abs(number) < 1e15 else str(value)


def toml(value: object) -> str:
    """A value about as the file has it, at most 80 characters."""
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."
